//! `agent decision resolve`, `defer` and `cancel`: what becomes of a question.

use crate::args::{PutOffArgs, ResolveArgs};
use crate::command::agent::decision::error::with_details;
use crate::context::Context;
use crate::error::CliError;
use crate::mission_document::MissionDocument;
use crate::report::Report;
use mission::Clock;
use mission::command::decision::{CloseRequest, Closing, close};

/// Runs `resolve`.
pub(crate) fn resolve(context: &Context, args: ResolveArgs) -> Result<Report, CliError> {
    let request = CloseRequest {
        mission: args.ledger.decision.mission,
        decision_id: args.id,
        closing: Closing::Resolve { final_answer: args.final_answer, other_answer: args.other_answer },
        rationale: args.rationale,
        resolved_by: args.resolved_by,
        actor: args.ledger.actor,
        dry_run: args.ledger.dry_run,
    };
    run(context, &request)
}

/// Runs `defer`.
pub(crate) fn defer(context: &Context, args: PutOffArgs) -> Result<Report, CliError> {
    run(context, &put_off(args, Closing::Defer))
}

/// Runs `cancel`.
pub(crate) fn cancel(context: &Context, args: PutOffArgs) -> Result<Report, CliError> {
    run(context, &put_off(args, Closing::Cancel))
}

fn put_off(args: PutOffArgs, closing: Closing) -> CloseRequest {
    CloseRequest {
        mission: args.ledger.decision.mission,
        decision_id: args.id,
        closing,
        rationale: Some(args.rationale),
        resolved_by: args.resolved_by,
        actor: args.ledger.actor,
        dry_run: args.ledger.dry_run,
    }
}

fn run(context: &Context, request: &CloseRequest) -> Result<Report, CliError> {
    request.check().map_err(with_details)?;
    let closed = close(&context.project()?, request, &Clock::system()).map_err(with_details)?;
    let (id, status) = (&closed.decision_id, closed.status);
    let text = match (closed.idempotent, request.dry_run) {
        (true, _) => format!("decision {id} is {status} already\n"),
        (false, true) => format!("decision {id} can become {status}; nothing was written\n"),
        (false, false) => format!("decision {id} is {status}\n"),
    };
    Ok(Report::of(&MissionDocument { value: closed, text }))
}
