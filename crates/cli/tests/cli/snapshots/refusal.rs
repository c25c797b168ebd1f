//! The refusal of each gate name: `sync status --check`, and a command that captures.

use super::{compare, shown};
use crate::failure_names::Scene;
use contract::FailureName;

/// The files of this group.
pub(super) fn files() -> impl Iterator<Item = String> {
    FailureName::all().map(|name| format!("refusal/{name}"))
}

#[test]
fn refusal_of_each_gate_name() {
    for (name, file) in FailureName::all().zip(files()) {
        let mut scene = Scene::coherent();
        scene.spoil(name);
        let lines = [
            "sync status --check",
            "agent mission create tea-timer",
            "agent mission create egg-timer --json",
        ];
        let printed: Vec<String> = lines.iter().map(|line| shown(&scene.world, line)).collect();
        compare(&file, &printed.join("\n"));
    }
}
