//! `doctor ...`: findings about the boundary of this home, and their repair.

mod orphan_daemons;
pub(crate) mod paths;
mod repair;
mod restart_daemon;

use crate::verb::Verb;
use clap::Subcommand;

// `doctor ...`.
#[derive(Debug, Subcommand)]
#[command(defer = true)]
pub(crate) enum DoctorCommand {
    OrphanDaemons(orphan_daemons::OrphanDaemonsArgs),
    RestartDaemon(restart_daemon::RestartDaemonArgs),
    Repair(repair::RepairArgs),
    Paths(paths::PathsArgs),
}

impl DoctorCommand {
    pub(super) fn verb(self) -> Box<dyn Verb> {
        match self {
            Self::OrphanDaemons(args) => Box::new(args),
            Self::RestartDaemon(args) => Box::new(args),
            Self::Repair(args) => Box::new(args),
            Self::Paths(args) => Box::new(args),
        }
    }
}
