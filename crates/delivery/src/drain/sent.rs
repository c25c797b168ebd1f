//! Sent bytes of requests, and the rewind check against earlier deliveries. Pure.

use contract::wire::receipts::{NewestOfProject, NewestReceipts, NewestStates, ReceiptState};
use flate2::Compression;
use flate2::write::GzEncoder;
use queue::{ProjectReceipts, RowId};
use serde_json::Value;
use std::io::Write;
use std::ops::Range;

/// Ranges of the events in the text of a batch: `{"events":[a,b]}`.
pub(super) fn batch_spans(events: impl Iterator<Item = (RowId, usize)>) -> Vec<(RowId, Range<usize>)> {
    let mut from = b"{\"events\":[".len();
    let mut spans = Vec::new();
    for (row, length) in events {
        spans.push((row, from..from + length));
        from += length + 1;
    }
    spans
}

/// gzip of the text of one request.
pub(super) fn pack(text: &[u8]) -> Vec<u8> {
    // Writing into memory cannot fail.
    let mut gzip = GzEncoder::new(Vec::with_capacity(text.len() / 3 + 64), Compression::fast());
    let _ = gzip.write_all(text);
    gzip.finish().unwrap_or_default()
}

/// The header that names the newest receipts.
pub(super) fn question_of(asked: &[ProjectReceipts]) -> String {
    let projects = asked.iter().map(|receipts| NewestOfProject {
        project: receipts.project_uuid.clone(),
        event: receipts.event.clone(),
        body: receipts.body.clone(),
    });
    NewestReceipts { projects: projects.collect() }.to_header()
}

/// The answers in a health document, one for each entry of the question; nothing when the server
/// does not know the question. A project that the answer does not name is unknown.
pub(super) fn read_states(
    document: &Value,
    asked: &[ProjectReceipts],
) -> Option<Vec<(Option<ReceiptState>, Option<ReceiptState>)>> {
    let states: NewestStates = serde_json::from_value(document.get("receipts")?.clone()).ok()?;
    let answers = asked.iter().enumerate().map(|(at, receipts)| {
        let answer = states.projects.get(at).filter(|answer| answer.project == receipts.project_uuid);
        answer.map_or((None, None), |answer| (answer.event, answer.body))
    });
    Some(answers.collect())
}
