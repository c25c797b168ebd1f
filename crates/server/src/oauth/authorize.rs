//! Authorization code with PKCE over loopback (RFC 7636, RFC 8252): the browser of the person who logs
//! in is redirected back to the client on the same machine.
//!
//! The redirect target is loopback only, on any port. A request with another target is never
//! redirected.

use super::approval;
use crate::app::App;
use crate::refusal::HttpRefusal;
use crate::request::{Caller, FormFields};
use crate::secret::{TokenHash, draw_token};
use crate::store::NewCode;
use crate::time::UnixMillis;
use crate::web::approval::ApprovalPage;
use crate::web::form::{FOREIGN_FORM, PageFault, is_own_form};
use crate::web::message::message;
use crate::web::{Frame, LOOPBACK_POLICY};
use axum::extract::{Extension, RawQuery, State};
use axum::http::header::{CONTENT_SECURITY_POLICY, LOCATION};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use contract::wire::endpoint::OAUTH_AUTHORIZE;
use contract::wire::oauth::{CHALLENGE_METHOD, CLIENT_ID, error_code, is_loopback_callback};
use std::sync::Arc;
use url::form_urlencoded::Serializer;

/// A valid authorization request.
struct AuthorizeRequest {
    redirect_uri: String,
    state: String,
    challenge: String,
}

/// An authorization request that no approval page is shown for.
enum Unfit {
    /// The redirect target is not usable: the text is shown on a page.
    Page(&'static str),
    /// Redirected to the client with an OAuth error.
    Redirect { redirect_uri: String, state: String, error: &'static str },
}

impl AuthorizeRequest {
    fn read(form: &FormFields) -> Result<Self, Unfit> {
        if form.get("client_id") != Some(CLIENT_ID) {
            return Err(Unfit::Page("The client is not known to this server."));
        }
        let redirect_uri = form.get("redirect_uri").unwrap_or_default().to_owned();
        if !is_loopback_callback(&redirect_uri) {
            return Err(Unfit::Page("The client's callback address is not on your machine."));
        }
        let state = form.get("state").unwrap_or_default().to_owned();
        let challenge = form.get("code_challenge").unwrap_or_default().to_owned();
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        let is_challenge = challenge.len() == 43 && challenge.chars().all(plain);
        let is_s256 = form.get("code_challenge_method") == Some(CHALLENGE_METHOD);
        if form.get("response_type") != Some("code") {
            Err(Unfit::Redirect { redirect_uri, state, error: "unsupported_response_type" })
        } else if !is_s256 || !is_challenge || state.is_empty() {
            Err(Unfit::Redirect { redirect_uri, state, error: error_code::INVALID_REQUEST })
        } else {
            Ok(Self { redirect_uri, state, challenge })
        }
    }
}

/// `GET /oauth/authorize?...`: the page.
pub(crate) async fn show(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let Some(form) = FormFields::parse(query.unwrap_or_default().as_bytes()) else {
        return Unfit::Page("The request has a parameter twice.").into_response();
    };
    match AuthorizeRequest::read(&form) {
        Ok(request) => page(&app, &caller, &headers, &request, None),
        Err(unfit) => unfit.into_response(),
    }
}

/// `POST /oauth/authorize`: the page's form.
pub(crate) async fn decide(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    form: FormFields,
) -> Result<Response, HttpRefusal> {
    let request = match AuthorizeRequest::read(&form) {
        Ok(request) => request,
        Err(unfit) => return Ok(unfit.into_response()),
    };
    let again =
        |fault: PageFault| Ok(page(&app, &caller, &headers, &request, Some((fault, form.get("email")))));
    if !is_own_form(&app, &headers, &form) {
        return again(FOREIGN_FORM);
    }
    if form.get("decision") == Some("deny") {
        let AuthorizeRequest { redirect_uri, state, .. } = request;
        return Ok(Unfit::Redirect { redirect_uri, state, error: error_code::ACCESS_DENIED }.into_response());
    }
    match approval::identify(&app, &form, &caller).await? {
        Ok(account) => grant(&app, request, account.user_id).await,
        Err(fault) => again(fault),
    }
}

async fn grant(app: &App, request: AuthorizeRequest, user_id: String) -> Result<Response, HttpRefusal> {
    let code = draw_token("skc_").map_err(|_| HttpRefusal::unavailable())?;
    let now = UnixMillis::now();
    let record = NewCode {
        code: TokenHash::of(code.expose()),
        user_id,
        challenge: request.challenge,
        redirect_uri: request.redirect_uri.clone(),
        now,
        expires_at: now.after(app.lifetimes.code),
    };
    app.store.add_code(record).await?;
    Ok(redirect(&request.redirect_uri, &[("code", code.expose()), ("state", &request.state)]))
}

impl IntoResponse for Unfit {
    fn into_response(self) -> Response {
        match self {
            Self::Page(text) => message(StatusCode::BAD_REQUEST, "Login not possible", text),
            Self::Redirect { redirect_uri, state, error } => {
                redirect(&redirect_uri, &[("error", error), ("state", &state)])
            }
        }
    }
}

/// 303, so that the browser follows with GET. The target was checked to be a loopback callback.
fn redirect(redirect_uri: &str, fields: &[(&str, &str)]) -> Response {
    let query = Serializer::new(String::new()).extend_pairs(fields).finish();
    match HeaderValue::from_str(&format!("{redirect_uri}?{query}")) {
        Ok(target) => (StatusCode::SEE_OTHER, [(LOCATION, target)]).into_response(),
        Err(_) => Unfit::Page("The client's callback address is not usable.").into_response(),
    }
}

/// The page, or the page again with a fault and the e-mail address that was typed.
fn page(
    app: &App,
    caller: &Caller,
    headers: &HeaderMap,
    request: &AuthorizeRequest,
    again: Option<(PageFault, Option<&str>)>,
) -> Response {
    let (fault, email) = again.map_or((None, None), |(fault, email)| (Some(fault), email));
    let content = ApprovalPage {
        frame: Frame::narrow("Log in"),
        action: OAUTH_AUTHORIZE,
        text: "A command-line client on the machine of this browser asks to act as you on this server. Approve \
               only if you started it yourself.",
        facts: vec![("Machine", format!("this one, at {}", caller.address))],
        denies_without_login: true,
        email,
        hidden: vec![
            ("client_id", CLIENT_ID),
            ("response_type", "code"),
            ("redirect_uri", &request.redirect_uri),
            ("state", &request.state),
            ("code_challenge", &request.challenge),
            ("code_challenge_method", CHALLENGE_METHOD),
        ],
        ..ApprovalPage::default()
    };
    let mut response = approval::page(app, headers, fault, content);
    response.headers_mut().insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(LOOPBACK_POLICY));
    response
}
