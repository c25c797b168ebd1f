//! A lane row as a log in memory keeps it: what the board needs of it, in a fifth of its bytes.

use super::lane_row::LaneView;
use crate::instant::Instant;
use crate::lane::Lane;
use contract::lane_order::LaneStep;
use serde_json::{Map, Value};
use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::Arc;

/// One move of a work package.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct LaneMove {
    pub(crate) event_id: Arc<str>,
    pub(crate) wp_id: Arc<str>,
    pub(crate) mission_slug: Arc<str>,
    pub(crate) actor: Arc<str>,
    /// The time as written, unless it is the instant as [`Instant::iso`] writes it.
    at: Option<Box<str>>,
    /// None when `at` is not a time.
    pub(crate) instant: Option<Instant>,
    pub(crate) from: Lane,
    pub(crate) to: Lane,
    pub(crate) force: bool,
    detail: Option<Box<Detail>>,
}

impl LaneStep for LaneMove {
    fn event_id(&self) -> &str {
        &self.event_id
    }

    fn wp_id(&self) -> &str {
        &self.wp_id
    }

    fn from(&self) -> Lane {
        self.from
    }

    fn to(&self) -> Lane {
        self.to
    }
}

/// Fields that few moves have.
#[derive(Clone, Debug, Default, PartialEq)]
struct Detail {
    names_review: bool,
    review_result: Option<Value>,
    claim: Map<String, Value>,
    reason: Option<String>,
    reason_source: Option<String>,
}

/// Slots of a claim: the process and agent that have the work package.
const CLAIM: [&str; 3] = ["shell_pid", "shell_pid_created_at", "agent"];

/// Texts that many rows share.
#[derive(Clone, Debug, Default)]
pub(super) struct Names {
    known: HashSet<Arc<str>>,
    /// Mission and actor of the row before: mostly those of the next one.
    last: [Option<Arc<str>>; 2],
}

impl Names {
    fn share(&mut self, text: &str) -> Arc<str> {
        if let Some(known) = self.known.get(text) {
            return Arc::clone(known);
        }
        let name: Arc<str> = text.into();
        self.known.insert(Arc::clone(&name));
        name
    }

    fn share_as_before(&mut self, column: usize, text: &str) -> Arc<str> {
        if let Some(last) = self.last[column].as_ref().filter(|last| ***last == *text) {
            return Arc::clone(last);
        }
        let name = self.share(text);
        self.last[column] = Some(Arc::clone(&name));
        name
    }
}

impl LaneMove {
    pub(super) fn of(event_id: Arc<str>, row: LaneView<'_>, names: &mut Names) -> Self {
        let (from, to) = (row.from_lane, row.to_lane);
        let mut detail = Detail {
            names_review: row.review_ref.is_some_and(|reference| !reference.is_empty()),
            review_result: row.review_result,
            ..Detail::default()
        };
        if let (Lane::Planned, Lane::Claimed, Some(Value::Object(mut facts))) =
            (from, to, row.policy_metadata)
        {
            let known = CLAIM.iter().filter_map(|key| Some(((*key).to_owned(), facts.remove(*key)?)));
            detail.claim = known.filter(|(key, value)| has_value(key, value)).collect();
        }
        if to == Lane::Canceled {
            detail.reason = row.reason.map(Cow::into_owned);
            detail.reason_source = row.reason_source.map(Cow::into_owned);
        }
        let instant = Instant::parse(&row.at);
        let has_detail = detail.names_review
            || detail.review_result.is_some()
            || !detail.claim.is_empty()
            || to == Lane::Canceled;
        Self {
            event_id,
            wp_id: names.share(&row.wp_id),
            mission_slug: names.share_as_before(0, &row.mission_slug),
            actor: names.share_as_before(1, &row.actor.0),
            instant,
            at: (instant.is_none() || !is_iso(&row.at)).then(|| row.at.into()),
            from,
            to,
            force: row.force,
            detail: has_detail.then(|| Box::new(detail)),
        }
    }

    /// Whether its time is written as [`Instant::iso`] writes it.
    pub(crate) fn is_written_alike(&self) -> bool {
        self.at.is_none()
    }

    /// Time, as written.
    pub(crate) fn at(&self) -> Cow<'_, str> {
        match &self.at {
            Some(at) => Cow::Borrowed(at),
            None => Cow::Owned(self.instant.and_then(Instant::iso).unwrap_or_default()),
        }
    }

    /// Whether the move takes a work package from review back to work. Earlier releases know only the way from
    /// `for_review`, and only when it names the review.
    pub(crate) fn is_rollback(&self, is_current: bool) -> bool {
        let names_review = || self.detail.as_ref().is_some_and(|detail| detail.names_review);
        self.to == Lane::InProgress
            && match self.from {
                Lane::ForReview => names_review(),
                Lane::InReview => is_current,
                _ => false,
            }
    }

    /// Conclusion of the review.
    pub(crate) fn review_result(&self) -> Option<&Value> {
        self.detail.as_ref()?.review_result.as_ref()
    }

    /// Slots that a claim fills.
    pub(crate) fn claim(&self) -> impl Iterator<Item = (&String, &Value)> {
        self.detail.iter().flat_map(|detail| &detail.claim)
    }

    /// The reason of a cancellation, and whether a person gave it: by the row's key, else by its text.
    pub(crate) fn cancellation(&self) -> Option<(Option<&str>, &str)> {
        let detail = self.detail.as_ref().filter(|_| self.to == Lane::Canceled)?;
        let reason = detail.reason.as_deref();
        let made = reason.is_none_or(|reason| {
            reason.trim().is_empty() || MADE_REASONS.iter().any(|made| reason.starts_with(made))
        });
        let source = detail.reason_source.as_deref().unwrap_or(if made { "synthetic" } else { "operator" });
        Some((reason, source))
    }
}

/// Whether a time is written as [`Instant::iso`] writes it: UTC with six digits of microseconds.
fn is_iso(at: &str) -> bool {
    let bytes = at.as_bytes();
    // A second 60 is read as the one before.
    bytes.len() == 32
        && bytes[5].is_ascii_digit()
        && bytes[10] == b'T'
        && bytes[17] != b'6'
        && bytes[19] == b'.'
        && at.ends_with("+00:00")
}

/// Beginnings of the reasons that commands generate.
const MADE_REASONS: [&str; 2] = ["Force move to ", "move-task: "];

/// Whether a key of a claim has a value; a blank agent has none.
fn has_value(key: &str, value: &Value) -> bool {
    !value.is_null() && (key != "agent" || value.as_str().is_some_and(|agent| !agent.trim().is_empty()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_reads_back_as_it_was_written() {
        for at in [
            "2026-08-01T10:00:01.000000+00:00",
            "2026-08-01T10:00:01.123456+00:00",
            "2026-08-01T10:00:01+00:00",
            "2026-08-01T10:00:01.123456Z",
            "2026-08-01 10:00:01.123456+00:00",
            "2026-08-01T10:00:01.1234567+00:00",
            "2026-08-01T10:00:01.123456-00:00",
            "2026-08-01T12:00:01.12345+02:00",
            "2026-06-30T23:59:60.123456+00:00",
            "2026-W31-6T10:00:01.123456+00:00",
            "2026-13-01T10:00:01.123456+00:00",
            "yesterday",
        ] {
            let row = crate::log::tests::lane_row("A", at);
            let kept = LaneMove::of("A".into(), row.view(), &mut Names::default());
            assert_eq!(kept.at(), at);
        }
    }
}
