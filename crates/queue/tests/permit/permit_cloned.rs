//! One verdict, one permit.

fn main() {}

fn twice(permit: gate::CapturePermit) -> (gate::CapturePermit, gate::CapturePermit) {
    (permit.clone(), permit)
}
