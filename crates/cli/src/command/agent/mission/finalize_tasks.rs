//! `agent mission finalize-tasks`: validation of the work packages, and their finalization.

use crate::args::{MissionArg, OwnedCheckoutArg};
use crate::mission_document::MissionDocument;
use crate::producing::{CommandOutcome, ProducingArgs};
use crate::verb::{Args, Class, CliError, CommandContext, Report, Verb};
use contract::text::printable;
use mission::command::finalize::{FinalizeRequest, Finalized, LanesSummary, Validated, plan, validate};
use mission::outgoing::CaptureReport;
use std::fmt::Write as _;

/// Validate the work packages, complete them, compute their lanes and commit
#[derive(Debug, Args)]
#[command(
    after_help = "Example: spec-kitty agent mission finalize-tasks --mission tea-timer --validate-only"
)]
pub(crate) struct FinalizeTasksArgs {
    #[command(flatten)]
    mission: MissionArg,
    /// Validate only and list the changes; write nothing (dry run)
    #[arg(long)]
    validate_only: bool,
    /// Branch that the work lands on, in place of the one in meta.json; recorded there
    #[arg(long, value_name = "BRANCH")]
    target_branch: Option<String>,
    /// Record the tip of the target branch in lanes.json although work has begun: the plan was amended
    #[arg(long)]
    refresh_planning_commit: bool,
    #[command(flatten)]
    owned: OwnedCheckoutArg,
    #[command(flatten)]
    producing: ProducingArgs,
}

impl Verb for FinalizeTasksArgs {
    fn class(&self) -> Class {
        if self.validate_only { Class::Local } else { self.producing.class() }
    }

    fn run(self: Box<Self>, context: &CommandContext) -> Result<Report, CliError> {
        let request = FinalizeRequest {
            mission: self.mission.mission,
            target_branch: self.target_branch,
            refresh_planning_commit: self.refresh_planning_commit,
        };
        let context = &self.owned.enter(context, request.mission.as_deref())?;
        if self.validate_only {
            let judged = validate(&context.project()?, &request)?;
            let warnings = judged.all_warnings();
            let text = describe_judgement(&judged);
            let report = Report::of(&MissionDocument { value: judged, text });
            return Ok(warnings
                .iter()
                .fold(report, |report, line| report.note(format!("warning: {}", printable(line)))));
        }
        self.producing.run(context, &request, plan)
    }
}

impl CommandOutcome for Finalized {
    fn capture(&self) -> &CaptureReport {
        &self.capture
    }

    fn describe(&self) -> String {
        let mut out = format!("{}: {}\n", self.mission_slug, packages(self.wp_count, "final"));
        describe_lanes(&mut out, &self.lanes);
        match &self.commit_hash {
            Some(commit) => {
                let _ = writeln!(out, "  committed as {}", commit.get(..12).unwrap_or(commit));
            }
            None => out.push_str("  nothing to commit\n"),
        }
        out
    }

    fn warnings(&self) -> Vec<String> {
        self.all_warnings()
    }
}

fn packages(count: usize, are: &str) -> String {
    if count == 1 { format!("1 work package is {are}") } else { format!("{count} work packages are {are}") }
}

fn describe_judgement(judged: &Validated) -> String {
    let mut out = format!("{}: {}\n", judged.mission_slug, packages(judged.wp_count, "in order"));
    describe_lanes(&mut out, &judged.validation.lanes_preview);
    for wp in &judged.would_modify {
        let keys: Vec<_> = wp.changes.keys().map(String::as_str).collect();
        let _ = writeln!(out, "  {} would get {}", wp.wp_id, keys.join(", "));
    }
    let _ = writeln!(out, "  nothing was written");
    out
}

/// Each lane with its work packages, and where it is worked on.
fn describe_lanes(out: &mut String, lanes: &LanesSummary) {
    for lane in &lanes.workspaces {
        let _ = writeln!(out, "  {}: {}", lane.lane_id, lane.wp_ids.join(", "));
        let _ = writeln!(out, "    branch   {}", printable(&lane.branch));
        if let Some(worktree) = &lane.worktree {
            let _ = writeln!(out, "    worktree {}", printable(worktree));
        }
    }
}
