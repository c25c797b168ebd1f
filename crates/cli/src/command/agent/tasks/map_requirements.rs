//! `agent tasks map-requirements`: which requirements a work package covers.

use super::CommitArgs;
use crate::args::MissionArg;
use crate::producing::{CommandOutcome, ProducingArgs};
use crate::verb::{Args, Class, CliError, CommandContext, Report, Verb};
use mission::command::map_requirements::{Mapped, MappingRequest, plan};
use mission::outgoing::CaptureReport;

/// Record which requirements a work package covers, in its front matter
#[derive(Debug, Args)]
#[command(
    after_help = "Example: spec-kitty agent tasks map-requirements --wp WP01 --refs FR-001,FR-002 --mission tea-timer"
)]
pub(crate) struct MapRequirementsArgs {
    /// The work package
    #[arg(long, value_name = "WP")]
    wp: Option<String>,
    /// The requirements it covers, with commas between them
    #[arg(long, value_name = "IDS")]
    refs: Option<String>,
    /// A JSON object of work packages and their requirements, in place of --wp and --refs
    #[arg(long, value_name = "JSON")]
    batch: Option<String>,
    /// Drop what the front matter names already
    #[arg(long)]
    replace: bool,
    /// A ticket of the work package in your tracker; may be repeated
    #[arg(long, value_name = "TICKET")]
    tracker_ref: Vec<String>,
    #[command(flatten)]
    mission: MissionArg,
    #[command(flatten)]
    commit: CommitArgs,
    #[command(flatten)]
    producing: ProducingArgs,
}

impl Verb for MapRequirementsArgs {
    fn class(&self) -> Class {
        self.producing.class()
    }

    fn run(self: Box<Self>, context: &CommandContext) -> Result<Report, CliError> {
        let request = MappingRequest {
            mission: self.mission.mission,
            wp_id: self.wp,
            refs: self.refs,
            batch: self.batch,
            replace: self.replace,
            tracker_refs: self.tracker_ref,
            commit: self.commit.choice(),
        };
        request.check()?;
        self.producing.run(context, &request, plan)
    }
}

impl CommandOutcome for Mapped {
    fn capture(&self) -> &CaptureReport {
        &self.capture
    }

    fn describe(&self) -> String {
        let covers = self.mapped.keys().filter_map(|id| {
            let refs: Vec<_> = self.total_mappings.get(id)?.iter().map(String::as_str).collect();
            Some(format!("{id} covers {}\n", refs.join(", ")))
        });
        let mut out: String = covers.collect();
        let open = &self.coverage.unmapped_functional;
        out.push_str(&match open.is_empty() {
            true => "every functional requirement is covered\n".to_owned(),
            false => format!("covered by no work package: {}\n", open.join(", ")),
        });
        out
    }

    fn warnings(&self) -> Vec<String> {
        self.warnings.clone()
    }
}
