//! One file per verb. Each takes the context and its arguments and gives back one report or one error.

mod agent_decision_close;
mod agent_decision_open;
mod agent_decision_verify;
mod agent_evidence_capture;
mod agent_evidence_draft;
mod agent_evidence_verify;
mod agent_mission_check_prerequisites;
mod agent_mission_create;
mod agent_mission_finalize_tasks;
mod agent_mission_setup_plan;
mod agent_status_emit;
mod agent_status_materialize;
mod agent_status_show;
mod agent_tasks_add_history;
mod agent_tasks_list;
mod agent_tasks_mark_status;
mod agent_tasks_move_task;
mod auth_doctor;
mod auth_login;
mod auth_status;
mod completions;
mod config;
mod decision_error;
mod doctor_orphan_daemons;
pub(crate) mod doctor_paths;
mod doctor_repair;
mod doctor_repair_mission;
mod doctor_restart_daemon;
mod housekeeping;
mod migration_text;
mod mission_document;
mod producing;
mod project_choice;
mod quickstart;
mod scoped;
mod server;
mod sync_capture;
mod sync_daemon;
mod sync_diagnose;
mod sync_doctor;
mod sync_export;
mod sync_from_scope;
mod sync_gc;
mod sync_migrate;
mod sync_now;
mod sync_opt_in;
mod sync_parked;
mod sync_preview;
mod sync_resend;
mod sync_setup;
mod sync_status;

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
            SyncCommand::Status(args) => sync_status::run(context, &args),
            SyncCommand::Doctor(args) => sync_doctor::run(context, &args),
            SyncCommand::Setup(args) => sync_setup::run(context, &args),
            SyncCommand::Now(args) => sync_now::run(context, &args),
            SyncCommand::Migrate(args) => sync_migrate::run(context, &args),
            SyncCommand::Preview(args) => sync_preview::run(context, &args),
            SyncCommand::Diagnose(args) => sync_diagnose::run(context, &args),
            SyncCommand::Export(args) => sync_export::run(context, &args),
            SyncCommand::Capture(args) => sync_capture::run(context, args),
            SyncCommand::Parked(command) => sync_parked::run(context, command),
            SyncCommand::Resend(args) => sync_resend::run(context, &args),
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
            DoctorCommand::RestartDaemon(args) => doctor_restart_daemon::run(context, &args),
            DoctorCommand::Repair(args) => match args.mission {
                Some(mission) => doctor_repair_mission::run(context, &mission),
                None => doctor_repair::run(context),
            },
            DoctorCommand::Paths(_) => doctor_paths::run(),
        },
        Command::Auth(command) => match command {
            AuthCommand::Login(args) => auth_login::login(context, &args),
            AuthCommand::Logout(args) => auth_login::logout(context, &args),
            AuthCommand::Status(_) => auth_status::status(context),
            AuthCommand::Whoami(_) => auth_status::whoami(context),
            AuthCommand::Doctor(args) => auth_doctor::run(context, &args),
            AuthCommand::Switch(args) => auth_login::switch(context, &args),
        },
        Command::Config(command) => match command {
            ConfigCommand::List(_) => config::list(context),
            ConfigCommand::Get(args) => config::get(context, &args),
            ConfigCommand::Set(args) => config::set(context, &args),
            ConfigCommand::Unset(args) => config::unset(context, &args),
        },
        Command::Agent(command) => run_agent(context, command),
        Command::Specify(args) => agent_mission_create::run(context, args),
        Command::Plan(args) => agent_mission_setup_plan::run(context, args),
        Command::Tasks(args) => agent_mission_finalize_tasks::run(context, args),
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
            MissionCommand::Create(args) => agent_mission_create::run(context, args),
            MissionCommand::CheckPrerequisites(args) => agent_mission_check_prerequisites::run(context, args),
            MissionCommand::SetupPlan(args) => agent_mission_setup_plan::run(context, args),
            MissionCommand::FinalizeTasks(args) => agent_mission_finalize_tasks::run(context, args),
        },
        AgentCommand::Status(command) => match command {
            LaneCommand::Emit(args) => agent_status_emit::run(context, args),
            LaneCommand::Materialize(args) => agent_status_materialize::run(context, &args),
            LaneCommand::Show(args) => agent_status_show::run(context, &args),
        },
        AgentCommand::Tasks(command) => match command {
            TaskCommand::List(args) => agent_tasks_list::run(context, &args),
            TaskCommand::MoveTask(args) => agent_tasks_move_task::run(context, args),
            TaskCommand::MarkStatus(args) => agent_tasks_mark_status::run(context, args),
            TaskCommand::AddHistory(args) => agent_tasks_add_history::run(context, args),
        },
        AgentCommand::Decision(command) => match command {
            DecisionCommand::Open(args) => agent_decision_open::run(context, args),
            DecisionCommand::Resolve(args) => agent_decision_close::resolve(context, args),
            DecisionCommand::Defer(args) => agent_decision_close::defer(context, args),
            DecisionCommand::Cancel(args) => agent_decision_close::cancel(context, args),
            DecisionCommand::Verify(args) => agent_decision_verify::run(context, &args),
        },
        AgentCommand::Evidence(command) => match command {
            EvidenceCommand::Capture(args) => agent_evidence_capture::run(context, args),
            EvidenceCommand::Draft(args) => agent_evidence_draft::run(context, args),
            EvidenceCommand::Verify(args) => agent_evidence_verify::run(context, args),
        },
    }
}
