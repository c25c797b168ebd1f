//! Outgoing form of a stored event.
//!
//! Makes the only two changes to an event before it is sent (wire rule 2.2.8). The local member
//! `drain_blocked_reason` is removed. An absent, null or blank `team_slug` is filled with the permit's team id. Every
//! other byte leaves as it was stored: nothing is parsed into values and written again, so numbers, escapes and key
//! order survive. Also owns the local refusals, which park one row and never stop another. Pure.
//!
//! Invariant: the outgoing text is valid JSON whenever the stored text is, and differs from it only in
//! those two members.

use crate::classify::Category;
use contract::event::FORBIDDEN_KEYS;
use contract::json::{Inside, Member, members};
use std::borrow::Cow;

/// Deepest nesting that is sent. A receiver that reads with the usual recursion limits (128) still
/// reads it inside its batch.
pub const MAX_DEPTH: u32 = 96;

/// Reason why a stored row cannot be sent as it is. Each parks that row with [`Unsendable::code`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unsendable {
    /// Not JSON.
    #[error("the stored event is not JSON: {0}")]
    NotJson(String),
    /// JSON, but no object.
    #[error("the stored event is not a JSON object")]
    NotAnObject,
    /// Nested deeper than [`MAX_DEPTH`].
    #[error("the stored event is nested deeper than {MAX_DEPTH} levels")]
    TooDeep,
    /// `event_id` is absent, not a text, or there twice.
    #[error("the stored event has no single `event_id` text")]
    EventId,
    /// The row has another id than its event: no answer could be matched.
    #[error("the stored event names another event_id than its row")]
    EventIdDiffers,
    /// `team_slug` is there twice.
    #[error("the stored event has two `team_slug` members")]
    TeamTwice,
    /// The event belongs to another team than the scope of this queue.
    #[error("the stored event belongs to team `{0}`")]
    OtherTeam(String),
    /// A key of the vocabulary before the cut-over.
    #[error("the stored event has the retired key `{0}`")]
    ForbiddenKey(&'static str),
}

impl Unsendable {
    /// The reason a parked row carries.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NotJson(_) | Self::NotAnObject | Self::TooDeep | Self::EventId => "unreadable_event",
            Self::EventIdDiffers => "event_id_differs",
            Self::TeamTwice | Self::OtherTeam(_) => "other_team",
            Self::ForbiddenKey(_) => "historical_mission_state",
        }
    }

    /// Its category in a failure report.
    pub const fn category(&self) -> Category {
        match self {
            Self::ForbiddenKey(_) => Category::HistoricalMissionState,
            Self::OtherTeam(_) | Self::TeamTwice => Category::Unauthorized,
            _ => Category::SchemaMismatch,
        }
    }
}

/// The text of one event in a batch for `team_id`; `event_id` is the id of its row.
///
/// # Errors
/// [`Unsendable`] when the row has to be parked instead.
pub(crate) fn plan_outgoing<'a>(
    stored: &'a str,
    event_id: &str,
    team_id: &str,
) -> Result<Cow<'a, str>, Unsendable> {
    // The syntax alone: no value is kept, so depth and size cost nothing.
    let raw: &serde_json::value::RawValue =
        serde_json::from_str(stored).map_err(|error| Unsendable::NotJson(error.to_string()))?;
    let text = raw.get();
    if !text.starts_with('{') {
        return Err(Unsendable::NotAnObject);
    }
    let members = members(text.as_bytes(), check_inside)?;
    check_event_id(text, &members, event_id)?;
    let blocked = members.iter().any(|member| member.name == "drain_blocked_reason");
    let team = plan_team(text, &members, team_id)?;
    if !blocked && team == TeamEdit::Keep {
        return Ok(Cow::Borrowed(text));
    }
    Ok(Cow::Owned(rewrite(text, &members, &team, team_id)))
}

/// Refuses forbidden keys and nesting that is too deep.
fn check_inside(inside: Inside<'_>) -> Result<(), Unsendable> {
    match inside {
        Inside::Depth(depth) if depth > MAX_DEPTH => Err(Unsendable::TooDeep),
        Inside::Key(key) => match FORBIDDEN_KEYS.into_iter().find(|forbidden| *forbidden == key) {
            Some(forbidden) => Err(Unsendable::ForbiddenKey(forbidden)),
            None => Ok(()),
        },
        Inside::Depth(_) => Ok(()),
    }
}

/// The value of a member whose value is a string.
fn string_of<'t>(text: &'t str, member: &Member<'_>) -> Option<Cow<'t, str>> {
    let value = &text[member.value.clone()];
    if !value.starts_with('"') {
        return None;
    }
    match value.contains('\\') {
        true => serde_json::from_str(value).ok().map(Cow::Owned),
        false => Some(Cow::Borrowed(&value[1..value.len() - 1])),
    }
}

