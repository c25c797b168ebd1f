//! `spec-kitty agent tasks ...`

use super::ProducingArgs;
use clap::{Args, Subcommand};
use std::path::PathBuf;

/// `spec-kitty agent tasks ...`
#[derive(Debug, Subcommand)]
pub enum TaskCommand {
    /// List the work packages of a mission; changes nothing
    #[command(visible_alias = "list-tasks")]
    List(ListArgs),
    /// Move a work package to a lane, by every lane between, and note it in its file
    #[command(after_help = "Forward, it goes by every lane between; `--force` jumps. Backward is a rewind, \
        which is always forced. Back to `planned` is a rejection: it needs --review-feedback-file.")]
    MoveTask(MoveTaskArgs),
    /// Tick subtasks in tasks.md, or untick them
    MarkStatus(MarkStatusArgs),
    /// Add a note to the activity log of a work package
    AddHistory(AddHistoryArgs),
}

/// `spec-kitty agent tasks list`
#[derive(Debug, Args)]
pub struct ListArgs {
    /// The mission: the name it was created with, its directory, its id, or the first eight
    /// characters of that
    #[arg(long, value_name = "HANDLE")]
    pub mission: Option<String>,
    /// Only the work packages in this lane
    #[arg(long)]
    pub lane: Option<String>,
    /// Print one JSON document
    #[arg(long)]
    pub json: bool,
}

/// Whether a command commits what it wrote.
#[derive(Debug, Args)]
pub struct CommitArgs {
    /// Commit what is written [default: `agents.auto_commit` of .kittify/config.yaml, else yes]
    #[arg(long, overrides_with = "no_auto_commit")]
    pub auto_commit: bool,
    /// Leave what is written uncommitted
    #[arg(long, overrides_with = "auto_commit")]
    pub no_auto_commit: bool,
}

impl CommitArgs {
    /// What was asked for, if anything.
    pub fn choice(&self) -> Option<bool> {
        (self.auto_commit || self.no_auto_commit).then_some(self.auto_commit)
    }
}

/// `spec-kitty agent tasks move-task`
#[derive(Debug, Args)]
pub struct MoveTaskArgs {
    /// The work package, for example WP01
    #[arg(value_name = "WP")]
    pub work_package: String,
    /// The lane to move it to
    #[arg(long, value_name = "LANE")]
    pub to: String,
    /// The mission: the name it was created with, its directory, its id, or the first eight
    /// characters of that
    #[arg(long, value_name = "HANDLE")]
    pub mission: Option<String>,
    /// Who moves it; becomes the work package's agent
    #[arg(long, value_name = "NAME")]
    pub agent: Option<String>,
    /// Who it is given to
    #[arg(long, value_name = "NAME")]
    pub assignee: Option<String>,
    /// The shell it is worked on in
    #[arg(long, value_name = "PID")]
    pub shell_pid: Option<u32>,
    /// What to write into its activity log
    #[arg(long, value_name = "TEXT")]
    pub note: Option<String>,
    /// What has to change, for a move back to planned
    #[arg(long, value_name = "FILE")]
    pub review_feedback_file: Option<PathBuf>,
    /// Where the approval is written down
    #[arg(long, value_name = "REF")]
    pub approval_ref: Option<String>,
    /// Who reviewed [default: git's user.name]
    #[arg(long, value_name = "NAME")]
    pub reviewer: Option<String>,
    /// Why it is done although its lane is not merged
    #[arg(long, value_name = "TEXT")]
    pub done_override_reason: Option<String>,
    /// Move it although the lanes, its subtasks or its agent say otherwise
    #[arg(long)]
    pub force: bool,
    /// Approve it although the newest review rejects it; needs --note
    #[arg(long)]
    pub skip_review_artifact_check: bool,
    /// Whether it is committed
    #[command(flatten)]
    pub commit: CommitArgs,
    /// Options every producing command has
    #[command(flatten)]
    pub producing: ProducingArgs,
}

/// `spec-kitty agent tasks mark-status`
#[derive(Debug, Args)]
pub struct MarkStatusArgs {
    /// The subtasks, for example T001 T002
    #[arg(value_name = "ID", required = true)]
    pub ids: Vec<String>,
    /// done or pending
    #[arg(long)]
    pub status: String,
    /// The mission: the name it was created with, its directory, its id, or the first eight
    /// characters of that
    #[arg(long, value_name = "HANDLE")]
    pub mission: Option<String>,
    /// Whether it is committed
    #[command(flatten)]
    pub commit: CommitArgs,
    /// Options every producing command has
    #[command(flatten)]
    pub producing: ProducingArgs,
}

/// `spec-kitty agent tasks add-history`
#[derive(Debug, Args)]
pub struct AddHistoryArgs {
    /// The work package, for example WP01
    #[arg(value_name = "WP")]
    pub work_package: String,
    /// The note
    #[arg(long, value_name = "TEXT")]
    pub note: String,
    /// Who writes [default: the work package's agent]
    #[arg(long, value_name = "NAME")]
    pub agent: Option<String>,
    /// The shell it is written from
    #[arg(long, value_name = "PID")]
    pub shell_pid: Option<u32>,
    /// The mission: the name it was created with, its directory, its id, or the first eight
    /// characters of that
    #[arg(long, value_name = "HANDLE")]
    pub mission: Option<String>,
    /// Options every producing command has
    #[command(flatten)]
    pub producing: ProducingArgs,
}

impl TaskCommand {
    pub(super) const fn json(&self) -> bool {
        match self {
            Self::List(args) => args.json,
            Self::MoveTask(args) => args.producing.json,
            Self::MarkStatus(args) => args.producing.json,
            Self::AddHistory(args) => args.producing.json,
        }
    }
}
