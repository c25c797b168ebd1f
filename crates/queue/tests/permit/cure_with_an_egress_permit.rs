//! Curing verbs need a `CurePermit`.

fn main() {}

fn cure(permit: &gate::EgressPermit) -> Result<queue::Cure, queue::QueueError> {
    queue::Cure::open(permit)
}
