//! The events of the benchmark, and requests with them.

use contract::wire::endpoint;
use flate2::{Compression, write::GzEncoder};
use serde_json::{Value, json};
use std::io::Write;

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

pub(crate) fn text(events: &[Value]) -> String {
    json!({ "events": events }).to_string()
}

/// The most common event of a real queue: a lane change, about a kilobyte.
fn event(n: usize) -> Value {
    let id = id(n);
    let (from, to, actor) = ("claimed", "in_progress", "implementer");
    json!({
        "event_id": id, "event_type": "WPStatusChanged", "aggregate_id": "WP01", "aggregate_type": "WorkPackage",
        "schema_version": "3.0.0", "build_id": "0f0e6f4c-3a2b-4d00-9a6e-5d3c4b528f0e",
        "payload": {"mission_slug": "demo-boundary-01M81786", "wp_id": "WP01", "from_lane": from, "to_lane": to,
            "actor": actor, "force": false, "reason": null, "review_ref": null, "execution_mode": "worktree",
            "evidence": null},
        "node_id": "0123456789ab", "lamport_clock": n, "causation_id": id, "correlation_id": id,
        "timestamp": "2026-11-22T09:00:00.123456+00:00", "team_slug": TEAM,
        "project_uuid": "4a9c9a6e-5d3c-4b52-8f0e-6f4c3a2b1d00", "project_slug": "demo", "git_branch": "main",
        "head_commit_sha": "e31fe09eca6060c088f6dba8e0fcd70f5ab7f0d4", "repo_slug": "owner/demo",
        "from_lane": from, "to_lane": to, "actor": actor, "force": false, "reason": null, "review_ref": null,
        "execution_mode": "worktree", "evidence": null
    })
}

pub(crate) fn id(n: usize) -> String {
    // As a client draws them: time first, then chance.
    format!("01K{:07}{:016X}", n / 10, (n as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15))
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
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
