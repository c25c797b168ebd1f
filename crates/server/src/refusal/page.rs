//! A refusal as a page, for a person at a browser.

use super::HttpRefusal;
use crate::access_log::LogNote;
use crate::web::message::MessagePage;
use crate::web::{self, Frame};
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::{HeaderName, StatusCode};
use axum::response::Response;

impl HttpRefusal {
    /// The page in place of `answer`, whose headers and log fields stay. A browser with a session is not asked to sign
    /// in, unless the session was refused.
    pub(crate) fn into_page(self, answer: &Response, request_id: &str, may_sign_in: bool) -> Response {
        let offers_sign_in = may_sign_in || self.status == StatusCode::UNAUTHORIZED;
        let (title, text) = self.sentence();
        let mut page = web::page(
            self.status,
            &MessagePage {
                frame: Frame { offers_sign_in, ..Frame::narrow(title) },
                texts: vec![text],
                note: Some(format!("Status {}, request {request_id}", self.status.as_u16())),
                link: Some(("/", "To the overview")),
            },
        );
        let is_of_body = |name: &HeaderName| *name == CONTENT_TYPE || *name == CONTENT_LENGTH;
        for (name, value) in answer.headers().iter().filter(|(name, _)| !is_of_body(name)) {
            page.headers_mut().insert(name, value.clone());
        }
        if let Some(note) = answer.extensions().get::<LogNote>() {
            page.extensions_mut().insert(note.clone());
        }
        page
    }

    fn sentence(&self) -> (&'static str, &'static str) {
        match self.status {
            StatusCode::UNAUTHORIZED => ("Not signed in", "This address needs a login."),
            StatusCode::FORBIDDEN => (
                "Not allowed",
                "The request was refused. If you sent a form, load its page again and repeat your change.",
            ),
            StatusCode::NOT_FOUND => (
                "Page not found",
                "There is no page at this address, or it belongs to a team you are not a member of.",
            ),
            StatusCode::METHOD_NOT_ALLOWED => {
                ("Not possible here", "This address does not accept that method.")
            }
            StatusCode::TOO_MANY_REQUESTS => (
                "Too many requests",
                "Your account or address sent too many requests. Wait a moment and try again.",
            ),
            StatusCode::SERVICE_UNAVAILABLE => (
                "Not available",
                "The server cannot reach its database. Nothing was changed. Try again in a moment.",
            ),
            status if status.is_server_error() => (
                "Server error",
                "The server failed at this request. Its administrator finds the request in the log.",
            ),
            _ => ("Request refused", "The server refused this request."),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::header::RETRY_AFTER;
    use axum::response::IntoResponse;

    #[test]
    fn page_of_a_refusal_keeps_status_pause_and_log() {
        let cases = [
            (HttpRefusal::unauthenticated(), 401, None),
            (HttpRefusal::foreign_form(), 403, None),
            (HttpRefusal::no_page(), 404, None),
            (HttpRefusal::malformed("schema: x"), 400, None),
            (HttpRefusal::throttled(7), 429, Some("7")),
            (HttpRefusal::internal(), 500, None),
            (HttpRefusal::unavailable(), 503, Some("5")),
        ];
        let mut titles = Vec::new();
        for (refusal, status, pause) in cases {
            titles.push(refusal.sentence().0);
            let answer = refusal.clone().into_response();
            let page = refusal.into_page(&answer, "the-id", false);
            assert_eq!(page.status().as_u16(), status);
            assert_eq!(page.headers().get(RETRY_AFTER).and_then(|pause| pause.to_str().ok()), pause);
            assert_eq!(page.headers()[CONTENT_TYPE], "text/html; charset=utf-8");
            let note = page.extensions().get::<LogNote>().and_then(|note| note.refusal.clone());
            assert!(note.is_some(), "{status}");
        }
        let number = titles.len();
        titles.sort_unstable();
        titles.dedup();
        assert_eq!(titles.len(), number, "each has a title of its own: {titles:?}");
    }
}
