//! `/oauth/token` and `/oauth/revoke`.

use super::{DrawnTokens, OAuthRefusal, draw};
use crate::app::App;
use crate::refusal::HttpRefusal;
use crate::request::FormFields;
use crate::secret::TokenHash;
use crate::store::{CodeRedemption, DevicePoll, Refresh, SessionGrant};
use crate::time::UnixMillis;
use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use contract::wire::oauth::{
    CLIENT_ID, GRANT_AUTHORIZATION_CODE, GRANT_DEVICE_CODE, GRANT_REFRESH_TOKEN, Revocation, SCOPE,
    TokenGrant, challenge, error_code,
};
use std::sync::Arc;
use zeroize::Zeroizing;

/// Seconds before the retry after a harmless replay. The other process has stored its tokens by then.
const REPLAY_PAUSE: u64 = 1;

/// `POST /oauth/token`
pub(crate) async fn exchange(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    form: Result<FormFields, HttpRefusal>,
) -> Result<Json<TokenGrant>, OAuthRefusal> {
    let form = form?;
    if form.get("client_id") != Some(CLIENT_ID) {
        return Err(OAuthRefusal::because(error_code::INVALID_CLIENT, "unknown client_id"));
    }
    let drawn = draw(&app, &headers)?;
    let grant = match form.get("grant_type") {
        Some(GRANT_DEVICE_CODE) => by_device(&app, &form, &drawn).await?,
        Some(GRANT_AUTHORIZATION_CODE) => by_code(&app, &form, &drawn).await?,
        Some(GRANT_REFRESH_TOKEN) => by_refresh(&app, &form, &drawn).await?,
        _ => return Err(OAuthRefusal::because(error_code::UNSUPPORTED_GRANT_TYPE, "unknown grant_type")),
    };
    Ok(Json(TokenGrant {
        access_token: Zeroizing::new(drawn.access.expose().to_owned()),
        refresh_token: Some(Zeroizing::new(drawn.refresh.expose().to_owned())),
        token_type: "Bearer".to_owned(),
        expires_in: app.lifetimes.access_token.as_secs(),
        session_id: Some(grant.session_id),
        scope: Some(SCOPE.to_owned()),
        refresh_token_expires_at: Some(drawn.hashes.refresh_expires_at.iso()),
        refresh_token_expires_in: Some(app.lifetimes.refresh_token.as_secs()),
        generation: Some(grant.generation),
    }))
}

async fn by_device(app: &App, form: &FormFields, drawn: &DrawnTokens) -> Result<SessionGrant, OAuthRefusal> {
    let code = form.get("device_code").ok_or_else(|| absent("device_code"))?;
    match app.store.poll_device(TokenHash::of(code), drawn.hashes.clone()).await? {
        DevicePoll::Granted(grant) => Ok(grant),
        DevicePoll::Pending => Err(OAuthRefusal::because(error_code::AUTHORIZATION_PENDING, "")),
        DevicePoll::TooSoon => Err(OAuthRefusal::because(error_code::SLOW_DOWN, "")),
        DevicePoll::Denied => Err(OAuthRefusal::because(error_code::ACCESS_DENIED, "the login was denied")),
        DevicePoll::Expired => {
            Err(OAuthRefusal::because(error_code::EXPIRED_TOKEN, "the code expired; start the login again"))
        }
        DevicePoll::Unknown => Err(OAuthRefusal::because(error_code::INVALID_GRANT, "unknown device_code")),
    }
}

async fn by_code(app: &App, form: &FormFields, drawn: &DrawnTokens) -> Result<SessionGrant, OAuthRefusal> {
    let field = |name: &'static str| form.get(name).ok_or_else(|| absent(name));
    let redemption = CodeRedemption {
        code: TokenHash::of(field("code")?),
        challenge: challenge(field("code_verifier")?),
        redirect_uri: field("redirect_uri")?.to_owned(),
    };
    let grant = app.store.redeem_code(redemption, drawn.hashes.clone()).await?;
    grant.ok_or_else(|| {
        OAuthRefusal::because(error_code::INVALID_GRANT, "the code is not valid, or was used before")
    })
}

async fn by_refresh(app: &App, form: &FormFields, drawn: &DrawnTokens) -> Result<SessionGrant, OAuthRefusal> {
    let token = form.get("refresh_token").ok_or_else(|| absent("refresh_token"))?;
    match app.store.refresh(TokenHash::of(token), drawn.hashes.clone()).await? {
        Refresh::Rotated(grant) => Ok(grant),
        Refresh::BenignReplay => {
            let text = "the token was just rotated; read the stored session and try again";
            Err(OAuthRefusal::with(StatusCode::CONFLICT, error_code::REFRESH_REPLAY, text)
                .after(REPLAY_PAUSE))
        }
        Refresh::Invalid => {
            Err(OAuthRefusal::because(error_code::INVALID_GRANT, "the refresh token is not valid"))
        }
        Refresh::SessionEnded => {
            Err(OAuthRefusal::because(error_code::SESSION_INVALID, "the session has ended; log in again"))
        }
    }
}

/// `POST /oauth/revoke`. A token that this server never issued is not an error (RFC 7009); `revoked` is
/// false then.
pub(crate) async fn revoke(
    State(app): State<Arc<App>>,
    form: Result<FormFields, HttpRefusal>,
) -> Result<Json<Revocation>, OAuthRefusal> {
    let form = form?;
    let token = form.get("token").ok_or_else(|| absent("token"))?;
    let revoked = app.store.revoke(TokenHash::of(token), UnixMillis::now()).await?;
    Ok(Json(Revocation { revoked }))
}

fn absent(field: &str) -> OAuthRefusal {
    OAuthRefusal::because(error_code::INVALID_REQUEST, &format!("{field} is absent"))
}
