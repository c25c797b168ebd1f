//! Classification of the answer to one artifact body.

use super::{Category, ErrorText, RowRejection, ServerStop, ServerStopReason, Whole, judge_whole};
use crate::http::HttpAnswer;
use crate::http::documents::BodyStored;
use contract::wire::body::{ALREADY_EXISTS, INDEX_ENTRY_NOT_FOUND, NAMESPACE_NOT_FOUND, STORED};

/// Meaning of the answer to one body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BodyJudgement {
    /// The server has it now.
    Delivered,
    /// The server had it before.
    Duplicate,
    /// Refused: park it.
    Rejected(RowRejection),
    /// Not yet: the event that announces it has not arrived there. Keep it, count the attempt.
    Later(String),
    /// The token is not accepted.
    Refresh,
    /// Nothing more of this project.
    StopProject(ServerStop),
    /// Nothing more at all.
    Stop(ServerStop),
}

/// Judges an answer to one body of that hash. A success must be a document of the protocol: otherwise the row
/// could be lost.
pub fn judge_body(answer: &HttpAnswer, content_hash: &str) -> BodyJudgement {
    match answer.status {
        200 | 201 => return judge_stored(answer, content_hash),
        202..=299 => {
            return BodyJudgement::Stop(super::unusable(
                "the server's answer to a body is neither 200 nor 201",
            ));
        }
        _ => {}
    }
    let error_text = ErrorText::of(answer);
    let reject = |reason: &'static str, category: Category| {
        BodyJudgement::Rejected(RowRejection { reason, detail: error_text.sentence(answer.status), category })
    };
    match judge_whole(answer, &error_text) {
        Whole::Refresh => BodyJudgement::Refresh,
        Whole::Forbidden(stop) if stop.reason == ServerStopReason::ProjectForbidden => {
            BodyJudgement::StopProject(stop)
        }
        Whole::Forbidden(stop) => BodyJudgement::Stop(stop),
        Whole::TooLarge(_) => reject("too_large", Category::OversizedEvent),
        Whole::BadRequest => reject("rejected", Category::SchemaMismatch),
        Whole::NotFound => match error_text.error.as_deref() {
            Some(NAMESPACE_NOT_FOUND) => reject(NAMESPACE_NOT_FOUND, Category::Unknown),
            Some(INDEX_ENTRY_NOT_FOUND) => BodyJudgement::Later(INDEX_ENTRY_NOT_FOUND.to_owned()),
            // Not of this protocol: a proxy, or an address that is no sync server.
            _ if error_text.is_about_the_route() => BodyJudgement::Stop(ServerStop {
                reason: ServerStopReason::NoSuchRoute,
                detail: error_text.sentence(answer.status),
                asked: None,
            }),
            _ => BodyJudgement::Later(error_text.sentence(answer.status)),
        },
        // A body is judged alone, so an unknown refusal is about this body.
        Whole::Stop(stop) if stop.reason == ServerStopReason::UnexpectedStatus && answer.status >= 400 => {
            reject("rejected", error_text.category())
        }
        Whole::Stop(stop) => BodyJudgement::Stop(stop),
    }
}

fn judge_stored(answer: &HttpAnswer, content_hash: &str) -> BodyJudgement {
    let unusable = |why: &str| BodyJudgement::Stop(super::unusable(why));
    let Ok(BodyStored { status, content_hash: told }) = answer.document() else {
        return unusable("the server's answer to a body is not one of this protocol");
    };
    if told.is_some_and(|told| !told.is_empty() && told != content_hash) {
        return unusable("the server's answer to a body names the hash of another one");
    }
    match status.as_str() {
        STORED => BodyJudgement::Delivered,
        ALREADY_EXISTS => BodyJudgement::Duplicate,
        _ => unusable("the server's answer to a body has an unknown status"),
    }
}
