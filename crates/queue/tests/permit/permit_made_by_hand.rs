//! A permit has no constructor outside the gate.

fn main() {}

fn forge(scope: contract::Scope) -> gate::CurePermit {
    gate::CurePermit { scope, queue_path: "/queue.db".into(), legacy_path: "/legacy.db".into() }
}
