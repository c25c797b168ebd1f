//! Logins: device flow, authorization code with PKCE, refresh with rotation, revocation.
//!
//! One public client without a secret. A person logs in with e-mail address and approval secret, even in a
//! signed-in browser. So neither a form of another site nor another person at the browser can approve a login.
//! Forms are bound to the browser that loaded them.

pub(crate) mod approval;
pub(crate) mod authorize;
pub(crate) mod device;
pub(crate) mod token;

use crate::access_log::LogNote;
use crate::app::App;
use crate::refusal::HttpRefusal;
use crate::request::machine_label;
use crate::secret::{NoRandomness, SecretText, TokenHash, draw_token};
use crate::store::{NewTokens, StoreError};
use crate::time::UnixMillis;
use axum::Json;
use axum::http::header::{RETRY_AFTER, USER_AGENT};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use contract::wire::oauth::{OAuthError, error_code};
use ulid::Ulid;

/// A refusal of a token or device route, in the shape of OAuth.
#[derive(Debug)]
pub(crate) struct OAuthRefusal {
    status: StatusCode,
    body: OAuthError,
}

impl OAuthRefusal {
    /// 400 with one of [`error_code`].
    pub(crate) fn because(error: &str, description: &str) -> Self {
        Self::with(StatusCode::BAD_REQUEST, error, description)
    }

    pub(crate) fn with(status: StatusCode, error: &str, description: &str) -> Self {
        let body = OAuthError {
            error: error.to_owned(),
            error_description: (!description.is_empty()).then(|| description.to_owned()),
            retry_after: None,
        };
        Self { status, body }
    }

    pub(crate) fn try_again() -> Self {
        Self::with(StatusCode::SERVICE_UNAVAILABLE, "temporarily_unavailable", "try again").after(5)
    }

    /// Adds the time to retry.
    pub(crate) fn after(mut self, seconds: u64) -> Self {
        self.body.retry_after = Some(seconds);
        self
    }
}

impl IntoResponse for OAuthRefusal {
    fn into_response(self) -> Response {
        let retry_after = self.body.retry_after;
        let note = LogNote { refusal: Some(self.body.error.clone()), ..Default::default() };
        let mut response = (self.status, Json(self.body)).into_response();
        if let Some(seconds) = retry_after {
            response.headers_mut().insert(RETRY_AFTER, seconds.into());
        }
        response.extensions_mut().insert(note);
        response
    }
}

impl From<StoreError> for OAuthRefusal {
    fn from(error: StoreError) -> Self {
        tracing::error!(%error, "the store failed");
        Self::with(
            StatusCode::SERVICE_UNAVAILABLE,
            "temporarily_unavailable",
            "the server's database is unavailable",
        )
        .after(5)
    }
}

impl From<NoRandomness> for OAuthRefusal {
    fn from(error: NoRandomness) -> Self {
        tracing::error!(%error, "no token could be drawn");
        Self::try_again()
    }
}

impl From<HttpRefusal> for OAuthRefusal {
    fn from(_: HttpRefusal) -> Self {
        Self::because(error_code::INVALID_REQUEST, "the form is too large, broken, or has a field twice")
    }
}

/// A new pair of tokens in clear, and the hashes for the store.
pub(crate) struct DrawnTokens {
    pub(crate) access: SecretText,
    pub(crate) refresh: SecretText,
    pub(crate) hashes: NewTokens,
}

pub(crate) fn draw(app: &App, headers: &HeaderMap) -> Result<DrawnTokens, NoRandomness> {
    let (access, refresh) = (draw_token("ska_")?, draw_token("skr_")?);
    let now = UnixMillis::now();
    let hashes = NewTokens {
        session_id: format!("ses_{}", Ulid::generate()),
        machine: machine_label(None, headers.get(USER_AGENT)),
        access: TokenHash::of(access.expose()),
        refresh: TokenHash::of(refresh.expose()),
        now,
        access_expires_at: now.after(app.lifetimes.access_token),
        refresh_expires_at: now.after(app.lifetimes.refresh_token),
        replay_grace: app.lifetimes.replay_grace,
    };
    Ok(DrawnTokens { access, refresh, hashes })
}
