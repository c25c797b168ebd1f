//! HTML pages: server-rendered, without scripts, from compiled templates.
//!
//! # How a page is added
//!
//! 1. A template in `templates/` that extends `layout.html` and fills the block `content`. Headings are in sentence
//!    case; the layout writes the title and the `h1` from the frame. Values are escaped by [`text::Html`], which also
//!    shows control and direction characters as escapes; text of several lines is wrapped in [`text::Lines`].
//!    Neither `style` attributes nor scripts nor images work: the policy below allows the one stylesheet,
//!    `assets/style.css`. Wide tables have the class `records` and a `data-label` on each cell; a number has
//!    the class `number`.
//! 2. A struct that derives `askama::Template`, with a field `frame:` [`Frame`], and a handler in a module of its own.
//!    The handler takes [`SignedIn`], asks the store only about [`SignedIn::team_keys`], and returns
//!    `page(StatusCode::OK, &TemplateStruct { frame: signed_in.frame("Title", Some(Section::Machines)), .. })`.
//!    An id of another team is answered [`HttpRefusal::no_page`], as one that does not exist.
//! 3. A handler of a form takes [`SignedForm`], which has checked that the form is this browser's own. The template
//!    has `<input type="hidden" name="form_key" value="{{ frame.form_key() }}">`. It answers [`see_other`].
//! 4. The route in `app.rs`, the first segment of its path in [`crate::metrics::Route::of`], and a row in
//!    `tests/server/scoping.rs`. A page of the navigation has a variant of [`Section`].
//!
//! A refusal ([`HttpRefusal`]) becomes a page for a browser in one place, the middleware of `app.rs`.
//!
//! [`HttpRefusal`]: crate::refusal::HttpRefusal
//! [`HttpRefusal::no_page`]: crate::refusal::HttpRefusal::no_page

pub(crate) mod account;
pub(crate) mod approval;
pub(crate) mod form;
mod frame;
pub(crate) mod machines;
pub(crate) mod message;
pub(crate) mod missions;
pub(crate) mod overview;
pub(crate) mod sign_in;
mod signed_in;
pub(crate) mod style;
pub(crate) mod text;

pub(crate) use frame::{Frame, Section};
pub(crate) use signed_in::{SignedForm, SignedIn};

use crate::refusal::HttpRefusal;
use askama::Template;
use axum::http::header::{
    ACCEPT, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, LOCATION, REFERRER_POLICY, X_FRAME_OPTIONS,
};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};

/// The page after a sign-in that names no other.
pub(crate) const HOME: &str = missions::LIST;

/// No scripts, frames, images or other origins; forms may be sent to this server only.
const POLICY: &str = "default-src 'none'; style-src 'self'; form-action 'self'; frame-ancestors 'none'; \
    base-uri 'none'";

/// The same for a form whose answer redirects to a loopback callback.
pub(crate) const LOOPBACK_POLICY: &str = "default-src 'none'; style-src 'self'; \
    form-action 'self' http://127.0.0.1:* http://localhost:*; frame-ancestors 'none'; base-uri 'none'";

/// Renders a page.
pub(crate) fn page(status: StatusCode, page: &impl Template) -> Response {
    let html = match page.render() {
        Ok(html) => html,
        Err(error) => {
            tracing::error!(%error, "a page cannot be rendered");
            return HttpRefusal::internal().into_response();
        }
    };
    let mut response = (status, html).into_response();
    let headers = response.headers_mut();
    let fixed = [
        (CONTENT_TYPE, "text/html; charset=utf-8"),
        (CONTENT_SECURITY_POLICY, POLICY),
        (X_FRAME_OPTIONS, "DENY"),
        // Form posts are checked by the Origin header, which "no-referrer" would blank.
        (REFERRER_POLICY, "same-origin"),
        (CACHE_CONTROL, "no-store"),
    ];
    for (name, value) in fixed {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

/// 303 to a path of this server: the browser follows with GET.
pub(crate) fn see_other(path: &str) -> Response {
    let target = HeaderValue::from_str(path).unwrap_or(HeaderValue::from_static(HOME));
    (StatusCode::SEE_OTHER, [(LOCATION, target)]).into_response()
}

/// Whether the client is a browser that shows a page to a person.
pub(crate) fn wants_page(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    accepted.flat_map(|value| value.split(',')).any(|range| {
        let kind = range.split(';').next().unwrap_or_default();
        kind.trim().eq_ignore_ascii_case("text/html")
    })
}
