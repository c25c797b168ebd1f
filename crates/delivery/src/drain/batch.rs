//! Batches of events on their way, and the answers to them.

use super::exchange::encode_batch;
use super::report::RowTally;
use crate::classify::{BatchJudgement, ErrorText, ItemVerdict, judge_batch};
use crate::http::{HttpAnswer, SendError};
use crate::plan::BatchSize;
use contract::wire::batch::FRAME_BYTES;
use queue::{Outcome, OutgoingEvent, RowOutcome};
use std::collections::VecDeque;
use std::sync::Arc;
use std::thread::JoinHandle;

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

/// Batches that are on their way, oldest first: each of another project, and together no more than one request may
/// hold.
#[derive(Default)]
pub(super) struct InFlight(VecDeque<Flight>);

struct Flight {
    batch: Arc<ReadyBatch>,
    sending: Sending,
}

/// A request that a thread sends; or its answer, when there is no thread for it.
enum Sending {
    Thread(JoinHandle<Result<HttpAnswer, SendError>>),
    Done(Box<Result<HttpAnswer, SendError>>),
}

/// At most so many requests are on their way at once.
pub(crate) const AT_ONCE: usize = 4;

impl InFlight {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn batches(&self) -> impl Iterator<Item = &ReadyBatch> {
        self.0.iter().map(|flight| &*flight.batch)
    }

    /// Whether a batch may leave beside the others. Batches of one project never do: they have an order.
    pub(super) fn have_room_for(&self, batch: &ReadyBatch, room: BatchSize) -> bool {
        let events = self.batches().chain([batch]).map(|batch| batch.whole.size.events).sum();
        let bytes = self.batches().chain([batch]).map(|batch| batch.whole.size.bytes).sum();
        let is_other = self.batches().all(|other| other.project_uuid != batch.project_uuid);
        self.is_empty() || (is_other && self.0.len() < AT_ONCE && BatchSize { events, bytes }.fits(room))
    }

    /// Sends a batch: by a thread of its own, if requests may be on their way at once.
    pub(super) fn start(
        &mut self,
        batch: ReadyBatch,
        is_concurrent: bool,
        send: impl Fn(&[u8]) -> Result<HttpAnswer, SendError> + Send + Sync + 'static,
    ) {
        let batch = Arc::new(batch);
        let sent = Arc::clone(&batch);
        let work = Arc::new(move || send(&sent.whole.packed));
        let thread = is_concurrent.then(|| {
            let work = Arc::clone(&work);
            std::thread::Builder::new().spawn(move || work())
        });
        let sending = match thread {
            Some(Ok(thread)) => Sending::Thread(thread),
            Some(Err(_)) | None => Sending::Done(Box::new(work())),
        };
        self.0.push_back(Flight { batch, sending });
    }

    /// Waits for the answer to the oldest; nothing when none is on its way.
    pub(super) fn await_oldest(&mut self) -> Option<(Arc<ReadyBatch>, Result<HttpAnswer, SendError>)> {
        let Flight { batch, sending } = self.0.pop_front()?;
        let sent = match sending {
            Sending::Thread(thread) => thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
            Sending::Done(sent) => *sent,
        };
        Some((batch, sent))
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
    pub(super) batch: Arc<ReadyBatch>,
    pub(super) outcomes: Vec<Outcome>,
}

impl AcceptedBatch {
    pub(super) fn of(batch: Arc<ReadyBatch>, verdicts: &[ItemVerdict]) -> Self {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(project: Option<&str>, events: usize, bytes: usize) -> ReadyBatch {
        let whole = Piece { size: BatchSize { events, bytes }, packed: Vec::new() };
        ReadyBatch { project_uuid: project.map(str::to_owned), events: Vec::new(), version: 0, whole }
    }

    /// Whether the last batch may leave while the others are on their way, in a room of 10 events and 1000 bytes.
    #[test]
    fn batch_leaves_beside_those_of_other_projects_while_all_fit_one_request() {
        for (on_the_way, next, expected) in [
            (&[][..], batch(Some("a"), 99, 9999), true),
            (&[(Some("a"), 1, 1)], batch(Some("b"), 1, 1), true),
            (&[(Some("a"), 1, 1)], batch(Some("a"), 1, 1), false),
            (&[(None, 1, 1)], batch(None, 1, 1), false),
            (&[(None, 1, 1)], batch(Some("a"), 1, 1), true),
            (&[(Some("a"), 5, 1)], batch(Some("b"), 5, 1), true),
            (&[(Some("a"), 5, 1)], batch(Some("b"), 6, 1), false),
            (&[(Some("a"), 1, 500)], batch(Some("b"), 1, 501), false),
            (&[(Some("a"), 1, 1), (Some("b"), 1, 1), (Some("c"), 1, 1)], batch(Some("d"), 1, 1), true),
            (
                &[(Some("a"), 1, 1), (Some("b"), 1, 1), (Some("c"), 1, 1), (Some("d"), 1, 1)],
                batch(Some("e"), 1, 1),
                false,
            ),
        ] {
            let mut in_flight = InFlight::default();
            for (project, events, bytes) in on_the_way {
                let lost = || Err(SendError::TimedOut { host: String::new(), seconds: 1 });
                in_flight.start(batch(*project, *events, *bytes), false, move |_| lost());
            }
            let room = BatchSize { events: 10, bytes: 1000 };
            assert_eq!(in_flight.have_room_for(&next, room), expected, "{on_the_way:?}");
        }
    }
}
