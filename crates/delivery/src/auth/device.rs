//! Device flow (RFC 8628): shows a code and polls for its approval.

use super::login_error::LoginError;
use super::oauth::{OAuth, OAuthFailure};
use super::{DeviceCode, Flow, Prompt, Span};
use contract::wire::oauth::{MAX_POLL_SECONDS, TokenGrant, error_code, shown_user_code};
use std::time::Duration;
use url::Url;
use zeroize::Zeroizing;

/// `slow_down` adds this much to the interval.
const SLOWER: u64 = 5;
/// Longest life of a code that is believed.
const LONGEST_WAIT: u64 = 3600;

/// Runs the device flow to its end. Waits before every poll, as the protocol asks; a network error or a
/// busy server between two polls ends nothing before the code does.
pub(super) fn send_device_login(oauth: OAuth<'_>, prompt: &mut dyn Prompt) -> Result<TokenGrant, LoginError> {
    let start = oauth.send_device_start()?;
    let device_code = Zeroizing::new(start.device_code);
    let host = || oauth.server.host().to_string();
    let page = page(&start.verification_uri)
        .ok_or_else(|| LoginError::Grant { host: host(), missing: "verification_uri".to_owned() })?;
    let complete = start.verification_uri_complete.as_deref().and_then(self::page);
    let expires_in = Duration::from_secs(start.expires_in.clamp(1, LONGEST_WAIT));
    prompt.show_code(&DeviceCode {
        user_code: &shown_user_code(&start.user_code),
        verification_uri: &page,
        verification_uri_complete: complete.as_deref(),
        expires_in,
    });

    let mut interval = start.interval.clamp(1, MAX_POLL_SECONDS);
    let mut span = Span::new(expires_in);
    loop {
        if span.pause(prompt, Duration::from_secs(interval)) == Flow::Cancel {
            return Err(LoginError::Cancelled);
        }
        let failure = match oauth.send_device_poll(&device_code) {
            Ok(grant) => return Ok(grant),
            Err(failure) => failure,
        };
        match failure.code() {
            Some(error_code::AUTHORIZATION_PENDING) => {}
            Some(error_code::SLOW_DOWN) => interval = (interval + SLOWER).min(MAX_POLL_SECONDS),
            Some(error_code::ACCESS_DENIED) => return Err(LoginError::Denied { host: host() }),
            Some(error_code::EXPIRED_TOKEN) => return Err(LoginError::Expired { host: host() }),
            _ if failure.is_transient() => interval = slower(&failure, interval),
            _ => return Err(failure.into()),
        }
        if span.is_over() {
            return Err(LoginError::Expired { host: host() });
        }
    }
}

fn slower(failure: &OAuthFailure, interval: u64) -> u64 {
    match failure {
        OAuthFailure::Silence(_) => interval,
        _ => (interval + SLOWER).min(MAX_POLL_SECONDS),
    }
}

/// A page a browser may be sent to: anything but http and https could start another program.
fn page(url: &str) -> Option<String> {
    let url = Url::parse(contract::scope::trim(url)).ok()?;
    matches!(url.scheme(), "http" | "https").then(|| url.to_string())
}

#[cfg(test)]
mod tests {
    use super::page;

    #[test]
    fn only_web_pages_are_shown() {
        assert_eq!(page("https://h.example/device").as_deref(), Some("https://h.example/device"));
        for bad in ["javascript:alert(1)", "file:///etc/passwd", "", "h.example/device"] {
            assert_eq!(page(bad), None, "{bad}");
        }
    }
}
