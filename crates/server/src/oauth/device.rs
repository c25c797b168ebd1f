//! Device flow (RFC 8628): a client asks, a person compares a code and approves on a page.

use super::Denied;
use super::approval::{self, FORM_KEY, FormCookie, Identified};
use crate::app::App;
use crate::connection::Peer;
use crate::moment::Moment;
use crate::page;
use crate::page::approval::{Approval, message, render};
use crate::request::Form;
use crate::secret::{TokenHash, draw_token, draw_user_code, tidy_user_code};
use crate::store::{Decision, DecisionOutcome, NewDevice};
use axum::Json;
use axum::body::Body;
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
    headers: HeaderMap,
    body: Body,
) -> Result<Json<DeviceAuthorization>, Denied> {
    let form = Form::read(&app, &headers, body).await?;
    if form.get("client_id") != Some(CLIENT_ID) {
        return Err(Denied::because(word::INVALID_CLIENT, "unknown client_id"));
    }
    let now = Moment::now();
    if app.store.open_devices(now).await? >= app.limits.open_devices as u64 {
        let text = "too many device logins are waiting for approval";
        return Err(Denied::with(StatusCode::TOO_MANY_REQUESTS, word::RATE_LIMITED, text).after(60));
    }
    let device_code = draw_token("skd_")?;
    for _ in 0..DRAWS {
        let user_code = draw_user_code()?;
        let device = NewDevice {
            code: TokenHash::of(device_code.expose()),
            user_code: user_code.clone(),
            interval: app.lifetimes.device_interval,
            now,
            expires_at: now.after(app.lifetimes.device),
        };
        if app.store.start_device(device).await? {
            let page = format!("{}{DEVICE_APPROVAL}", app.base_url(&headers));
            return Ok(Json(DeviceAuthorization {
                device_code: device_code.expose().to_owned(),
                verification_uri_complete: Some(format!("{page}?user_code={}", shown_user_code(&user_code))),
                verification_uri: page,
                user_code,
                expires_in: app.lifetimes.device.as_secs(),
                interval: app.lifetimes.device_interval.as_secs().max(1),
            }));
        }
    }
    Err(Denied::with(StatusCode::SERVICE_UNAVAILABLE, "temporarily_unavailable", "try again").after(5))
}

/// `GET /device?user_code=...`: the page.
pub(crate) async fn show(
    State(app): State<Arc<App>>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let form = Form::parse(query.unwrap_or_default().as_bytes());
    let code = form.as_ref().and_then(|form| form.get("user_code")).map(tidy_user_code).unwrap_or_default();
    ask(&app, &headers, &code, None, None, StatusCode::OK).await
}

/// `POST /device`: the page's form.
pub(crate) async fn decide(
    State(app): State<Arc<App>>,
    peer: Option<Extension<Peer>>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let form = match Form::read(&app, &headers, body).await {
        Ok(form) => form,
        Err(refusal) => return refusal.into_response(),
    };
    let code = form.get("user_code").map(tidy_user_code).unwrap_or_default();
    let email = form.get("email");
    let again =
        |fault: &'static str, status: StatusCode| ask(&app, &headers, &code, Some(fault), email, status);
    if !approval::is_own_form(&app, &headers, &form) {
        let fault = "This form was not loaded by this browser, or is too old. Please try again.";
        return again(fault, StatusCode::FORBIDDEN).await;
    }
    let account = match approval::identify(&app, &form, peer.map(|Extension(peer)| peer)).await {
        Ok(Identified::Yes(account)) => account,
        Ok(Identified::No) => {
            return again("E-mail address or approval secret is not right.", StatusCode::UNAUTHORIZED).await;
        }
        Ok(Identified::Wait(seconds)) => {
            let fault = "Too many wrong secrets. Please wait a minute.";
            let mut response = again(fault, StatusCode::TOO_MANY_REQUESTS).await;
            response.headers_mut().insert(RETRY_AFTER, seconds.into());
            return response;
        }
        Err(error) => return crate::answer::Refusal::from(error).into_response(),
    };
    let decision = match form.get("decision") {
        Some("approve") => Decision::Approve { user_id: account.user_id },
        Some("deny") => Decision::Deny,
        _ => return again("Please choose Approve or Deny.", StatusCode::BAD_REQUEST).await,
    };
    let is_approval = decision != Decision::Deny;
    match app.store.decide_device(code.clone(), decision, Moment::now()).await {
        Err(error) => crate::answer::Refusal::from(error).into_response(),
        Ok(DecisionOutcome::Unknown) => {
            again("No login with this code is waiting. Codes end after some minutes.", StatusCode::NOT_FOUND)
                .await
        }
        Ok(DecisionOutcome::AlreadyDecided) => {
            again("This code was used before. Start the login again.", StatusCode::CONFLICT).await
        }
        Ok(DecisionOutcome::Recorded) if is_approval => {
            let text = "The device is logged in. You can close this page and go back to the terminal.";
            page::answer(StatusCode::OK, "Approved", &message("Approved", text))
        }
        Ok(DecisionOutcome::Recorded) => {
            let text = "The device was not logged in. You can close this page.";
            page::answer(StatusCode::OK, "Denied", &message("Denied", text))
        }
    }
}

async fn ask(
    app: &App,
    headers: &HeaderMap,
    code: &str,
    fault: Option<&str>,
    email: Option<&str>,
    status: StatusCode,
) -> Response {
    let Some(cookie) = FormCookie::load(app, headers) else {
        return crate::answer::Refusal::unavailable().into_response();
    };
    let request = match code {
        "" => None,
        code => app.store.device(code.to_owned(), Moment::now()).await.unwrap_or_default(),
    };
    let open = request.filter(|request| request.is_open);
    let fault = match (&open, fault) {
        (None, None) if !code.is_empty() => {
            Some("No login with this code is waiting. Codes end after some minutes.")
        }
        (_, fault) => fault,
    };
    let form_key = cookie.form_key();
    let mut hidden = vec![(FORM_KEY, form_key.as_str())];
    if open.is_some() {
        hidden.push(("user_code", code));
    }
    let body = render(&Approval {
        action: DEVICE_APPROVAL,
        title: "Log in a device",
        text: "A command-line client asks to act as you on this server. Approve only if you started it \
               yourself and it shows this code.",
        user_code: open.as_ref().map(|request| request.user_code.as_str()),
        requested_at: open.as_ref().map(|request| request.requested_at.spoken()),
        asks_for_code: open.is_none(),
        anybody_may_deny: false,
        fault,
        email,
        hidden,
    });
    let mut response = page::answer(status, "Log in a device", &body);
    if let Ok(value) = cookie.header().parse() {
        response.headers_mut().insert(SET_COOKIE, value);
    }
    response
}
