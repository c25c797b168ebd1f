//! `merge-driver-*`: what git runs to merge files of missions (`mission::merge`). Hidden: people run `git merge`.

use crate::verb::{Args, Class, CliError, CommandContext, Report, Verb, no_document};
use clap::Subcommand;
use mission::merge::{Driver, Sides, merge};
use std::path::PathBuf;

/// One driver each.
#[derive(Debug, Subcommand)]
pub(crate) enum MergeDriverCommand {
    /// Merge logs of events for git
    #[command(
        name = "merge-driver-event-log",
        hide = true,
        after_help = "Example: spec-kitty merge-driver-event-log base ours theirs"
    )]
    EventLog(MergeDriverArgs),
    /// Merge meta.json for git
    #[command(
        name = "merge-driver-meta",
        hide = true,
        after_help = "Example: spec-kitty merge-driver-meta base ours theirs"
    )]
    Meta(MergeDriverArgs),
    /// Merge traces for git
    #[command(
        name = "merge-driver-traces",
        hide = true,
        after_help = "Example: spec-kitty merge-driver-traces base ours theirs"
    )]
    Traces(MergeDriverArgs),
    /// Merge acceptance-matrix.json for git
    #[command(
        name = "merge-driver-acceptance-matrix",
        hide = true,
        after_help = "Example: spec-kitty merge-driver-acceptance-matrix base ours theirs"
    )]
    AcceptanceMatrix(MergeDriverArgs),
    /// Merge issue-matrix.json for git
    #[command(
        name = "merge-driver-issue-matrix",
        hide = true,
        after_help = "Example: spec-kitty merge-driver-issue-matrix base ours theirs"
    )]
    IssueMatrix(MergeDriverArgs),
    /// Merge review cycles for git
    #[command(
        name = "merge-driver-review-cycle",
        hide = true,
        after_help = "Example: spec-kitty merge-driver-review-cycle base ours theirs"
    )]
    ReviewCycle(MergeDriverArgs),
    /// Merge status.json for git
    #[command(
        name = "merge-driver-status",
        hide = true,
        after_help = "Example: spec-kitty merge-driver-status base ours theirs"
    )]
    Status(MergeDriverArgs),
}

impl MergeDriverCommand {
    pub(super) fn verb(self) -> Box<dyn Verb> {
        let (driver, files) = match self {
            Self::EventLog(files) => (Driver::EventLog, files),
            Self::Meta(files) => (Driver::Meta, files),
            Self::Traces(files) => (Driver::Traces, files),
            Self::AcceptanceMatrix(files) => (Driver::AcceptanceMatrix, files),
            Self::IssueMatrix(files) => (Driver::IssueMatrix, files),
            Self::ReviewCycle(files) => (Driver::ReviewCycle, files),
            Self::Status(files) => (Driver::Status, files),
        };
        Box::new(MergeDriver { driver, files })
    }
}

/// The files of git's `%O %A %B`.
#[derive(Debug, Args)]
pub(crate) struct MergeDriverArgs {
    /// The common ancestor
    base: PathBuf,
    /// The version of the current branch; it receives the result
    ours: PathBuf,
    /// The version of the other branch
    theirs: PathBuf,
}

#[derive(Debug)]
struct MergeDriver {
    driver: Driver,
    files: MergeDriverArgs,
}

impl Verb for MergeDriver {
    fn class(&self) -> Class {
        Class::Tool
    }

    fn json(&self, asked: bool) -> Result<bool, &'static str> {
        no_document(asked)
    }

    fn run(self: Box<Self>, _: &CommandContext) -> Result<Report, CliError> {
        let MergeDriverArgs { base, ours, theirs } = &self.files;
        merge(self.driver, Sides { base, ours, theirs })?;
        // The stdout of a driver would appear between the lines of `git merge`.
        Ok(Report::silent())
    }
}
