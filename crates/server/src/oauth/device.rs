//! Device flow (RFC 8628): a client asks, a person compares a code and approves on a page.

use super::OAuthRefusal;
use super::approval;
use crate::app::App;
use crate::refusal::HttpRefusal;
use crate::request::{Caller, FormFields, machine_label};
use crate::secret::{TokenHash, draw_token, draw_user_code, tidy_user_code};
use crate::store::{
    DeviceDecision, DeviceDecisionOutcome, DeviceLookup, DeviceRequest, DeviceRoom, DeviceStart, Guess,
    GuessCounter, NewDevice, StoreError,
};
use crate::time::UnixMillis;
use crate::web::Frame;
use crate::web::approval::ApprovalPage;
use crate::web::form::{FOREIGN_FORM, PageFault, is_own_form};
use crate::web::message::message;
use axum::Json;
use axum::extract::{Extension, RawQuery, State};
use axum::http::header::USER_AGENT;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use contract::wire::endpoint::DEVICE_APPROVAL;
use contract::wire::oauth::{CLIENT_ID, DeviceAuthorization, MACHINE_FIELD, error_code, shown_user_code};
use std::sync::Arc;

/// Attempts to draw a user code that is not in use. One in 2^34 is taken by chance.
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
        return Err(OAuthRefusal::because(error_code::INVALID_CLIENT, "unknown client_id"));
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
            machine: machine_label(form.get(MACHINE_FIELD), headers.get(USER_AGENT)),
            now,
            expires_at: now.after(app.lifetimes.device),
        };
        match app.store.start_device(device, room).await? {
            DeviceStart::CodeTaken => {}
            DeviceStart::Full => {
                let text = "too many device logins are waiting for approval";
                return Err(OAuthRefusal::with(
                    StatusCode::TOO_MANY_REQUESTS,
                    error_code::RATE_LIMITED,
                    text,
                )
                .after(60));
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
    Err(OAuthRefusal::try_again())
}

const UNKNOWN_CODE: PageFault = PageFault::new(
    StatusCode::NOT_FOUND,
    "No login with this code is waiting. Codes expire after some minutes. Start the login again.",
);
const USED_CODE: PageFault =
    PageFault::new(StatusCode::CONFLICT, "This code was used before. Start the login again.");

/// Finds the open request of a user code; `None` without a code. An unknown code counts as a guess of
/// this address.
async fn find(
    app: &App,
    caller: &Caller,
    code: &str,
) -> Result<Result<Option<DeviceRequest>, PageFault>, StoreError> {
    if code.is_empty() {
        return Ok(Ok(None));
    }
    let guess = Guess {
        counters: vec![GuessCounter::user_codes_of(caller.origin, app.limits.wrong_user_codes)],
        pause: app.limits.wrong_secret_pause,
        now: UnixMillis::now(),
    };
    Ok(match app.store.open_device(code.to_owned(), guess).await? {
        DeviceLookup::Found(request) if request.is_open => Ok(Some(request)),
        DeviceLookup::Found(_) => Err(USED_CODE),
        DeviceLookup::Unknown => Err(UNKNOWN_CODE),
        DeviceLookup::Wait(pause) => {
            app.metrics.guesses_paused.inc();
            Err(PageFault::wait("Too many unknown codes. Please wait a minute.", pause))
        }
    })
}

/// `GET /device?user_code=...`: the page.
pub(crate) async fn show(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, HttpRefusal> {
    let form = FormFields::parse(query.unwrap_or_default().as_bytes());
    let code = form.as_ref().and_then(|form| form.get("user_code")).map(tidy_user_code).unwrap_or_default();
    Ok(match find(&app, &caller, &code).await? {
        Ok(request) => page(&app, &headers, request.as_ref(), None, None),
        // A page that asks for another code is not an error of the browser.
        Err(fault) if fault.pause.is_none() => {
            let fault = PageFault { status: StatusCode::OK, ..fault };
            page(&app, &headers, None, Some(fault), None)
        }
        Err(fault) => page(&app, &headers, None, Some(fault), None),
    })
}

/// `POST /device`: the page's form.
pub(crate) async fn decide(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    form: FormFields,
) -> Result<Response, HttpRefusal> {
    let email = form.get("email");
    let ask_for_code = |fault: PageFault| Ok(page(&app, &headers, None, Some(fault), email));
    if !is_own_form(&app, &headers, &form) {
        return ask_for_code(FOREIGN_FORM);
    }
    let code = form.get("user_code").map(tidy_user_code).unwrap_or_default();
    let request = match find(&app, &caller, &code).await? {
        Ok(Some(request)) => request,
        Ok(None) => {
            let text = "Please type the code that the device shows.";
            return ask_for_code(PageFault::new(StatusCode::NOT_FOUND, text));
        }
        Err(fault) => return ask_for_code(fault),
    };
    let again = |fault: PageFault| Ok(page(&app, &headers, Some(&request), Some(fault), email));
    let account = match approval::identify(&app, &form, &caller).await? {
        Ok(account) => account,
        Err(fault) => return again(fault),
    };
    let (decision, title, text) = match form.get("decision") {
        Some("approve") => (
            DeviceDecision::Approve { user_id: account.user_id },
            "Approved",
            "The device is logged in. You can close this page and return to the terminal.",
        ),
        Some("deny") => {
            (DeviceDecision::Deny, "Denied", "The device was not logged in. You can close this page.")
        }
        _ => {
            return again(PageFault::new(StatusCode::BAD_REQUEST, "Please choose Approve or Deny."));
        }
    };
    match app.store.decide_device(code, decision, UnixMillis::now()).await? {
        DeviceDecisionOutcome::Unknown => ask_for_code(UNKNOWN_CODE),
        DeviceDecisionOutcome::AlreadyDecided => ask_for_code(USED_CODE),
        DeviceDecisionOutcome::Recorded => Ok(message(StatusCode::OK, title, text)),
    }
}

/// The page for a request, or for typing the code of one.
fn page(
    app: &App,
    headers: &HeaderMap,
    request: Option<&DeviceRequest>,
    fault: Option<PageFault>,
    email: Option<&str>,
) -> Response {
    let user_code = request.map(|request| request.user_code.as_str());
    let content = ApprovalPage {
        frame: Frame::narrow("Log in a device"),
        action: DEVICE_APPROVAL,
        text: "A command-line client asks to act as you on this server. Approve only if you started it \
               yourself and it shows this code.",
        user_code: user_code.map(shown_user_code),
        facts: request.map(facts).unwrap_or_default(),
        asks_for_code: request.is_none(),
        email,
        hidden: user_code.map(|code| ("user_code", code)).into_iter().collect(),
        ..ApprovalPage::default()
    };
    approval::page(app, headers, fault, content)
}

/// Description of the machine that asks. Its name is its own claim; the address is not.
fn facts(request: &DeviceRequest) -> Vec<(&'static str, String)> {
    let claimed = (!request.machine.is_empty()).then(|| ("Machine", request.machine.clone()));
    let known = [("Address", request.origin.clone()), ("Requested at", request.requested_at.readable())];
    claimed.into_iter().chain(known).collect()
}
