//! The same with the right permit.

fn main() {}

#[allow(dead_code)]
fn cure(permit: &gate::CurePermit) -> Result<queue::Cure, queue::QueueError> {
    queue::Cure::open(permit)
}
