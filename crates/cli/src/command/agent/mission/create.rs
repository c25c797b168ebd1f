//! `agent mission create`: the directory of a mission, its meta.json and an empty spec.

use crate::args::OwnedCheckoutArg;
use crate::producing::{CommandOutcome, Producing, ProducingArgs};
use crate::verb::{Args, Class, CliError, CommandContext, Report, Verb};
use clap::builder::PossibleValuesParser;
use mission::Clock;
use mission::command::create::{CreateRequest, Created, plan};
use mission::meta::Topology;
use mission::outgoing::CaptureReport;

/// Create a mission: its directory, its meta.json and an empty spec
#[derive(Debug, Args)]
#[command(after_help = "Example: spec-kitty agent mission create tea-timer --friendly-name \"Tea timer\"")]
pub(crate) struct MissionCreateArgs {
    /// Name of the mission in kebab-case
    slug: String,
    /// Kind of mission
    #[arg(long, alias = "mission", value_name = "TYPE", default_value = "software-dev")]
    mission_type: String,
    /// Branch to plan on and to merge into [default: the current branch]
    #[arg(long, value_name = "BRANCH")]
    target_branch: Option<String>,
    /// Display name
    #[arg(long, value_name = "TEXT")]
    friendly_name: Option<String>,
    /// Purpose in one line
    #[arg(long, value_name = "TEXT")]
    purpose_tldr: Option<String>,
    /// Purpose in its context
    #[arg(long, value_name = "TEXT")]
    purpose_context: Option<String>,
    /// Where lane rows and work are kept: single_branch, lanes, coord or lanes_with_coord [default: the checkout, as
    /// release 3.2.0rc11 has it]
    #[arg(long, value_name = "SHAPE", value_parser = PossibleValuesParser::new(Topology::names()), hide_possible_values = true)]
    topology: Option<String>,
    /// Branch to check out before anything is written; made when there is none
    #[arg(long, value_name = "BRANCH")]
    start_branch: Option<String>,
    /// Record in meta.json that a merge keeps the branches of the mission
    #[arg(long)]
    retain_branches: bool,
    /// Record in meta.json that a merge keeps the worktrees of the mission
    #[arg(long)]
    retain_worktrees: bool,
    #[command(flatten)]
    owned: OwnedCheckoutArg,
    /// Record in meta.json that the work is merged by a pull request
    #[arg(long, overrides_with = "_no_pr_bound")]
    pr_bound: bool,
    /// The default, spelled out
    #[arg(long = "no-pr-bound", overrides_with = "pr_bound", hide = true)]
    _no_pr_bound: bool,
    /// Accepted for calls written for the Python CLI: this program asks nothing about branches
    #[arg(long, value_parser = ["already-confirmed"], value_name = "ANSWER", hide = true)]
    branch_strategy: Option<String>,
    #[command(flatten)]
    producing: ProducingArgs,
}

impl Verb for MissionCreateArgs {
    fn class(&self) -> Class {
        self.producing.class()
    }

    fn run(self: Box<Self>, context: &CommandContext) -> Result<Report, CliError> {
        let request = CreateRequest {
            slug: self.slug,
            mission_type: Some(self.mission_type),
            target_branch: self.target_branch,
            friendly_name: self.friendly_name,
            purpose_tldr: self.purpose_tldr,
            purpose_context: self.purpose_context,
            pr_bound: self.pr_bound,
            start_branch: self.start_branch,
            retain_branches: self.retain_branches,
            retain_worktrees: self.retain_worktrees,
            topology: self.topology.and_then(|shape| shape.parse().ok()),
        };
        request.check()?;
        let context = &self.owned.enter_to_create(context)?;
        let producing = Producing::begin(context, self.producing.local_only)?;
        let clock = Clock::system();
        let plan = plan(&producing.project, &request, context.directory(), &clock)?;
        let report = producing.finish(|_, outgoing| plan.apply(outgoing, &clock))?;
        Ok(match self.branch_strategy {
            Some(_) => {
                report.note("--branch-strategy has no effect: this program asks nothing about branches")
            }
            None => report,
        })
    }
}

impl CommandOutcome for Created {
    fn capture(&self) -> &CaptureReport {
        &self.capture
    }

    fn describe(&self) -> String {
        format!("created {}\n  {}\n  {}\n", self.mission_slug, self.spec_file, self.next_step)
    }

    fn warnings(&self) -> Vec<String> {
        self.warnings.clone()
    }
}
