//! Content of a request, read from its bytes as an observer of the wire reads it.

use crate::server::SimulatedAccount;
use contract::wire::endpoint::{EVENTS_BATCH, PUSH_CONTENT, TEAM_HEADER};
use flate2::read::GzDecoder;
use serde_json::{Value, json};
use std::io::Read as _;

/// A request.
#[derive(Clone, Debug, Default)]
pub(crate) struct SentRequest {
    /// Its path.
    pub(crate) path: String,
    /// The account of its token.
    pub(crate) account: Option<usize>,
    /// The account whose team its header names.
    pub(crate) team: Option<usize>,
    /// Ids of its events, or the path of its body.
    pub(crate) keys: Vec<String>,
    /// Its body, unpacked.
    pub(crate) text: String,
}

impl SentRequest {
    /// Reads a request as far as it can be read.
    pub(crate) fn parse(request: &[u8], accounts: &[SimulatedAccount]) -> Self {
        let end = request.windows(4).position(|four| four == b"\r\n\r\n").unwrap_or(request.len());
        let head = String::from_utf8_lossy(request.get(..end).unwrap_or_default()).into_owned();
        let body = request.get(end + 4..).unwrap_or_default();
        let header = |wanted: &str| {
            head.lines()
                .skip(1)
                .filter_map(|line| line.split_once(':'))
                .find_map(|(name, value)| name.eq_ignore_ascii_case(wanted).then(|| value.trim().to_owned()))
        };
        let token = header("authorization").unwrap_or_default();
        let token = token.strip_prefix("Bearer ").unwrap_or_default().to_owned();
        let team = header(TEAM_HEADER);
        let mut plain = body.to_vec();
        if header("content-encoding").as_deref() == Some("gzip") {
            plain.clear();
            let _ = GzDecoder::new(body).read_to_end(&mut plain);
        }
        let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
        let document: Value = serde_json::from_slice(&plain).unwrap_or_default();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let keys = match path.as_str() {
            EVENTS_BATCH => {
                let events = document["events"].as_array().into_iter().flatten();
                events.map(|event| text(&event["event_id"])).collect()
            }
            PUSH_CONTENT => vec![text(&document["artifact_path"])],
            _ => Vec::new(),
        };
        Self {
            account: accounts.iter().position(|account| account.token == token),
            team: team.and_then(|team| accounts.iter().position(|account| account.team == team)),
            path,
            keys,
            text: String::from_utf8_lossy(&plain).into_owned(),
        }
    }

    /// Whether it carries events.
    pub(crate) fn is_batch(&self) -> bool {
        self.path == EVENTS_BATCH
    }

    /// Its path and rows.
    pub(crate) fn describe(&self) -> String {
        let account = self.account.map_or_else(|| "no account".to_owned(), |account| format!("a{account}"));
        format!("{account} {} {:?}", self.path, self.keys)
    }

    /// The answer of a server that took every event.
    pub(crate) fn taken(&self) -> Vec<u8> {
        let results: Vec<_> =
            self.keys.iter().map(|key| json!({ "event_id": key, "status": "success" })).collect();
        let body = json!({ "results": results }).to_string();
        format!(
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
        .into_bytes()
    }
}
