//! What both approval pages share: binding a form to the browser that loaded it, and checking who
//! answers it.

use crate::app::App;
use crate::request::{Caller, FormFields};
use crate::secret::{SecretText, draw_token, same, verify_approval_secret};
use crate::store::{Account, Guess, GuessCounter, StoreError};
use crate::time::UnixMillis;
use axum::http::HeaderMap;
use axum::http::header::{COOKIE, HOST, ORIGIN};
use sha2::{Digest, Sha256};

/// The hidden field that repeats the cookie's hash.
pub(crate) const FORM_KEY: &str = "form_key";
const COOKIE_NAME: &str = "spec_kitty_form";

/// A browser's form cookie: kept if it has one, drawn otherwise.
pub(crate) struct FormCookie {
    value: SecretText,
    is_secure: bool,
}

impl FormCookie {
    /// The browser's cookie, or a new one.
    pub(crate) fn load(app: &App, headers: &HeaderMap) -> Option<Self> {
        let is_secure = app.base_url(headers).starts_with("https://");
        let value =
            cookie(headers).map_or_else(|| draw_token("").ok(), |value| Some(SecretText::new(value)))?;
        Some(Self { value, is_secure })
    }

    /// What the hidden field holds: not the cookie itself, so that the page's text alone is no proof.
    pub(crate) fn form_key(&self) -> String {
        form_key(self.value.expose())
    }

    /// The `Set-Cookie` header.
    pub(crate) fn header(&self) -> String {
        let secure = if self.is_secure { "; Secure" } else { "" };
        format!(
            "{COOKIE_NAME}={}; Path=/; HttpOnly; SameSite=Strict; Max-Age=3600{secure}",
            self.value.expose()
        )
    }
}

/// Whether a form comes from a page of this server that this browser loaded.
pub(crate) fn is_own_form(app: &App, headers: &HeaderMap, form: &FormFields) -> bool {
    let bound = match (cookie(headers), form.get(FORM_KEY)) {
        (Some(cookie), Some(key)) => same(&form_key(&cookie), key),
        _ => false,
    };
    bound && is_own_origin(app, headers)
}

/// A browser names the origin of a form; a form of another site is refused. Other programs send
/// no origin.
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

/// What became of somebody who says who they are.
#[derive(Debug)]
pub(crate) enum Identified {
    /// It is they.
    Yes(Box<Account>),
    /// Unknown address or wrong secret; which of the two is not said.
    No,
    /// Too many wrong secrets: seconds to wait.
    Wait(u64),
}

/// Checks an e-mail address and approval secret. Slow on purpose, a few at once at most. The guess is
/// counted before the hash is computed, so that guesses at the same time cannot pass together.
pub(crate) async fn identify(
    app: &App,
    form: &FormFields,
    caller: &Caller,
) -> Result<Identified, StoreError> {
    let (Some(email), Some(secret)) = (form.get("email"), form.get("secret")) else {
        return Ok(Identified::No);
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
        return Ok(Identified::Wait(pause.as_secs().max(1)));
    }
    let known = app.store.account_secret(email.to_owned()).await?;
    let (account, stored) = known.map_or((None, None), |(account, stored)| (Some(account), Some(stored)));
    let permits = app.hashing_permits(caller).await.ok_or(StoreError::Closed)?;
    let typed = SecretText::new(secret.to_owned());
    let check = move || {
        // A client that went away frees its place when the hash is done, not before.
        let _permits = permits;
        verify_approval_secret(typed.expose(), stored.as_deref())
    };
    let is_right = tokio::task::spawn_blocking(check).await.map_err(|_| StoreError::Closed)?;
    match account {
        Some(account) if is_right => {
            app.store.take_back_guess(guess).await?;
            Ok(Identified::Yes(Box::new(account)))
        }
        _ => Ok(Identified::No),
    }
}
