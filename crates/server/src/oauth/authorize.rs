//! Authorization code with PKCE over loopback (RFC 7636, RFC 8252): the browser of the person who
//! logs in comes here and goes back to the client on their own machine.
//!
//! The redirect goes to loopback only, on any port; a request with another target is never
//! redirected anywhere.

use super::approval::{self, FORM_KEY, FormCookie, Identified};
use crate::app::App;
use crate::refusal::HttpRefusal;
use crate::request::{Caller, FormFields};
use crate::secret::{TokenHash, draw_token};
use crate::store::NewCode;
use crate::time::UnixMillis;
use crate::web;
use crate::web::approval::{Approval, message, render};
use axum::extract::{Extension, RawQuery, State};
use axum::http::header::{LOCATION, RETRY_AFTER, SET_COOKIE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use contract::wire::endpoint::OAUTH_AUTHORIZE;
use contract::wire::oauth::{CHALLENGE_METHOD, CLIENT_ID, is_loopback_callback, word};
use std::sync::Arc;
use url::form_urlencoded::Serializer;

/// What a client asks for, once it is known where answers may go.
struct AuthorizeRequest {
    redirect_uri: String,
    state: String,
    challenge: String,
}

/// Why a request is not shown to the person.
enum Unfit {
    /// Nowhere to redirect to: say it on a page.
    Page(&'static str),
    /// Back to the client, with an error word.
    Redirect { redirect_uri: String, state: String, error: &'static str },
}

impl AuthorizeRequest {
    fn read(form: &FormFields) -> Result<Self, Unfit> {
        if form.get("client_id") != Some(CLIENT_ID) {
            return Err(Unfit::Page("The client is not known to this server."));
        }
        let redirect_uri = form.get("redirect_uri").unwrap_or_default().to_owned();
        if !is_loopback_callback(&redirect_uri) {
            return Err(Unfit::Page(
                "The client asks to be called back at an address that is not on your machine.",
            ));
        }
        let state = form.get("state").unwrap_or_default().to_owned();
        let error = if form.get("response_type") != Some("code") {
            Some("unsupported_response_type")
        } else if form.get("code_challenge_method") != Some(CHALLENGE_METHOD) || state.is_empty() {
            Some(word::INVALID_REQUEST)
        } else {
            None
        };
        let challenge = form.get("code_challenge").unwrap_or_default().to_owned();
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        let is_challenge = challenge.len() == 43 && challenge.chars().all(plain);
        match error {
            Some(error) => Err(Unfit::Redirect { redirect_uri, state, error }),
            None if !is_challenge => {
                Err(Unfit::Redirect { redirect_uri, state, error: word::INVALID_REQUEST })
            }
            None => Ok(Self { redirect_uri, state, challenge }),
        }
    }
}

/// `GET /oauth/authorize?...`: the page.
pub(crate) async fn show(
    State(app): State<Arc<App>>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let Some(form) = FormFields::parse(query.unwrap_or_default().as_bytes()) else {
        return unfit(Unfit::Page("The request has a parameter twice."));
    };
    match AuthorizeRequest::read(&form) {
        Ok(asked) => ask(&app, &headers, &asked, None, None, StatusCode::OK),
        Err(reason) => unfit(reason),
    }
}

/// `POST /oauth/authorize`: the page's form.
pub(crate) async fn decide(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    form: FormFields,
) -> Response {
    let asked = match AuthorizeRequest::read(&form) {
        Ok(asked) => asked,
        Err(reason) => return unfit(reason),
    };
    let email = form.get("email");
    let again = |fault: &str, status: StatusCode| ask(&app, &headers, &asked, Some(fault), email, status);
    if !approval::is_own_form(&app, &headers, &form) {
        let fault = "This form was not loaded by this browser, or is too old. Please try again.";
        return again(fault, StatusCode::FORBIDDEN);
    }
    if form.get("decision") == Some("deny") {
        let AuthorizeRequest { redirect_uri, state, .. } = asked;
        return unfit(Unfit::Redirect { redirect_uri, state, error: word::ACCESS_DENIED });
    }
    let account = match approval::identify(&app, &form, &caller).await {
        Ok(Identified::Yes(account)) => account,
        Ok(Identified::No) => {
            return again("E-mail address or approval secret is not right.", StatusCode::UNAUTHORIZED);
        }
        Ok(Identified::Wait(seconds)) => {
            let fault = "Too many wrong secrets. Please wait a minute.";
            let mut response = again(fault, StatusCode::TOO_MANY_REQUESTS);
            response.headers_mut().insert(RETRY_AFTER, seconds.into());
            return response;
        }
        Err(error) => return HttpRefusal::from(error).into_response(),
    };
    grant(&app, asked, account.user_id).await
}

async fn grant(app: &App, asked: AuthorizeRequest, user_id: String) -> Response {
    let Ok(code) = draw_token("skc_") else { return HttpRefusal::unavailable().into_response() };
    let now = UnixMillis::now();
    let record = NewCode {
        code: TokenHash::of(code.expose()),
        user_id,
        challenge: asked.challenge,
        redirect_uri: asked.redirect_uri.clone(),
        now,
        expires_at: now.after(app.lifetimes.code),
    };
    match app.store.add_code(record).await {
        Ok(()) => redirect(&asked.redirect_uri, &[("code", code.expose()), ("state", &asked.state)]),
        Err(error) => HttpRefusal::from(error).into_response(),
    }
}

fn unfit(reason: Unfit) -> Response {
    match reason {
        Unfit::Page(text) => {
            web::answer(StatusCode::BAD_REQUEST, "Login not possible", &message("Login not possible", text))
        }
        Unfit::Redirect { redirect_uri, state, error } => {
            redirect(&redirect_uri, &[("error", error), ("state", &state)])
        }
    }
}

/// 303, so that the browser comes with GET. The target was checked to be a loopback callback.
fn redirect(redirect_uri: &str, fields: &[(&str, &str)]) -> Response {
    let query = Serializer::new(String::new()).extend_pairs(fields).finish();
    match HeaderValue::from_str(&format!("{redirect_uri}?{query}")) {
        Ok(target) => (StatusCode::SEE_OTHER, [(LOCATION, target)]).into_response(),
        Err(_) => unfit(Unfit::Page("The client's callback address is not usable.")),
    }
}

fn ask(
    app: &App,
    headers: &HeaderMap,
    asked: &AuthorizeRequest,
    fault: Option<&str>,
    email: Option<&str>,
    status: StatusCode,
) -> Response {
    let Some(cookie) = FormCookie::load(app, headers) else {
        return HttpRefusal::unavailable().into_response();
    };
    let form_key = cookie.form_key();
    let body = render(&Approval {
        action: OAUTH_AUTHORIZE,
        title: "Log in",
        text: "A command-line client on this machine asks to act as you on this server. Approve only if you \
               started it yourself.",
        anybody_may_deny: true,
        fault,
        email,
        hidden: vec![
            (FORM_KEY, &form_key),
            ("client_id", CLIENT_ID),
            ("response_type", "code"),
            ("redirect_uri", &asked.redirect_uri),
            ("state", &asked.state),
            ("code_challenge", &asked.challenge),
            ("code_challenge_method", CHALLENGE_METHOD),
        ],
        ..Approval::default()
    });
    let mut response = web::answer(status, "Log in", &body);
    if let Ok(value) = cookie.header().parse() {
        response.headers_mut().insert(SET_COOKIE, value);
    }
    response
}
