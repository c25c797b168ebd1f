//! One file per verb. Each takes the context and its arguments and gives back one report or one error.

mod agent;
mod auth;
mod completions;
mod config;
pub(crate) mod doctor;
mod quickstart;
mod server;
mod sync;

use crate::args::{
    AgentCommand, AuthCommand, Command, ConfigCommand, DaemonCommand, DecisionCommand, DoctorCommand,
    EvidenceCommand, LaneCommand, MissionCommand, SyncCommand, TaskCommand,
};
use crate::context::Context;
use crate::error::CliError;
use crate::report::Report;

/// Runs a parsed command.
pub(crate) fn run(context: &Context, command: Command) -> Result<Report, CliError> {
    match command {
        Command::Sync(command) => match command {
            SyncCommand::Status(args) => sync::status::run(context, &args),
            SyncCommand::Doctor(args) => sync::doctor::run(context, &args),
            SyncCommand::Setup(args) => sync::setup::run(context, &args),
            SyncCommand::Now(args) => sync::now::run(context, &args),
            SyncCommand::Migrate(args) => sync::migrate::run(context, &args),
            SyncCommand::Preview(args) => sync::preview::run(context, &args),
            SyncCommand::Diagnose(args) => sync::diagnose::run(context, &args),
            SyncCommand::Export(args) => sync::export::run(context, &args),
            SyncCommand::Capture(args) => sync::capture::run(context, args),
            SyncCommand::Parked(command) => sync::parked::run(context, command),
            SyncCommand::Resend(args) => sync::resend::run(context, &args),
            SyncCommand::Gc(args) => sync::gc::run(context, &args),
            SyncCommand::OptIn(args) => sync::opt_in::opt_in(context, &args),
            SyncCommand::OptOut(args) => sync::opt_in::opt_out(context, &args),
            SyncCommand::Daemon(command) => match command {
                DaemonCommand::Start(_) => sync::daemon::start(context),
                DaemonCommand::Stop(_) => sync::daemon::stop(context),
                DaemonCommand::Status(_) => sync::daemon::status(context),
                DaemonCommand::Run(args) => sync::daemon::run(context, &args),
            },
        },
        Command::Doctor(command) => match command {
            DoctorCommand::OrphanDaemons(args) => doctor::orphan_daemons::run(context, &args),
            DoctorCommand::RestartDaemon(args) => doctor::restart_daemon::run(context, &args),
            DoctorCommand::Repair(args) => match args.mission {
                Some(mission) => doctor::repair::mission::run(context, &mission),
                None => doctor::repair::run(context),
            },
            DoctorCommand::Paths(_) => doctor::paths::run(),
        },
        Command::Auth(command) => match command {
            AuthCommand::Login(args) => auth::login::login(context, &args),
            AuthCommand::Logout(args) => auth::login::logout(context, &args),
            AuthCommand::Status(_) => auth::status::status(context),
            AuthCommand::Whoami(_) => auth::status::whoami(context),
            AuthCommand::Doctor(args) => auth::doctor::run(context, &args),
            AuthCommand::Switch(args) => auth::login::switch(context, &args),
        },
        Command::Config(command) => match command {
            ConfigCommand::List(_) => config::list(context),
            ConfigCommand::Get(args) => config::get(context, &args),
            ConfigCommand::Set(args) => config::set(context, &args),
            ConfigCommand::Unset(args) => config::unset(context, &args),
        },
        Command::Agent(command) => run_agent(context, command),
        Command::Specify(args) => agent::mission::create::run(context, args),
        Command::Plan(args) => agent::mission::setup_plan::run(context, args),
        Command::Tasks(args) => agent::mission::finalize_tasks::run(context, args),
        Command::Server(args) => server::run(args),
        Command::Quickstart(args) => quickstart::run(context, &args),
        Command::Completions { shell } => completions::run(shell),
        Command::Man { directory } => completions::man(&directory),
    }
}

/// Runs a mission command.
fn run_agent(context: &Context, command: AgentCommand) -> Result<Report, CliError> {
    match command {
        AgentCommand::Mission(command) => match command {
            MissionCommand::Create(args) => agent::mission::create::run(context, args),
            MissionCommand::CheckPrerequisites(args) => {
                agent::mission::check_prerequisites::run(context, args)
            }
            MissionCommand::SetupPlan(args) => agent::mission::setup_plan::run(context, args),
            MissionCommand::FinalizeTasks(args) => agent::mission::finalize_tasks::run(context, args),
        },
        AgentCommand::Status(command) => match command {
            LaneCommand::Emit(args) => agent::status::emit::run(context, args),
            LaneCommand::Materialize(args) => agent::status::materialize::run(context, &args),
            LaneCommand::Show(args) => agent::status::show::run(context, &args),
        },
        AgentCommand::Tasks(command) => match command {
            TaskCommand::List(args) => agent::tasks::list::run(context, &args),
            TaskCommand::MoveTask(args) => agent::tasks::move_task::run(context, args),
            TaskCommand::MarkStatus(args) => agent::tasks::mark_status::run(context, args),
            TaskCommand::AddHistory(args) => agent::tasks::add_history::run(context, args),
        },
        AgentCommand::Decision(command) => match command {
            DecisionCommand::Open(args) => agent::decision::open::run(context, args),
            DecisionCommand::Resolve(args) => agent::decision::close::resolve(context, args),
            DecisionCommand::Defer(args) => agent::decision::close::defer(context, args),
            DecisionCommand::Cancel(args) => agent::decision::close::cancel(context, args),
            DecisionCommand::Verify(args) => agent::decision::verify::run(context, &args),
        },
        AgentCommand::Evidence(command) => match command {
            EvidenceCommand::Capture(args) => agent::evidence::capture::run(context, args),
            EvidenceCommand::Draft(args) => agent::evidence::draft::run(context, args),
            EvidenceCommand::Verify(args) => agent::evidence::verify::run(context, args),
        },
    }
}
