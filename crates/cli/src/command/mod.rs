//! One file per verb. Each takes the context and its arguments and gives back one report or one error.

mod agent_mission_create;
mod agent_mission_setup_plan;
mod agent_status_emit;
mod auth_login;
mod auth_status;
mod completions;
mod doctor_orphan_daemons;
pub(crate) mod doctor_paths;
mod doctor_repair;
mod doctor_restart_daemon;
mod housekeeping;
mod producing;
mod quickstart;
mod scoped;
mod server;
mod sync_capture;
mod sync_daemon;
mod sync_diagnose;
mod sync_export;
mod sync_from_scope;
mod sync_gc;
mod sync_migrate;
mod sync_now;
mod sync_opt_in;
mod sync_parked;
mod sync_preview;
mod sync_status;

use crate::args::{
    AgentCommand, AuthCommand, Command, DaemonCommand, DoctorCommand, LaneCommand, MissionCommand,
    SyncCommand,
};
use crate::context::Context;
use crate::error::CliError;
use crate::report::Report;

/// Runs a parsed command.
pub(crate) fn run(context: &Context, command: Command) -> Result<Report, CliError> {
    match command {
        Command::Sync(command) => match command {
            SyncCommand::Status(args) => sync_status::run(context, &args),
            SyncCommand::Now(args) => sync_now::run(context, &args),
            SyncCommand::Migrate(args) => sync_migrate::run(context, &args),
            SyncCommand::Preview(args) => sync_preview::run(context, &args),
            SyncCommand::Diagnose(args) => sync_diagnose::run(context, &args),
            SyncCommand::Export(args) => sync_export::run(context, &args),
            SyncCommand::Capture(args) => sync_capture::run(context, args),
            SyncCommand::Parked(command) => sync_parked::run(context, command),
            SyncCommand::Gc(args) => sync_gc::run(context, &args),
            SyncCommand::OptIn(args) => sync_opt_in::opt_in(context, &args),
            SyncCommand::OptOut(args) => sync_opt_in::opt_out(context, &args),
            SyncCommand::Daemon(command) => match command {
                DaemonCommand::Start(_) => sync_daemon::start(context),
                DaemonCommand::Stop(_) => sync_daemon::stop(context),
                DaemonCommand::Status(_) => sync_daemon::status(context),
                DaemonCommand::Run(args) => sync_daemon::run(context, &args),
            },
        },
        Command::Doctor(command) => match command {
            DoctorCommand::OrphanDaemons(args) => doctor_orphan_daemons::run(context, &args),
            DoctorCommand::RestartDaemon(_) => doctor_restart_daemon::run(context),
            DoctorCommand::Repair(_) => doctor_repair::run(context),
            DoctorCommand::Paths(_) => doctor_paths::run(),
        },
        Command::Auth(command) => match command {
            AuthCommand::Login(args) => auth_login::login(context, &args),
            AuthCommand::Logout(args) => auth_login::logout(context, &args),
            AuthCommand::Status(_) => auth_status::status(context),
            AuthCommand::Whoami(_) => auth_status::whoami(context),
            AuthCommand::Switch(args) => auth_login::switch(context, &args),
        },
        Command::Agent(command) => match command {
            AgentCommand::Mission(MissionCommand::Create(args)) => agent_mission_create::run(context, args),
            AgentCommand::Mission(MissionCommand::SetupPlan(args)) => {
                agent_mission_setup_plan::run(context, args)
            }
            AgentCommand::Status(LaneCommand::Emit(args)) => agent_status_emit::run(context, args),
        },
        Command::Server(args) => server::run(args),
        Command::Quickstart(args) => quickstart::run(context, &args),
        Command::Completions { shell } => completions::run(shell),
        Command::Man { directory } => completions::man(&directory),
    }
}
