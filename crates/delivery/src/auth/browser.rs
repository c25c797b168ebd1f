//! The browser flow: authorization code with PKCE (RFC 7636) over a loopback redirect (RFC 8252).

use super::Prompt;
use super::callback::{Callback, Redirected};
use super::login_error::LoginError;
use super::oauth::OAuth;
use contract::wire::endpoint::OAUTH_AUTHORIZE;
use contract::wire::oauth::{CHALLENGE_METHOD, CLIENT_ID, SCOPE, TokenGrant, challenge};
use data_encoding::BASE64URL_NOPAD;
use std::time::Duration;
use url::form_urlencoded::Serializer;
use zeroize::Zeroizing;

/// Time that the user has for the browser's part.
pub const BROWSER_PATIENCE: Duration = Duration::from_secs(300);

/// Runs the browser flow to its end.
pub(super) fn send_browser_login(
    oauth: OAuth<'_>,
    prompt: &mut dyn Prompt,
) -> Result<TokenGrant, LoginError> {
    let verifier = draw_secret()?;
    let state = draw_secret()?;
    let callback = Callback::listen().map_err(LoginError::Callback)?;
    let redirect_uri = callback.redirect_uri().to_owned();
    let query = Serializer::new(String::new())
        .extend_pairs([
            ("client_id", CLIENT_ID),
            ("redirect_uri", &redirect_uri),
            ("response_type", "code"),
            ("scope", SCOPE),
            ("code_challenge", &challenge(&verifier)),
            ("code_challenge_method", CHALLENGE_METHOD),
            ("state", &state),
        ])
        .finish();
    if !prompt.open_browser(&format!("{}?{query}", oauth.server.url(OAUTH_AUTHORIZE))) {
        return Err(LoginError::NoBrowser);
    }
    let host = || oauth.server.host().to_string();
    match callback.wait(&state, BROWSER_PATIENCE, prompt) {
        Redirected::Code(code) => Ok(oauth.send_code(&code, &redirect_uri, &verifier)?),
        Redirected::Refused { code, .. } if code == contract::wire::oauth::error_code::ACCESS_DENIED => {
            Err(LoginError::Denied { host: host() })
        }
        Redirected::Refused { code, description } => Err(LoginError::Refused {
            host: host(),
            why: description.map_or(code.clone(), |description| format!("{code} ({description})")),
        }),
        Redirected::Cancelled => Err(LoginError::Cancelled),
        Redirected::TimedOut => Err(LoginError::Expired { host: host() }),
    }
}

/// 32 random bytes as 43 url-safe characters.
fn draw_secret() -> Result<Zeroizing<String>, LoginError> {
    let mut bytes = Zeroizing::new([0u8; 32]);
    getrandom::fill(bytes.as_mut()).map_err(|_| LoginError::NoRandomness)?;
    Ok(Zeroizing::new(BASE64URL_NOPAD.encode(bytes.as_ref())))
}
