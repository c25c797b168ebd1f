//! Whether the server still has what it acknowledged.
//!
//! Two forms of one question. The limits request that opens a drain names the newest receipts of a few
//! projects in the header [`RECEIPTS_HEADER`](super::endpoint::RECEIPTS_HEADER), and the health document
//! answers in `receipts`. `POST` [`RECEIPTS`](super::endpoint::RECEIPTS) asks about many rows at once.
//! Answers are in the order of the question. A server without this route ignores the header,
//! and answers 404 to the route.

use data_encoding::BASE64URL_NOPAD;
use serde::{Deserialize, Serialize};

/// Entries in one health request.
pub const MOST_PROJECTS: usize = 8;
/// Characters of the header's value. Common servers take lines of 4 KiB at least.
const MOST_HEADER_BYTES: usize = 4000;
/// Rows, events and bodies together, in one request to the route.
pub const MOST_ROWS: usize = 500;

/// The server's status of one row. The list may grow: an unknown status changes nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReceiptState {
    /// The server has it.
    Held,
    /// The server does not have it and has no record of it.
    Missing,
    /// The server had it and forgot it, on request or by retention. Sent again, it is a
    /// `duplicate`.
    Forgotten,
    /// A state of a newer server.
    #[serde(other)]
    Unknown,
}

/// The key of a body: project, mission, target branch, mission type, manifest version, path, hash.
pub type BodyKey = [String; 7];

/// The question of a health request.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewestReceipts {
    /// The entries; a project may have several, the newest first.
    pub projects: Vec<NewestOfProject>,
}

/// Receipts of one project.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewestOfProject {
    /// The project; none for rows without one.
    #[serde(default)]
    pub project: Option<String>,
    /// The id of an event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event: Option<String>,
    /// The key of a body.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<BodyKey>,
}

impl NewestReceipts {
    /// The header's value: base64url of the JSON. Names that do not fit are left out, the last first.
    pub fn to_header(&self) -> String {
        let mut question = self.clone();
        loop {
            let json = serde_json::to_vec(&question).unwrap_or_default();
            let value = BASE64URL_NOPAD.encode(&json);
            if value.len() <= MOST_HEADER_BYTES || question.projects.pop().is_none() {
                return value;
            }
        }
    }

    /// Reads a header's value; nothing when it is not such a question.
    pub fn from_header(value: &str) -> Option<Self> {
        if value.len() > MOST_HEADER_BYTES {
            return None;
        }
        let json = BASE64URL_NOPAD.decode(value.as_bytes()).ok()?;
        let question: Self = serde_json::from_slice(&json).ok()?;
        (question.projects.len() <= MOST_PROJECTS).then_some(question)
    }
}

/// The answer in a health document: one for each entry, in the order of the question.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewestStates {
    /// The projects.
    pub projects: Vec<StatesOfProject>,
}

/// The server's answer about one entry.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatesOfProject {
    /// The project, as it was named.
    #[serde(default)]
    pub project: Option<String>,
    /// The event's state; none when no event was named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event: Option<ReceiptState>,
    /// The body's state; none when no body was named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<ReceiptState>,
}

/// The question of the route: rows of one team.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReceiptsQuestion {
    /// Event ids.
    #[serde(default)]
    pub events: Vec<String>,
    /// Keys of bodies.
    #[serde(default)]
    pub bodies: Vec<BodyKey>,
}

/// The answer of the route, in the order of the question.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReceiptsAnswer {
    /// One for each event id.
    pub events: Vec<ReceiptState>,
    /// One for each body.
    pub bodies: Vec<ReceiptState>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn project(name: &str, path: &str) -> NewestOfProject {
        let body = [name, "mission", "main", "software-dev", "1", path, "hash"].map(str::to_owned);
        NewestOfProject { project: Some(name.into()), event: Some("01A".into()), body: Some(body) }
    }

    #[test]
    fn header_reads_back() {
        let question = NewestReceipts { projects: vec![project("p", "spec.md"), project("q", "plan.md")] };
        assert_eq!(NewestReceipts::from_header(&question.to_header()), Some(question));
        assert_eq!(NewestReceipts::from_header("no base64!"), None);
        assert_eq!(NewestReceipts::from_header(&"A".repeat(MOST_HEADER_BYTES + 1)), None);
    }

    #[test]
    fn header_leaves_out_what_does_not_fit() {
        let long = "x".repeat(1_500);
        let question = NewestReceipts { projects: (0..8).map(|n| project(&n.to_string(), &long)).collect() };
        let header = question.to_header();
        assert!(header.len() <= 4000);
        assert_eq!(NewestReceipts::from_header(&header).unwrap().projects, question.projects[..1]);
    }

    #[test]
    fn unknown_state_is_read_as_unknown() {
        let states: Vec<ReceiptState> =
            serde_json::from_str(r#"["held","missing","forgotten","archived"]"#).unwrap();
        use ReceiptState::{Forgotten, Held, Missing, Unknown};
        assert_eq!(states, [Held, Missing, Forgotten, Unknown]);
    }
}
