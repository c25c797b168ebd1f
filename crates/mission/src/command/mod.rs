//! The commands on missions, as a library.
//!
//! Each is a request, a plan and an outcome. The caller keeps the order of contract section 12:
//!
//! 1. `check` of the request - arguments
//! 2. authentication (the caller's)
//! 3. `identity::locate_project_root` - project root
//! 4. the boundary (the caller's): it gives the permit
//! 5. [`Project::read`](crate::Project::read) - git
//! 6. `plan` - the mission and every input; reads only
//! 7. `Planned::apply` - takes the mission's lock, plans again and writes
//!
//! An outcome serialises to the command's JSON document (the caller adds the version); text is
//! rendered from the same value.

pub mod action_context;
pub mod add_history;
pub mod branch;
pub mod capture_history;
pub mod create;
pub mod decision;
pub mod dependents;
pub mod emit;
pub mod evidence;
pub mod finalize;
pub mod init;
pub mod log_faults;
pub mod map_requirements;
pub mod mark_status;
pub mod move_task;
pub mod owned_checkout;
mod planned;
pub mod prerequisites;
pub mod repair_log;
pub mod setup_plan;
pub mod status;
pub mod task_board;
pub mod validate_log;

pub use crate::transaction::Done;
pub use branch::{BranchAdvice, BranchContract};
pub use planned::{Planned, Recorded};

use crate::error::MissionError;
use crate::log::{FactKind, FactRow, Log, Row};
use crate::remedies::ErrorCode;
use serde_json::{Value, json};
use std::path::Path;

/// A path as JSON documents show it.
fn shown(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

/// The error of a file or directory of a mission that a command needs.
fn missing_file(path: &Path) -> MissionError {
    let shown = contract::text::path(path);
    MissionError::invalid(
        ErrorCode::MissionFileMissing,
        format!("{shown} not found"),
        &json!({ "path": shown }),
    )
}

/// Whether the log holds a fact of this kind whose payload has this value under `key`.
fn has_fact(log: &Log, kind: FactKind, key: &str, value: &str) -> bool {
    log.facts().any(|fact| fact.kind == kind && fact.text(key) == Some(value))
}

/// A fact about the mission itself.
fn mission_fact(kind: FactKind, mission_slug: &str, event_id: String, at: &str, payload: Value) -> Row {
    Row::Fact(FactRow {
        event_id,
        kind,
        aggregate_id: mission_slug.to_owned(),
        timestamp: at.to_owned(),
        payload: match payload {
            Value::Object(map) => map,
            _ => serde_json::Map::new(),
        },
        project: None,
    })
}
