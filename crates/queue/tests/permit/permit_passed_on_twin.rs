//! Passing it on is fine.

fn main() {}

#[allow(dead_code)]
fn once(permit: gate::CapturePermit) -> gate::CapturePermit {
    permit
}
