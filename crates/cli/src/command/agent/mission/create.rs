//! `agent mission create`: the directory of a mission, its meta.json and an empty spec.

use crate::args::CreateArgs;
use crate::context::Context;
use crate::error::CliError;
use crate::producing::{Outcome, Producing};
use crate::report::Report;
use mission::Clock;
use mission::command::create::{Created, Request, plan};
use mission::outgoing::CaptureReport;

/// Runs the verb.
pub(crate) fn run(context: &Context, args: CreateArgs) -> Result<Report, CliError> {
    let request = Request {
        slug: args.slug,
        mission_type: Some(args.mission_type),
        target_branch: args.target_branch,
        friendly_name: args.friendly_name,
        purpose_tldr: args.purpose_tldr,
        purpose_context: args.purpose_context,
        pr_bound: args.pr_bound,
    };
    request.check()?;
    let producing = Producing::begin(context, args.producing.local_only)?;
    let clock = Clock::system();
    let plan = plan(&producing.project, &request, context.directory(), &clock)?;
    producing.finish(|project, outgoing| plan.apply(project, outgoing, &clock))
}

impl Outcome for Created {
    fn capture(&self) -> &CaptureReport {
        &self.capture
    }

    fn describe(&self) -> String {
        format!("created {}\n  {}\n  {}\n", self.mission_slug, self.spec_file, self.next_step)
    }
}
