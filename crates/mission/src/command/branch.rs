//! Branches on which a mission is planned and lands, under every key that existing prompts and scripts read; and
//! `agent mission branch-context`, which shows them before the mission is created.

use super::shown;
use crate::clock::{Clock, Moment};
use crate::error::{MissionError, Result as MissionResult};
use crate::git::branches::read_branches;
use crate::git::default_branch;
use crate::project::{MissionDirectory, Project};
use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};
use serde_json::{Map, Value, json};

/// The names of a primary branch, where the remote does not report it.
const PRIMARY: [&str; 3] = ["main", "master", "develop"];

/// The branches of a command. Serialises to the keys that several generations of callers expect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BranchContract {
    /// The branch that is checked out.
    pub current: String,
    /// The branch the mission lands on.
    pub target: String,
    /// Time of the command: UTC, ISO 8601.
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

/// `agent mission branch-context`: the branches of a mission that is yet to come, and whether it should get one of
/// its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BranchAdvice {
    /// The branches.
    pub contract: BranchContract,
    /// The branch that work is merged into in the end.
    pub primary: String,
    repo_root: String,
    is_given: bool,
}

/// Reads the branch that is checked out. `target` is the branch to land on, if it is another one.
///
/// # Errors
/// When no branch is checked out, or git cannot be asked.
pub fn advise(project: &Project, target: Option<&str>, clock: &Clock) -> MissionResult<BranchAdvice> {
    let current = project.branch()?;
    let target = target.map(str::trim).filter(|target| !target.is_empty());
    if let Some(problem) = target.filter(|target| !crate::meta::is_branch_name(target)) {
        let problem = format!(
            "`{}` is not the name of a branch; `git branch --list` shows the branches of the repository",
            contract::text::printable(problem)
        );
        return Err(MissionError::Argument { name: "--target-branch", problem });
    }
    Ok(BranchAdvice {
        contract: BranchContract::new(current, target.unwrap_or(current), clock.now()),
        primary: primary(project, current)?,
        repo_root: shown(project.root()),
        is_given: target.is_some(),
    })
}

/// Primary branch: the one that the remote has checked out. Else the current branch, if it has a usual name; else a
/// branch with a usual name; else the current one.
fn primary(project: &Project, current: &str) -> MissionResult<String> {
    if let Some(branch) = default_branch(project)? {
        return Ok(branch);
    }
    if PRIMARY.contains(&current) {
        return Ok(current.to_owned());
    }
    let branches = read_branches(project)?;
    let is_there = |name: &&str| branches.local(name).is_some() || !branches.remote(name).is_empty();
    Ok(PRIMARY.into_iter().find(is_there).unwrap_or(current).to_owned())
}

impl BranchAdvice {
    /// Whether the branch that is checked out is the primary one.
    pub(crate) fn is_on_primary(&self) -> bool {
        self.contract.current == self.primary
    }

    /// `feature-branch` or `stay`.
    pub fn strategy(&self) -> &'static str {
        if self.is_on_primary() { "feature-branch" } else { "stay" }
    }

    /// Reason for the advice.
    pub fn reason(&self) -> String {
        let primary = &self.primary;
        match self.is_on_primary() {
            true => format!(
                "{primary} is the primary branch: a mission that is merged by a pull request begins on a branch of its own."
            ),
            false => format!("{} is not the primary branch {primary}: stay on it.", self.contract.current),
        }
    }
}

impl Serialize for BranchAdvice {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut document = json!({
            "result": "success",
            "repo_root": self.repo_root,
            "target_branch_source": if self.is_given { "cli_arg" } else { "current_branch" },
            "next_step": "Use these branches in every planning step; do not look them up again.",
        });
        let add = |to: &mut Value, pairs: &[(&str, Value)]| {
            let map = to.as_object_mut();
            map.into_iter()
                .for_each(|map| map.extend(pairs.iter().map(|(key, value)| ((*key).into(), value.clone()))));
        };
        let branches = serde_json::to_value(&self.contract).map_err(serde::ser::Error::custom)?;
        let branches: Map<String, Value> = branches.as_object().cloned().unwrap_or_default();
        document.as_object_mut().into_iter().for_each(|map| map.extend(branches.clone()));
        let facts = [
            ("primary_branch", json!(self.primary)),
            ("current_is_primary", json!(self.is_on_primary())),
            ("recommended_strategy", json!(self.strategy())),
        ];
        for block in ["branch_context", "runtime_vars"] {
            add(&mut document[block], &facts);
        }
        add(&mut document["branch_context"], &[("reason", self.reason().into())]);
        for (key, value) in facts {
            add(&mut document, &[(key, value.clone()), (&key.to_uppercase(), value)]);
        }
        add(&mut document, &[("branch_recommendation_reason", self.reason().into())]);
        document.serialize(serializer)
    }
}
