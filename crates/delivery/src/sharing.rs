//! Sharing a project with a team, ending that, and deleting a project from the server. Names projects and
//! teams, sends no row.

use crate::classify::{ErrorText, ServerStop, judge_failed_answer, judge_send_error, unusable};
use crate::context::DeliveryContext;
use crate::http::{HttpAnswer, HttpRequest, NotOfProtocol, Payload, ProtocolDocument};
use crate::token_source::{TokenError, TokenSource};
use contract::wire::endpoint::{FORGET_PROJECT, LEAVE_SHARE, REPOSITORY_SHARES};
use contract::wire::error::code;
use contract::wire::sharing::{ProjectForgotten, ShareCreated, ShareLeft, ShareList, ShareRequest};
use gate::EgressPermit;
use std::time::Duration;

/// Time for one request. Deleting a large project takes the server a while.
const TIMEOUT: Duration = Duration::from_secs(60);

/// Reason why the server did not carry out a request.
#[derive(Debug, thiserror::Error)]
pub enum SharingError {
    /// No token of this account may be sent to its server.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// The server has no such route.
    #[error("the server does not share projects")]
    NotKnown,
    /// The server has no events of the project yet.
    #[error("the server has no events of this project")]
    UnknownProject,
    /// The server refused.
    #[error("{0}")]
    Refused(String),
    /// No answer, or not one of this protocol.
    #[error("{}", .0.detail)]
    Failed(ServerStop),
}

/// The sharing routes of the server of one permit, for its account and team.
#[derive(Debug)]
pub struct Sharing<'a> {
    context: &'a DeliveryContext,
    tokens: TokenSource<'a>,
    team_id: String,
}

impl<'a> Sharing<'a> {
    /// Sends nothing yet.
    ///
    /// # Errors
    /// When no token of the permit's account may be sent to its server.
    pub fn new(context: &'a DeliveryContext, permit: &EgressPermit) -> Result<Self, SharingError> {
        let tokens = TokenSource::for_permit(context, permit)?;
        Ok(Self { context, tokens, team_id: permit.team_id().to_owned() })
    }

    /// The teams that see a project.
    ///
    /// # Errors
    /// See [`SharingError`].
    pub fn fetch_shares(&mut self, project_uuid: &str) -> Result<ShareList, SharingError> {
        let query: String = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("source_project_uuid", project_uuid)
            .finish();
        self.send(&format!("{REPOSITORY_SHARES}?{query}"), None)
    }

    /// Shares a project with a team.
    ///
    /// # Errors
    /// See [`SharingError`].
    pub fn send_share(&mut self, project_uuid: &str, team: &str) -> Result<ShareCreated, SharingError> {
        self.send(REPOSITORY_SHARES, Some(&request(project_uuid, team)))
    }

    /// Ends what this account shares of a project with a team.
    ///
    /// # Errors
    /// See [`SharingError`].
    pub fn send_leave(&mut self, project_uuid: &str, team: &str) -> Result<ShareLeft, SharingError> {
        self.send(LEAVE_SHARE, Some(&request(project_uuid, team)))
    }

    /// Deletes a project from the teamspace.
    ///
    /// # Errors
    /// See [`SharingError`].
    pub fn send_forget(&mut self, project_uuid: &str) -> Result<ProjectForgotten, SharingError> {
        let project: String = url::form_urlencoded::byte_serialize(project_uuid.as_bytes()).collect();
        self.send(&FORGET_PROJECT.replace("{project_uuid}", &project), Some(b"{}"))
    }

    fn send<T: for<'d> ProtocolDocument<'d>>(
        &mut self,
        path: &str,
        json: Option<&[u8]>,
    ) -> Result<T, SharingError> {
        let request = HttpRequest {
            team: Some(&self.team_id),
            timeout: TIMEOUT,
            ..match json {
                Some(json) => HttpRequest::post(path, Payload::Json(json)),
                None => HttpRequest::get(path),
            }
        };
        let answer = self.tokens.send(self.context, &request)?;
        let answer = answer.map_err(|error| SharingError::Failed(judge_send_error(&error)))?;
        judge(&answer)
    }
}

fn request(project_uuid: &str, team: &str) -> Vec<u8> {
    let request =
        ShareRequest { source_project_uuid: project_uuid.to_owned(), destination_team_slug: team.to_owned() };
    // Text always serialises.
    serde_json::to_vec(&request).unwrap_or_default()
}

fn judge<T: for<'d> ProtocolDocument<'d>>(answer: &HttpAnswer) -> Result<T, SharingError> {
    let error_code = || Some(answer.object()?.get("error_code")?.as_str()?.to_owned());
    match answer.status {
        200 | 201 => answer
            .document()
            .map_err(|error: NotOfProtocol| SharingError::Failed(unusable(error.to_string()))),
        _ if answer.is_foreign() => Err(SharingError::Failed(judge_failed_answer(answer))),
        401 => Err(TokenError::Ended.into()),
        404 if error_code().as_deref() == Some(code::UNKNOWN_PROJECT) => Err(SharingError::UnknownProject),
        404 | 405 => Err(SharingError::NotKnown),
        400..=499 if answer.status != 429 => {
            Err(SharingError::Refused(ErrorText::of(answer).sentence(answer.status)))
        }
        _ => Err(SharingError::Failed(judge_failed_answer(answer))),
    }
}
