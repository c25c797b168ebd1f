//! The end of a question, common to `resolve`, `defer` and `cancel`.

use super::LedgerArgs;
use super::error::with_details;
use crate::command::agent::tasks::list::warnings;
use crate::context::CommandContext;
use crate::error::CliError;
use crate::mission_document::MissionDocument;
use crate::report::Report;
use clap::Args;
use mission::Clock;
use mission::command::decision::{CloseRequest, Closing, close};

/// Options of `defer` and `cancel`.
#[derive(Debug, Args)]
pub(super) struct CloseArgs {
    /// Id of the question
    #[arg(value_name = "DECISION_ID")]
    id: String,
    /// Reason
    #[arg(long, value_name = "TEXT")]
    rationale: String,
    /// Name of the person who decided
    #[arg(long, value_name = "NAME")]
    resolved_by: Option<String>,
    #[command(flatten)]
    pub(super) ledger: LedgerArgs,
}

impl CloseArgs {
    pub(super) fn close(self, context: &CommandContext, closing: Closing) -> Result<Report, CliError> {
        let request = CloseRequest {
            mission: self.ledger.decision.mission.mission,
            decision_id: self.id,
            closing,
            rationale: Some(self.rationale),
            resolved_by: self.resolved_by,
            actor: self.ledger.actor,
            dry_run: self.ledger.dry_run,
        };
        run(context, &request)
    }
}

pub(super) fn run(context: &CommandContext, request: &CloseRequest) -> Result<Report, CliError> {
    request.check().map_err(with_details)?;
    let closed = close(&context.project()?, request, &Clock::system()).map_err(with_details)?;
    let (id, status) = (&closed.decision_id, closed.status);
    let text = match (closed.idempotent, request.dry_run) {
        (true, _) => format!("decision {id} is {status} already\n"),
        (false, true) => format!("decision {id} can become {status}; nothing was written\n"),
        (false, false) => format!("decision {id} is {status}\n"),
    };
    let notes = warnings(&closed.warnings);
    let report = Report::of(&MissionDocument { value: closed, text });
    Ok(notes.into_iter().fold(report, Report::note))
}
