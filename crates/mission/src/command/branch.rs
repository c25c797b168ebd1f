//! Which branch a mission is planned on and lands on, spelled in every way that existing prompts and
//! scripts read it.

use crate::clock::Moment;
use crate::project::{MissionDirectory, Project};
use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};

/// The branches of a command. Serialises to the keys that several generations of callers expect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BranchContract {
    /// The branch that is checked out.
    pub current: String,
    /// The branch the mission lands on.
    pub target: String,
    /// When the command ran: UTC, ISO 8601.
    pub now: String,
}

impl BranchContract {
    /// The contract of a command that runs on `current` for a mission that lands on `target`.
    pub fn new(current: &str, target: &str, now: Moment) -> Self {
        Self { current: current.into(), target: target.into(), now: now.iso() }
    }

    /// The contract of a command on an existing mission.
    pub fn of(project: &Project, mission: &MissionDirectory, now: Moment) -> Self {
        Self::new(project.branch_or_main(), mission.target_branch(project), now)
    }

    /// Whether the checked-out branch is the one the mission lands on.
    pub fn matches(&self) -> bool {
        self.current == self.target
    }

    /// One sentence for people and prompts.
    pub fn summary(&self) -> String {
        if self.matches() {
            format!("Planned on {}, where the finished work lands.", self.target)
        } else {
            format!("Planned on {}; the finished work lands on {}.", self.current, self.target)
        }
    }
}

/// The block `runtime_vars`.
struct RuntimeVars<'a>(&'a BranchContract);
/// The block `branch_context`.
struct BranchContext<'a>(&'a BranchContract);

impl Serialize for BranchContract {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut out = serializer.serialize_map(None)?;
        out.serialize_entry("current_branch", &self.current)?;
        out.serialize_entry("CURRENT_BRANCH", &self.current)?;
        for key in [
            "target_branch",
            "base_branch",
            "TARGET_BRANCH",
            "BASE_BRANCH",
            "planning_base_branch",
            "PLANNING_BASE_BRANCH",
            "merge_target_branch",
            "MERGE_TARGET_BRANCH",
            "EXPECTED_TARGET_BRANCH",
            "EXPECTED_BASE_BRANCH",
        ] {
            out.serialize_entry(key, &self.target)?;
        }
        out.serialize_entry("branch_matches_target", &self.matches())?;
        out.serialize_entry("BRANCH_MATCHES_TARGET", &self.matches())?;
        out.serialize_entry("branch_strategy_summary", &self.summary())?;
        out.serialize_entry("runtime_vars", &RuntimeVars(self))?;
        out.serialize_entry("NOW_UTC_ISO", &self.now)?;
        out.serialize_entry("branch_context", &BranchContext(self))?;
        out.end()
    }
}

impl Serialize for RuntimeVars<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut out = serializer.serialize_map(Some(8))?;
        out.serialize_entry("now_utc_iso", &self.0.now)?;
        out.serialize_entry("current_branch", &self.0.current)?;
        for key in ["target_branch", "base_branch", "planning_base_branch", "merge_target_branch"] {
            out.serialize_entry(key, &self.0.target)?;
        }
        out.serialize_entry("branch_matches_target", &self.0.matches())?;
        out.serialize_entry("branch_strategy_summary", &self.0.summary())?;
        out.end()
    }
}

impl Serialize for BranchContext<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut out = serializer.serialize_map(Some(8))?;
        out.serialize_entry("current_branch", &self.0.current)?;
        for key in [
            "target_branch",
            "base_branch",
            "planning_base_branch",
            "merge_target_branch",
            "expected_checkout_branch",
        ] {
            out.serialize_entry(key, &self.0.target)?;
        }
        out.serialize_entry("matches_target", &self.0.matches())?;
        out.serialize_entry("branch_strategy_summary", &self.0.summary())?;
        out.end()
    }
}
