//! A lane change, as the log holds it.

use super::actor::Actor;
use crate::lane::Lane;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Map, Value, json};
use std::borrow::Cow;

/// Place of the work on a work package.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::EnumString, strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum ExecutionMode {
    /// In a git worktree of its lane.
    Worktree,
    /// In the repository itself.
    DirectRepo,
}

impl ExecutionMode {
    /// The name in the log.
    pub fn name(self) -> &'static str {
        self.into()
    }

    /// The mode of exactly this name.
    pub fn from_name(name: &str) -> Option<Self> {
        name.parse().ok()
    }
}

/// One lane change. Reading keeps what older releases wrote, so `execution_mode` is any text.
#[derive(Clone, Debug, PartialEq)]
pub struct LaneRow {
    /// ULID.
    pub event_id: String,
    /// Directory name of the mission; empty in a row that names none.
    pub mission_slug: String,
    /// ULID of the mission, when it has one.
    pub mission_id: Option<String>,
    /// `WPnn`.
    pub wp_id: String,
    /// The lane before.
    pub from_lane: Lane,
    /// The lane after.
    pub to_lane: Lane,
    /// Time: ISO 8601, UTC.
    pub at: String,
    /// Actor. An actor object of a later release is read as the name in it.
    pub actor: String,
    /// Whether it was forced.
    pub force: bool,
    /// `worktree` or `direct_repo`; older logs hold others.
    pub execution_mode: String,
    /// Reason.
    pub reason: Option<String>,
    /// Whether a person gave the reason of a cancellation: `operator` or `synthetic`. Current missions only.
    pub reason_source: Option<String>,
    /// Reference to the review.
    pub review_ref: Option<String>,
    /// Conclusion of the review: `{reviewer, verdict, reference}`. Current missions only.
    pub review_result: Option<Value>,
    /// `{review: {reviewer, verdict, reference}, repos?, verification?}`.
    pub evidence: Option<Value>,
    /// Policy facts of other producers; kept, never sent.
    pub policy_metadata: Option<Value>,
}

impl LaneRow {
    /// Reads a line that is as it should be. Nothing otherwise: then [`LaneRow::from_map`] names what is
    /// wrong with it, at leisure.
    pub(super) fn read_quickly(line: &str) -> Option<Self> {
        LaneView::read(line).map(LaneView::into_row)
    }

    pub(super) fn from_map(map: &Map<String, Value>) -> Result<Self, String> {
        let optional = |key: &'static str| match map.get(key) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(_) => Err(format!("key `{key}` is not a text")),
        };
        let required = |key: &'static str| {
            optional(key)?.ok_or_else(|| format!("is a lane row without the key `{key}`"))
        };
        let lane = |key: &'static str| {
            let text = required(key)?;
            let unknown =
                || format!("key `{key}` names the unknown lane `{}`", contract::text::printable(&text));
            Lane::from_log(&text).ok_or_else(unknown)
        };
        let mission_slug = match map.get("mission_slug") {
            None => optional("feature_slug")?,
            Some(_) => optional("mission_slug")?,
        };
        let value = |key: &str| map.get(key).filter(|value| !value.is_null()).cloned();
        let actor = map.get("actor").ok_or("is a lane row without the key `actor`")?;
        let row = Self {
            event_id: required("event_id")?,
            mission_slug: mission_slug.unwrap_or_default(),
            mission_id: optional("mission_id")?,
            wp_id: required("wp_id")?,
            from_lane: lane("from_lane")?,
            to_lane: lane("to_lane")?,
            at: required("at")?,
            actor: Actor::deserialize(actor).map_err(|_| "key `actor` cannot be read")?.0.into_owned(),
            force: is_true(map.get("force").ok_or("is a lane row without the key `force`")?),
            execution_mode: required("execution_mode")?,
            reason: optional("reason")?,
            reason_source: optional("reason_source")?,
            review_ref: optional("review_ref")?,
            review_result: value("review_result").filter(is_filled),
            evidence: value("evidence"),
            policy_metadata: value("policy_metadata"),
        };
        check_review(row.review_result.as_ref(), "review_result")?;
        let evidence = row.evidence.as_ref().filter(|evidence| is_filled(evidence));
        check_review(evidence.map(|evidence| &evidence["review"]), "evidence.review")?;
        Ok(row)
    }

    /// The row as JSON: fourteen keys; those of later releases, and `mission_id`, only when they are known.
    pub fn to_value(&self) -> Value {
        let mut row = json!({
            "event_id": self.event_id,
            "mission_slug": self.mission_slug,
            "wp_id": self.wp_id,
            "from_lane": self.from_lane,
            "to_lane": self.to_lane,
            "at": self.at,
            "actor": self.actor,
            "force": self.force,
            "execution_mode": self.execution_mode,
            "reason": self.reason,
            "review_ref": self.review_ref,
            "evidence": self.evidence,
            "policy_metadata": self.policy_metadata,
        });
        if let Some(map) = row.as_object_mut() {
            let texts = [("mission_id", &self.mission_id), ("reason_source", &self.reason_source)];
            map.extend(
                texts.into_iter().filter_map(|(key, text)| Some((key.to_owned(), text.clone()?.into()))),
            );
            map.extend(self.review_result.clone().map(|result| ("review_result".to_owned(), result)));
        }
        row
    }

    /// The row as it is kept in memory.
    pub(super) fn view(&self) -> LaneView<'_> {
        fn borrowed(text: Option<&String>) -> Option<Cow<'_, str>> {
            text.map(|text| Cow::Borrowed(text.as_str()))
        }
        LaneView {
            event_id: (&*self.event_id).into(),
            mission_slug: (&*self.mission_slug).into(),
            mission_id: borrowed(self.mission_id.as_ref()),
            wp_id: (&*self.wp_id).into(),
            from_lane: self.from_lane,
            to_lane: self.to_lane,
            at: (&*self.at).into(),
            actor: Actor((&*self.actor).into()),
            force: self.force,
            execution_mode: (&*self.execution_mode).into(),
            reason: borrowed(self.reason.as_ref()),
            reason_source: borrowed(self.reason_source.as_ref()),
            review_ref: borrowed(self.review_ref.as_ref()),
            review_result: self.review_result.clone(),
            evidence: None,
            policy_metadata: self.policy_metadata.clone(),
            kind: None,
            r#type: None,
            event_type: None,
            event_name: None,
        }
    }
}

