//! Delivery of events: reads a batch, sends it, records the answer.
//!
//! While a batch is on its way, answers to batches before it are recorded and the batch after it is read. A batch of
//! which the server does not take every event is cut up and settled before anything else leaves.

use super::exchange::{batch_request, encode_batch, unauthorized};
use super::report::Failure;
use super::sent::batch_spans;
use super::streak::Refused;
use super::{DrainEnd, DrainRun, unix_now};
use crate::backoff::{plan_delay, random_fraction};
use crate::classify::{BatchJudgement, Category, ErrorText, ItemVerdict, judge_batch};
use crate::http::{Bearer, HttpAnswer, HttpRequest};
use crate::outgoing_event::plan_outgoing;
use crate::plan::{BatchSize, BatchSplitter};
use contract::wire::batch::FRAME_BYTES;
use preflight::consent_of;
use queue::{BatchLimits, Kind, Outcome, OutgoingEvent, RecordedRequest, RowOutcome, SentBytes};
use std::borrow::Cow;

/// Why an event is parked as a conflict.
const CONTENT_DIFFERS: &str = "the server holds other content under this id and keeps it";

/// Events of one project as they leave: `data` is the text that is sent.
struct ReadyBatch {
    project_uuid: Option<String>,
    events: Vec<OutgoingEvent>,
    /// The decisions by which they were chosen.
    version: u64,
    /// All of them as one request.
    whole: Piece,
}

/// A request.
struct Piece {
    size: BatchSize,
    /// gzip of the text.
    packed: Vec<u8>,
}

impl Piece {
    fn of<'e>(events: impl Iterator<Item = &'e OutgoingEvent> + Clone) -> Self {
        let count = events.clone().count();
        let text: usize = events.clone().map(|event| event.data.len()).sum();
        let bytes = FRAME_BYTES + text + count.saturating_sub(1);
        let packed = encode_batch(events.map(|event| event.data.as_str()), bytes);
        Self { size: BatchSize { events: count, bytes }, packed }
    }
}

/// The answer to one piece of a batch.
struct Answered {
    judgement: BatchJudgement,
    /// Whether it is a document of the protocol.
    by_document: bool,
}

/// A batch whose every event the server has, and that is not recorded yet.
struct Accepted {
    batch: ReadyBatch,
    outcomes: Vec<Outcome>,
}

impl Accepted {
    fn of(batch: ReadyBatch, verdicts: &[ItemVerdict]) -> Self {
        let outcomes = batch.events.iter().zip(verdicts).map(|(event, verdict)| {
            let is_new = *verdict == ItemVerdict::Delivered;
            (event.row, event.digest, if is_new { RowOutcome::Delivered } else { RowOutcome::Duplicate })
        });
        Self { outcomes: outcomes.collect(), batch }
    }
}

/// So many accepted batches are recorded together, or fewer as soon as they hold [`TOGETHER_ROWS`]: a commit takes
/// longer than a small batch.
const TOGETHER: usize = 16;
const TOGETHER_ROWS: usize = 200;

fn are_enough(accepted: &[Accepted]) -> bool {
    let rows: usize = accepted.iter().map(|accepted| accepted.outcomes.len()).sum();
    accepted.len() >= TOGETHER || rows >= TOGETHER_ROWS
}

