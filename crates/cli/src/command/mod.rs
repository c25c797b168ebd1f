//! One file per verb. Each takes the context and its arguments and gives back one report or one error.

mod auth_login;
mod auth_status;
mod completions;
pub(crate) mod doctor_paths;
mod doctor_repair;
mod sync_migrate;
mod sync_opt_in;
mod sync_status;

use crate::args::{AuthCommand, Command, DoctorCommand, SyncCommand};
use crate::context::Context;
use crate::error::CliError;
use crate::report::Report;

/// Runs a parsed command.
pub fn run(context: &Context, command: Command) -> Result<Report, CliError> {
    match command {
        Command::Sync(SyncCommand::Status(args)) => sync_status::run(context, &args),
        Command::Sync(SyncCommand::Migrate(args)) => sync_migrate::run(context, &args),
        Command::Sync(SyncCommand::OptIn(args)) => sync_opt_in::opt_in(context, &args),
        Command::Sync(SyncCommand::OptOut(args)) => sync_opt_in::opt_out(context, &args),
        Command::Doctor(DoctorCommand::Repair(_)) => doctor_repair::run(context),
        Command::Doctor(DoctorCommand::Paths(_)) => doctor_paths::run(),
        Command::Auth(AuthCommand::Status(_)) => auth_status::status(context),
        Command::Auth(AuthCommand::Whoami(_)) => auth_status::whoami(context),
        Command::Auth(AuthCommand::Login(args)) => auth_login::login(context, &args),
        Command::Auth(AuthCommand::Logout(args)) => auth_login::logout(context, &args),
        Command::Auth(AuthCommand::Switch(args)) => auth_login::switch(context, &args),
        Command::Completions { shell } => completions::run(shell),
        Command::Man { directory } => completions::man(&directory),
        _ => Err(CliError::failed("PENDING", "pending")),
    }
}
