//! Delivery of artifact bodies: one request each, after the events they depend on.

use super::events::retry;
use super::exchange::{BODY_TIMEOUT, unauthorized};
use super::report::Failure;
use super::sent::pack;
use super::streak::Refused;
use super::{DrainEnd, DrainRun, unix_now};
use crate::classify::{BodyJudgement, Category, ErrorText, judge_body};
use crate::http::{HttpRequest, Payload};
use contract::wire::body::{INDEX_ENTRY_NOT_FOUND, MAX_CONTENT_BYTES};
use contract::wire::endpoint::PUSH_CONTENT;
use preflight::consent_of;
use queue::{BatchLimits, Kind, OutgoingBody, RecordedRequest, RowOutcome, SentBytes};

/// Bodies read into memory together.
const LIMITS: BatchLimits = BatchLimits { rows: 50, bytes: 8 << 20 };

impl DrainRun<'_> {
    pub(super) fn send_bodies(&mut self) -> Result<(), DrainEnd> {
        loop {
            self.check_cancelled()?;
            let limits =
                if self.body_streak.is_probing() { BatchLimits { rows: 1, bytes: 1 } } else { LIMITS };
            let config = self.tokens.config();
            let consent = consent_of(config.last()).numbered(config.version());
            let version = config.version();
            let batch = self.outbox.read_bodies(limits, &consent, &self.skip, unix_now())?;
            let Some(batch) = batch else { return Ok(()) };
            // A refusal is judged by whether the server is of this protocol.
            if !self.limits_known {
                self.fetch_limits()?;
                continue;
            }
            for body in &batch.rows {
                if !self.send_body(body, &batch.project_uuid, version)? {
                    break;
                }
                self.progress.advance(&self.report);
            }
        }
    }

    /// False when the rest of the batch must not leave: the project is not wanted any more, or the decisions
    /// are no longer those of `version`, by which it was chosen.
    fn send_body(
        &mut self,
        body: &OutgoingBody,
        project_uuid: &Option<String>,
        version: u64,
    ) -> Result<bool, DrainEnd> {
        if body.body.content_body.len() > MAX_CONTENT_BYTES {
            let detail = format!(
                "the document has {} bytes; at most {MAX_CONTENT_BYTES} can be sent",
                body.body.content_body.len()
            );
            self.park_body(body, "too_large", &detail, Category::OversizedEvent)?;
            return Ok(true);
        }
        // Nine strings cannot fail to be written.
        let json = serde_json::to_vec(&body.body).unwrap_or_default();
        let request =
            HttpRequest { timeout: BODY_TIMEOUT, ..HttpRequest::post(PUSH_CONTENT, Payload::Json(&json)) };
        let Some(answer) = self.exchange_rows(request, version)? else { return Ok(false) };
        match judge_body(&answer, &body.body.content_hash) {
            BodyJudgement::Delivered => {
                self.record_body(body, RowOutcome::Delivered, &json)?;
                self.report.bodies.delivered += 1;
                self.accept(Kind::Body)?;
            }
            BodyJudgement::Duplicate => {
                self.record_body(body, RowOutcome::Duplicate, &json)?;
                self.report.bodies.duplicate += 1;
                self.accept(Kind::Body)?;
            }
            BodyJudgement::Rejected(rejection) => {
                let by_document = ErrorText::of(&answer).is_by_document();
                let (row, digest, name) = (body.row, body.digest, body.body.artifact_path.clone());
                let mission_slug = Some(body.body.mission_slug.clone());
                let refused = Refused { row, digest, name, mission_slug, rejection, by_document };
                self.refuse(Kind::Body, refused)?;
            }
            BodyJudgement::Later(why) => {
                self.skip.skip_row(body.row);
                self.record(&[(body.row, body.digest, retry(&why, body.retry_count))])?;
                self.report.bodies.kept += 1;
                self.report.fail([Failure::of_body(&body.body, &why, Category::of_text(&why))]);
                // The one reason that passes by itself; any other may be a proxy's.
                if why != INDEX_ENTRY_NOT_FOUND {
                    self.refuse_other(Kind::Body, &why)?;
                }
            }
            BodyJudgement::StopProject(stop) => {
                self.report.stop_project(project_uuid.clone(), &stop, self.context);
                self.skip.skip_project(project_uuid.clone());
                self.refuse_other(Kind::Body, &stop.detail)?;
                return Ok(false);
            }
            BodyJudgement::Stop(stop) => return Err(DrainEnd::Server(stop)),
            // `exchange_rows` has refreshed once before it lets a 401 come this far.
            BodyJudgement::Refresh => return Err(DrainEnd::Server(unauthorized())),
        }
        Ok(true)
    }

    /// Records that the server has a body, and keeps the request that carried it.
    fn record_body(&mut self, body: &OutgoingBody, outcome: RowOutcome, json: &[u8]) -> Result<(), DrainEnd> {
        let spans = [(body.row, 0..json.len())];
        let sent = SentBytes { packed: &pack(json), spans: &spans };
        let outcomes = [(body.row, body.digest, outcome)];
        self.record_requests(&[RecordedRequest { outcomes: &outcomes, sent: Some(sent) }])?;
        Ok(())
    }

    fn park_body(
        &mut self,
        body: &OutgoingBody,
        reason: &str,
        detail: &str,
        category: Category,
    ) -> Result<(), DrainEnd> {
        let outcome = RowOutcome::Park { reason: reason.to_owned(), detail: detail.to_owned() };
        self.record(&[(body.row, body.digest, outcome)])?;
        self.report.bodies.parked += 1;
        self.report.fail([Failure::of_body(&body.body, detail, category)]);
        Ok(())
    }
}
