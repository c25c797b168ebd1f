//! Cures have a permit of their own.

fn main() {}

fn cure(permit: &gate::EgressPermit) -> Result<queue::Cure, queue::QueueError> {
    queue::Cure::open(permit)
}
