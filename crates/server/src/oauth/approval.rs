//! Parts of both approval pages: the binding of a form to the browser that loaded it, and the check of
//! the e-mail address and approval secret.

use crate::app::App;
use crate::refusal::HttpRefusal;
use crate::request::{Caller, FormFields};
use crate::secret::{SecretText, draw_token, same, verify_approval_secret};
use crate::store::{Account, Guess, GuessCounter, StoreError};
use crate::time::UnixMillis;
use crate::web;
use crate::web::approval::{ApprovalPage, render};
use axum::http::header::{COOKIE, HOST, ORIGIN, RETRY_AFTER, SET_COOKIE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use sha2::{Digest, Sha256};
use std::time::Duration;

/// The hidden field with the hash of the cookie.
const FORM_KEY: &str = "form_key";
const COOKIE_NAME: &str = "spec_kitty_form";

/// A browser's form cookie.
struct FormCookie {
    value: SecretText,
    is_secure: bool,
}

impl FormCookie {
    /// The cookie of the browser, or a new one.
    fn load(app: &App, headers: &HeaderMap) -> Option<Self> {
        let is_secure = app.base_url(headers).starts_with("https://");
        let value =
            cookie(headers).map_or_else(|| draw_token("").ok(), |value| Some(SecretText::new(value)))?;
        Some(Self { value, is_secure })
    }

    /// Value of the hidden field: a hash, because the text of the page must not reveal the cookie.
    fn form_key(&self) -> String {
        form_key(self.value.expose())
    }

    /// The value of `Set-Cookie`.
    fn header(&self) -> String {
        let secure = if self.is_secure { "; Secure" } else { "" };
        format!(
            "{COOKIE_NAME}={}; Path=/; HttpOnly; SameSite=Strict; Max-Age=3600{secure}",
            self.value.expose()
        )
    }
}

/// A reason to show an approval page again.
pub(crate) struct PageFault {
    pub(crate) status: StatusCode,
    pub(crate) text: &'static str,
    /// Seconds before the next guess.
    pub(crate) pause: Option<u64>,
}

impl PageFault {
    pub(crate) const fn new(status: StatusCode, text: &'static str) -> Self {
        Self { status, text, pause: None }
    }

    pub(crate) fn wait(text: &'static str, pause: Duration) -> Self {
        Self { status: StatusCode::TOO_MANY_REQUESTS, text, pause: Some(pause.as_secs().max(1)) }
    }
}

pub(crate) const FOREIGN_FORM: PageFault = PageFault::new(
    StatusCode::FORBIDDEN,
    "This form was not loaded by this browser, or is too old. Please try again.",
);
/// Does not reveal which of the two is wrong.
const WRONG_LOGIN: PageFault =
    PageFault::new(StatusCode::UNAUTHORIZED, "The e-mail address or the approval secret is wrong.");

/// Renders a page whose form is bound to the browser.
pub(crate) fn page(
    app: &App,
    headers: &HeaderMap,
    fault: Option<PageFault>,
    content: ApprovalPage<'_>,
) -> Response {
    let Some(cookie) = FormCookie::load(app, headers) else {
        return HttpRefusal::unavailable().into_response();
    };
    let form_key = cookie.form_key();
    let mut hidden = content.hidden;
    hidden.push((FORM_KEY, &form_key));
    let content = ApprovalPage { fault: fault.as_ref().map(|fault| fault.text), hidden, ..content };
    let status = fault.as_ref().map_or(StatusCode::OK, |fault| fault.status);
    let mut response = web::answer(status, content.title, &render(&content));
    if let Ok(value) = cookie.header().parse() {
        response.headers_mut().insert(SET_COOKIE, value);
    }
    if let Some(seconds) = fault.and_then(|fault| fault.pause) {
        response.headers_mut().insert(RETRY_AFTER, seconds.into());
    }
    response
}

/// A page with a text and no form.
pub(crate) fn message(status: StatusCode, title: &str, text: &str) -> Response {
    web::answer(status, title, &format!("<h1>{}</h1>\n<p>{}</p>", web::escape(title), web::escape(text)))
}

/// Whether a form was sent by a page of this server that this browser loaded.
pub(crate) fn is_own_form(app: &App, headers: &HeaderMap, form: &FormFields) -> bool {
    let bound = match (cookie(headers), form.get(FORM_KEY)) {
        (Some(cookie), Some(key)) => same(&form_key(&cookie), key),
        _ => false,
    };
    bound && is_own_origin(app, headers)
}

/// Browsers send the origin of a form; a form of another site is refused. Other programs send no origin.
fn is_own_origin(app: &App, headers: &HeaderMap) -> bool {
    let Some(origin) = headers.get(ORIGIN) else { return true };
    let authority =
        |url: &str| url.split_once("://").map(|(_, rest)| rest.trim_end_matches('/').to_lowercase());
    let Some(origin) = origin.to_str().ok().and_then(authority) else { return false };
    let host = headers.get(HOST).and_then(|host| host.to_str().ok()).map(str::to_lowercase);
    host.is_some_and(|host| host == origin)
        || authority(&app.base_url(headers)).is_some_and(|own| own == origin)
}

fn cookie(headers: &HeaderMap) -> Option<String> {
    let pairs = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    let found = pairs
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(name, _)| *name == COOKIE_NAME)?;
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let usable = found.1.len() == 43 && found.1.chars().all(plain);
    usable.then(|| found.1.to_owned())
}

fn form_key(cookie: &str) -> String {
    let digest = Sha256::digest(format!("spec-kitty form {cookie}").as_bytes());
    data_encoding::BASE64URL_NOPAD.encode(&digest)
}

/// Checks an e-mail address and approval secret. Slow on purpose, a few at once at most. The guess is
/// counted before the hash is computed, so that guesses at the same time cannot pass together.
pub(crate) async fn identify(
    app: &App,
    form: &FormFields,
    caller: &Caller,
) -> Result<Result<Account, PageFault>, StoreError> {
    let (Some(email), Some(secret)) = (form.get("email"), form.get("secret")) else {
        return Ok(Err(WRONG_LOGIN));
    };
    let limits = &app.limits;
    let guess = Guess {
        counters: vec![
            GuessCounter::account_at(email, caller.origin, limits.wrong_secrets),
            GuessCounter::accounts_of(caller.origin, limits.wrong_secrets_per_address),
        ],
        pause: limits.wrong_secret_pause,
        now: UnixMillis::now(),
    };
    if let Some(pause) = app.store.begin_guess(guess.clone()).await? {
        app.metrics.guesses_paused.inc();
        return Ok(Err(PageFault::wait("Too many wrong secrets. Please wait a minute.", pause)));
    }
    let known = app.store.account_secret(email.to_owned()).await?;
    let (account, stored) = known.map_or((None, None), |(account, stored)| (Some(account), Some(stored)));
    let permits = app.hashing_permits(caller).await.ok_or(StoreError::Closed)?;
    let typed = SecretText::new(secret.to_owned());
    let check = move || {
        // If the client disconnects, its permits are released when the hash is done, not before.
        let _permits = permits;
        verify_approval_secret(typed.expose(), stored.as_deref())
    };
    let is_right = tokio::task::spawn_blocking(check).await.map_err(|_| StoreError::Closed)?;
    match account {
        Some(account) if is_right => {
            app.store.take_back_guess(guess).await?;
            Ok(Ok(account))
        }
        _ => Ok(Err(WRONG_LOGIN)),
    }
}
