//! Logins: device flow, authorization code with PKCE, refresh with rotation, revocation.
//!
//! One public client without a secret. A person proves who they are on a page of this server, with
//! their e-mail address and approval secret; nothing here keeps a browser session, so there is no
//! ambient authority that another site's form could ride on. The forms are bound to the browser that
//! loaded them all the same.

pub(crate) mod approval;
pub(crate) mod authorize;
pub(crate) mod device;
pub(crate) mod token;

use crate::app::App;
use crate::secret::{NoRandomness, SecretText, TokenHash, draw_token};
use crate::store::{NewTokens, StoreError};
use crate::time::UnixMillis;
use axum::Json;
use axum::http::StatusCode;
use axum::http::header::RETRY_AFTER;
use axum::response::{IntoResponse, Response};
use contract::wire::oauth::{OAuthError, word};
use ulid::Ulid;

/// A refusal of a token or device route, in OAuth's own shape.
#[derive(Debug)]
pub(crate) struct OAuthRefusal {
    status: StatusCode,
    body: OAuthError,
}

impl OAuthRefusal {
    /// 400 with one of [`word`].
    pub(crate) fn because(error: &str, description: &str) -> Self {
        Self::with(StatusCode::BAD_REQUEST, error, description)
    }

    /// Any other status.
    pub(crate) fn with(status: StatusCode, error: &str, description: &str) -> Self {
        let body = OAuthError {
            error: error.to_owned(),
            error_description: (!description.is_empty()).then(|| description.to_owned()),
            retry_after: None,
        };
        Self { status, body }
    }

    /// Tells the client when to come back.
    pub(crate) fn after(mut self, seconds: u64) -> Self {
        self.body.retry_after = Some(seconds);
        self
    }
}

impl IntoResponse for OAuthRefusal {
    fn into_response(self) -> Response {
        let retry_after = self.body.retry_after;
        let note =
            crate::access_log::LogNote { refusal: Some(self.body.error.clone()), ..Default::default() };
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
        Self::with(StatusCode::SERVICE_UNAVAILABLE, "temporarily_unavailable", "try again").after(5)
    }
}

impl From<crate::refusal::HttpRefusal> for OAuthRefusal {
    fn from(_: crate::refusal::HttpRefusal) -> Self {
        Self::because(word::INVALID_REQUEST, "the form is too large, broken, or has a field twice")
    }
}

/// A pair of tokens in clear, and what the store keeps of them.
pub(crate) struct Drawn {
    pub(crate) access: SecretText,
    pub(crate) refresh: SecretText,
    pub(crate) kept: NewTokens,
}

/// Draws the tokens a grant would hand out.
pub(crate) fn draw(app: &App) -> Result<Drawn, NoRandomness> {
    let (access, refresh) = (draw_token("ska_")?, draw_token("skr_")?);
    let now = UnixMillis::now();
    let kept = NewTokens {
        session_id: format!("ses_{}", Ulid::generate()),
        access: TokenHash::of(access.expose()),
        refresh: TokenHash::of(refresh.expose()),
        now,
        access_expires_at: now.after(app.lifetimes.access_token),
        refresh_expires_at: now.after(app.lifetimes.refresh_token),
        replay_grace: app.lifetimes.replay_grace,
    };
    Ok(Drawn { access, refresh, kept })
}
