//! The same with the right permit.

fn main() {}

#[allow(dead_code)]
fn add(permit: &gate::CapturePermit) -> Result<queue::Writer, queue::QueueError> {
    queue::Writer::open(permit, queue::Capacity(1))
}
