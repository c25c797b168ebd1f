//! OAuth as this product uses it: one public client without a secret, form-encoded requests,
//! device flow (RFC 8628) and authorization code with PKCE over loopback (RFC 8252).

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fmt;
use zeroize::Zeroizing;

/// The `client_id` of every installation.
pub const CLIENT_ID: &str = "cli_native";
/// The only scope.
pub const SCOPE: &str = "offline_access";
/// `grant_type` of a login by browser.
pub const GRANT_AUTHORIZATION_CODE: &str = "authorization_code";
/// `grant_type` of a login by device.
pub const GRANT_DEVICE_CODE: &str = "urn:ietf:params:oauth:grant-type:device_code";
/// `grant_type` of a refresh.
pub const GRANT_REFRESH_TOKEN: &str = "refresh_token";
/// The only challenge method.
pub const CHALLENGE_METHOD: &str = "S256";
/// `token_type_hint` of a revocation.
pub const HINT_REFRESH_TOKEN: &str = "refresh_token";
/// The form field of a device request with the name of the machine that asks. Ours.
pub const MACHINE_FIELD: &str = "machine";
/// The path of the loopback redirect: `http://127.0.0.1:<any port>/callback`.
pub const CALLBACK_PATH: &str = "/callback";
/// The longest pause between two polls, in seconds.
pub const MAX_POLL_SECONDS: u64 = 10;

/// Error codes of `/oauth/token`.
pub mod error_code {
    /// The user has not decided.
    pub const AUTHORIZATION_PENDING: &str = "authorization_pending";
    /// Poll less often: five seconds more.
    pub const SLOW_DOWN: &str = "slow_down";
    /// The user refused.
    pub const ACCESS_DENIED: &str = "access_denied";
    /// The device code ended.
    pub const EXPIRED_TOKEN: &str = "expired_token";
    /// The code or refresh token is not valid any more.
    pub const INVALID_GRANT: &str = "invalid_grant";
    /// The session was revoked.
    pub const SESSION_INVALID: &str = "session_invalid";
    /// With 409: the refresh token was rotated a moment ago by the same session.
    pub const REFRESH_REPLAY: &str = "refresh_replay_benign_retry";
    /// The request is malformed.
    pub const INVALID_REQUEST: &str = "invalid_request";
    /// The client is unknown.
    pub const INVALID_CLIENT: &str = "invalid_client";
    /// The grant type is unknown.
    pub const UNSUPPORTED_GRANT_TYPE: &str = "unsupported_grant_type";
    /// With 429: too many attempts.
    pub const RATE_LIMITED: &str = "rate_limited";
}

/// Answer of `/oauth/device`.
#[derive(Clone, Serialize, Deserialize)]
pub struct DeviceAuthorization {
    /// Code with which the client polls. Secret.
    pub device_code: String,
    /// Shown to the user for comparison: eight letters in groups of four.
    pub user_code: String,
    /// The URL that the user opens.
    pub verification_uri: String,
    /// The same with the code filled in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verification_uri_complete: Option<String>,
    /// Seconds the codes live.
    #[serde(default = "default_device_expiry")]
    pub expires_in: u64,
    /// Seconds between two polls.
    #[serde(default = "default_interval")]
    pub interval: u64,
}

const fn default_device_expiry() -> u64 {
    900
}

const fn default_interval() -> u64 {
    5
}

impl fmt::Debug for DeviceAuthorization {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeviceAuthorization")
            .field("device_code", &"<redacted>")
            .field("user_code", &self.user_code)
            .field("verification_uri", &self.verification_uri)
            .field("expires_in", &self.expires_in)
            .field("interval", &self.interval)
            .finish_non_exhaustive()
    }
}

/// A 200 answer of `/oauth/token`.
#[derive(Clone, Serialize, Deserialize)]
pub struct TokenGrant {
    /// The bearer token. Secret.
    pub access_token: Zeroizing<String>,
    /// None keeps the old one. Secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refresh_token: Option<Zeroizing<String>>,
    /// `Bearer`.
    #[serde(default)]
    pub token_type: String,
    /// Lifetime of the access token, in seconds.
    #[serde(default = "default_access_expiry")]
    pub expires_in: u64,
    /// Present in every answer to a login.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_id: Option<String>,
    /// The granted scope.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
    /// End of the refresh token, ISO 8601.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refresh_token_expires_at: Option<String>,
    /// Seconds until then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refresh_token_expires_in: Option<u64>,
    /// Number of rotations of the refresh token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generation: Option<u64>,
}

