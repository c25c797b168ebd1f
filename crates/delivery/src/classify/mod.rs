//! Classification of answers: an answer, or the lack of one, becomes a judgement about the sent rows. Pure.
//!
//! The policy is contract section 9: no outcome deletes a payload. A row leaves when the server has it. A
//! row refused by name is parked with its payload and the server's text, and stops no other. After any other
//! answer the rows wait.
//!
//! | answer | events | bodies |
//! |---|---|---|
//! | accepted, or accepted before | delivered, duplicate | delivered, duplicate |
//! | refused by name | parked | parked |
//! | not mentioned | skipped for this drain | - |
//! | 413, or refused as too large | halves; one row alone: parked | parked |
//! | 400, 422 | named rows parked, else halves; one row alone: parked | parked |
//! | 401 | refresh once, then stop | the same |
//! | 403 | stops the project; a refused team stops all | the same |
//! | 404 | stops | waits for its index event; else parked or later |
//! | 408, 412, 426, 429, 5xx, no answer | stops, keeps | stops, keeps |
//! | not an answer of this protocol | stops, keeps | stops, keeps |

mod bodies;
mod error_text;
mod events;

pub use bodies::{BodyJudgement, judge_body};
pub(crate) use error_text::bounded;
pub use error_text::{Category, ErrorText};
pub use events::{BatchJudgement, ItemVerdict, judge_batch};

use crate::http::{HttpAnswer, RetryAfter, SendError};
use contract::Remedy;
use contract::wire::IngressLimits;
use identity::Login;
use std::time::Duration;

/// Reason why a drain, or a project in it, was stopped. The rows stay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerStop {
    /// The kind.
    pub reason: ServerStopReason,
    /// One sentence for people; names the host or repeats the server's text.
    pub detail: String,
    /// The pause the server asked for.
    pub asked: Option<RequestedPause>,
}

/// A pause a server asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestedPause {
    /// By the `Retry-After` header.
    Header(RetryAfter),
    /// By a field of the body, in seconds.
    Body(Duration),
}

/// Kinds of [`ServerStop`]. The names are stable: reports and the status page show them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum ServerStopReason {
    /// No connection.
    Unreachable,
    /// No answer in time, or the connection broke.
    NoAnswer,
    /// 429.
    Throttled,
    /// 5xx, 408.
    ServerError,
    /// 412, 426: client and server have different contract versions.
    ContractSkew,
    /// 401 also after a refresh.
    Unauthorized,
    /// 403 for a project.
    ProjectForbidden,
    /// 403 for the team: no private teamspace of this account.
    TeamForbidden,
    /// 404, 405: the address is no sync server.
    NoSuchRoute,
    /// The answer is not one of this protocol.
    UnusableAnswer,
    /// A redirect to another address.
    Redirected,
    /// One request after the other was refused as a whole and nothing was ever accepted.
    EverythingRefused,
    /// Another status.
    UnexpectedStatus,
}

impl ServerStopReason {
    /// The stable name.
    pub fn name(self) -> &'static str {
        self.into()
    }

    /// The category a failure report files the kept rows under.
    pub const fn category(self) -> Category {
        match self {
            Self::Unreachable | Self::NoAnswer => Category::RetryableTransport,
            Self::Throttled => Category::Throttled,
            Self::ServerError => Category::ServerError,
            Self::ContractSkew => Category::SchemaMismatch,
            Self::Unauthorized => Category::AuthExpired,
            Self::ProjectForbidden => Category::Unauthorized,
            Self::TeamForbidden => Category::MissingPrivateTeam,
            Self::NoSuchRoute
            | Self::UnusableAnswer
            | Self::Redirected
            | Self::EverythingRefused
            | Self::UnexpectedStatus => Category::Unknown,
        }
    }

    /// The remedy; none where the rows leave by themselves once the server can be reached again.
    pub fn remedy(self, login: impl FnOnce() -> Login) -> Option<Remedy> {
        let text = match self {
            Self::Unreachable | Self::NoAnswer | Self::Throttled => return None,
            Self::Unauthorized => return Some(login().remedy()),
            Self::NoSuchRoute | Self::Redirected | Self::UnusableAnswer => {
                return Some(login().server_remedy());
            }
            Self::ContractSkew => {
                "update spec-kitty here or at the server, so that both have one contract version"
            }
            Self::ProjectForbidden => "ask the server's administrator for access to this project",
            Self::TeamForbidden => "ask the server's administrator for a private teamspace",
            Self::ServerError | Self::EverythingRefused | Self::UnexpectedStatus => {
                "report the answer to the server's administrator"
            }
        };
        Some(Remedy::Advice(text.to_owned()))
    }

    /// Whether trying again later, unchanged, can help.
    pub(crate) const fn is_transient(self) -> bool {
        matches!(self, Self::Unreachable | Self::NoAnswer | Self::Throttled | Self::ServerError)
    }
}

