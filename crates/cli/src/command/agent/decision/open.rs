//! `agent decision open`: a question that came up while planning.

use crate::args::OpenArgs;
use crate::command::agent::decision::error::with_details;
use crate::context::Context;
use crate::error::CliError;
use crate::mission_document::MissionDocument;
use crate::report::Report;
use contract::text::printable;
use mission::Clock;
use mission::command::decision::{OpenRequest, Opened, open};

/// Runs the verb.
pub(crate) fn run(context: &Context, args: OpenArgs) -> Result<Report, CliError> {
    let request = OpenRequest {
        mission: args.ledger.decision.mission,
        flow: args.flow,
        step_id: args.step_id,
        slot_key: args.slot_key,
        input_key: args.input_key,
        question: args.question,
        options: args.options,
        actor: args.ledger.actor,
        dry_run: args.ledger.dry_run,
    };
    request.check().map_err(with_details)?;
    let opened = open(&context.project()?, &request, &Clock::system()).map_err(with_details)?;
    let text = describe(&opened, request.dry_run);
    Ok(Report::of(&MissionDocument { value: opened, text }))
}

fn describe(opened: &Opened, dry_run: bool) -> String {
    let id = &opened.decision_id;
    match (opened.idempotent, dry_run) {
        (true, _) => format!("decision {id} is open already\n  {}\n", printable(&opened.artifact_path)),
        (false, true) => "the decision can be opened; nothing was written\n".to_owned(),
        (false, false) => format!("opened decision {id}\n  {}\n", printable(&opened.artifact_path)),
    }
}
