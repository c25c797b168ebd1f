//! `agent evidence draft`: issue comments, the PR body and the definition of done. Posts nothing.

use crate::args::DraftArgs;
use crate::context::Context;
use crate::error::CliError;
use crate::mission_document::MissionDocument;
use crate::report::Report;
use contract::text::printable;
use mission::command::evidence::{Request, draft};

/// Runs the verb.
pub(crate) fn run(context: &Context, args: DraftArgs) -> Result<Report, CliError> {
    let drafted = draft(&context.project()?, &Request { mission: args.mission, ..Request::default() })?;
    let files: String = drafted.files.iter().map(|file| format!("  {}\n", printable(file))).collect();
    let text = format!("{}: drafted; read them, then post them yourself\n{files}", drafted.mission_slug);
    Ok(Report::of(&MissionDocument { value: drafted, text }))
}