fn check_event_id(text: &str, members: &[Member<'_>], event_id: &str) -> Result<(), Unsendable> {
    let mut ids = members.iter().filter(|member| member.name == "event_id");
    let (Some(member), None) = (ids.next(), ids.next()) else { return Err(Unsendable::EventId) };
    match string_of(text, member) {
        Some(id) if id == event_id => Ok(()),
        Some(_) => Err(Unsendable::EventIdDiffers),
        None => Err(Unsendable::EventId),
    }
}

#[derive(PartialEq, Eq)]
enum TeamEdit {
    Keep,
    Fill(usize),
    Append,
}

fn plan_team(text: &str, members: &[Member<'_>], team_id: &str) -> Result<TeamEdit, Unsendable> {
    let mut teams = members.iter().enumerate().filter(|(_, member)| member.name == "team_slug");
    let Some((index, member)) = teams.next() else { return Ok(TeamEdit::Append) };
    if teams.next().is_some() {
        return Err(Unsendable::TeamTwice);
    }
    if &text[member.value.clone()] == "null" {
        return Ok(TeamEdit::Fill(index));
    }
    // A number or an object names no team; the receiver judges it.
    let Some(named) = string_of(text, member) else { return Ok(TeamEdit::Keep) };
    let named = contract::scope::trim(&named);
    if named.is_empty() {
        Ok(TeamEdit::Fill(index))
    } else if named.to_lowercase() == contract::scope::trim(team_id).to_lowercase() {
        Ok(TeamEdit::Keep)
    } else {
        Err(Unsendable::OtherTeam(named.to_owned()))
    }
}

fn rewrite(text: &str, members: &[Member<'_>], edit: &TeamEdit, team_id: &str) -> String {
    // A JSON text of a string cannot fail to be written.
    let team = serde_json::to_string(team_id).unwrap_or_else(|_| "null".to_owned());
    let mut out = String::with_capacity(text.len() + team.len() + 16);
    // The text before `copied` is in `out`, or cut; the member before ended at `before`.
    let (mut copied, mut before, mut is_empty) = (0, 1, true);
    for (index, member) in members.iter().enumerate() {
        if member.name == "drain_blocked_reason" {
            out.push_str(&text[copied..before.max(copied)]);
            copied = member.value.end;
            if is_empty {
                // What follows becomes the first member.
                let rest = text[copied..].trim_start_matches([' ', '\n', '\r', '\t', ',']);
                copied = text.len() - rest.len();
            }
        } else {
            is_empty = false;
            if *edit == TeamEdit::Fill(index) {
                out.push_str(&text[copied..member.value.start]);
                out.push_str(&team);
                copied = member.value.end;
            }
        }
        before = member.value.end;
    }
    out.push_str(&text[copied..before.max(copied)]);
    if *edit == TeamEdit::Append {
        out.push_str(if is_empty { "\"team_slug\": " } else { ", \"team_slug\": " });
        out.push_str(&team);
    }
    out.push('}');
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Map, Value, json};

    fn plan(stored: &str) -> Result<Cow<'_, str>, Unsendable> {
        plan_outgoing(stored, "e1", "Team-1")
    }

    #[test]
    fn complete_event_leaves_byte_for_byte() {
        let stored = r#"{"event_id": "e1", "n": 1.50e3, "t": "\u00e9\ud800", "team_slug": "team-1", "payload": {"a": [1, {"b": null}]}}"#;
        assert!(matches!(plan(stored), Ok(Cow::Borrowed(text)) if text == stored));
    }

    #[test]
    fn local_member_is_removed_at_any_position() {
        for (stored, sent) in [
            (
                r#"{"event_id": "e1", "team_slug": "Team-1", "drain_blocked_reason": "no_auth"}"#,
                r#"{"event_id": "e1", "team_slug": "Team-1"}"#,
            ),
            (
                r#"{"drain_blocked_reason": null, "event_id": "e1", "team_slug": "Team-1"}"#,
                r#"{"event_id": "e1", "team_slug": "Team-1"}"#,
            ),
            (
                r#"{"event_id":"e1","drain_blocked_reason":{"x":[1]},"team_slug":"Team-1","z":0}"#,
                r#"{"event_id":"e1","team_slug":"Team-1","z":0}"#,
            ),
            (
                r#"{"drain_blocked_reason":1,"drain_blocked_reason":2,"event_id":"e1","team_slug":"Team-1"}"#,
                r#"{"event_id":"e1","team_slug":"Team-1"}"#,
            ),
            (
                r#"{"event_id":"e1","team_slug":"Team-1","drain\u005fblocked_reason":7}"#,
                r#"{"event_id":"e1","team_slug":"Team-1"}"#,
            ),
        ] {
            assert_eq!(plan(stored).unwrap(), sent);
        }
    }

    #[test]
    fn inner_member_of_that_name_stays() {
        let stored = r#"{"event_id":"e1","team_slug":"Team-1","payload":{"drain_blocked_reason":"x"}}"#;
        assert_eq!(plan(stored).unwrap(), stored);
    }

    #[test]
    fn empty_team_is_filled_in_place_and_an_absent_one_appended() {
        for (stored, sent) in [
            (r#"{"team_slug": null, "event_id": "e1"}"#, r#"{"team_slug": "Team-1", "event_id": "e1"}"#),
            (r#"{"team_slug": " ", "event_id": "e1"}"#, r#"{"team_slug": "Team-1", "event_id": "e1"}"#),
            (r#"{"event_id": "e1"}"#, r#"{"event_id": "e1", "team_slug": "Team-1"}"#),
            (
                r#" {"event_id": "e1", "drain_blocked_reason": "no_team"} "#,
                r#"{"event_id": "e1", "team_slug": "Team-1"}"#,
            ),
        ] {
            assert_eq!(plan(stored).unwrap(), sent);
        }
    }

    #[test]
    fn row_of_another_team_is_not_sent() {
        let error = plan(r#"{"event_id":"e1","team_slug":"team-2"}"#).unwrap_err();
        assert_eq!((error.code(), error), ("other_team", Unsendable::OtherTeam("team-2".into())));
        assert_eq!(
            plan(r#"{"event_id":"e1","team_slug":"Team-1","team_slug":"team-2"}"#),
            Err(Unsendable::TeamTwice)
        );
    }

    #[test]
    fn retired_keys_are_found_at_any_depth_and_in_any_spelling() {
        for stored in [
            r#"{"event_id":"e1","feature_slug":"x"}"#,
            r#"{"event_id":"e1","payload":{"a":[{"b":{"mission_key":1}}]}}"#,
            r#"{"event_id":"e1","payload":[[[{"feature\u005fnumber":1}]]]}"#,
        ] {
            assert_eq!(plan(stored).unwrap_err().code(), "historical_mission_state", "{stored}");
        }
        // Values are not keys, and the contract allows this key.
        assert!(plan(r#"{"event_id":"e1","payload":{"why":"feature_slug","work_package_id":"WP01","l":["mission_key"]}}"#).is_ok());
    }

    #[test]
    fn text_that_is_no_event_is_refused_without_panic() {
        let deep = format!(r#"{{"event_id":"e1","payload":{}{}}}"#, "[".repeat(100_000), "]".repeat(100_000));
        for (stored, code) in [
            ("", "unreadable_event"),
            ("null", "unreadable_event"),
            ("[]", "unreadable_event"),
            ("\"e1\"", "unreadable_event"),
            ("{\"event_id\":\"e1\"", "unreadable_event"),
            ("{\"event_id\":NaN}", "unreadable_event"),
            ("{}", "unreadable_event"),
            ("{\"event_id\":1}", "unreadable_event"),
            ("{\"event_id\":\"e1\",\"event_id\":\"e1\"}", "unreadable_event"),
            ("{\"event_id\":\"e2\"}", "event_id_differs"),
            (deep.as_str(), "unreadable_event"),
        ] {
            assert_eq!(plan(stored).unwrap_err().code(), code, "{:.40}", stored);
        }
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            "[ -~\\\\\"é]{0,8}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::vec(("[a-z\\\\\",:{}é]{1,6}", inner), 0..4)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        /// Whatever the event holds: the outgoing one means the same, but for the two members.
        #[test]
        fn only_the_two_members_ever_change(
            members in prop::collection::vec(("[a-z\\\\\" ]{1,6}", any_json()), 0..6),
            blocked in prop::option::of(any_json()),
            team in prop::option::of(prop_oneof![Just(json!(null)), Just(json!("")), Just(json!("TEAM-1"))]),
            at in 0usize..7,
            pretty in any::<bool>(),
        ) {
            let mut list: Vec<(String, Value)> = members;
            list.push(("event_id".into(), json!("e1")));
            if let Some(blocked) = blocked { list.insert(at.min(list.len()), ("drain_blocked_reason".into(), blocked)); }
            if let Some(team) = team { list.insert(at.min(list.len()), ("team_slug".into(), team)); }
            let stored: Map<String, Value> = list.into_iter().collect();
            let text = if pretty { serde_json::to_string_pretty(&stored) } else { serde_json::to_string(&stored) }.unwrap();
            let sent: Map<String, Value> = serde_json::from_str(&plan(&text).unwrap()).unwrap();
            let mut expected = stored;
            expected.shift_remove("drain_blocked_reason");
            let team = expected.get("team_slug").and_then(Value::as_str).filter(|team| !team.is_empty()).unwrap_or("Team-1").to_owned();
            expected.insert("team_slug".into(), json!(team));
            prop_assert_eq!(sent, expected);
        }

        #[test]
        fn arbitrary_text_never_panics(text in "\\PC{0,64}") {
            let _ = plan(&text);
        }
    }
}
