//! The gate gives one.

fn main() {}

#[allow(dead_code)]
fn given(verdict: &gate::Verdict) -> Option<gate::CurePermit> {
    verdict.cure_permit()
}
