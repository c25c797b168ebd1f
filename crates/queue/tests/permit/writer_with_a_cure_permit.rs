//! A right to cure is no right to add a fact.

fn main() {}

fn add(permit: &gate::CurePermit) -> Result<queue::Writer, queue::QueueError> {
    queue::Writer::open(permit, queue::Capacity(1))
}
