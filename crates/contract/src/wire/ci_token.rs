//! The long-lived token of a machine account: `skp_<base64url(user|team)>.<secret>`.
//!
//! The first half gives the scope offline, without a session; it proves nothing. The whole token is secret.

use std::fmt;

/// Prefix of every such token.
pub const PREFIX: &str = "skp_";

/// The parts of a token. `Debug` hides the secret.
#[derive(Clone, PartialEq, Eq)]
pub struct CiToken {
    /// The principal.
    pub user: String,
    /// The private teamspace's id, in its original case.
    pub team: String,
    secret: String,
}

impl CiToken {
    /// Parses a token; none without the prefix, base64url, UTF-8 or with an empty part. The last `|`
    /// separates user and team.
    pub fn parse(token: &str) -> Option<Self> {
        let (readable, secret) = token.strip_prefix(PREFIX)?.split_once('.')?;
        let bytes = data_encoding::BASE64URL_NOPAD.decode(readable.trim_end_matches('=').as_bytes()).ok()?;
        let text = String::from_utf8(bytes).ok()?;
        let (user, team) = text.rsplit_once('|')?;
        let usable = |c: char| c.is_ascii_graphic();
        if user.is_empty() || team.is_empty() || secret.is_empty() || !secret.chars().all(usable) {
            return None;
        }
        Some(Self { user: user.to_owned(), team: team.to_owned(), secret: secret.to_owned() })
    }

    /// Composes a token. `secret` is drawn by the caller.
    pub fn new(user: &str, team: &str, secret: &str) -> Self {
        Self { user: user.to_owned(), team: team.to_owned(), secret: secret.to_owned() }
    }

    /// The whole token: the bearer value. Secret.
    pub fn expose(&self) -> String {
        let readable =
            data_encoding::BASE64URL_NOPAD.encode(format!("{}|{}", self.user, self.team).as_bytes());
        format!("{PREFIX}{readable}.{}", self.secret)
    }
}

impl fmt::Debug for CiToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CiToken({}|{}, <redacted>)", self.user, self.team)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn token_reads_back_and_hides_its_secret() {
        let token = CiToken::new("dev@example.com", "Team-1", "s3cret");
        assert_eq!(CiToken::parse(&token.expose()), Some(token.clone()));
        assert!(!format!("{token:?}").contains("s3cret"));
    }

    #[test]
    fn text_that_is_no_token_is_not_parsed() {
        for bad in ["", "skp_", "skp_.x", "skp_!!.x", "Bearer x", "skp_dXNlcg.x", "skp_fA.x", "skp_dXx0."] {
            assert_eq!(CiToken::parse(bad), None, "{bad}");
        }
    }
}
