//! Location of a mission's lane rows, and why it is not certain.

use crate::error::MissionError;
use crate::git::branch_commit::Tip;
use crate::log::FILE;
use crate::project::Project;
use crate::remedies::ErrorCode;
use contract::Remedy;
use contract::remedy::{shell_line, shell_word};
use std::path::PathBuf;

/// Location of the lane rows.
#[derive(Clone, Debug, Default)]
pub(crate) enum LogPlace {
    /// In the checkout, with everything else.
    #[default]
    Checkout,
    /// In the worktree that has the coordination branch checked out.
    Worktree { directory: PathBuf, project: Box<Project> },
    /// On the coordination branch, which no worktree has checked out; and the mission's path there.
    Branch { tip: Tip, path: String },
    /// Not certain, so that nothing is written. `commits` are read.
    Unclear { problem: Unclear, commits: Vec<(String, String)>, path: String },
}

/// Reason why the location of the lane rows is not certain.
#[derive(Clone, Debug)]
pub(crate) enum Unclear {
    Missing {
        branch: String,
        meta: PathBuf,
    },
    Diverged {
        branch: String,
        names: Vec<String>,
    },
    /// It, or its name, cannot be read.
    Unread {
        problem: String,
    },
}

impl Unclear {
    /// The refusal, with the ways out.
    pub(crate) fn error(&self) -> MissionError {
        match self {
            Self::Missing { branch, meta } => {
                let meta = contract::text::path(meta);
                MissionError::Coordination {
                    code: ErrorCode::CoordinationBranchMissing,
                    problem: format!(
                        "coordination branch `{branch}` is missing: no local and no remote-tracking branch has the name \
                         that {meta} gives"
                    ),
                    branch: branch.clone(),
                    remedies: vec![
                        Remedy::Advice(format!(
                            "recreate the branch: `git fetch REMOTE {}` if a remote has it; else `{}` with its last \
                             commit, which `git fsck --no-reflogs` lists as dangling while git keeps it; else `{}`, which \
                             starts from the rows of this checkout and has no others",
                            shell_word(&format!("{branch}:{branch}")),
                            shell_line(["git", "branch", branch, "COMMIT"]),
                            shell_line(["git", "branch", branch])
                        )),
                        Remedy::Advice(format!(
                            "or, if the mission is merged, remove the key `coordination_branch` from {meta}"
                        )),
                    ],
                }
            }
            Self::Unread { problem } => MissionError::rule(ErrorCode::GitUnreadable, problem),
            Self::Diverged { branch, names } => MissionError::Coordination {
                code: ErrorCode::CoordinationBranchDiverged,
                problem: format!(
                    "coordination branch `{branch}` has no local branch, and its remote-tracking branches differ: {}",
                    names.join(", ")
                ),
                branch: branch.clone(),
                remedies: names
                    .iter()
                    .take(1)
                    .map(|name| {
                        Remedy::Advice(format!(
                            "create the local branch from the one to continue on, for example \
                             `{}`, and merge the others into it",
                            shell_line(["git", "branch", "--track", branch, name])
                        ))
                    })
                    .collect(),
            },
        }
    }
}

impl LogPlace {
    /// Reason why nothing is written to the log, with the ways out; none when its place is certain.
    pub(crate) fn problem(&self) -> Option<String> {
        let Self::Unclear { problem, .. } = self else { return None };
        let missing = if self.is_whole() { "" } else { "lane rows may be missing: " };
        let error = problem.error();
        let remedies: Vec<_> = error.remedies().iter().map(ToString::to_string).collect();
        Some(format!("{missing}{error}; {}", remedies.join("; ")))
    }

    /// Whether every row is read.
    pub(crate) fn is_whole(&self) -> bool {
        !matches!(self, Self::Unclear { problem: Unclear::Missing { .. } | Unclear::Unread { .. }, .. })
    }

    /// Name of the log in messages: a path, or `<branch>:<path>` as `git show` takes it.
    pub(crate) fn label(&self) -> PathBuf {
        match self {
            Self::Checkout => PathBuf::from(FILE),
            Self::Worktree { directory, .. } => directory.join(FILE),
            Self::Branch { tip, path } => label(tip.upstream.as_deref().unwrap_or(&tip.branch), path),
            Self::Unclear { problem: Unclear::Unread { .. }, .. } => PathBuf::from(FILE),
            Self::Unclear {
                problem: Unclear::Missing { branch, .. } | Unclear::Diverged { branch, .. },
                path,
                ..
            } => label(branch, path),
        }
    }
}

/// Name of the log on a branch, as `git show` takes it.
pub(crate) fn label(branch: &str, path: &str) -> PathBuf {
    PathBuf::from(format!("{branch}:{path}/{FILE}"))
}