impl DrainRun<'_> {
    pub(super) fn send_events(&mut self) -> Result<(), DrainEnd> {
        let mut accepted = Vec::new();
        let ended = self.send_batches(&mut accepted);
        // Whatever ended it, the answers in hand are recorded.
        let recorded = self.record_accepted(&mut accepted);
        ended.and(recorded)
    }

    fn send_batches(&mut self, accepted: &mut Vec<Accepted>) -> Result<(), DrainEnd> {
        let mut next = None;
        loop {
            self.check_cancelled()?;
            // Before the limits are known one row is enough to see that something waits: a larger batch
            // might have to be cut up.
            if !self.limits_known {
                let one = BatchLimits { rows: 1, bytes: 1 };
                let consent = consent_of(self.tokens.config().last());
                if self.outbox.read_events(one, &consent, &self.skip)?.is_none() {
                    return Ok(());
                }
                self.fetch_limits()?;
            }
            let batch = match next.take() {
                Some(batch) => batch,
                None => {
                    self.record_accepted(accepted)?;
                    let Some(batch) = self.read_batch()? else { return Ok(()) };
                    batch
                }
            };
            let bearer = self.tokens.bearer()?;
            // Another decision since the batch was chosen: it is chosen again.
            if self.tokens.config().version() != batch.version {
                continue;
            }
            if !batch.whole.size.fits(self.pace.room()) {
                self.record_accepted(accepted)?;
                self.send_pieces(&batch, None)?;
                continue;
            }
            let (answered, ahead) = self.send_whole(&bearer, &batch, accepted)?;
            match answered.judgement {
                BatchJudgement::Items { verdicts, unknown_ids } if verdicts.iter().all(is_accepted) => {
                    self.report.unknown_ids += unknown_ids as u64;
                    let delivered = verdicts.iter().filter(|v| **v == ItemVerdict::Delivered).count() as u64;
                    self.report.events.delivered += delivered;
                    self.report.events.duplicate += verdicts.len() as u64 - delivered;
                    self.progress.advance(&self.report);
                    accepted.push(Accepted::of(batch, &verdicts));
                    next = ahead;
                }
                _ => {
                    self.record_accepted(accepted)?;
                    self.send_pieces(&batch, Some(answered))?;
                }
            }
        }
    }

    /// Sends a batch as one request. While it is on its way answers before it are recorded and the next batch is
    /// read: the next one leaves only after this answer.
    fn send_whole(
        &mut self,
        bearer: &Bearer,
        batch: &ReadyBatch,
        accepted: &mut Vec<Accepted>,
    ) -> Result<(Answered, Option<ReadyBatch>), DrainEnd> {
        let (team_id, client) = (self.team_id.clone(), self.context.client.clone());
        let destination = self.tokens.destination().clone();
        let request = HttpRequest { bearer: Some(bearer), ..batch_request(&batch.whole.packed, &team_id) };
        let (sent, meanwhile) = std::thread::scope(|threads| {
            let sending = threads.spawn(|| client.send(&destination, &request));
            let meanwhile = self.work_ahead(batch, accepted);
            (sending.join(), meanwhile)
        });
        let sent = sent.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        let ahead = meanwhile?;
        let answer = self.answer_of(sent, request)?;
        let answered = self.judge(batch.events.iter(), &answer)?;
        Ok((answered, ahead))
    }

    /// Records accepted batches if they are enough, and reads the next batch, unless its size depends on the
    /// answer that is awaited.
    fn work_ahead(
        &mut self,
        batch: &ReadyBatch,
        accepted: &mut Vec<Accepted>,
    ) -> Result<Option<ReadyBatch>, DrainEnd> {
        if are_enough(accepted) {
            self.record_accepted(accepted)?;
        }
        if self.event_streak.is_probing() {
            return Ok(None);
        }
        let unrecorded = accepted.iter().map(|accepted| &accepted.batch).chain([batch]);
        self.skip.set_under_way(unrecorded.flat_map(|batch| &batch.events).map(|event| event.row));
        let next = self.read_batch();
        self.skip.set_under_way(std::iter::empty());
        next
    }

    /// The next batch of events that can leave, by the decisions that were read last.
    fn read_batch(&mut self) -> Result<Option<ReadyBatch>, DrainEnd> {
        loop {
            let limits = self.batch_limits();
            let (config, version) = (self.tokens.config().last(), self.tokens.config().version());
            let consent = consent_of(config).numbered(version);
            let Some(batch) = self.outbox.read_events(limits, &consent, &self.skip)? else {
                return Ok(None);
            };
            let events = self.park_unsendable(batch.rows)?;
            if !events.is_empty() {
                let whole = Piece::of(events.iter());
                return Ok(Some(ReadyBatch { project_uuid: batch.project_uuid, events, version, whole }));
            }
        }
    }

    /// A little less than one request may hold: events grow when their team is filled in.
    fn batch_limits(&self) -> BatchLimits {
        if self.event_streak.is_probing() {
            return BatchLimits { rows: 1, bytes: 1 };
        }
        let room = self.pace.room();
        let bytes = room.bytes.saturating_sub(FRAME_BYTES);
        BatchLimits { rows: room.events, bytes: (bytes - bytes / 16).max(1) }
    }

    /// Sends a batch in pieces that fit, each recorded before the next one leaves. `answered` is the answer to the
    /// whole batch, if it was sent.
    fn send_pieces(&mut self, batch: &ReadyBatch, mut answered: Option<Answered>) -> Result<(), DrainEnd> {
        let sizes: Vec<usize> = batch.events.iter().map(|event| event.data.len()).collect();
        let room = if answered.is_some() { batch.whole.size } else { self.pace.room() };
        let mut pieces = BatchSplitter::plan(&sizes, room.events, room.bytes, FRAME_BYTES, 1);
        while let Some(piece) = pieces.next_piece() {
            let sent: Vec<&OutgoingEvent> = piece.iter().filter_map(|at| batch.events.get(*at)).collect();
            let cut;
            let (request, Answered { judgement, by_document }) = match answered.take() {
                Some(answered) => (&batch.whole, answered),
                None => {
                    cut = Piece::of(sent.iter().copied());
                    let team_id = self.team_id.clone();
                    let answer = self.exchange(batch_request(&cut.packed, &team_id))?;
                    (&cut, self.judge(sent.iter().copied(), &answer)?)
                }
            };
            match judgement {
                BatchJudgement::Items { verdicts, unknown_ids } => {
                    self.report.unknown_ids += unknown_ids as u64;
                    let again = self.record_verdicts(&sent, &verdicts, &request.packed)?;
                    pieces.resend(again.into_iter().filter_map(|at| piece.get(at).copied()).collect());
                }
                BatchJudgement::Refused(rejection) => {
                    if let [event] = sent.as_slice() {
                        let (row, digest, name) = (event.row, event.digest, event.event_id.clone());
                        self.refuse(Kind::Event, Refused { row, digest, name, rejection, by_document })?;
                    }
                }
                BatchJudgement::Split { too_large, limits } => {
                    if too_large {
                        self.pace.shrink(request.size, limits);
                    }
                    pieces.split(&piece);
                }
                BatchJudgement::StopProject(stop) => {
                    self.report.stop_project(batch.project_uuid.clone(), &stop, self.context);
                    self.skip.skip_project(batch.project_uuid.clone());
                    self.refuse_other(Kind::Event, &stop.detail)?;
                    self.progress.advance(&self.report);
                    return Ok(());
                }
                BatchJudgement::Stop(stop) => return Err(DrainEnd::Server(stop)),
                // `exchange` has refreshed once before it lets a 401 come this far.
                BatchJudgement::Refresh => return Err(DrainEnd::Server(unauthorized())),
            }
            self.progress.advance(&self.report);
        }
        Ok(())
    }

    /// Judges the answer to `sent`. An answer about a row shows that the server takes rows, and parks those that
    /// were refused before it.
    fn judge<'e>(
        &mut self,
        sent: impl Iterator<Item = &'e OutgoingEvent>,
        answer: &HttpAnswer,
    ) -> Result<Answered, DrainEnd> {
        let ids: Vec<&str> = sent.map(|event| event.event_id.as_str()).collect();
        let judgement = judge_batch(&ids, answer);
        let is_success = (200..300).contains(&answer.status);
        if let BatchJudgement::Items { verdicts, .. } = &judgement
            && is_success
        {
            if verdicts.iter().any(|verdict| *verdict != ItemVerdict::Unanswered) {
                self.take(Kind::Event)?;
            }
            if verdicts.iter().any(is_accepted) {
                self.pace.grow();
            }
        }
        // Asked of refusals only: it reads the whole answer once more.
        Ok(Answered { judgement, by_document: !is_success && ErrorText::of(answer).is_by_document() })
    }

    /// Records batches that the server has accepted, in one transaction.
    fn record_accepted(&mut self, accepted: &mut Vec<Accepted>) -> Result<(), DrainEnd> {
        let accepted = std::mem::take(accepted);
        let spans: Vec<_> = accepted
            .iter()
            .map(|Accepted { batch, .. }| {
                batch_spans(batch.events.iter().map(|event| (event.row, event.data.len())))
            })
            .collect();
        let requests: Vec<_> = accepted
            .iter()
            .zip(&spans)
            .map(|(Accepted { batch, outcomes }, spans)| {
                let sent = Some(SentBytes { packed: &batch.whole.packed, spans });
                RecordedRequest { outcomes, sent }
            })
            .collect();
        self.record_requests(&requests)?;
        Ok(())
    }

    /// Records the verdicts in one transaction; returns the positions to send again.
    fn record_verdicts(
        &mut self,
        sent: &[&OutgoingEvent],
        verdicts: &[ItemVerdict],
        packed: &[u8],
    ) -> Result<Vec<usize>, DrainEnd> {
        let mut outcomes: Vec<Outcome> = Vec::with_capacity(sent.len());
        let mut again = Vec::new();
        let mut tally = self.report.events;
        let mut failures = Vec::new();
        for (at, (event, verdict)) in sent.iter().zip(verdicts).enumerate() {
            let OutgoingEvent { row, digest, event_id, retry_count, .. } = event;
            let outcome = match verdict {
                ItemVerdict::Delivered => {
                    tally.delivered += 1;
                    RowOutcome::Delivered
                }
                ItemVerdict::Duplicate => {
                    tally.duplicate += 1;
                    RowOutcome::Duplicate
                }
                ItemVerdict::Conflict => {
                    tally.parked += 1;
                    failures.push(Failure::new(event_id, CONTENT_DIFFERS, Category::Unknown));
                    RowOutcome::Park {
                        reason: queue::parked::reason::CONFLICT.to_owned(),
                        detail: CONTENT_DIFFERS.to_owned(),
                    }
                }
                ItemVerdict::Rejected(rejection) => {
                    tally.parked += 1;
                    failures.push(Failure::new(event_id, &rejection.detail, rejection.category));
                    RowOutcome::Park { reason: rejection.reason.to_owned(), detail: rejection.detail.clone() }
                }
                ItemVerdict::Deferred(_) | ItemVerdict::Unanswered => {
                    let error = match verdict {
                        ItemVerdict::Deferred(error) => error.as_str(),
                        _ => "the server's answer does not mention this event",
                    };
                    tally.kept += 1;
                    failures.push(Failure::new(event_id, error, Category::of_text(error)));
                    // Also when the pause is over at once: one attempt a drain.
                    self.skip.skip_row(*row);
                    retry(error, *retry_count)
                }
                ItemVerdict::Resend => {
                    again.push(at);
                    continue;
                }
            };
            outcomes.push((*row, *digest, outcome));
        }
        let spans = batch_spans(sent.iter().map(|event| (event.row, event.data.len())));
        let sent = Some(SentBytes { packed, spans: &spans });
        self.record_requests(&[RecordedRequest { outcomes: &outcomes, sent }])?;
        self.report.events = tally;
        self.report.fail(failures);
        Ok(again)
    }

    /// Parks the rows that cannot leave as they are; returns the others as they leave.
    fn park_unsendable(&mut self, rows: Vec<OutgoingEvent>) -> Result<Vec<OutgoingEvent>, DrainEnd> {
        let mut ready = Vec::with_capacity(rows.len());
        let mut parked = Vec::new();
        let mut failures = Vec::new();
        for mut event in rows {
            match plan_outgoing(&event.data, &event.event_id, &self.team_id) {
                Ok(text) => {
                    if text.len() != event.data.len() || matches!(text, Cow::Owned(_)) {
                        event.data = text.into_owned();
                    }
                    ready.push(event);
                }
                Err(problem) => {
                    failures.push(Failure::new(&event.event_id, &problem.to_string(), problem.category()));
                    let outcome =
                        RowOutcome::Park { reason: problem.code().to_owned(), detail: problem.to_string() };
                    parked.push((event.row, event.digest, outcome));
                }
            }
        }
        self.record(&parked)?;
        self.report.events.parked += parked.len() as u64;
        self.report.fail(failures);
        Ok(ready)
    }
}

fn is_accepted(verdict: &ItemVerdict) -> bool {
    matches!(verdict, ItemVerdict::Delivered | ItemVerdict::Duplicate)
}

/// Not before a pause that grows with the attempts.
pub(super) fn retry(error: &str, retry_count: i64) -> RowOutcome {
    let attempts = u32::try_from(retry_count.saturating_add(1)).unwrap_or(1);
    let pause = plan_delay(attempts, random_fraction());
    RowOutcome::Retry { error: error.to_owned(), not_before: unix_now() + pause.as_secs_f64() }
}
