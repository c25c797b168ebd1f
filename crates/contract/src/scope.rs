//! The queue scope: server, user and team that a queue belongs to.
//!
//! `strip_trailing_slashes(part(server)) | part(user) | part(team)` where `part` trims and
//! lower-cases. The first 16 hex digits of its SHA-256 name the scoped queue DB. Every earlier release
//! uses the same rule, so it never changes; the vectors in the tests pin it.

use crate::server_url;
use serde::Serialize;
use sha2::{Digest, Sha256};
use std::fmt;

/// One account at one server: the owner of a queue. Parts are normalised on construction, so two
/// equal scopes are equal values.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Scope {
    server: String,
    principal: String,
    team: String,
}

impl Scope {
    /// Builds the scope of `principal` (an e-mail address) in `team` (a teamspace id) at `server`.
    ///
    /// Any text is accepted, empty parts included: earlier releases stored rows under such scopes.
    pub fn new(server: &str, principal: &str, team: &str) -> Self {
        Self {
            server: part(server).trim_end_matches('/').to_owned(),
            principal: part(principal),
            team: part(team),
        }
    }

    /// The server, trimmed, lower-cased, without trailing slashes.
    pub fn server(&self) -> &str {
        &self.server
    }

    /// The user, trimmed and lower-cased.
    pub fn principal(&self) -> &str {
        &self.principal
    }

    /// The team, trimmed and lower-cased. Wire fields carry the original case instead.
    pub fn team(&self) -> &str {
        &self.team
    }

    /// `principal/team`, or the principal alone when the team is empty: the value shown as
    /// `Team/User`.
    pub fn team_or_user(&self) -> String {
        if self.team.is_empty() {
            self.principal.clone()
        } else {
            format!("{}/{}", self.principal, self.team)
        }
    }

    /// The scope string as it may be shown: without a password that its server may hold.
    pub fn shown(&self) -> String {
        format!("{}|{}|{}", server_url::shown(&self.server), self.principal, self.team)
    }

    /// The SHA-256 of the scope string, 64 lower-case hex digits.
    pub fn hash(&self) -> String {
        data_encoding::HEXLOWER.encode(&Sha256::digest(self.to_string()))
    }

    /// The file name of the scoped queue DB: `queue-<first 16 hex digits of the hash>.db`.
    pub fn queue_file_name(&self) -> String {
        format!("queue-{}.db", &self.hash()[..16])
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}|{}|{}", self.server, self.principal, self.team)
    }
}

impl fmt::Debug for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Scope({self})")
    }
}

impl Serialize for Scope {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // JSON is for display; storage writes the text itself.
        serializer.serialize_str(&self.shown())
    }
}

fn part(text: &str) -> String {
    trim(text).to_lowercase()
}

/// Trims as the earlier releases did: Unicode white space and the four information separators.
pub fn trim(text: &str) -> &str {
    text.trim_matches(|c: char| c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn published_vectors_hold() {
        let scope = Scope::new("https://example.invalid/", "dev@example.com", "team-PRIV-01");
        assert_eq!(scope.to_string(), "https://example.invalid|dev@example.com|team-priv-01");
        assert_eq!(scope.hash(), "19633c16212dbbbb422c79886a5a2247c41acae05d1b378d95bdda3dc25ece2a");
        assert_eq!(scope.queue_file_name(), "queue-19633c16212dbbbb.db");
        let untidy = Scope::new(" HTTPS://Example.INVALID/api/// ", " Dev@Example.COM\t", "TEAM");
        assert_eq!(untidy.queue_file_name(), "queue-ee71de5531bc9d5f.db");
        let port = Scope::new("https://example.invalid:443", "dev@example.com", "team-priv-01");
        assert_eq!(port.queue_file_name(), "queue-bbe594de56e26e52.db");
    }

    #[test]
    fn information_separators_are_trimmed_and_zero_width_space_kept() {
        assert_eq!(trim("\u{1f}a\u{85}"), "a");
        assert_eq!(trim("\u{200b}a"), "\u{200b}a");
    }

    #[test]
    fn pipe_inside_a_part_keeps_the_parts_apart() {
        let scope = Scope::new("https://s", "a", "b|c");
        assert_eq!((scope.principal(), scope.team()), ("a", "b|c"));
    }
}
