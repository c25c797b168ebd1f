//! `spec-kitty doctor ...`: finding and repairing what keeps the boundary from being coherent.

use super::JsonArgs;
use clap::{Args, Subcommand};

/// `spec-kitty doctor ...`
#[derive(Debug, Subcommand)]
pub enum DoctorCommand {
    /// Find orphan owner records and stray daemons of this home
    OrphanDaemons(OrphanDaemonsArgs),
    /// Replace the daemon by one with the identity of this command
    RestartDaemon(RestartDaemonArgs),
    /// Move files that cannot be read aside, with a timestamp; deletes nothing
    ///
    /// With --mission: repair the log of a mission. Every readable row stays; torn lines, conflict markers, NUL
    /// bytes and lines with a bad byte move into a file beside the log. Example:
    /// `spec-kitty doctor repair --mission user-auth`
    Repair(RepairArgs),
    /// List every command with its class: what it needs before it may do something
    Paths(JsonArgs),
}

/// `spec-kitty doctor orphan-daemons`
#[derive(Debug, Args)]
pub struct OrphanDaemonsArgs {
    /// Clean up what can be cleaned up safely
    #[arg(long)]
    pub fix: bool,
    /// With --fix: also move the files of a daemon that does not answer aside, or end it, if it is proven to
    /// be this home's
    #[arg(long, requires = "fix")]
    pub force: bool,
    /// Print one JSON document
    #[arg(long)]
    pub json: bool,
}

/// `spec-kitty doctor repair`
#[derive(Debug, Args)]
pub struct RepairArgs {
    /// Repair the log of this mission instead of this home
    #[arg(long, value_name = "MISSION")]
    pub mission: Option<String>,
    /// Print one JSON document
    #[arg(long)]
    pub json: bool,
}

/// `spec-kitty doctor restart-daemon`
#[derive(Debug, Args)]
pub struct RestartDaemonArgs {
    /// Also end a daemon of this home that neither answers nor ends, if it is proven to be one
    #[arg(long)]
    pub force: bool,
    /// Print one JSON document
    #[arg(long)]
    pub json: bool,
}

impl DoctorCommand {
    pub(super) fn json(&self) -> bool {
        match self {
            Self::OrphanDaemons(args) => args.json,
            Self::RestartDaemon(args) => args.json,
            Self::Repair(args) => args.json,
            Self::Paths(args) => args.json,
        }
    }
}