const fn default_access_expiry() -> u64 {
    3600
}

impl fmt::Debug for TokenGrant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenGrant")
            .field("access_token", &"<redacted>")
            .field("refresh_token", &self.refresh_token.as_ref().map(|_| "<redacted>"))
            .field("expires_in", &self.expires_in)
            .field("session_id", &self.session_id)
            .finish_non_exhaustive()
    }
}

/// Any other answer of the OAuth routes.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct OAuthError {
    /// One of [`error_code`].
    #[serde(default)]
    pub error: String,
    /// For people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_description: Option<String>,
    /// With [`error_code::REFRESH_REPLAY`]: seconds to wait.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<u64>,
}

/// Answer of `/oauth/revoke`. Only 200 with `revoked: true` counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Revocation {
    /// Whether the session is gone.
    #[serde(default)]
    pub revoked: bool,
}

/// The S256 challenge of a PKCE verifier: unpadded base64url of its SHA-256.
pub fn challenge(verifier: &str) -> String {
    data_encoding::BASE64URL_NOPAD.encode(&Sha256::digest(verifier.as_bytes()))
}

/// Whether `redirect_uri` is a loopback callback: `http://127.0.0.1:<port>/callback`, or the same on
/// `[::1]` or `localhost`. Any port, nothing else.
pub fn is_loopback_callback(redirect_uri: &str) -> bool {
    let hosts = ["127.0.0.1:", "[::1]:", "localhost:"];
    let Some(rest) = redirect_uri.strip_prefix("http://") else { return false };
    let Some(rest) = hosts.iter().find_map(|host| rest.strip_prefix(host)) else { return false };
    rest.strip_suffix(CALLBACK_PATH).is_some_and(|port| {
        !port.is_empty()
            && port.bytes().all(|b| b.is_ascii_digit())
            && port.parse::<u16>().is_ok_and(|port| port > 0)
    })
}

/// The user code as it is shown: groups of four with a hyphen between.
pub fn shown_user_code(code: &str) -> String {
    let letters: Vec<char> = code.chars().filter(|c| !c.is_whitespace() && *c != '-').collect();
    letters.chunks(4).map(|group| group.iter().collect::<String>()).collect::<Vec<_>>().join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn challenge_is_the_one_of_rfc_7636() {
        let verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
        assert_eq!(challenge(verifier), "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
    }

    #[test]
    fn only_loopback_callbacks_pass() {
        for good in
            ["http://127.0.0.1:28888/callback", "http://[::1]:1/callback", "http://localhost:65535/callback"]
        {
            assert!(is_loopback_callback(good), "{good}");
        }
        for bad in [
            "https://127.0.0.1:1/callback",
            "http://127.0.0.1/callback",
            "http://127.0.0.1:1/callback?x",
            "http://127.0.0.1:1@evil.example:2/callback",
            "http://127.0.0.1:99999/callback",
            "http://127.0.0.1:+1/callback",
            "http://evil.example:80/callback",
        ] {
            assert!(!is_loopback_callback(bad), "{bad}");
        }
    }

    #[test]
    fn debug_output_of_a_grant_has_no_secret() {
        let grant: TokenGrant =
            serde_json::from_str(r#"{"access_token":"s3cret-a","refresh_token":"s3cret-r"}"#).unwrap();
        assert!(!format!("{grant:?}").contains("s3cret"));
        assert_eq!(grant.expires_in, 3600);
    }

    #[test]
    fn grant_tokens_are_wiped_on_drop() {
        fn is_wiped(_: &impl zeroize::ZeroizeOnDrop) {}
        let text = r#"{"access_token":"s3cret-a","refresh_token":"s3cret-r"}"#;
        let grant: TokenGrant = serde_json::from_str(text).unwrap();
        is_wiped(&grant.access_token);
        is_wiped(grant.refresh_token.as_ref().unwrap());
        let written = serde_json::to_value(&grant).unwrap();
        assert_eq!(
            (&written["access_token"], &written["refresh_token"]),
            (&"s3cret-a".into(), &"s3cret-r".into())
        );
    }

    #[test]
    fn user_code_is_shown_in_fours() {
        assert_eq!(shown_user_code("ABCDEFGH"), "ABCD-EFGH");
        assert_eq!(shown_user_code("ABCD-EFGH"), "ABCD-EFGH");
    }
}
