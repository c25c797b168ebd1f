//! The remedy of an unusable file of the home, which depends on its file system.

use contract::{Fault, Remedy};
use std::path::Path;
use system::disk::{Obstacle, observe_obstacles};

/// The remedy of an unusable file at `path`: `doctor repair`, unless its file system is full or read-only. A
/// mode is no obstacle: the repair restores it.
pub fn repair(path: &Path) -> Remedy {
    let directory = path.parent().unwrap_or(path).to_path_buf();
    let found = observe_obstacles(&[directory]);
    let obstacle = found.iter().find(|found| !matches!(found, Obstacle::NoPermission { .. }));
    let Some(obstacle) = obstacle else { return Remedy::Repair };
    let (first, then) = (obstacle.advice(), Remedy::Repair.hint());
    let home = crate::environment::names::SPEC_KITTY_HOME;
    Remedy::Advice(format!("{first}, then run `{then}`; or set {home} to a directory that can be written"))
}

/// `fault` with the remedy of [`repair`], if its remedy is a repair.
#[must_use]
pub fn with_file_remedy(fault: Fault) -> Fault {
    match (&fault.remedy, &fault.path) {
        (Remedy::Repair, Some(path)) => Fault { remedy: repair(path), ..fault },
        _ => fault,
    }
}
