//! One request of a drain, with a token and one refresh of it.

use super::sent::{pack, question_of, read_states};
use super::{DrainEnd, DrainRun, unix_now};
use crate::classify::{ErrorText, ServerStop, ServerStopReason, judge_send_error};
use crate::http::documents::HealthDocument;
use crate::http::{Bearer, HttpAnswer, HttpRequest, Payload, SendError};
use crate::plan::read_health_limits;
use contract::wire::endpoint::SYNC_HEALTH;
use preflight::consent_of;
use queue::BatchLimits;
use std::time::Duration;

/// Time for a batch of events.
pub(super) const BATCH_TIMEOUT: Duration = Duration::from_secs(60);
/// Time for one body.
pub(super) const BODY_TIMEOUT: Duration = Duration::from_secs(30);
/// Largest answer to a batch: a few hundred bytes for each of the most events a batch may hold.
pub(super) const BATCH_ANSWER: u64 = 16 << 20;

impl DrainRun<'_> {
    /// Sends a request without rows, with a token of the permit's account. On 401 the login is refreshed once and
    /// the request sent again; a 401 that is returned is the second one, and ends the drain.
    fn exchange(&mut self, request: HttpRequest<'_>) -> Result<HttpAnswer, DrainEnd> {
        self.check_cancelled()?;
        let bearer = self.tokens.bearer()?;
        let sent = self.send(&bearer, request);
        let answer = self.receive(sent)?;
        if answer.status != 401 {
            return Ok(answer);
        }
        let bearer = self.renewed_bearer()?;
        let sent = self.send(&bearer, request);
        self.receive(sent)
    }

    /// The same for rows that were chosen by the decisions of `version`. `None`: the decisions are others now, so
    /// the rows must be chosen again; the server has not accepted them.
    pub(super) fn exchange_rows(
        &mut self,
        request: HttpRequest<'_>,
        version: u64,
    ) -> Result<Option<HttpAnswer>, DrainEnd> {
        self.check_cancelled()?;
        let bearer = self.tokens.bearer()?;
        if self.tokens.config().version() != version {
            return Ok(None);
        }
        let sent = self.send(&bearer, request);
        self.answer_of(sent, request, version)
    }

    /// The answer to a request with rows that was sent; see [`Self::exchange_rows`].
    pub(super) fn answer_of(
        &mut self,
        sent: Result<HttpAnswer, SendError>,
        request: HttpRequest<'_>,
        version: u64,
    ) -> Result<Option<HttpAnswer>, DrainEnd> {
        let answer = self.receive(sent)?;
        if answer.status != 401 {
            return Ok(Some(answer));
        }
        let bearer = self.renewed_bearer()?;
        if self.tokens.config().version() != version {
            return Ok(None);
        }
        let sent = self.send(&bearer, request);
        self.receive(sent).map(Some)
    }

    fn send(&self, bearer: &Bearer, request: HttpRequest<'_>) -> Result<HttpAnswer, SendError> {
        let request = HttpRequest { bearer: Some(bearer), ..request };
        self.context.client.send(self.tokens.destination(), &request)
    }

    fn receive(&mut self, sent: Result<HttpAnswer, SendError>) -> Result<HttpAnswer, DrainEnd> {
        self.report.requests += 1;
        let answer = sent.map_err(|error| DrainEnd::Server(judge_send_error(&error)))?;
        // A page of another login, such as a portal's, is not about ours.
        if answer.status == 401 && answer.is_foreign() {
            return Err(DrainEnd::Server(unusable_answer(401)));
        }
        Ok(answer)
    }

    fn renewed_bearer(&mut self) -> Result<Bearer, DrainEnd> {
        self.check_cancelled()?;
        Ok(self.tokens.renewed_bearer()?)
    }

    /// Requests the server's limits, also when nothing waits. An unreachable server is no failure while nothing
    /// waits: the report names the reason.
    pub(super) fn ask_first(&mut self) -> Result<(), DrainEnd> {
        match self.fetch_limits() {
            Err(DrainEnd::Server(stop)) if stop.reason.is_transient() && !self.anything_could_leave()? => {
                self.report.server = Some(stop.reason.name());
                Ok(())
            }
            result => result,
        }
    }

    fn anything_could_leave(&mut self) -> Result<bool, DrainEnd> {
        let (one, consent) = (BatchLimits { rows: 1, bytes: 1 }, consent_of(self.tokens.config().last()));
        Ok(self.outbox.read_events(one, &consent, &self.skip)?.is_some()
            || self.outbox.read_bodies(one, &consent, &self.skip, unix_now())?.is_some())
    }

    /// Requests the server's limits before the first batch of a drain, and whether the server still has the newest
    /// rows that it acknowledged. A server without the document is an old one, without advertised limits.
    pub(super) fn fetch_limits(&mut self) -> Result<(), DrainEnd> {
        self.limits_known = true;
        let team_id = self.team_id.clone();
        let asked = self.outbox.newest_receipts()?;
        let question = question_of(&asked);
        let receipts = (!asked.is_empty()).then_some(question.as_str());
        let answer =
            self.exchange(HttpRequest { team: Some(&team_id), receipts, ..HttpRequest::get(SYNC_HEALTH) })?;
        let stop = |reason| {
            let detail = ErrorText::of(&answer).sentence(answer.status);
            Err(DrainEnd::Server(ServerStop { reason, detail, asked: crate::classify::asked(&answer) }))
        };
        match answer.status {
            200 => match answer.document::<HealthDocument>() {
                Ok(HealthDocument(document)) => {
                    self.protocol_seen = true;
                    let document = document.into();
                    self.sizing.learn(read_health_limits(&document));
                    if let Some(answers) = read_states(&document, &asked) {
                        self.report.server_rewound = self.outbox.record_answers(&asked, &answers)?;
                    }
                    Ok(())
                }
                Err(_) => Err(DrainEnd::Server(unusable_answer(200))),
            },
            // A success without the document, or a page that forbids: no server answers like that.
            201..=299 => Err(DrainEnd::Server(unusable_answer(answer.status))),
            403 | 511 if answer.is_foreign() => Err(DrainEnd::Server(unusable_answer(answer.status))),
            401 => Err(DrainEnd::Server(unauthorized())),
            412 | 426 => stop(ServerStopReason::ContractSkew),
            429 => stop(ServerStopReason::Throttled),
            503 => stop(ServerStopReason::ServerError),
            _ => Ok(()),
        }
    }
}