/// Truth of a value by the rules of Python.
fn is_true(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(value) => *value,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        filled => is_filled(filled),
    }
}

/// Whether a list or an object holds something.
fn is_filled(value: &Value) -> bool {
    match value {
        Value::Object(map) => !map.is_empty(),
        Value::Array(list) => !list.is_empty(),
        _ => true,
    }
}

/// A review that is given names reviewer, verdict and reference.
fn check_review(review: Option<&Value>, key: &str) -> Result<(), String> {
    let Some(review) = review else { return Ok(()) };
    match ["reviewer", "verdict", "reference"].into_iter().find(|part| !review[*part].is_string()) {
        None => Ok(()),
        Some(part) => Err(format!("key `{key}` has no text `{part}`")),
    }
}

/// A lane row as its line holds it, without a copy of its texts.
#[derive(Deserialize)]
pub(super) struct LaneView<'a> {
    #[serde(borrow)]
    pub(super) event_id: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) mission_slug: Cow<'a, str>,
    #[serde(borrow, default, deserialize_with = "optional_text")]
    mission_id: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(super) wp_id: Cow<'a, str>,
    pub(super) from_lane: Lane,
    pub(super) to_lane: Lane,
    #[serde(borrow)]
    pub(super) at: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) actor: Actor<'a>,
    pub(super) force: bool,
    #[serde(borrow)]
    execution_mode: Cow<'a, str>,
    #[serde(borrow, default, deserialize_with = "optional_text")]
    pub(super) reason: Option<Cow<'a, str>>,
    #[serde(borrow, default, deserialize_with = "optional_text")]
    pub(super) reason_source: Option<Cow<'a, str>>,
    #[serde(borrow, default, deserialize_with = "optional_text")]
    pub(super) review_ref: Option<Cow<'a, str>>,
    #[serde(default)]
    pub(super) review_result: Option<Value>,
    #[serde(default)]
    evidence: Option<Value>,
    #[serde(default)]
    pub(super) policy_metadata: Option<Value>,
    /// A row whose `kind` is not null, or of one of these types, is not a lane row.
    #[serde(default)]
    kind: Option<IgnoredAny>,
    #[serde(default)]
    r#type: Option<IgnoredAny>,
    /// Rows with one of these keys are not lane rows, whatever its value.
    #[serde(default, deserialize_with = "present")]
    event_type: Option<()>,
    #[serde(default, deserialize_with = "present")]
    event_name: Option<()>,
}

/// serde borrows a `Cow` that is a field, and copies one within an `Option`.
fn optional_text<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Cow<'de, str>>, D::Error> {
    #[derive(Deserialize)]
    struct Text<'a>(#[serde(borrow)] Cow<'a, str>);
    Ok(Option::<Text<'de>>::deserialize(deserializer)?.map(|text| text.0))
}

fn present<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<()>, D::Error> {
    IgnoredAny::deserialize(deserializer).map(|_| Some(()))
}

impl<'a> LaneView<'a> {
    /// Reads a line that is a lane row in its usual form.
    pub(super) fn read(line: &'a str) -> Option<Self> {
        let mut view: Self = serde_json::from_str(line).ok()?;
        view.review_result = view.review_result.filter(is_filled);
        let reviewed = check_review(view.review_result.as_ref(), "");
        let evidence = view.evidence.as_ref().filter(|evidence| is_filled(evidence));
        let proven = check_review(evidence.map(|evidence| &evidence["review"]), "");
        let is_lane_row = view.kind.is_none()
            && view.r#type.is_none()
            && view.event_type.is_none()
            && view.event_name.is_none();
        (is_lane_row && reviewed.is_ok() && proven.is_ok()).then_some(view)
    }

    fn into_row(self) -> LaneRow {
        let owned = |text: Option<Cow<'_, str>>| text.map(Cow::into_owned);
        LaneRow {
            event_id: self.event_id.into_owned(),
            mission_slug: self.mission_slug.into_owned(),
            mission_id: owned(self.mission_id),
            wp_id: self.wp_id.into_owned(),
            from_lane: self.from_lane,
            to_lane: self.to_lane,
            at: self.at.into_owned(),
            actor: self.actor.0.into_owned(),
            force: self.force,
            execution_mode: self.execution_mode.into_owned(),
            reason: owned(self.reason),
            reason_source: owned(self.reason_source),
            review_ref: owned(self.review_ref),
            review_result: self.review_result,
            evidence: self.evidence,
            policy_metadata: self.policy_metadata,
        }
    }
}
