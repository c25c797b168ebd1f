//! `agent tasks add-history`: a note in the activity log of a work package.

use crate::args::MissionArg;
use crate::producing::{CommandOutcome, ProducingArgs};
use crate::verb::{Args, Class, CliError, CommandContext, Report, Verb};
use mission::command::add_history::{NoteRequest, Noted, plan};
use mission::outgoing::CaptureReport;

/// Add a note to the activity log of a work package
#[derive(Debug, Args)]
#[command(
    after_help = "Example: spec-kitty agent tasks add-history WP01 --note \"waits for the design\" --mission \
    tea-timer"
)]
pub(crate) struct AddHistoryArgs {
    /// The work package, for example WP01
    #[arg(value_name = "WP")]
    work_package: String,
    /// Text of the note
    #[arg(long, value_name = "TEXT")]
    note: String,
    /// Name of the author [default: the work package's agent]
    #[arg(long, value_name = "NAME")]
    agent: Option<String>,
    /// PID of the shell
    #[arg(long, value_name = "PID")]
    shell_pid: Option<u32>,
    #[command(flatten)]
    mission: MissionArg,
    #[command(flatten)]
    producing: ProducingArgs,
}

impl Verb for AddHistoryArgs {
    fn class(&self) -> Class {
        self.producing.class()
    }

    fn run(self: Box<Self>, context: &CommandContext) -> Result<Report, CliError> {
        let request = NoteRequest {
            mission: self.mission.mission,
            wp_id: self.work_package,
            note: self.note,
            agent: self.agent,
            shell_pid: self.shell_pid,
        };
        request.check()?;
        self.producing.run(context, &request, plan)
    }
}

impl CommandOutcome for Noted {
    fn capture(&self) -> &CaptureReport {
        &self.capture
    }

    fn describe(&self) -> String {
        format!("{}: noted\n", self.task_id)
    }

    fn warnings(&self) -> Vec<String> {
        self.warnings.clone()
    }
}
