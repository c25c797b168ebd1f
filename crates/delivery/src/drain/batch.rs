//! Batches of events on their way, and the answers to them.

use super::exchange::encode_batch;
use super::report::RowTally;
use crate::classify::{BatchJudgement, ErrorText, ItemVerdict, judge_batch};
use crate::http::HttpAnswer;
use crate::plan::BatchSize;
use contract::wire::batch::FRAME_BYTES;
use queue::{Outcome, OutgoingEvent, RowOutcome};

/// Events of one project as they leave: `data` is the text that is sent.
pub(super) struct ReadyBatch {
    pub(super) project_uuid: Option<String>,
    pub(super) events: Vec<OutgoingEvent>,
    /// The decisions by which they were chosen.
    pub(super) version: u64,
    /// All of them as one request.
    pub(super) whole: Piece,
}

/// A request.
pub(super) struct Piece {
    pub(super) size: BatchSize,
    /// gzip of the text.
    pub(super) packed: Vec<u8>,
}

impl Piece {
    pub(super) fn of<'e>(events: impl Iterator<Item = &'e OutgoingEvent> + Clone) -> Self {
        let count = events.clone().count();
        let text: usize = events.clone().map(|event| event.data.len()).sum();
        let bytes = FRAME_BYTES + text + count.saturating_sub(1);
        let packed = encode_batch(events.map(|event| event.data.as_str()), bytes);
        Self { size: BatchSize { events: count, bytes }, packed }
    }
}

/// The answer to one piece of a batch.
pub(super) struct Answered {
    pub(super) judgement: BatchJudgement,
    pub(super) is_success: bool,
    /// Whether a refusal is a document of the protocol.
    pub(super) by_document: bool,
}

impl Answered {
    pub(super) fn of<'e>(sent: impl Iterator<Item = &'e OutgoingEvent>, answer: &HttpAnswer) -> Self {
        let ids: Vec<&str> = sent.map(|event| event.event_id.as_str()).collect();
        let is_success = (200..300).contains(&answer.status);
        // Asked of refusals only: it reads the whole answer once more.
        let by_document = !is_success && ErrorText::of(answer).is_by_document();
        Self { judgement: judge_batch(&ids, answer), is_success, by_document }
    }
}

/// A batch whose every event the server has, and that is not recorded yet.
pub(super) struct AcceptedBatch {
    pub(super) batch: ReadyBatch,
    pub(super) outcomes: Vec<Outcome>,
}

impl AcceptedBatch {
    pub(super) fn of(batch: ReadyBatch, verdicts: &[ItemVerdict]) -> Self {
        let outcomes = batch.events.iter().zip(verdicts).map(|(event, verdict)| {
            let is_new = *verdict == ItemVerdict::Delivered;
            (event.row, event.digest, if is_new { RowOutcome::Delivered } else { RowOutcome::Duplicate })
        });
        Self { outcomes: outcomes.collect(), batch }
    }

    pub(super) fn count(accepted: &[Self], tally: &mut RowTally) {
        for (.., outcome) in accepted.iter().flat_map(|accepted| &accepted.outcomes) {
            match outcome {
                RowOutcome::Delivered => tally.delivered += 1,
                _ => tally.duplicate += 1,
            }
        }
    }
}