/// Reason why a row is parked: the server refused it, alone and by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowRejection {
    /// Reason under which the row is parked.
    pub reason: &'static str,
    /// The server's text: code, path and sentence, bounded.
    pub detail: String,
    /// For the failure report.
    pub category: Category,
}

/// Meaning of an answer that names no single row; shared by both routes.
enum Whole {
    /// 401.
    Refresh,
    /// 403 about the project, or about the team.
    Forbidden(ServerStop),
    /// Stop, keep.
    Stop(ServerStop),
    /// 413, or any refusal with that meaning.
    TooLarge(IngressLimits),
    /// 400, 422 and other refusals of the content.
    BadRequest,
    /// 404.
    NotFound,
}

fn judge_whole(answer: &HttpAnswer, error_text: &ErrorText) -> Whole {
    let stop = |reason: ServerStopReason| ServerStop {
        reason,
        detail: error_text.sentence(answer.status),
        asked: asked(answer),
    };
    match answer.status {
        401 => Whole::Refresh,
        // The page of a proxy, which decides nothing about a project.
        403 if answer.is_foreign() => Whole::Stop(stop(ServerStopReason::UnusableAnswer)),
        403 if error_text.is_about_the_team() => Whole::Forbidden(stop(ServerStopReason::TeamForbidden)),
        403 => Whole::Forbidden(stop(ServerStopReason::ProjectForbidden)),
        412 | 426 => Whole::Stop(stop(ServerStopReason::ContractSkew)),
        429 => Whole::Stop(stop(ServerStopReason::Throttled)),
        408 | 500..=599 => Whole::Stop(stop(ServerStopReason::ServerError)),
        413 => Whole::TooLarge(error_text.limits()),
        400..=499 if error_text.is_too_large() => Whole::TooLarge(error_text.limits()),
        400 | 422 => Whole::BadRequest,
        404 => Whole::NotFound,
        405 | 410 => Whole::Stop(stop(ServerStopReason::NoSuchRoute)),
        _ => Whole::Stop(stop(ServerStopReason::UnexpectedStatus)),
    }
}

/// The pause an answer asks for: the header first, then the body.
pub(crate) fn asked(answer: &HttpAnswer) -> Option<RequestedPause> {
    if let Some(header) = answer.retry_after {
        return Some(RequestedPause::Header(header));
    }
    let body = serde_json::Value::from(answer.object()?);
    let fields = ["/retry_after_seconds", "/retry_after", "/limits/retry_after_min_seconds"];
    let seconds = fields.into_iter().find_map(|field| body.pointer(field)?.as_u64())?;
    matches!(answer.status, 429 | 503).then_some(RequestedPause::Body(Duration::from_secs(seconds)))
}

/// Judges a request without an answer.
pub(crate) fn judge_send_error(error: &SendError) -> ServerStop {
    let reason = match error {
        SendError::Unreachable { .. } | SendError::Tls { .. } => ServerStopReason::Unreachable,
        SendError::TimedOut { .. } | SendError::Interrupted { .. } => ServerStopReason::NoAnswer,
        SendError::Redirected { .. } => ServerStopReason::Redirected,
        SendError::TooLarge { .. } | SendError::Unsendable { .. } => ServerStopReason::UnusableAnswer,
    };
    ServerStop { reason, detail: error.to_string(), asked: None }
}

/// Judges an answer, to a question that is about no row, that is not the document it should be.
pub(crate) fn judge_failed_answer(answer: &HttpAnswer) -> ServerStop {
    let error_text = ErrorText::of(answer);
    let stop =
        |reason| ServerStop { reason, detail: error_text.sentence(answer.status), asked: asked(answer) };
    match judge_whole(answer, &error_text) {
        Whole::Stop(found) | Whole::Forbidden(found) => found,
        Whole::Refresh if !answer.is_foreign() => stop(ServerStopReason::Unauthorized),
        Whole::Refresh => stop(ServerStopReason::UnusableAnswer),
        Whole::NotFound => stop(ServerStopReason::NoSuchRoute),
        Whole::TooLarge(_) | Whole::BadRequest => stop(ServerStopReason::UnexpectedStatus),
    }
}

pub(crate) fn unusable(detail: impl Into<String>) -> ServerStop {
    ServerStop { reason: ServerStopReason::UnusableAnswer, detail: detail.into(), asked: None }
}

#[cfg(test)]
mod tests;
