//! A right to add facts is no right to send them.

fn main() {}

fn send(permit: &gate::CapturePermit) -> Result<queue::Outbox, queue::QueueError> {
    queue::Outbox::open(permit)
}
