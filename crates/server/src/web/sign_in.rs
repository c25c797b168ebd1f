//! Sign-in with the approval secret, and sign-out.

use super::form::{self, FOREIGN_FORM, FormCookie, PageFault, is_secure, set_cookie};
use super::signed_in::{cookie_name, own_path};
use super::{Frame, HOME, SignedForm, SignedIn, page, see_other};
use crate::app::App;
use crate::oauth::approval::identify;
use crate::refusal::HttpRefusal;
use crate::request::{Caller, FormFields, machine_label};
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
        machine: machine_label(None, headers.get(USER_AGENT)),
        now,
        expires_at: now.after(app.lifetimes.browser_idle),
    };
    app.store.begin_browser_session(session).await?;
    let mut response = see_other(next);
    set_session(&app, &headers, cookie.expose(), app.lifetimes.browser, &mut response);
    Ok(response)
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
    let is_secure = is_secure(app, headers);
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
