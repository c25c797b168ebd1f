//! `agent tasks mark-status`: ticks subtasks in tasks.md.

use crate::args::MarkStatusArgs;
use crate::context::Context;
use crate::error::CliError;
use crate::producing::{Outcome, Producing};
use crate::report::Report;
use mission::Clock;
use mission::command::mark_status::{Marking, Request, plan};
use mission::outgoing::CaptureReport;

/// Runs the verb.
pub(crate) fn run(context: &Context, args: MarkStatusArgs) -> Result<Report, CliError> {
    let request =
        Request { mission: args.mission, ids: args.ids, status: args.status, commit: args.commit.choice() };
    request.check()?;
    let producing = Producing::begin(context, args.producing.local_only)?;
    let clock = Clock::system();
    let plan = plan(&producing.project, &request, &clock)?;
    producing.finish(|project, outgoing| plan.apply(project, outgoing, &clock))
}

impl Outcome for Marking {
    fn capture(&self) -> &CaptureReport {
        &self.capture
    }

    fn describe(&self) -> String {
        self.results.iter().map(|result| format!("{}\n", result.message)).collect()
    }
}
