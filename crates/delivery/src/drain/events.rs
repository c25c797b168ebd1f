//! Delivery of events: reads a batch, sends its pieces, records the answers.

use super::exchange::{batch_request, encode_batch, unauthorized};
use super::report::Failure;
use super::sent::batch_spans;
use super::streak::Refused;
use super::{DrainEnd, DrainRun, unix_now};
use crate::backoff::{plan_delay, random_fraction};
use crate::classify::{BatchJudgement, Category, ErrorText, ItemVerdict, judge_batch};
use crate::outgoing_event::plan_outgoing;
use crate::plan::{BatchSize, BatchSplitter};
use contract::wire::batch::FRAME_BYTES;
use preflight::consent_of;
use queue::{BatchLimits, Kind, OutgoingEvent, RowBatch, RowDigest, RowId, RowOutcome, SentBytes};
use std::borrow::Cow;

/// Why an event is parked as a conflict.
const CONTENT_DIFFERS: &str = "the server holds other content under this id and keeps it";

/// One event of a batch, ready to leave.
struct ReadyEvent<'b> {
    event: &'b OutgoingEvent,
    text: Cow<'b, str>,
}

/// The answer to one piece of a batch.
struct Answered {
    judgement: BatchJudgement,
    /// Whether it is a document of the protocol.
    by_document: bool,
    /// The request's body, as it was sent.
    packed: Vec<u8>,
}

impl DrainRun<'_> {
    pub(super) fn send_events(&mut self) -> Result<(), DrainEnd> {
        loop {
            self.check_cancelled()?;
            let config = self.read_config()?;
            // Before the limits are known one row is enough to see that something waits: a larger batch
            // might have to be cut up, and its later pieces would leave on an older consent.
            let limits =
                if self.limits_known { self.batch_limits() } else { BatchLimits { rows: 1, bytes: 1 } };
            let Some(batch) = self.outbox.read_events(limits, &consent_of(&config), &self.skip)? else {
                return Ok(());
            };
            if self.limits_known {
                self.send_batch(&batch)?;
            } else {
                self.fetch_limits()?;
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

    fn send_batch(&mut self, batch: &RowBatch<OutgoingEvent>) -> Result<(), DrainEnd> {
        let ready = self.park_unsendable(&batch.rows)?;
        if ready.is_empty() {
            return Ok(());
        }
        let sizes: Vec<usize> = ready.iter().map(|ready| ready.text.len()).collect();
        let room = self.pace.room();
        let mut pieces = BatchSplitter::plan(&sizes, room.events, room.bytes, FRAME_BYTES, 1);
        while let Some(piece) = pieces.next_piece() {
            let bytes =
                FRAME_BYTES + piece.iter().filter_map(|at| sizes.get(*at)).sum::<usize>() + piece.len() - 1;
            let sent: Vec<&ReadyEvent<'_>> = piece.iter().filter_map(|at| ready.get(*at)).collect();
            let Answered { judgement, by_document, packed } = self.send_piece(&sent, bytes)?;
            match judgement {
                BatchJudgement::Items { verdicts, unknown_ids } => {
                    self.report.unknown_ids += unknown_ids as u64;
                    let again = self.record_verdicts(&sent, &verdicts, &packed)?;
                    pieces.resend(again.into_iter().filter_map(|at| piece.get(at).copied()).collect());
                }
                BatchJudgement::Refused(rejection) => {
                    if let [ReadyEvent { event, .. }] = sent.as_slice() {
                        let (row, digest, name) = (event.row, event.digest, event.event_id.clone());
                        self.refuse(Kind::Event, Refused { row, digest, name, rejection, by_document })?;
                    }
                }
                BatchJudgement::Split { too_large, limits } => {
                    if too_large {
                        self.pace.shrink(BatchSize { events: piece.len(), bytes }, limits);
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

    /// Sends one piece.
    fn send_piece(&mut self, sent: &[&ReadyEvent<'_>], bytes: usize) -> Result<Answered, DrainEnd> {
        let body = encode_batch(sent.iter().map(|ready| ready.text.as_ref()), bytes);
        let team_id = self.team_id.clone();
        let answer = self.exchange(batch_request(&body, &team_id))?;
        let ids: Vec<&str> = sent.iter().map(|ready| ready.event.event_id.as_str()).collect();
        let judgement = judge_batch(&ids, &answer);
        let by_name = (200..300).contains(&answer.status);
        if let BatchJudgement::Items { verdicts, .. } = &judgement
            && by_name
        {
            if verdicts.iter().any(|verdict| *verdict != ItemVerdict::Unanswered) {
                self.take(Kind::Event)?;
            }
            if verdicts
                .iter()
                .any(|verdict| matches!(verdict, ItemVerdict::Delivered | ItemVerdict::Duplicate))
            {
                self.pace.grow();
            }
        }
        Ok(Answered { judgement, by_document: ErrorText::of(&answer).is_by_document(), packed: body })
    }

    /// Records the verdicts in one transaction; returns the positions to send again.
    fn record_verdicts(
        &mut self,
        sent: &[&ReadyEvent<'_>],
        verdicts: &[ItemVerdict],
        packed: &[u8],
    ) -> Result<Vec<usize>, DrainEnd> {
        let mut outcomes: Vec<(RowId, RowDigest, RowOutcome)> = Vec::with_capacity(sent.len());
        let mut again = Vec::new();
        let mut tally = self.report.events;
        let mut failures = Vec::new();
        for (at, (ready, verdict)) in sent.iter().zip(verdicts).enumerate() {
            let OutgoingEvent { row, digest, event_id, retry_count, .. } = ready.event;
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
        let spans = batch_spans(sent.iter().map(|ready| (ready.event.row, ready.text.len())));
        self.record_sent(&outcomes, &SentBytes { packed, spans: &spans })?;
        self.report.events = tally;
        self.report.fail(failures);
        Ok(again)
    }

    /// Parks the rows that cannot leave as they are; returns the others as they leave.
    fn park_unsendable<'b>(&mut self, rows: &'b [OutgoingEvent]) -> Result<Vec<ReadyEvent<'b>>, DrainEnd> {
        let mut ready = Vec::with_capacity(rows.len());
        let mut parked = Vec::new();
        let mut failures = Vec::new();
        for event in rows {
            match plan_outgoing(&event.data, &event.event_id, &self.team_id) {
                Ok(text) => ready.push(ReadyEvent { event, text }),
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

/// Not before a pause that grows with the attempts.
pub(super) fn retry(error: &str, retry_count: i64) -> RowOutcome {
    let attempts = u32::try_from(retry_count.saturating_add(1)).unwrap_or(1);
    let pause = plan_delay(attempts, random_fraction());
    RowOutcome::Retry { error: error.to_owned(), not_before: unix_now() + pause.as_secs_f64() }
}
