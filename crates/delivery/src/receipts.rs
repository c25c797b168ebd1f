//! Receipt check: delivered rows that a server no longer has. Sends ids, no rows.

use crate::classify::{ServerStop, judge_failed_answer, judge_send_error, unusable};
use crate::context::DeliveryContext;
use crate::http::{HttpRequest, Payload};
use crate::token_source::{TokenError, TokenSource};
use contract::Scope;
use contract::wire::endpoint::RECEIPTS;
use contract::wire::receipts::{BodyKey, MOST_ROWS, ReceiptState, ReceiptsAnswer, ReceiptsQuestion};
use queue::{Kind, ObserveError, QueueError, ReceiptPages};
use std::time::Duration;

/// Time for one question.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Reason why the receipts could not be checked.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// No token of this account may be sent to its server.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// The receipts cannot be read.
    #[error(transparent)]
    Queue(#[from] QueueError),
    /// The server does not know the question.
    #[error("the server does not support the receipt check; select rows by time with --since instead")]
    NotKnown,
    /// The server did not answer, or not with an answer of this protocol.
    #[error("{}", .0.detail)]
    Server(ServerStop),
}

impl From<ObserveError> for AskError {
    fn from(error: ObserveError) -> Self {
        Self::Queue(error.into())
    }
}

/// The delivered rows of `scope` that the server does not have, newest first within each project.
/// `advance` gets the number of rows asked about so far.
///
/// # Errors
/// See [`AskError`]. Nothing was changed.
pub fn fetch_missing(
    context: &DeliveryContext,
    scope: &Scope,
    mut pages: ReceiptPages,
    advance: &mut dyn FnMut(u64),
) -> Result<Vec<(Kind, String)>, AskError> {
    let (mut tokens, team_id) = TokenSource::for_scope(context, scope)?;
    let (mut missing, mut asked) = (Vec::new(), 0);
    while let Some((kind, keys)) = pages.next_page(MOST_ROWS)? {
        let states = ask(context, &mut tokens, &team_id, kind, &keys)?;
        asked += keys.len() as u64;
        let lost = keys.into_iter().zip(states).filter(|(_, state)| *state == Some(ReceiptState::Missing));
        missing.extend(lost.map(|(key, _)| (kind, key)));
        advance(asked);
    }
    Ok(missing)
}

/// The state of each row; none for a key that is not one of the protocol's.
fn ask(
    context: &DeliveryContext,
    tokens: &mut TokenSource<'_>,
    team_id: &str,
    kind: Kind,
    keys: &[String],
) -> Result<Vec<Option<ReceiptState>>, AskError> {
    let mut question = ReceiptsQuestion::default();
    let mut named = Vec::with_capacity(keys.len());
    for key in keys {
        let body: Option<BodyKey> = if kind == Kind::Body { serde_json::from_str(key).ok() } else { None };
        named.push(kind == Kind::Event || body.is_some());
        match body {
            Some(body) => question.bodies.push(body),
            None if kind == Kind::Event => question.events.push(key.clone()),
            None => {}
        }
    }
    // Text always serialises.
    let json = serde_json::to_vec(&question).unwrap_or_default();
    let request = HttpRequest {
        team: Some(team_id),
        timeout: TIMEOUT,
        ..HttpRequest::post(RECEIPTS, Payload::Json(&json))
    };
    let answer = tokens.send(context, &request)?;
    let answer = answer.map_err(|error| AskError::Server(judge_send_error(&error)))?;
    let states: ReceiptsAnswer = match answer.status {
        200 => answer.document().map_err(|error| AskError::Server(unusable(error.to_string())))?,
        404 | 405 => return Err(AskError::NotKnown),
        401 if !answer.is_foreign() => return Err(AskError::Token(TokenError::Ended)),
        _ => return Err(AskError::Server(judge_failed_answer(&answer))),
    };
    if states.events.len() != question.events.len() || states.bodies.len() != question.bodies.len() {
        return Err(AskError::Server(unusable("the server did not answer for every row")));
    }
    let mut states = states.events.into_iter().chain(states.bodies);
    Ok(named.into_iter().map(|named| if named { states.next() } else { None }).collect())
}
