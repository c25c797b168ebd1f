use super::opt_in::{ProjectDecision, counted_held, cure_permit, decide};
use super::project_choice::choose;
use super::scoped::is_absent;
use super::sharing::{Remote, ask};
use crate::report::events_and_bodies;
use crate::verb::{Args, Class, CliError, CommandContext, ExitCode, Render, Report, Verb};
use contract::text::printable;
use contract::wire::sharing::ProjectForgotten;
use queue::{Cure, SentBlocks};
use serde::Serialize;

/// Keep rows of a project on this machine
#[derive(Debug, Args)]
#[command(after_help = "Example: spec-kitty sync opt-out --project tea-timer")]
pub(crate) struct OptOutArgs {
    /// The project: a known uuid, an unambiguous slug, or `none` for rows without a project
    /// [default: the project of this directory]
    #[arg(long, value_name = "PROJECT")]
    project: Option<String>,
    /// Also delete the project from the server, and the kept bytes of its delivered rows here
    #[arg(long)]
    delete_private_data: bool,
    /// Skip the confirmation of --delete-private-data
    #[arg(long, short, requires = "delete_private_data")]
    yes: bool,
}

impl Verb for OptOutArgs {
    fn class(&self) -> Class {
        Class::Curing
    }

    /// The local part decides the exit code; a server that refuses or does not answer is a fact.
    fn run(self: Box<Self>, context: &CommandContext) -> Result<Report, CliError> {
        let project = choose(context, self.project.as_deref())?;
        if self.delete_private_data && !self.yes {
            let question = format!(
                "The server would delete the events and documents of {}. Opt out and delete?",
                project.name()
            );
            if !context.agrees(&question) {
                let preview = OptOutPreview {
                    result: "preview",
                    project_uuid: project.uuid.clone(),
                    name: project.name(),
                };
                let report = Report::exiting(ExitCode::Refused, &preview);
                return Ok(report.note("nothing was changed; add --yes to do it"));
            }
        }
        decide(context, |edit| edit.opt_out(project.uuid.as_deref()))?;
        let (held, notes) = counted_held(context, project.uuid.as_deref());
        let mut decision = ProjectDecision::new("opted_out", project, held);
        let mut notes = notes;
        if self.delete_private_data {
            decision.deleted = Some(discard(context, decision.project())?);
            let remote = delete_remote(context, decision.project());
            notes.extend(remote.notes());
            decision.remote = Some(remote);
        }
        let mut report = Report::of(&decision);
        report.notes = notes;
        Ok(report)
    }
}

/// Asks the server to delete the project. Rows without a project have no name there.
fn delete_remote(context: &CommandContext, project: Option<&str>) -> RemoteDeletion {
    let mut deletion = RemoteDeletion { remote: Remote::Off, deleted: None, detail: None, hints: Vec::new() };
    let (true, Some(project)) = (context.sync_enabled(), project) else { return deletion };
    match ask(context, |server| server.send_forget(project)) {
        Ok(forgotten) => {
            deletion.remote = Remote::Ok;
            deletion.deleted = Some(forgotten);
        }
        Err(error) => {
            deletion.remote = Remote::of(&error);
            deletion.hints = error.remedies.iter().map(contract::Remedy::hint).collect();
            deletion.detail = Some(error.summary);
        }
    }
    deletion
}

/// Deletion on the server.
#[derive(Debug, Serialize)]
pub(super) struct RemoteDeletion {
    remote: Remote,
    #[serde(rename = "remote_deleted")]
    deleted: Option<ProjectForgotten>,
    #[serde(rename = "remote_detail")]
    detail: Option<String>,
    #[serde(skip)]
    hints: Vec<String>,
}

impl RemoteDeletion {
    /// The line of the report.
    pub(super) fn line(&self) -> String {
        match (&self.deleted, &self.detail) {
            (Some(done), _) => format!(
                "deleted on the server: {}\n",
                events_and_bodies(done.deleted_event_count, done.deleted_body_count)
            ),
            (None, Some(detail)) => format!("not deleted on the server: {}\n", printable(detail)),
            (None, None) => "not deleted on the server: it was not asked\n".to_owned(),
        }
    }

    fn notes(&self) -> Vec<String> {
        let mut notes: Vec<String> = self.hints.iter().map(|hint| format!("hint: {hint}")).collect();
        if self.remote != Remote::Ok {
            notes.push("the project is opted out; repeat the command to delete it on the server".to_owned());
        }
        notes
    }
}

/// Preview of `--delete-private-data`.
#[derive(Debug, Serialize)]
struct OptOutPreview {
    result: &'static str,
    project_uuid: Option<String>,
    #[serde(skip)]
    name: String,
}

impl Render for OptOutPreview {
    fn text(&self) -> String {
        format!("would opt out, and delete the events and documents of {} on the server\n", self.name)
    }
}

/// Deletes the kept bytes of the project's delivered rows in this account's queue.
fn discard(context: &CommandContext, project: Option<&str>) -> Result<SentBlocks, CliError> {
    match cure_permit(context)?.filter(|permit| !is_absent(permit.queue_path())) {
        Some(permit) => Ok(Cure::open(&permit)?.discard_sent_of(project)?),
        None => Ok(SentBlocks::default()),
    }
}
