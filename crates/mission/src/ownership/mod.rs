//! Ownership: the files that a work package may change.
//!
//! Pure. | module | owns |
//! |---|---|
//! | [`pattern`] | the two questions asked of file patterns: overlap and match |
//! | [`infer`] | inferred ownership of a work package that declares none |
//! | [`judge`] | what is wrong with what the work packages of a mission claim |

pub mod infer;
pub mod judge;
pub mod pattern;

pub use infer::infer_ownership;
pub use judge::{Claims, judge_ownership};

use serde::{Deserialize, Serialize};

/// Kind of work in a work package.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, strum::EnumString, strum::IntoStaticStr,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum WorkKind {
    /// It changes the product; done in the worktree of its lane.
    CodeChange,
    /// It changes planning documents; done on the planning branch.
    PlanningArtifact,
}

impl WorkKind {
    /// The name in front matter.
    pub fn name(self) -> &'static str {
        self.into()
    }

    /// The kind of exactly this name.
    pub fn from_name(name: &str) -> Option<Self> {
        name.parse().ok()
    }
}

/// Ownership of one work package.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Ownership {
    /// Its kind.
    pub execution_mode: WorkKind,
    /// File patterns, relative to the project, with `/`.
    pub owned_files: Vec<String>,
    /// The directory it covers; a prefix of one of the patterns.
    pub authoritative_surface: String,
    /// Whether it works on the whole code base (`scope: codebase-wide`): nothing of what it claims is judged.
    pub codebase_wide: bool,
}
