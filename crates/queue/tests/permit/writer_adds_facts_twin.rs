//! The same by the one who may.

fn main() {}

#[allow(dead_code)]
fn add(writer: &mut queue::Writer, capture: &queue::Capture) {
    let _ = writer.prepare(capture);
}
