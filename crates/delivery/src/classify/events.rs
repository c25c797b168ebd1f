//! The answer to a batch of events.
//!
//! Invariants. The verdicts are parallel to the ids that were sent, so no answer applies to a row outside the
//! request. An id with two different answers counts as not answered. A single row is never split.

use super::error_text::bounded;
use super::{Category, ErrorText, RowRejection, ServerStop, Whole, judge_whole, unusable};
use crate::http::HttpAnswer;
use crate::http::documents::BatchResults;
use contract::json::read_object;
use contract::wire::{EventResult, EventStatus, IngressLimits};
use serde_json::Value;
use std::collections::HashMap;

/// Meaning of the answer to one batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BatchJudgement {
    /// One verdict for each row that was sent, in the order of sending.
    Items {
        /// The verdicts.
        verdicts: Vec<ItemVerdict>,
        /// Answers about ids that were not sent: ignored and counted in the report.
        unknown_ids: usize,
    },
    /// The request of a single row was refused as a whole.
    Refused(RowRejection),
    /// Send the two halves instead.
    Split {
        /// Whether because of size; else because some row spoils the batch.
        too_large: bool,
        /// Limits the refusal named.
        limits: IngressLimits,
    },
    /// The token is not accepted.
    Refresh,
    /// Nothing more of this project.
    StopProject(ServerStop),
    /// Nothing more at all.
    Stop(ServerStop),
}

/// Outcome of one row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ItemVerdict {
    /// The server has it now.
    Delivered,
    /// The server had it before.
    Duplicate,
    /// The server holds other content under this id, and keeps that: park it.
    Conflict,
    /// Refused by name: park it.
    Rejected(RowRejection),
    /// Not accepted this time, for a reason that passes: keep it, count the attempt.
    Deferred(String),
    /// Not in the answer: skip it for this drain.
    Unanswered,
    /// Undecided because of others in the batch: send it again without them.
    Resend,
}

/// Judges an answer to a batch of the events `ids`, each id as it was sent.
pub fn judge_batch(ids: &[&str], answer: &HttpAnswer) -> BatchJudgement {
    if (200..300).contains(&answer.status) {
        return judge_results(ids, answer);
    }
    let error_text = ErrorText::of(answer);
    let alone = |reason: &'static str, category: Category| {
        BatchJudgement::Refused(RowRejection { reason, detail: error_text.sentence(answer.status), category })
    };
    match judge_whole(answer, &error_text) {
        Whole::Refresh => BatchJudgement::Refresh,
        Whole::Forbidden(stop) if stop.reason == super::ServerStopReason::ProjectForbidden => {
            BatchJudgement::StopProject(stop)
        }
        Whole::Forbidden(stop) | Whole::Stop(stop) => BatchJudgement::Stop(stop),
        Whole::NotFound => BatchJudgement::Stop(ServerStop {
            reason: super::ServerStopReason::NoSuchRoute,
            detail: error_text.sentence(answer.status),
            asked: None,
        }),
        Whole::TooLarge(_) if ids.len() == 1 => alone("too_large", Category::OversizedEvent),
        Whole::TooLarge(limits) => BatchJudgement::Split { too_large: true, limits },
        Whole::BadRequest => match judge_details(ids, &error_text) {
            Some(judgement) => judgement,
            None if ids.len() == 1 => alone("rejected", error_text.category()),
            None => BatchJudgement::Split { too_large: false, limits: IngressLimits::default() },
        },
    }
}

fn judge_results(ids: &[&str], answer: &HttpAnswer) -> BatchJudgement {
    let Ok(BatchResults { results }) = answer.document::<BatchResults<'_>>() else {
        return BatchJudgement::Stop(unusable("the server's answer to a batch holds no `results` list"));
    };
    let positions: HashMap<&str, usize> = ids.iter().enumerate().map(|(at, id)| (*id, at)).collect();
    let mut answered: Vec<Option<ItemVerdict>> = vec![None; ids.len()];
    let mut unknown_ids = 0;
    for result in results {
        // An invalid result affects no other.
        let Ok(result) = read_object::<EventResult>(result.get().as_bytes()) else { continue };
        let position = result.event_id.as_deref().and_then(|id| positions.get(id));
        match position.and_then(|at| answered.get_mut(*at)) {
            Some(slot) => {
                let verdict = judge_result(&result);
                *slot = Some(match slot.take() {
                    Some(before) => merge(before, verdict),
                    None => verdict,
                });
            }
            None => unknown_ids += 1,
        }
    }
    let verdicts = answered.into_iter().map(|verdict| verdict.unwrap_or(ItemVerdict::Unanswered)).collect();
    BatchJudgement::Items { verdicts, unknown_ids }
}

