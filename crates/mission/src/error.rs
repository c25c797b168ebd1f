//! Errors of mission commands: the file, row or argument, what is wrong with it, and
//! its remedy. The command line turns one value into text or JSON.

use crate::remedies::{ErrorCode, command_line};
use contract::{ExitCode, Remedy, text};
use serde::Serialize;
use serde_json::{Map, Value, json};
use std::path::{Path, PathBuf};

/// An error of a mission command.
#[derive(Debug, thiserror::Error)]
pub enum MissionError {
    /// An argument has a value that can never be right.
    #[error("{name}: {problem}")]
    Argument {
        /// The argument as it is typed, for example `--to`.
        name: &'static str,
        /// Problem with its value, and what would be right.
        problem: String,
    },
    /// A file's content is not what it should be.
    #[error("{}{}: {problem}", text::path(.path), row(*.line))]
    Malformed {
        /// The file.
        path: PathBuf,
        /// The 1-based line, when one line is to blame.
        line: Option<usize>,
        /// The problem.
        problem: String,
    },
    /// Lines of a mission's log cannot be read, so nothing is written on top of it.
    #[error("{} line {line}: {problem}{}", text::path(.path), more(*.count))]
    DamagedLog {
        /// The log.
        path: PathBuf,
        /// The 1-based number of the first such line.
        line: usize,
        /// Problem with it.
        problem: String,
        /// Number of lines that cannot be read.
        count: usize,
        /// The mission's directory name.
        mission_slug: String,
        /// Whether `doctor repair --mission` helps.
        repairable: bool,
        /// Whether some of the lines are whole and unknown to this release.
        newer: bool,
    },
    /// The branch that keeps a mission's lane rows is not there, or it is not clear which one it is.
    #[error("{problem}")]
    Coordination {
        /// The rule.
        code: ErrorCode,
        /// The problem.
        problem: String,
        /// The branch.
        branch: String,
        /// Each of them is enough.
        remedies: Vec<Remedy>,
    },
    /// The system refused to read or write.
    #[error("cannot {action} {}", text::path(.path))]
    Io {
        /// Action that failed, for example `read`.
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
    /// The current directory belongs to no project.
    #[error("no project found from {}: neither it nor a parent directory holds `.kittify/`", text::path(.from))]
    NoProject {
        /// Directory from which the search started.
        from: PathBuf,
    },
    /// No mission was named, or none has that name.
    #[error("{problem}")]
    UnknownMission {
        /// `FEATURE_CONTEXT_UNRESOLVED`; `PLAN_CONTEXT_UNRESOLVED` when it was to be planned.
        code: ErrorCode,
        /// Name that was asked for.
        handle: Option<String>,
        /// The problem.
        problem: String,
        /// The directory names that exist.
        available: Vec<String>,
    },
    /// The mission or its repository breaks a rule; nothing was written.
    #[error("{problem}")]
    Invalid {
        /// The rule.
        code: ErrorCode,
        /// The problem.
        problem: String,
        /// The facts behind it, as extra keys of the JSON document.
        facts: Map<String, Value>,
    },
    /// A lane change that the machine does not allow.
    #[error(transparent)]
    Transition(#[from] crate::transition::Refusal),
    /// Another process holds a lock.
    #[error("{what} is busy: {} is held{}", text::path(.path), held_by(.holder))]
    Busy {
        /// Name of the locked thing.
        what: &'static str,
        /// The lock file.
        path: PathBuf,
        /// Holder of the lock, when the system reports it.
        holder: Option<String>,
    },
    /// The facts could not enter the queue; nothing was written in the repository.
    #[error("{problem}")]
    Capture {
        /// The problem.
        problem: String,
        /// Exit code of the command.
        exit: ExitCode,
        /// Its remedy.
        remedy: Option<Remedy>,
    },
    /// The local work is done and the captured rows are not yet pending.
    #[error("the files are written; the captured rows are not confirmed yet: {problem}")]
    CapturePending {
        /// The problem.
        problem: String,
    },
    /// The user ended it.
    #[error("interrupted: {what} was ended, and its output is not kept")]
    Interrupted {
        /// Activity that was interrupted.
        what: String,
    },
    /// Undoing a failed command failed as well.
    #[error("{cause}; and undoing it left behind: {left}")]
    NotUndone {
        /// Failure of the command.
        cause: Box<MissionError>,
        /// Changes that were not undone.
        left: String,
    },
}

/// An error with everything that caused it, in one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut out = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let inner_text = inner.to_string();
        if !out.ends_with(&inner_text) {
            out = format!("{out}: {inner_text}");
        }
        cause = inner.source();
    }
    out
}

/// Shorthand of this crate.
pub type Result<T, E = MissionError> = std::result::Result<T, E>;

fn row(line: Option<usize>) -> String {
    line.map(|line| format!(" line {line}")).unwrap_or_default()
}

fn more(count: usize) -> String {
    if count > 1 { format!(" ({})", crate::log::more_lines(count - 1)) } else { String::new() }
}

fn held_by(holder: &Option<String>) -> String {
    holder.as_ref().map(|who| format!(" by {who}")).unwrap_or_default()
}

impl MissionError {
    /// A malformed file, without a line.
    pub(crate) fn malformed(path: &Path, problem: impl Into<String>) -> Self {
        Self::Malformed { path: path.to_owned(), line: None, problem: problem.into() }
    }

    /// A malformed line.
    pub(crate) fn malformed_line(path: &Path, line: usize, problem: impl Into<String>) -> Self {
        Self::Malformed { path: path.to_owned(), line: Some(line), problem: problem.into() }
    }

