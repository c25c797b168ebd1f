//! Device flow (RFC 8628): a client asks, a person compares a code and approves on a page.

use super::OAuthRefusal;
use super::approval::{self, FORM_KEY, FormCookie, Identified};
use crate::app::App;
use crate::refusal::HttpRefusal;
use crate::request::{Caller, FormFields};
use crate::secret::{TokenHash, draw_token, draw_user_code, tidy_user_code};
use crate::store::{
    DeviceDecision, DeviceDecisionOutcome, DeviceLookup, DeviceRequest, DeviceRoom, DeviceStart, Guess,
    GuessCounter, NewDevice, StoreError,
};
use crate::time::UnixMillis;
use crate::web;
use crate::web::approval::{Approval, message, render};
use axum::Json;
use axum::extract::{Extension, RawQuery, State};
use axum::http::header::{RETRY_AFTER, SET_COOKIE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use contract::wire::endpoint::DEVICE_APPROVAL;
use contract::wire::oauth::{CLIENT_ID, DeviceAuthorization, shown_user_code, word};
use std::sync::Arc;

/// Draws of a user code before giving up. One in 2^34 is taken by chance.
const DRAWS: usize = 8;

/// `POST /oauth/device`
pub(crate) async fn start(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    form: Result<FormFields, HttpRefusal>,
) -> Result<Json<DeviceAuthorization>, OAuthRefusal> {
    let form = form?;
    if form.get("client_id") != Some(CLIENT_ID) {
        return Err(OAuthRefusal::because(word::INVALID_CLIENT, "unknown client_id"));
    }
    let now = UnixMillis::now();
    let room = DeviceRoom {
        total: app.limits.open_devices as u64,
        per_origin: app.limits.open_devices_per_address as u64,
    };
    let device_code = draw_token("skd_")?;
    for _ in 0..DRAWS {
        let user_code = draw_user_code()?;
        let device = NewDevice {
            code: TokenHash::of(device_code.expose()),
            user_code: user_code.clone(),
            interval: app.lifetimes.device_interval,
            origin: caller.origin,
            now,
            expires_at: now.after(app.lifetimes.device),
        };
        match app.store.start_device(device, room).await? {
            DeviceStart::CodeTaken => {}
            DeviceStart::Full => {
                let text = "too many device logins are waiting for approval";
                return Err(
                    OAuthRefusal::with(StatusCode::TOO_MANY_REQUESTS, word::RATE_LIMITED, text).after(60)
                );
            }
            DeviceStart::Recorded => {
                let page = format!("{}{DEVICE_APPROVAL}", app.base_url(&headers));
                let complete = format!("{page}?user_code={}", shown_user_code(&user_code));
                return Ok(Json(DeviceAuthorization {
                    device_code: device_code.expose().to_owned(),
                    verification_uri_complete: Some(complete),
                    verification_uri: page,
                    user_code,
                    expires_in: app.lifetimes.device.as_secs(),
                    interval: app.lifetimes.device_interval.as_secs().max(1),
                }));
            }
        }
    }
    Err(OAuthRefusal::with(StatusCode::SERVICE_UNAVAILABLE, "temporarily_unavailable", "try again").after(5))
}

const UNKNOWN_CODE: &str = "No login with this code is waiting. Codes end after some minutes.";
const USED_CODE: &str = "This code was used before. Start the login again.";

/// A request that waits for a decision, by the code in a query or form. An unknown code counts as a
/// guess of this address.
enum CodeLookup {
    /// No code was given.
    NoCode,
    /// This one.
    Open(DeviceRequest),
    /// None: what to say, with which status, and how long to wait before another guess.
    None { fault: &'static str, status: StatusCode, pause: Option<u64> },
}

impl CodeLookup {
    async fn find(app: &App, caller: &Caller, code: &str) -> Result<Self, StoreError> {
        if code.is_empty() {
            return Ok(Self::NoCode);
        }
        let guess = Guess {
            counters: vec![GuessCounter::user_codes_of(caller.origin, app.limits.wrong_user_codes)],
            pause: app.limits.wrong_secret_pause,
            now: UnixMillis::now(),
        };
        Ok(match app.store.open_device(code.to_owned(), guess).await? {
            DeviceLookup::Found(request) if request.is_open => Self::Open(request),
            DeviceLookup::Found(_) => {
                Self::None { fault: USED_CODE, status: StatusCode::CONFLICT, pause: None }
            }
            DeviceLookup::Unknown => {
                Self::None { fault: UNKNOWN_CODE, status: StatusCode::NOT_FOUND, pause: None }
            }
            DeviceLookup::Wait(pause) => {
                app.metrics.guesses_paused.inc();
                Self::None {
                    fault: "Too many unknown codes. Please wait a minute.",
                    status: StatusCode::TOO_MANY_REQUESTS,
                    pause: Some(pause.as_secs().max(1)),
                }
            }
        })
    }
}

/// `GET /device?user_code=...`: the page.
pub(crate) async fn show(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let form = FormFields::parse(query.unwrap_or_default().as_bytes());
    let code = form.as_ref().and_then(|form| form.get("user_code")).map(tidy_user_code).unwrap_or_default();
    match CodeLookup::find(&app, &caller, &code).await {
        Ok(CodeLookup::NoCode) => ask(&app, &headers, None, None, None, StatusCode::OK),
        Ok(CodeLookup::Open(request)) => ask(&app, &headers, Some(&request), None, None, StatusCode::OK),
        // A page that asks for another code is no error of the browser.
        Ok(CodeLookup::None { fault, pause: None, .. }) => {
            ask(&app, &headers, None, Some(fault), None, StatusCode::OK)
        }
        Ok(CodeLookup::None { fault, status, pause }) => {
            paused(ask(&app, &headers, None, Some(fault), None, status), pause)
        }
        Err(error) => HttpRefusal::from(error).into_response(),
    }
}

/// `POST /device`: the page's form.
pub(crate) async fn decide(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    form: FormFields,
) -> Response {
    let email = form.get("email");
    if !approval::is_own_form(&app, &headers, &form) {
        let fault = "This form was not loaded by this browser, or is too old. Please try again.";
        return ask(&app, &headers, None, Some(fault), email, StatusCode::FORBIDDEN);
    }
    let code = form.get("user_code").map(tidy_user_code).unwrap_or_default();
    let request = match CodeLookup::find(&app, &caller, &code).await {
        Ok(CodeLookup::Open(request)) => request,
        Ok(CodeLookup::NoCode) => {
            let fault = "Please type the code that the device shows.";
            return ask(&app, &headers, None, Some(fault), email, StatusCode::NOT_FOUND);
        }
        Ok(CodeLookup::None { fault, status, pause }) => {
            return paused(ask(&app, &headers, None, Some(fault), email, status), pause);
        }
        Err(error) => return HttpRefusal::from(error).into_response(),
    };
    let again =
        |fault: &str, status: StatusCode| ask(&app, &headers, Some(&request), Some(fault), email, status);
    let account = match approval::identify(&app, &form, &caller).await {
        Ok(Identified::Yes(account)) => account,
        Ok(Identified::No) => {
            return again("E-mail address or approval secret is not right.", StatusCode::UNAUTHORIZED);
        }
        Ok(Identified::Wait(seconds)) => {
            let fault = "Too many wrong secrets. Please wait a minute.";
            return paused(again(fault, StatusCode::TOO_MANY_REQUESTS), Some(seconds));
        }
        Err(error) => return HttpRefusal::from(error).into_response(),
    };
    let decision = match form.get("decision") {
        Some("approve") => DeviceDecision::Approve { user_id: account.user_id },
        Some("deny") => DeviceDecision::Deny,
        _ => return again("Please choose Approve or Deny.", StatusCode::BAD_REQUEST),
    };
    let is_approval = decision != DeviceDecision::Deny;
    let none = |fault: &str, status: StatusCode| ask(&app, &headers, None, Some(fault), email, status);
    match app.store.decide_device(code, decision, UnixMillis::now()).await {
        Err(error) => HttpRefusal::from(error).into_response(),
        Ok(DeviceDecisionOutcome::Unknown) => none(UNKNOWN_CODE, StatusCode::NOT_FOUND),
        Ok(DeviceDecisionOutcome::AlreadyDecided) => none(USED_CODE, StatusCode::CONFLICT),
        Ok(DeviceDecisionOutcome::Recorded) if is_approval => {
            let text = "The device is logged in. You can close this page and go back to the terminal.";
            web::answer(StatusCode::OK, "Approved", &message("Approved", text))
        }
        Ok(DeviceDecisionOutcome::Recorded) => {
            let text = "The device was not logged in. You can close this page.";
            web::answer(StatusCode::OK, "Denied", &message("Denied", text))
        }
    }
}

/// Adds how long to wait.
fn paused(mut response: Response, pause: Option<u64>) -> Response {
    if let Some(seconds) = pause {
        response.headers_mut().insert(RETRY_AFTER, seconds.into());
    }
    response
}

fn ask(
    app: &App,
    headers: &HeaderMap,
    open: Option<&DeviceRequest>,
    fault: Option<&str>,
    email: Option<&str>,
    status: StatusCode,
) -> Response {
    let Some(cookie) = FormCookie::load(app, headers) else {
        return HttpRefusal::unavailable().into_response();
    };
    let form_key = cookie.form_key();
    let mut hidden = vec![(FORM_KEY, form_key.as_str())];
    if let Some(request) = open {
        hidden.push(("user_code", &request.user_code));
    }
    let body = render(&Approval {
        action: DEVICE_APPROVAL,
        title: "Log in a device",
        text: "A command-line client asks to act as you on this server. Approve only if you started it \
               yourself and it shows this code.",
        user_code: open.map(|request| request.user_code.as_str()),
        requested_at: open.map(|request| request.requested_at.readable()),
        asks_for_code: open.is_none(),
        anybody_may_deny: false,
        fault,
        email,
        hidden,
    });
    let mut response = web::answer(status, "Log in a device", &body);
    if let Ok(value) = cookie.header().parse() {
        response.headers_mut().insert(SET_COOKIE, value);
    }
    response
}