fn judge_result(result: &EventResult) -> ItemVerdict {
    match result.outcome() {
        EventStatus::Accepted => ItemVerdict::Delivered,
        EventStatus::Duplicate if result.content_differs => ItemVerdict::Conflict,
        EventStatus::Duplicate => ItemVerdict::Duplicate,
        EventStatus::Rejected if result.status.is_empty() => ItemVerdict::Unanswered,
        EventStatus::Rejected => {
            let text = bounded(result.reason());
            let category = Category::of_text(&text);
            // Only `rejected` is final; an `error` about load or the network is transient.
            if result.status != EventStatus::Rejected.name() && category.is_transient() {
                return ItemVerdict::Deferred(text);
            }
            // Some servers, ours among them, repeat code and place in the sentence.
            let place = [&result.code, &result.path].into_iter().flatten().map(|part| bounded(part));
            let place = place.filter(|part| !text.contains(part.as_str()));
            let detail = place.chain([text.clone()]).collect::<Vec<_>>().join(": ");
            ItemVerdict::Rejected(RowRejection { reason: "rejected", detail, category })
        }
    }
}

/// Two answers about one row: equal ones are one; accepted and accepted before is accepted; anything else
/// contradicts itself.
fn merge(before: ItemVerdict, now: ItemVerdict) -> ItemVerdict {
    use ItemVerdict::{Delivered, Duplicate, Unanswered};
    match (before, now) {
        (Delivered | Duplicate, Delivered) | (Delivered, Duplicate) => Delivered,
        (before, now) if before == now => now,
        _ => Unanswered,
    }
}

/// A 400 that names the rows it is about: those are parked and the others sent again without them.
/// Rows are matched by id alone; positions are not believed. Nothing when it names none of ours.
fn judge_details(ids: &[&str], error_text: &ErrorText) -> Option<BatchJudgement> {
    let details = error_text.body()?.get("details")?;
    // A list, or a text that holds one.
    let parsed: Value;
    let list = match details {
        Value::String(text) => {
            parsed = serde_json::from_str(text).ok()?;
            parsed.as_array()?
        }
        other => other.as_array()?,
    };
    let mut named: HashMap<&str, String> = HashMap::new();
    for item in list {
        let Some(id) = item.get("event_id").and_then(Value::as_str) else { continue };
        let text = ["error", "reason", "message"].into_iter().find_map(|key| item.get(key)?.as_str());
        let text = text.map(bounded).or_else(|| error_text.text()).unwrap_or_else(|| "HTTP 400".to_owned());
        named.entry(id).or_insert(text);
    }
    let verdicts: Vec<ItemVerdict> = ids
        .iter()
        .map(|id| match named.get(id) {
            Some(text) => ItemVerdict::Rejected(RowRejection {
                reason: "rejected",
                detail: text.clone(),
                category: Category::of_text(text),
            }),
            None => ItemVerdict::Resend,
        })
        .collect();
    let ours = verdicts.iter().filter(|verdict| **verdict != ItemVerdict::Resend).count();
    (ours > 0).then(|| BatchJudgement::Items { verdicts, unknown_ids: named.len() - ours })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::HttpAnswer;

    #[test]
    fn details_park_named_rows_and_count_unknown_ids() {
        let body = r#"{"details": [{"event_id": "a", "error": "no"}, {"event_id": "x"}, {"event_id": "y"}]}"#;
        let text = ErrorText::of(&HttpAnswer::from_parts(400, None, body.into()));
        let Some(BatchJudgement::Items { verdicts, unknown_ids }) = judge_details(&["a", "b"], &text) else {
            panic!("details are believed");
        };
        assert!(matches!(verdicts[..], [ItemVerdict::Rejected(_), ItemVerdict::Resend]), "{verdicts:?}");
        assert_eq!(unknown_ids, 2);
    }
}
