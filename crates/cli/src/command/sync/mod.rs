//! `sync ...`: the queue of this machine and its daemon.

mod capture;
pub(crate) mod daemon;
mod diagnose;
mod doctor;
mod export;
mod gc;
mod migrate;
mod now;
mod opt_in;
mod opt_out;
mod parked;
mod preview;
mod project_choice;
mod resend;
mod routes;
mod scoped;
mod setup;
mod share;
mod sharing;
mod status;
mod unshare;

use crate::args::Group;
use crate::verb::Verb;
use clap::Subcommand;

// `sync ...`.
#[derive(Debug, Subcommand)]
#[command(defer = true)]
pub(crate) enum SyncCommand {
    Status(status::SyncStatusArgs),
    Doctor(doctor::SyncDoctorArgs),
    Setup(setup::SetupArgs),
    Now(now::NowArgs),
    Migrate(migrate::MigrateArgs),
    Preview(preview::PreviewArgs),
    Diagnose(diagnose::DiagnoseArgs),
    Export(export::ExportArgs),
    Capture(capture::CaptureArgs),
    /// Show, put back or drop rows that were refused for good
    #[command(arg_required_else_help = true)]
    Parked(Group<parked::ParkedCommand>),
    Resend(resend::ResendArgs),
    Gc(gc::GcArgs),
    OptIn(opt_in::OptInArgs),
    OptOut(opt_out::OptOutArgs),
    Share(share::ShareArgs),
    Unshare(unshare::UnshareArgs),
    Routes(routes::RoutesArgs),
    /// Start, stop, show or run the background delivery daemon
    #[command(arg_required_else_help = true)]
    Daemon(Group<daemon::DaemonCommand>),
}

impl SyncCommand {
    pub(super) fn verb(self) -> Box<dyn Verb> {
        match self {
            Self::Status(args) => Box::new(args),
            Self::Doctor(args) => Box::new(args),
            Self::Setup(args) => Box::new(args),
            Self::Now(args) => Box::new(args),
            Self::Migrate(args) => Box::new(args),
            Self::Preview(args) => Box::new(args),
            Self::Diagnose(args) => Box::new(args),
            Self::Export(args) => Box::new(args),
            Self::Capture(args) => Box::new(args),
            Self::Parked(group) => group.command.verb(),
            Self::Resend(args) => Box::new(args),
            Self::Gc(args) => Box::new(args),
            Self::OptIn(args) => Box::new(args),
            Self::OptOut(args) => Box::new(args),
            Self::Share(args) => Box::new(args),
            Self::Unshare(args) => Box::new(args),
            Self::Routes(args) => Box::new(args),
            Self::Daemon(group) => group.command.verb(),
        }
    }
}