/// Stop of a drain at an answer of something else than a sync server.
fn unusable_answer(status: u16) -> ServerStop {
    let detail =
        format!("HTTP {status} without an answer of this protocol: a portal or a proxy may be in between");
    ServerStop { reason: ServerStopReason::UnusableAnswer, detail, asked: None }
}

/// Stop of a drain at the second 401.
pub(super) fn unauthorized() -> ServerStop {
    let detail = "the server does not accept this login, also after a refresh".to_owned();
    ServerStop { reason: ServerStopReason::Unauthorized, detail, asked: None }
}

/// `{"events":[a,b,...]}` of events that are already JSON texts, gzipped.
pub(super) fn encode_batch<'e>(events: impl Iterator<Item = &'e str>, plain_bytes: usize) -> Vec<u8> {
    let mut text = Vec::with_capacity(plain_bytes);
    text.extend_from_slice(b"{\"events\":[");
    for (at, event) in events.enumerate() {
        if at > 0 {
            text.push(b',');
        }
        text.extend_from_slice(event.as_bytes());
    }
    text.extend_from_slice(b"]}");
    // At once: the encoder clears 32 KiB for each write.
    pack(&text)
}

/// The payload of a batch.
pub(super) fn batch_request<'a>(body: &'a [u8], team_id: &'a str) -> HttpRequest<'a> {
    HttpRequest {
        team: Some(team_id),
        timeout: BATCH_TIMEOUT,
        answer_limit: BATCH_ANSWER,
        ..HttpRequest::post(contract::wire::endpoint::EVENTS_BATCH, Payload::GzipJson(body))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    #[test]
    fn batch_is_the_events_as_they_are_between_brackets() {
        let body = encode_batch(["{\"a\": 1}", "{}"].into_iter(), 30);
        let mut plain = String::new();
        flate2::read::GzDecoder::new(body.as_slice()).read_to_string(&mut plain).unwrap();
        assert_eq!(plain, "{\"events\":[{\"a\": 1},{}]}");
    }
}