    /// An I/O error.
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { action, path, source }
    }

    /// A broken rule without facts.
    pub(crate) fn rule(code: ErrorCode, problem: impl Into<String>) -> Self {
        Self::Invalid { code, problem: problem.into(), facts: Map::new() }
    }

    /// A broken rule with its facts.
    pub(crate) fn invalid(code: ErrorCode, problem: impl Into<String>, facts: &impl Serialize) -> Self {
        let facts = match serde_json::to_value(facts) {
            Ok(Value::Object(map)) => map,
            _ => Map::new(),
        };
        Self::Invalid { code, problem: problem.into(), facts }
    }

    /// The same under planning's code for an unknown mission.
    pub(crate) fn of_planning(self) -> Self {
        match self {
            Self::UnknownMission { handle, problem, available, .. } => {
                Self::UnknownMission { code: ErrorCode::PlanContextUnresolved, handle, problem, available }
            }
            other => other,
        }
    }

    /// The `error_code` of the JSON document.
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Argument { .. } => ErrorCode::InvalidArgument,
            Self::Malformed { .. } => ErrorCode::MalformedFile,
            Self::DamagedLog { .. } => ErrorCode::LogDamaged,
            Self::Io { .. } => ErrorCode::IoError,
            Self::NoProject { .. } => ErrorCode::ProjectNotFound,
            Self::Invalid { code, .. }
            | Self::Coordination { code, .. }
            | Self::UnknownMission { code, .. } => *code,
            Self::Transition(_) => ErrorCode::IllegalTransition,
            Self::Busy { .. } => ErrorCode::Busy,
            Self::Capture { .. } => ErrorCode::CaptureFailed,
            Self::CapturePending { .. } => ErrorCode::CapturePending,
            Self::Interrupted { .. } => ErrorCode::Interrupted,
            Self::NotUndone { cause, .. } => cause.code(),
        }
    }

    /// Exit code of the command.
    pub fn exit(&self) -> ExitCode {
        match self {
            Self::Busy { .. } => ExitCode::Busy,
            Self::Capture { exit, .. } => *exit,
            Self::Interrupted { .. } => ExitCode::Interrupted,
            Self::NotUndone { cause, .. } => cause.exit(),
            _ => ExitCode::Failed,
        }
    }

    /// Whether another process moved the coordination branch first, so that the command can be planned again.
    pub(crate) fn is_lost_race(&self) -> bool {
        matches!(self, Self::Invalid { code: ErrorCode::CoordinationBranchMoved, .. })
    }

    /// Remedies of the error. Errors that know more than their code give a remedy of their own.
    pub fn remedies(&self) -> Vec<Remedy> {
        let advice = |text: &str| vec![Remedy::Advice(text.to_owned())];
        match self {
            Self::Malformed { path, .. } if path.components().any(|part| part.as_os_str() == ".git") => {
                advice(
                    "move it out of the way and put the file back from a copy; `git read-tree HEAD` writes a missing index and \
                 keeps your files",
                )
            }
            Self::DamagedLog { mission_slug, repairable, newer, .. } => {
                let repair = Remedy::RepairMission { mission: mission_slug.clone() };
                let update = || Remedy::Advice(crate::log::remedy(mission_slug, false));
                repairable.then_some(repair).into_iter().chain(newer.then(update)).collect()
            }
            Self::UnknownMission { available, .. } if available.is_empty() => {
                advice("create a mission with `spec-kitty agent mission create SLUG`")
            }
            Self::Capture { remedy: Some(remedy), .. } => vec![remedy.clone()],
            Self::Coordination { remedies, .. } => remedies.clone(),
            Self::NotUndone { cause, .. } => cause.remedies(),
            Self::Io { path, .. } => advice(&format!(
                "give this user access to {}, and look whether its disk is full",
                text::path(path)
            )),
            Self::Transition(refusal) => advice(refusal.remedy()),
            Self::Invalid { code: ErrorCode::WorkPackageNotFound, facts, .. } => {
                let mission = facts.get("mission_slug").and_then(Value::as_str).unwrap_or("MISSION");
                let status = command_line("agent tasks status", &[], mission);
                advice(&format!("`{status}` shows the work packages of the mission"))
            }
            _ => advice(self.code().remedy()),
        }
    }

    /// The facts that people want to see, one line each.
    pub fn evidence(&self) -> Vec<String> {
        match self {
            Self::NotUndone { cause, .. } => cause.evidence(),
            _ => crate::remedies::evidence(&self.facts()),
        }
    }

    /// Facts for the JSON document, beside `error`, `error_code` and the remedies.
    pub fn facts(&self) -> Map<String, Value> {
        let value = match self {
            Self::Argument { name, .. } => json!({ "argument": name }),
            Self::Malformed { path, line, .. } => json!({ "path": text::path(path), "line": line }),
            Self::DamagedLog { path, line, count, .. } => {
                json!({ "path": text::path(path), "line": line, "unreadable_lines": count })
            }
            Self::Io { path, .. } => json!({ "path": text::path(path) }),
            Self::NoProject { from } => json!({ "from": text::path(from) }),
            Self::UnknownMission { handle, available, .. } => {
                json!({ "mission_flag": handle, "available_missions": available })
            }
            Self::Invalid { facts, .. } => return facts.clone(),
            Self::Coordination { branch, .. } => json!({ "coordination_branch": branch }),
            Self::Busy { path, holder, .. } => json!({ "path": text::path(path), "holder": holder }),
            Self::CapturePending { .. } => json!({ "local": "ok", "capture": "pending" }),
            Self::NotUndone { cause, left } => {
                let mut facts = cause.facts();
                facts.insert("not_undone".into(), left.clone().into());
                return facts;
            }
            Self::Transition(_) | Self::Capture { .. } | Self::Interrupted { .. } => Value::Null,
        };
        match value {
            Value::Object(map) => map,
            _ => Map::new(),
        }
    }
}
