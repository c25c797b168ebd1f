//! Records of the last drains, in the meta table.

use serde::{Deserialize, Serialize};

/// Trigger of a drain.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DrainedBy {
    /// A command: `sync now`.
    #[default]
    Command,
    /// The background daemon.
    Daemon,
}

/// The newest drain that sent a request, or failed before one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastAttempt {
    /// End, in Unix seconds.
    pub at: i64,
    /// A stable name: `delivered`, `nothing_to_do`, `waiting`, `incomplete`, or the reason why it stopped
    /// (`unreachable`, `unauthorized`, `everything_refused`, ...).
    pub outcome: String,
    /// Whether it failed: it stopped, or rows were refused or not taken.
    pub failed: bool,
    /// One sentence about a failure; empty otherwise. May hold text of the server.
    #[serde(default)]
    pub detail: String,
    /// Whether the server refuses the login: only a new one helps.
    #[serde(default)]
    pub token_refused: bool,
    /// Its trigger.
    #[serde(default)]
    pub by: DrainedBy,
}

impl LastAttempt {
    /// Its key in the meta table.
    pub(crate) const KEY: &'static str = "last_attempt";

    /// As stored. A stored value with a missing field counts as absent.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }
}

/// The newest drain of a daemon that delivered something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DaemonDelivery {
    /// End, in Unix seconds.
    pub at: i64,
    /// Events that left.
    pub events: u64,
    /// Bodies that left.
    pub bodies: u64,
}

impl DaemonDelivery {
    /// Its key in the meta table.
    pub(crate) const KEY: &'static str = "daemon_delivery";

    /// As stored.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn last_attempt_reads_back_and_nonsense_is_none() {
        let attempt = LastAttempt {
            at: 7,
            outcome: "unreachable".to_owned(),
            failed: true,
            detail: "cannot reach h".to_owned(),
            token_refused: false,
            by: DrainedBy::Daemon,
        };
        let text = serde_json::to_string(&attempt).unwrap();
        assert_eq!(LastAttempt::parse(&text), Some(attempt));
        for nonsense in ["", "[]", "{}", "7"] {
            assert_eq!(LastAttempt::parse(nonsense), None, "{nonsense}");
        }
    }
}
