//! The person behind a page: found by the session cookie, and the only way in which pages get data.

use super::form::{cookie, form_key, is_bound_to, is_own_origin};
use super::frame::Person;
use super::{Frame, Section, see_other, wants_page};
use crate::app::App;
use crate::refusal::HttpRefusal;
use crate::request::{Caller, FormFields};
use crate::secret::TokenHash;
use crate::store::{Account, BrowserSession, Membership, TeamKey, is_same_team};
use crate::time::UnixMillis;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method};
use axum::response::{IntoResponse, Response};
use std::sync::Arc;
use std::time::Duration;
use url::form_urlencoded::byte_serialize;

/// Path of the sign-in page.
pub(crate) const SIGN_IN: &str = "/sign-in";

/// The use of a session is recorded when the recorded one is this old, so that few pages cause a write.
const RECORDED_EVERY: Duration = Duration::from_secs(60);

/// A person with a session in this browser.
pub(crate) struct SignedIn {
    /// With the teams that it is a member of now.
    pub(crate) account: Account,
    pub(crate) session_id: String,
    cookie: String,
}

impl SignedIn {
    /// The person whose cookie the browser sent, if the session is valid.
    pub(crate) async fn find(app: &App, headers: &HeaderMap) -> Result<Option<Self>, HttpRefusal> {
        let Some(cookie) = Self::cookie_of(app, headers) else { return Ok(None) };
        let (hash, now) = (TokenHash::of(&cookie), UnixMillis::now());
        let Some(session) = app.store.browser_session(hash, now).await? else { return Ok(None) };
        let BrowserSession { account, session_id, created_at, used_at } = session;
        if now.since(used_at) >= RECORDED_EVERY {
            let ends = now.after(app.lifetimes.browser_idle).min(created_at.after(app.lifetimes.browser));
            app.store.use_browser_session(hash, now, ends).await?;
        }
        Ok(Some(Self { account, session_id, cookie }))
    }

    /// The session cookie of the browser, valid or not.
    pub(crate) fn cookie_of(app: &App, headers: &HeaderMap) -> Option<String> {
        cookie(headers, cookie_name(app.is_secure(headers)))
    }

    /// Teams whose data the pages of this person show.
    pub(crate) fn team_keys(&self) -> Vec<TeamKey> {
        self.account.teams.iter().map(|team| team.key).collect()
    }

    /// The team with this id, if the person is a member.
    #[allow(dead_code, reason = "for pages whose address names a team")]
    pub(crate) fn team(&self, team_id: &str) -> Option<&Membership> {
        self.account.teams.iter().find(|team| is_same_team(&team.team_id, team_id))
    }

    pub(crate) fn frame(&self, title: impl Into<String>, section: Option<Section>) -> Frame {
        let person = Some(Person { form_key: form_key(&self.cookie) });
        Frame { title: title.into(), person, section, ..Frame::default() }
    }

    async fn require(app: &App, parts: &Parts) -> Result<Self, Response> {
        let found = Self::find(app, &parts.headers).await.map_err(IntoResponse::into_response)?;
        let Some(signed_in) = found else { return Err(ask_to_sign_in(parts)) };
        // A request of a page counts among those of the account.
        let permit = app.concurrency.requests_of_account.try_acquire(signed_in.account.user_id.clone());
        match (parts.extensions.get::<Caller>(), permit) {
            (Some(caller), Some(permit)) => caller.hold(permit),
            _ => return Err(app.over_share(1).into_response()),
        }
        Ok(signed_in)
    }
}

/// With TLS the name has a prefix for which browsers demand that this host set the cookie by TLS.
pub(super) const fn cookie_name(is_secure: bool) -> &'static str {
    if is_secure { "__Host-spec_kitty_session" } else { "spec_kitty_session" }
}

/// A browser is redirected to the sign-in page, and from there to the page it asked for.
fn ask_to_sign_in(parts: &Parts) -> Response {
    if !wants_page(&parts.headers) {
        return HttpRefusal::unauthenticated().into_response();
    }
    let asked = parts.uri.path_and_query().map(|asked| asked.as_str());
    match asked.and_then(own_path).filter(|_| parts.method == Method::GET) {
        Some(asked) => {
            let next: String = byte_serialize(asked.as_bytes()).collect();
            see_other(&format!("{SIGN_IN}?next={next}"))
        }
        None => see_other(SIGN_IN),
    }
}

/// A path of this server to return to after a sign-in. A browser reads `//host` and `/\host` as another site.
pub(super) fn own_path(text: &str) -> Option<&str> {
    let is_plain = text.len() <= 1000 && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    let is_own = text.starts_with('/') && !text.starts_with("//") && !text.starts_with(SIGN_IN);
    (is_plain && is_own).then_some(text)
}

impl FromRequestParts<Arc<App>> for SignedIn {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Response> {
        Self::require(app, parts).await
    }
}

/// A form of a signed-in person, which this browser loaded from this server.
pub(crate) struct SignedForm {
    pub(crate) signed_in: SignedIn,
    pub(crate) fields: FormFields,
}

impl FromRequest<Arc<App>> for SignedForm {
    type Rejection = Response;

    async fn from_request(request: Request, app: &Arc<App>) -> Result<Self, Response> {
        let (parts, body) = request.into_parts();
        let signed_in = SignedIn::require(app, &parts).await?;
        let is_own = is_own_origin(app, &parts.headers);
        let fields = FormFields::from_request(Request::from_parts(parts, body), app).await;
        let fields = fields.map_err(IntoResponse::into_response)?;
        match is_own && is_bound_to(&signed_in.cookie, &fields) {
            true => Ok(Self { signed_in, fields }),
            false => Err(HttpRefusal::foreign_form().into_response()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::own_path;

    #[test]
    fn only_own_paths_are_returned_to() {
        for own in ["/", "/account", "/events?team=a&after=1", "/a%2F..//b"] {
            assert_eq!(own_path(own), Some(own));
        }
        let long = format!("/{}", "a".repeat(1000));
        for other in [
            "",
            "account",
            "//evil.example",
            "/\\evil.example",
            "https://evil.example/",
            "/a\r\nb",
            "/sign-in?next=/",
            &long,
            "/\tx",
        ] {
            assert_eq!(own_path(other), None, "{other:?}");
        }
    }
}
