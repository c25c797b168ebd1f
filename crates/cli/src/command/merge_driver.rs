//! `merge-driver-*`: what git runs to merge files of missions (`mission::merge`). Hidden: people run `git merge`.

use crate::verb::{Args, Class, CliError, CommandContext, Report, Verb, no_document};
use clap::Subcommand;
use mission::merge::{Driver, Sides, merge};
use std::path::PathBuf;

/// One verb for each driver: its name behind `merge-driver-`, and the files that it merges.
macro_rules! drivers {
    ($($driver:ident $name:literal $files:literal,)+) => {
        #[derive(Debug, Subcommand)]
        #[command(defer = true)]
        pub(crate) enum MergeDriverCommand {
            $(#[command(
                name = concat!("merge-driver-", $name),
                about = concat!("Merge ", $files, " for git"),
                hide = true,
                after_help = concat!("Example: spec-kitty merge-driver-", $name, " base ours theirs")
            )]
            $driver(MergeDriverArgs),)+
        }

        impl MergeDriverCommand {
            pub(super) fn verb(self) -> Box<dyn Verb> {
                let (driver, files) = match self {
                    $(Self::$driver(files) => (Driver::$driver, files),)+
                };
                Box::new(MergeDriver { driver, files })
            }
        }
    };
}

drivers! {
    EventLog "event-log" "logs of events",
    Meta "meta" "meta.json",
    Traces "traces" "traces",
    AcceptanceMatrix "acceptance-matrix" "acceptance-matrix.json",
    IssueMatrix "issue-matrix" "issue-matrix.json",
    ReviewCycle "review-cycle" "review cycles",
    Status "status" "status.json",
}

// The files of git's `%O %A %B`. (A doc comment would be the help of each driver.)
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
