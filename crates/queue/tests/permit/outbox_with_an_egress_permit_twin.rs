//! The same with the right permit.

fn main() {}

#[allow(dead_code)]
fn send(permit: &gate::EgressPermit) -> Result<queue::Outbox, queue::QueueError> {
    queue::Outbox::open(permit)
}
