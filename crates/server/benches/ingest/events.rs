//! The events of the benchmark, and requests with them.

use contract::wire::endpoint;
use serde_json::{Value, json};
use testkit::gzip;

pub(crate) const EVENTS: usize = 100_000;
pub(crate) const PER_BATCH: usize = 1000;
pub(crate) const TEAM: &str = "Team-1";

pub(crate) fn batches() -> Vec<Vec<Value>> {
    let batch = |number: usize| (0..PER_BATCH).map(|at| event(number * PER_BATCH + at)).collect();
    (0..EVENTS / PER_BATCH).map(batch).collect()
}

/// Batches of one event.
pub(crate) fn single(number: usize) -> Vec<Vec<Value>> {
    (0..number).map(|n| vec![event(n)]).collect()
}

fn event(n: usize) -> Value {
    testkit::events::common(n, "4a9c9a6e-5d3c-4b52-8f0e-6f4c3a2b1d00", Some(TEAM))
}

pub(crate) fn text(events: &[Value]) -> String {
    json!({ "events": events }).to_string()
}

pub(crate) fn request(text: &str, token: &str, is_packed: bool) -> Vec<u8> {
    let body = if is_packed { gzip(text.as_bytes()) } else { text.as_bytes().to_vec() };
    let coding = if is_packed { "Content-Encoding: gzip\r\n" } else { "" };
    let head = format!(
        "POST {} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\nX-Team-Slug: {TEAM}\r\n{coding}\
         Content-Length: {}\r\n\r\n",
        endpoint::EVENTS_BATCH,
        body.len()
    );
    [head.as_bytes(), &body].concat()
}
