//! Sign-in with the approval secret, and sign-out.

use super::form::{self, FOREIGN_FORM, FormCookie, PageFault, set_cookie};
use super::signed_in::{cookie_name, own_path};
use super::{Frame, HOME, SignedForm, SignedIn, page, see_other};
use crate::app::App;
use crate::oauth::approval::identify;
use crate::refusal::HttpRefusal;
use crate::request::{Caller, FormFields};
use crate::secret::{TokenHash, draw_token};
use crate::store::NewBrowserSession;
use crate::time::UnixMillis;
use askama::Template;
use axum::extract::{Extension, RawQuery, State};
use axum::http::header::{SET_COOKIE, USER_AGENT};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use std::sync::Arc;
use std::time::Duration;
use ulid::Ulid;

pub(crate) use super::signed_in::SIGN_IN;

/// Path of the sign-out form.
pub(crate) const SIGN_OUT: &str = "/sign-out";

#[derive(Debug, Template)]
#[template(path = "sign_in.html")]
struct SignInPage<'a> {
    frame: Frame,
    form_key: String,
    next: &'a str,
    fault: Option<&'a str>,
    email: Option<&'a str>,
}

/// `GET /sign-in?next=/path`: the page.
pub(crate) async fn show(
    State(app): State<Arc<App>>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, HttpRefusal> {
    let query = FormFields::parse(query.unwrap_or_default().as_bytes());
    let next = query.as_ref().and_then(|query| query.get("next")).and_then(own_path).unwrap_or(HOME);
    if SignedIn::find(&app, &headers).await?.is_some() {
        return Ok(see_other(next));
    }
    Ok(sign_in_page(&app, &headers, next, None, None))
}

/// `POST /sign-in`: the page's form.
pub(crate) async fn sign_in(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    fields: FormFields,
) -> Result<Response, HttpRefusal> {
    let next = fields.get("next").and_then(own_path).unwrap_or(HOME);
    let again = |fault| Ok(sign_in_page(&app, &headers, next, Some(fault), fields.get("email")));
    if !form::is_own_form(&app, &headers, &fields) {
        return again(FOREIGN_FORM);
    }
    let account = match identify(&app, &fields, &caller).await? {
        Ok(account) => account,
        Err(fault) => return again(fault),
    };
    let cookie = draw_token("").map_err(|_| HttpRefusal::unavailable())?;
    let now = UnixMillis::now();
    let session = NewBrowserSession {
        cookie: TokenHash::of(cookie.expose()),
        session_id: format!("ses_{}", Ulid::generate()),
        user_id: account.user_id,
        machine: browser_label(&headers),
        now,
        expires_at: now.after(app.lifetimes.browser_idle.min(app.lifetimes.browser)),
    };
    app.store.begin_browser_session(session).await?;
    let mut response = see_other(next);
    set_session(&app, &headers, cookie.expose(), app.lifetimes.browser, &mut response);
    Ok(response)
}

/// A text by which a person recognises the browser: `Firefox on Linux`.
fn browser_label(headers: &HeaderMap) -> String {
    let agent = headers.get(USER_AGENT).and_then(|agent| agent.to_str().ok()).unwrap_or_default();
    // Most browsers name others too, so the order counts.
    let browsers = [
        ("Edg", "Edge"),
        ("OPR/", "Opera"),
        ("Firefox/", "Firefox"),
        ("Chrom", "Chrome"),
        ("Safari/", "Safari"),
    ];
    let systems = [
        ("Android", "Android"),
        ("iPhone", "iPhone"),
        ("iPad", "iPad"),
        ("Windows", "Windows"),
        ("Mac OS", "macOS"),
        ("CrOS", "ChromeOS"),
        ("Linux", "Linux"),
    ];
    let find = |names: &[(&str, &'static str)]| {
        names.iter().find(|(part, _)| agent.contains(part)).map(|(_, name)| *name)
    };
    match (find(&browsers), find(&systems)) {
        (Some(browser), Some(system)) => format!("{browser} on {system}"),
        (Some(browser), None) => browser.to_owned(),
        _ => "unknown browser".to_owned(),
    }
}

/// `POST /sign-out`
pub(crate) async fn sign_out(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    form: SignedForm,
) -> Result<Response, HttpRefusal> {
    app.store.end_session(form.signed_in.session_id, None, UnixMillis::now()).await?;
    let mut response = see_other(SIGN_IN);
    set_session(&app, &headers, "", Duration::ZERO, &mut response);
    Ok(response)
}

fn set_session(app: &App, headers: &HeaderMap, value: &str, age: Duration, response: &mut Response) {
    let is_secure = app.is_secure(headers);
    if let Ok(value) = set_cookie(cookie_name(is_secure), value, age, is_secure).parse() {
        response.headers_mut().insert(SET_COOKIE, value);
    }
}

fn sign_in_page(
    app: &App,
    headers: &HeaderMap,
    next: &str,
    fault: Option<PageFault>,
    email: Option<&str>,
) -> Response {
    let Some(cookie) = FormCookie::load(app, headers) else {
        return HttpRefusal::unavailable().into_response();
    };
    let content = SignInPage {
        frame: Frame::narrow("Sign in"),
        form_key: cookie.form_key(),
        next,
        fault: fault.as_ref().map(|fault| fault.text),
        email,
    };
    let status = fault.as_ref().map_or(StatusCode::OK, |fault| fault.status);
    cookie.attach(fault.as_ref(), page(status, &content))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn browser_is_named_by_product_and_system() {
        let cases = [
            ("Mozilla/5.0 (X11; Linux x86_64; rv:130.0) Gecko/20100101 Firefox/130.0", "Firefox on Linux"),
            (
                "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/128.0.0.0 \
                 Safari/537.36 Edg/128.0.0.0",
                "Edge on Windows",
            ),
            (
                "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) \
                 Version/17.5 Mobile/15E148 Safari/604.1",
                "Safari on iPhone",
            ),
            ("curl/8.9.1", "unknown browser"),
        ];
        for (agent, expected) in cases {
            let mut headers = HeaderMap::new();
            headers.insert(USER_AGENT, agent.parse().unwrap());
            assert_eq!(browser_label(&headers), expected);
        }
        assert_eq!(browser_label(&HeaderMap::new()), "unknown browser");
    }
}
