//! Machines and rejected events: what the store takes and returns.

use super::TeamKey;
use crate::time::UnixMillis;

/// The sender of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sighting {
    pub(crate) team: TeamKey,
    pub(crate) user_id: String,
    /// The machine, as its events name it.
    pub(crate) node_id: String,
    /// The machine, as its login or machine token names it.
    pub(crate) name: String,
    /// Program and version of the request.
    pub(crate) program: String,
    pub(crate) now: UnixMillis,
}

impl Sighting {
    /// A text by which a person recognises the sender.
    pub(crate) fn label(&self) -> String {
        let parts = [&self.name, &self.program].map(String::as_str);
        let known: Vec<&str> = parts.into_iter().filter(|part| !part.is_empty()).collect();
        known.join(", ")
    }
}

/// A rejected event or body: what it named, cut to a bound, and the rule that it breaks. Never its content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NewRejection {
    /// As it was sent; empty if there is none.
    pub(crate) event_id: String,
    pub(crate) event_type: String,
    pub(crate) project_uuid: String,
    pub(crate) code: String,
    pub(crate) path: String,
    pub(crate) reason: String,
}

/// A text that a sender gave, cut to the length that is recorded.
pub(crate) fn bounded(text: &str) -> String {
    text.chars().take(200).collect()
}

impl NewRejection {
    pub(crate) fn bounded(self) -> Self {
        Self {
            event_id: bounded(&self.event_id),
            event_type: bounded(&self.event_type),
            project_uuid: bounded(&self.project_uuid),
            code: bounded(&self.code),
            path: bounded(&self.path),
            reason: bounded(&self.reason),
        }
    }

    /// A refused body, found by its path.
    pub(crate) fn of_body(project_uuid: String, path: &str, reason: &str) -> Self {
        Self {
            event_id: String::new(),
            event_type: "artifact body".to_owned(),
            project_uuid,
            code: "BODY_REFUSED".to_owned(),
            path: path.to_owned(),
            reason: reason.to_owned(),
        }
        .bounded()
    }
}

/// A machine, as its page shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MachineRecord {
    pub(crate) team_id: String,
    pub(crate) email: String,
    pub(crate) node_id: String,
    pub(crate) name: String,
    pub(crate) program: String,
    pub(crate) first_at: UnixMillis,
    pub(crate) delivered_at: UnixMillis,
}

/// A rejected event, as its page shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RejectionRecord {
    pub(crate) team_id: String,
    pub(crate) email: String,
    pub(crate) rejection: NewRejection,
    pub(crate) machine: String,
    /// Number of times that it was sent.
    pub(crate) times: u64,
    pub(crate) rejected_at: UnixMillis,
}
