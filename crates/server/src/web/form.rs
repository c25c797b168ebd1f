//! Forms: bound to the browser that loaded them, and sent by a page of this server.
//!
//! Each form has a hidden field with a hash of a cookie of the browser: the form cookie before a sign-in, the session
//! cookie after it. A form of another site can neither read the cookie nor make the field.

use crate::app::App;
use crate::request::FormFields;
use crate::secret::{SecretText, draw_token, same};
use axum::http::header::{COOKIE, HOST, ORIGIN, RETRY_AFTER, SET_COOKIE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use sha2::{Digest, Sha256};
use std::time::Duration;

/// The hidden field with the hash of the cookie.
pub(crate) const FORM_KEY: &str = "form_key";
const COOKIE_AGE: Duration = Duration::from_secs(3600);

/// A browser's form cookie.
pub(crate) struct FormCookie {
    value: SecretText,
    is_secure: bool,
}

impl FormCookie {
    /// The cookie of the browser, or a new one.
    pub(crate) fn load(app: &App, headers: &HeaderMap) -> Option<Self> {
        let is_secure = app.is_secure(headers);
        let found = cookie(headers, cookie_name(is_secure));
        let value = found.map_or_else(|| draw_token("").ok(), |value| Some(SecretText::new(value)))?;
        Some(Self { value, is_secure })
    }

    /// Value of the hidden field: a hash, because the text of the page must not reveal the cookie.
    pub(crate) fn form_key(&self) -> String {
        form_key(self.value.expose())
    }

    /// The value of `Set-Cookie`.
    fn header(&self) -> String {
        set_cookie(cookie_name(self.is_secure), self.value.expose(), COOKIE_AGE, self.is_secure)
    }

    /// Completes the page with the form: the cookie, and the pause that a fault demands.
    pub(crate) fn attach(&self, fault: Option<&PageFault>, mut response: Response) -> Response {
        if let Ok(value) = self.header().parse() {
            response.headers_mut().insert(SET_COOKIE, value);
        }
        if let Some(seconds) = fault.and_then(|fault| fault.pause) {
            response.headers_mut().insert(RETRY_AFTER, seconds.into());
        }
        response
    }
}

/// With TLS the name has the prefix of the session cookie, see [`super::signed_in`].
const fn cookie_name(is_secure: bool) -> &'static str {
    if is_secure { "__Host-spec_kitty_form" } else { "spec_kitty_form" }
}

/// The value of `Set-Cookie`.
pub(super) fn set_cookie(name: &str, value: &str, age: Duration, is_secure: bool) -> String {
    let secure = if is_secure { "; Secure" } else { "" };
    format!("{name}={value}; Path=/; HttpOnly; SameSite=Strict; Max-Age={}{secure}", age.as_secs())
}

/// A reason to show a form again.
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

/// Whether a form before a sign-in comes from a page of this server that this browser loaded.
pub(crate) fn is_own_form(app: &App, headers: &HeaderMap, form: &FormFields) -> bool {
    cookie(headers, cookie_name(app.is_secure(headers))).is_some_and(|cookie| is_bound_to(&cookie, form))
        && is_own_origin(app, headers)
}

/// Whether the form has the key of this cookie.
pub(super) fn is_bound_to(cookie: &str, form: &FormFields) -> bool {
    form.get(FORM_KEY).is_some_and(|key| same(&form_key(cookie), key))
}

/// Browsers send the origin of a form; a form of another site is refused. Other programs send no origin.
pub(super) fn is_own_origin(app: &App, headers: &HeaderMap) -> bool {
    let Some(origin) = headers.get(ORIGIN) else { return true };
    let authority =
        |url: &str| url.split_once("://").map(|(_, rest)| rest.trim_end_matches('/').to_lowercase());
    let Some(origin) = origin.to_str().ok().and_then(authority) else { return false };
    let host = headers.get(HOST).and_then(|host| host.to_str().ok()).map(str::to_lowercase);
    host.is_some_and(|host| host == origin)
        || authority(&app.base_url(headers)).is_some_and(|own| own == origin)
}

/// A cookie with a token of [`draw_token`].
pub(super) fn cookie(headers: &HeaderMap, name: &str) -> Option<String> {
    let pairs = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    let found = pairs
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(known, _)| *known == name)?;
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let usable = found.1.len() == 43 && found.1.chars().all(plain);
    usable.then(|| found.1.to_owned())
}

pub(super) fn form_key(cookie: &str) -> String {
    let digest = Sha256::digest(format!("spec-kitty form {cookie}").as_bytes());
    data_encoding::BASE64URL_NOPAD.encode(&digest)
}
