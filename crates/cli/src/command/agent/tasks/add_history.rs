//! `agent tasks add-history`: a note in the activity log of a work package.

use crate::args::AddHistoryArgs;
use crate::context::Context;
use crate::error::CliError;
use crate::producing::{Outcome, Producing};
use crate::report::Report;
use mission::Clock;
use mission::command::add_history::{Noted, Request, plan};
use mission::outgoing::CaptureReport;

/// Runs the verb.
pub(crate) fn run(context: &Context, args: AddHistoryArgs) -> Result<Report, CliError> {
    let request = Request {
        mission: args.mission,
        wp_id: args.work_package,
        note: args.note,
        agent: args.agent,
        shell_pid: args.shell_pid,
    };
    request.check()?;
    let producing = Producing::begin(context, args.producing.local_only)?;
    let clock = Clock::system();
    let plan = plan(&producing.project, &request, &clock)?;
    producing.finish(|project, outgoing| plan.apply(project, outgoing, &clock))
}

impl Outcome for Noted {
    fn capture(&self) -> &CaptureReport {
        &self.capture
    }

    fn describe(&self) -> String {
        format!("{}: noted\n", self.task_id)
    }
}
