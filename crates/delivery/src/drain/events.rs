//! Delivery of events: reads a batch, sends it, records the answer.
//!
//! While batches are on their way, answers to batches before them are recorded and the next batch is read. It leaves
//! at once if it is of another project, and small. A batch of which the server does not accept every event is cut up and
//! settled before anything else leaves.

use super::batch::{AcceptedBatch, Answered, InFlight, Piece, ReadyBatch};
use super::exchange::{batch_request, unauthorized};
use super::report::Failure;
use super::sent::batch_spans;
use super::streak::Refused;
use super::{DrainEnd, DrainRun, unix_now};
use crate::backoff::plan_delay;
use crate::classify::{BatchJudgement, Category, ItemVerdict};
use crate::http::HttpRequest;
use crate::outgoing_event::plan_outgoing;
use crate::plan::BatchSplitter;
use contract::wire::batch::FRAME_BYTES;
use preflight::consent_of;
use queue::{BatchLimits, Kind, Outcome, OutgoingEvent, RecordedRequest, RowOutcome, SentBytes};
use std::borrow::Cow;

/// Reason of an event that is parked as a conflict.
const CONTENT_DIFFERS: &str = "the server holds other content under this id and keeps it; an earlier release may have captured the same fact";

/// So many accepted batches are recorded together, or fewer as soon as they hold [`TOGETHER_ROWS`]: a commit takes
/// longer than a small batch.
const TOGETHER: usize = 16;
const TOGETHER_ROWS: usize = 200;

fn are_enough(accepted: &[AcceptedBatch]) -> bool {
    let rows: usize = accepted.iter().map(|accepted| accepted.outcomes.len()).sum();
    accepted.len() >= TOGETHER || rows >= TOGETHER_ROWS
}

