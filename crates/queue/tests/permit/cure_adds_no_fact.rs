//! A `CurePermit` does not open a `Writer`.

fn main() {}

fn add(cure: &mut queue::Cure, capture: &queue::Capture) {
    let _ = cure.prepare(capture);
}
