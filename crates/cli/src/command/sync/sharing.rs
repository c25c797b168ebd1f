//! The sharing routes of the server, for the verbs that ask them.

use crate::build;
use crate::command::sync::project_choice::{ProjectChoice, choose};
use crate::verb::{CliError, CommandContext, ExitCode, chain};
use contract::Remedy;
use contract::text::printable;
use delivery::DeliveryContext;
use delivery::sharing::{Sharing, SharingError};

/// Asks the server, for the account and the team of the boundary.
///
/// # Errors
/// A refusal of the boundary, before any request; and what the server refused.
pub(super) fn ask<T>(
    context: &CommandContext,
    question: impl FnOnce(&mut Sharing<'_>) -> Result<T, SharingError>,
) -> Result<T, CliError> {
    let boundary = context.patient_boundary(queue::CAPTURE_DEADLINE)?;
    let permit = boundary.egress_permit()?;
    let http = DeliveryContext::new(context.home()?, &context.environment, build::VERSION)
        .map_err(|error| CliError::failed("HTTP_SETUP", chain(&error)))?;
    let answer = Sharing::new(&http, &permit).and_then(|mut sharing| question(&mut sharing));
    answer.map_err(|error| failed(&error, &http))
}

/// A project with a uuid: only such a project can be named to a server.
pub(super) fn choose_project(
    context: &CommandContext,
    named: Option<&str>,
) -> Result<(ProjectChoice, String), CliError> {
    let project = choose(context, named)?;
    match project.uuid.clone() {
        Some(uuid) => Ok((project, uuid)),
        None => Err(CliError::refused("PROJECT_UNKNOWN", "rows without a project cannot be shared")),
    }
}

fn failed(error: &SharingError, http: &DeliveryContext) -> CliError {
    match error {
        SharingError::Token(error) => {
            CliError::new(error.code().unwrap_or("SERVER_NOT_ASKED"), error.exit(), chain(error))
                .remedy_if(error.remedy(http))
        }
        SharingError::UnknownProject => {
            CliError::failed("PROJECT_NOT_DELIVERED", error.to_string()).remedy(Remedy::Advice(
                "deliver the project's events with `spec-kitty sync now`, then try again".to_owned(),
            ))
        }
        SharingError::NotKnown | SharingError::Refused(_) => {
            CliError::failed("SERVER_REFUSED", printable(&error.to_string()).into_owned())
        }
        SharingError::Failed(stop) => {
            CliError::new("SERVER_FAILED", ExitCode::Failed, printable(&error.to_string()).into_owned())
                .remedy_if(stop.reason.remedy(|| http.login()))
        }
    }
}

/// Result of the remote part of a verb whose local part decides the exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Remote {
    /// The server answered.
    Ok,
    /// The boundary or the server refused.
    Refused,
    /// No usable answer.
    Failed,
    /// Hosted sync is off, so the server was not asked.
    Off,
}

impl Remote {
    pub(super) fn of(error: &CliError) -> Self {
        if error.exit == ExitCode::Refused
            || error.code == "SERVER_REFUSED"
            || error.code == "PROJECT_NOT_DELIVERED"
        {
            Self::Refused
        } else {
            Self::Failed
        }
    }
}