impl DrainRun<'_> {
    pub(super) fn send_events(&mut self) -> Result<(), DrainEnd> {
        let (mut in_flight, mut accepted) = (InFlight::default(), Vec::new());
        let ended = self.send_batches(&mut in_flight, &mut accepted);
        // Whatever ended it, the answers in hand and those still to come are recorded.
        let landed = self.await_rest(&mut in_flight, &mut accepted);
        let recorded = self.record_accepted(&mut accepted);
        ended.and(landed).and(recorded)
    }

    fn send_batches(
        &mut self,
        in_flight: &mut InFlight,
        accepted: &mut Vec<AcceptedBatch>,
    ) -> Result<(), DrainEnd> {
        let mut next: Option<ReadyBatch> = None;
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
            let ahead = next.take();
            let is_ahead = ahead.is_some();
            let batch = match ahead {
                Some(batch) => batch,
                // Nothing more may leave beside what is on its way.
                None if !in_flight.is_empty() => {
                    self.await_oldest(in_flight, accepted)?;
                    continue;
                }
                None => {
                    self.record_accepted(accepted)?;
                    let Some(batch) = self.read_batch()? else { return Ok(()) };
                    batch
                }
            };
            if !in_flight.have_room_for(&batch, self.sizing.room()) {
                next = self.await_oldest(in_flight, accepted)?.then_some(batch);
                continue;
            }
            let bearer = self.tokens.bearer()?;
            // Another decision since the batch was chosen: it is chosen again.
            if self.tokens.config().version() != batch.version {
                continue;
            }
            // Rows may have been removed or held while the request before was on its way. Not asked of a batch that
            // was just read: a process that writes all the time would stop the drain.
            if is_ahead && !self.is_as_read(&batch)? {
                continue;
            }
            if !batch.whole.size.fits(self.sizing.room()) {
                self.record_accepted(accepted)?;
                self.send_pieces(&batch, None)?;
                continue;
            }
            let (team_id, client) = (self.team_id.clone(), self.context.client.clone());
            let destination = self.tokens.destination().clone();
            in_flight.start(batch, client.is_concurrent(), move |packed| {
                let request = HttpRequest { bearer: Some(&bearer), ..batch_request(packed, &team_id) };
                client.send(&destination, &request)
            });
            next = self.work_ahead(in_flight, accepted)?;
        }
    }

    /// Shows the progress. The observer counts the answers in hand; the report counts what is recorded.
    fn advance(&mut self, accepted: &[AcceptedBatch]) {
        let recorded = self.report.events;
        AcceptedBatch::count(accepted, &mut self.report.events);
        self.progress.advance(&self.report);
        self.report.events = recorded;
    }

    /// Whether no other process changed the queue since the batch was read.
    fn is_as_read(&mut self, batch: &ReadyBatch) -> Result<bool, DrainEnd> {
        match batch.events.first() {
            Some(event) => Ok(self.outbox.is_as_read(event.row)?),
            None => Ok(false),
        }
    }

    /// Waits for the oldest answer that is awaited, and uses it. False: a batch that was read meanwhile must be read
    /// again, because the answer may have changed what leaves next.
    fn await_oldest(
        &mut self,
        in_flight: &mut InFlight,
        accepted: &mut Vec<AcceptedBatch>,
    ) -> Result<bool, DrainEnd> {
        let Some((batch, sent)) = in_flight.await_oldest() else { return Ok(true) };
        let team_id = self.team_id.clone();
        let request = batch_request(&batch.whole.packed, &team_id);
        let Some(answer) = self.answer_of(sent, request, batch.version)? else { return Ok(false) };
        match Answered::of(batch.events.iter(), &answer) {
            Answered { judgement: BatchJudgement::Items { verdicts, unknown_ids }, is_success, .. }
                if verdicts.iter().all(is_accepted) =>
            {
                self.report.unknown_ids += unknown_ids as u64;
                accepted.push(AcceptedBatch::of(batch, &verdicts));
                self.advance(accepted);
                self.observe(is_success, &verdicts)?;
                Ok(true)
            }
            answered => {
                self.record_accepted(accepted)?;
                self.send_pieces(&batch, Some(answered))?;
                Ok(false)
            }
        }
    }

    /// Waits for the answers that are still awaited when a drain ends, and uses what they say of single rows.
    fn await_rest(
        &mut self,
        in_flight: &mut InFlight,
        accepted: &mut Vec<AcceptedBatch>,
    ) -> Result<(), DrainEnd> {
        while let Some((batch, sent)) = in_flight.await_oldest() {
            self.report.requests += 1;
            let Ok(answer) = sent else { continue };
            let judgement = Answered::of(batch.events.iter(), &answer).judgement;
            let BatchJudgement::Items { verdicts, unknown_ids } = judgement else { continue };
            self.report.unknown_ids += unknown_ids as u64;
            if verdicts.iter().all(is_accepted) {
                accepted.push(AcceptedBatch::of(batch, &verdicts));
                self.advance(accepted);
                continue;
            }
            let events: Vec<_> = batch.events.iter().collect();
            self.record_verdicts(&events, &verdicts, &batch.whole.packed)?;
        }
        Ok(())
    }

    /// Records accepted batches if they are enough, and reads the next batch, unless its size depends on an answer
    /// that is awaited.
    fn work_ahead(
        &mut self,
        in_flight: &InFlight,
        accepted: &mut Vec<AcceptedBatch>,
    ) -> Result<Option<ReadyBatch>, DrainEnd> {
        if are_enough(accepted) {
            self.record_accepted(accepted)?;
        }
        if self.event_streak.is_probing() {
            return Ok(None);
        }
        let unrecorded = accepted.iter().map(|accepted| &*accepted.batch).chain(in_flight.batches());
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
        let room = self.sizing.room();
        let bytes = room.bytes.saturating_sub(FRAME_BYTES);
        BatchLimits { rows: room.events, bytes: (bytes - bytes / 16).max(1) }
    }

    /// Sends a batch in pieces that fit, each recorded before the next one leaves, until all are sent or the
    /// decisions are others than those of the batch. `answered` is the answer to the whole batch, if it was sent.
    fn send_pieces(&mut self, batch: &ReadyBatch, mut answered: Option<Answered>) -> Result<(), DrainEnd> {
        let sizes: Vec<usize> = batch.events.iter().map(|event| event.data.len()).collect();
        let room = if answered.is_some() { batch.whole.size } else { self.sizing.room() };
        let mut pieces = BatchSplitter::plan(&sizes, room.events, room.bytes, FRAME_BYTES, 1);
        while let Some(piece) = pieces.next_piece() {
            let sent: Vec<&OutgoingEvent> = piece.iter().filter_map(|at| batch.events.get(*at)).collect();
            let cut;
            let (request, Answered { judgement, is_success, by_document }) = match answered.take() {
                Some(answered) => (&batch.whole, answered),
                None => {
                    cut = Piece::of(sent.iter().copied());
                    let team_id = self.team_id.clone();
                    let request = batch_request(&cut.packed, &team_id);
                    let Some(answer) = self.exchange_rows(request, batch.version)? else { return Ok(()) };
                    (&cut, Answered::of(sent.iter().copied(), &answer))
                }
            };
            match judgement {
                BatchJudgement::Items { verdicts, unknown_ids } => {
                    self.report.unknown_ids += unknown_ids as u64;
                    let again = self.record_verdicts(&sent, &verdicts, &request.packed)?;
                    self.observe(is_success, &verdicts)?;
                    pieces.resend(again.into_iter().filter_map(|at| piece.get(at).copied()).collect());
                }
                BatchJudgement::Refused(rejection) => {
                    if let [event] = sent.as_slice() {
                        let (row, digest, name) = (event.row, event.digest, event.event_id.clone());
                        let mission_slug = None;
                        let refused = Refused { row, digest, name, mission_slug, rejection, by_document };
                        self.refuse(Kind::Event, refused)?;
                    }
                }
                BatchJudgement::Split { too_large, limits } => {
                    if too_large {
                        self.sizing.shrink(request.size, limits);
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
                // `exchange_rows` has refreshed once before it lets a 401 come this far.
                BatchJudgement::Refresh => return Err(DrainEnd::Server(unauthorized())),
            }
            self.progress.advance(&self.report);
        }
        Ok(())
    }

    /// An answer about a row shows that the server accepts rows, and parks those that were refused before it.
    fn observe(&mut self, is_success: bool, verdicts: &[ItemVerdict]) -> Result<(), DrainEnd> {
        if is_success && verdicts.iter().any(is_accepted) {
            self.sizing.grow();
        }
        if is_success && verdicts.iter().any(|verdict| *verdict != ItemVerdict::Unanswered) {
            self.accept(Kind::Event)?;
        }
        Ok(())
    }

    /// Records batches that the server has accepted, in one transaction. After an error they are still in the list.
    fn record_accepted(&mut self, accepted: &mut Vec<AcceptedBatch>) -> Result<(), DrainEnd> {
        let spans: Vec<_> = accepted
            .iter()
            .map(|AcceptedBatch { batch, .. }| {
                batch_spans(batch.events.iter().map(|event| (event.row, event.data.len())))
            })
            .collect();
        let requests: Vec<_> = accepted
            .iter()
            .zip(&spans)
            .map(|(AcceptedBatch { batch, outcomes }, spans)| {
                let sent = Some(SentBytes { packed: &batch.whole.packed, spans });
                RecordedRequest { outcomes, sent }
            })
            .collect();
        self.record_requests(&requests)?;
        AcceptedBatch::count(accepted, &mut self.report.events);
        accepted.clear();
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
    let pause = plan_delay(attempts, system::clock::random_fraction());
    RowOutcome::Retry { error: error.to_owned(), not_before: unix_now() + pause.as_secs_f64() }
}
