//! Refusals for releases up to 3.2.7, which send [`SYNC_PROTOCOL_HEADER`].
//!
//! Such a client sends a refused request again only after certain answers, and then for five minutes. After
//! any other answer the events or the body are stranded in its store for good, so a refusal that is not
//! about the content gets the answer that its route survives:
//!
//! | route | a later request can succeed | the content is wrong |
//! |---|---|---|
//! | batch | 412, whose `sync_protocol.upgrade_guidance` is printed | 400, 413 |
//! | preflight | 400 without details | 400, 413 |
//! | body | 401, 429, 404 `index_entry_not_found` | 400 |

use super::HttpRefusal;
use crate::metrics::Route;
use axum::http::{HeaderMap, StatusCode};
use contract::wire::body::INDEX_ENTRY_NOT_FOUND;
use contract::wire::endpoint::{SYNC_PROTOCOL_HEADER, SYNC_PROTOCOL_VERSION};
use contract::wire::error::{SyncProtocolNote, code};

/// Whether the client has the sync protocol of the releases up to 3.2.7.
pub(crate) fn has_sync_protocol(headers: &HeaderMap) -> bool {
    headers
        .get(SYNC_PROTOCOL_HEADER)
        .is_some_and(|value| value.as_bytes() == SYNC_PROTOCOL_VERSION.as_bytes())
}

impl HttpRefusal {
    /// The same refusal as a client of the sync protocol understands it.
    pub(crate) fn for_sync_protocol(self, route: Route) -> Self {
        match route {
            Route::EventsBatch if !self.is_about_content() => self.not_now(StatusCode::PRECONDITION_FAILED),
            Route::EventsPreflight if !self.is_about_content() => self.not_now(StatusCode::BAD_REQUEST),
            Route::PushContent => self.for_a_body(),
            _ => self,
        }
    }

    /// Whether the same request can never succeed. A body that broke off is a matter of the connection.
    fn is_about_content(&self) -> bool {
        [StatusCode::BAD_REQUEST, StatusCode::PAYLOAD_TOO_LARGE].contains(&self.status) && !self.must_close
    }

    fn not_now(mut self, status: StatusCode) -> Self {
        let guidance = format!(
            "{} Nothing of this request was stored, and the protocol version is accepted. {}",
            self.cause(),
            "This client sends the events again only within 5 minutes of their first attempt."
        );
        self.status = status;
        self.envelope.error = Some(guidance.clone());
        self.envelope.error_description = Some(guidance.clone());
        self.envelope.sync_protocol = Some(SyncProtocolNote { upgrade_guidance: guidance });
        self
    }

    /// The cause and the remedy, for a person.
    fn cause(&self) -> String {
        let again = match self.retry_after {
            Some(seconds) => format!("Run `spec-kitty sync now` again in {seconds} seconds."),
            None => "Run `spec-kitty sync now` again.".to_owned(),
        };
        match self.envelope.error_code.as_deref().unwrap_or_default() {
            code::AUTH_EXPIRED => "The server does not accept this login. Run `spec-kitty auth login`, then \
                `spec-kitty sync now`."
                .to_owned(),
            code::MISSING_PRIVATE_TEAM => {
                "The account may not send events to this teamspace. Ask the server's \
                administrator for membership, then run `spec-kitty auth login` and `spec-kitty sync now`."
                    .to_owned()
            }
            code::THROTTLED => format!("The server limits the requests of this account or address. {again}"),
            code::UNAVAILABLE => format!("The server's database is unavailable. {again}"),
            code::REQUEST_TIMEOUT => format!("The request did not arrive in time. {again}"),
            _ => format!("The server refused: {}. {again}", self.envelope.text().unwrap_or("no reason")),
        }
    }

    fn for_a_body(mut self) -> Self {
        let is_early = self.envelope.error_code.as_deref() == Some(INDEX_ENTRY_NOT_FOUND);
        self.status = match self.status {
            StatusCode::UNAUTHORIZED => StatusCode::UNAUTHORIZED,
            StatusCode::NOT_FOUND if is_early => StatusCode::NOT_FOUND,
            _ if self.is_about_content() => StatusCode::BAD_REQUEST,
            _ => StatusCode::TOO_MANY_REQUESTS,
        };
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ServerLimits;

    fn every_refusal() -> Vec<HttpRefusal> {
        vec![
            HttpRefusal::malformed("schema: x"),
            HttpRefusal::malformed("schema: the batch did not arrive whole").closing(),
            HttpRefusal::no_events(),
            HttpRefusal::unauthenticated(),
            HttpRefusal::missing_private_team(),
            HttpRefusal::absent(INDEX_ENTRY_NOT_FOUND, "not yet"),
            HttpRefusal::absent("gone", "no such route"),
            HttpRefusal::batch_too_large(&ServerLimits::default()),
            HttpRefusal::request_too_large(7),
            HttpRefusal::too_slow(),
            HttpRefusal::unknown_encoding(),
            HttpRefusal::contract_skew(),
            HttpRefusal::throttled(5),
            HttpRefusal::unavailable(),
            HttpRefusal::no_live_channel(),
        ]
    }

    #[test]
    fn no_refusal_strands_deliverable_rows() {
        for refusal in every_refusal() {
            let before = refusal.clone();
            let is_final = before.is_about_content();
            let of = |route: Route| before.clone().for_sync_protocol(route).status.as_u16();
            assert_eq!([400, 413].contains(&of(Route::EventsBatch)), is_final, "{before:?}");
            assert_eq!(of(Route::EventsBatch) == 412, !is_final, "{before:?}");
            assert!([400, 413].contains(&of(Route::EventsPreflight)), "{before:?}");
            let survives = match of(Route::PushContent) {
                401 | 429 => true,
                404 => before.envelope.error.as_deref() == Some(INDEX_ENTRY_NOT_FOUND),
                400 => false,
                other => panic!("{other} ends the body of {before:?}"),
            };
            assert_eq!(survives, !is_final, "{before:?}");
            assert_eq!(of(Route::Me), before.status.as_u16(), "other routes are as they are");
        }
    }

    #[test]
    fn guidance_has_a_cause_and_a_remedy() {
        for refusal in every_refusal().into_iter().filter(|refusal| !refusal.is_about_content()) {
            let refusal = refusal.for_sync_protocol(Route::EventsBatch);
            let guidance = refusal.envelope.sync_protocol.unwrap().upgrade_guidance;
            assert!(guidance.contains("spec-kitty sync now") && guidance.contains("5 minutes"), "{guidance}");
            assert_eq!(refusal.envelope.error_description.as_deref(), Some(guidance.as_str()));
            let lower = guidance.to_lowercase();
            assert!(!lower.contains("too large") && !lower.contains("oversized"), "{guidance}");
        }
        let login = HttpRefusal::unauthenticated().for_sync_protocol(Route::EventsBatch);
        assert!(login.envelope.error.unwrap().contains("spec-kitty auth login"));
    }
}
