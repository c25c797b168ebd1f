//! The outgoing form of a stored event, and of a stored artifact body.
//!
//! Owns the only two changes an event suffers on its way out (wire rule 2.2.8): the local member
//! `drain_blocked_reason` is cut out, and an absent, null or blank `team_slug` is filled with the
//! permit's team id. Every other byte leaves as it was stored: nothing is parsed into values and
//! written again, so numbers, escapes and key order survive. Also owns the local refusals, which park
//! one row and never stop another. Pure.
//!
//! Invariant: the outgoing text is valid JSON whenever the stored text is, and differs from it only in
//! those two members.

use crate::classify::Category;
use contract::event::FORBIDDEN_KEYS;
use std::borrow::Cow;
use std::ops::Range;

/// Deepest nesting that is sent. A receiver that reads with the usual recursion limits (128) still
/// reads it inside its batch.
pub const MAX_DEPTH: u32 = 96;

/// Why a stored row cannot be sent as it is. Each parks that row with [`Unsendable::code`].
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
    /// The row says one id and its event another: no answer could ever be matched.
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

    /// What a failure report files it under.
    pub const fn category(&self) -> Category {
        match self {
            Self::ForbiddenKey(_) => Category::HistoricalMissionState,
            Self::OtherTeam(_) | Self::TeamTwice => Category::Unauthorized,
            _ => Category::SchemaMismatch,
        }
    }
}

/// The text of one event as it goes into a batch for `team_id`; `event_id` is the id its row has.
///
/// # Errors
/// [`Unsendable`] when the row has to be parked instead.
pub fn plan_outgoing<'a>(stored: &'a str, event_id: &str, team_id: &str) -> Result<Cow<'a, str>, Unsendable> {
    // One pass of a real parser first: the scanner below may then trust the syntax. It keeps no values,
    // so depth and size cost nothing.
    let raw: &serde_json::value::RawValue =
        serde_json::from_str(stored).map_err(|error| Unsendable::NotJson(error.to_string()))?;
    let text = raw.get();
    let members = Scanner::new(text).members()?;
    check_event_id(text, &members, event_id)?;
    let blocked = members.iter().any(|member| member.name == "drain_blocked_reason");
    let team = plan_team(text, &members, team_id)?;
    if !blocked && team == TeamEdit::Keep {
        return Ok(Cow::Borrowed(text));
    }
    Ok(Cow::Owned(rewrite(text, &members, &team, team_id)))
}

fn check_event_id(text: &str, members: &[Member<'_>], event_id: &str) -> Result<(), Unsendable> {
    let mut ids = members.iter().filter(|member| member.name == "event_id");
    let (Some(member), None) = (ids.next(), ids.next()) else { return Err(Unsendable::EventId) };
    match member.text_value(text) {
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
    // A number or an object names nobody; the receiver says what it thinks of it.
    let Some(named) = member.text_value(text) else { return Ok(TeamEdit::Keep) };
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
    out.push('{');
    let mut first = true;
    let mut after = 1;
    for (index, member) in members.iter().enumerate() {
        if member.name == "drain_blocked_reason" {
            after = member.value.end;
            continue;
        }
        if first {
            out.push_str(text[after..member.key.start].trim_start_matches([' ', '\n', '\r', '\t', ',']));
        } else {
            // From the end of the previous member, cut or not: one comma and its white space.
            out.push_str(&text[after..member.key.start]);
        }
        out.push_str(&text[member.key.start..member.value.start]);
        match edit {
            TeamEdit::Fill(team_index) if *team_index == index => out.push_str(&team),
            _ => out.push_str(&text[member.value.clone()]),
        }
        after = member.value.end;
        first = false;
    }
    if *edit == TeamEdit::Append {
        out.push_str(if first { "\"team_slug\": " } else { ", \"team_slug\": " });
        out.push_str(&team);
    }
    out.push('}');
    out
}

/// One member of the outermost object; ranges into the text. `key` includes its quotes.
struct Member<'a> {
    name: Cow<'a, str>,
    key: Range<usize>,
    value: Range<usize>,
}

impl Member<'_> {
    fn text_value<'t>(&self, text: &'t str) -> Option<Cow<'t, str>> {
        let value = &text[self.value.clone()];
        let inner = value.strip_prefix('"')?.strip_suffix('"')?;
        if inner.contains('\\') {
            serde_json::from_str::<String>(value).ok().map(Cow::Owned)
        } else {
            Some(Cow::Borrowed(inner))
        }
    }
}

/// Walks text that a parser has already accepted.
struct Scanner<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Scanner<'a> {
    fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    /// The members of the outermost object; refuses forbidden keys at any depth.
    fn members(mut self) -> Result<Vec<Member<'a>>, Unsendable> {
        if self.peek() != Some(b'{') {
            return Err(Unsendable::NotAnObject);
        }
        let mut members: Vec<Member<'a>> = Vec::with_capacity(20);
        // Bit n: whether level n is an object. 128 levels fit, MAX_DEPTH is below.
        let mut objects: u128 = 0;
        let mut depth: u32 = 0;
        let mut key_next = false;
        while let Some(byte) = self.peek() {
            match byte {
                b'"' => {
                    let (span, escaped) = self.string();
                    if key_next {
                        let name = self.key_name(span.clone(), escaped);
                        if let Some(forbidden) = FORBIDDEN_KEYS.into_iter().find(|key| name == *key) {
                            return Err(Unsendable::ForbiddenKey(forbidden));
                        }
                        self.skip_to_value();
                        if depth == 1 {
                            members.push(Member { name, key: span, value: self.at..self.at });
                        }
                        key_next = false;
                    } else if depth == 1 {
                        close_value(&mut members, span.end);
                    }
                    continue;
                }
                b'{' | b'[' => {
                    if depth >= MAX_DEPTH {
                        return Err(Unsendable::TooDeep);
                    }
                    depth += 1;
                    let bit = 1u128 << depth;
                    objects = if byte == b'{' { objects | bit } else { objects & !bit };
                    key_next = byte == b'{';
                }
                b'}' | b']' => {
                    depth = depth.saturating_sub(1);
                    key_next = false;
                    if depth == 1 {
                        close_value(&mut members, self.at + 1);
                    }
                }
                b',' => key_next = objects >> depth & 1 == 1,
                b' ' | b'\n' | b'\r' | b'\t' => {}
                // A digit or letter of a number or of true, false, null.
                _ if depth == 1 => close_value(&mut members, self.at + 1),
                _ => {}
            }
            self.at += 1;
        }
        Ok(members)
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// The span of the string that starts here, quotes included, and whether it has escapes; moves
    /// behind it.
    fn string(&mut self) -> (Range<usize>, bool) {
        let start = self.at;
        let mut escaped = false;
        self.at += 1;
        while let Some(byte) = self.peek() {
            self.at += match byte {
                b'\\' => {
                    escaped = true;
                    2
                }
                b'"' => {
                    self.at += 1;
                    break;
                }
                _ => 1,
            };
        }
        (start..self.at.min(self.text.len()), escaped)
    }

    fn skip_to_value(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\n' | b'\r' | b'\t' | b':')) {
            self.at += 1;
        }
    }

    /// What a key means, escapes resolved. One that cannot be resolved (a lone surrogate) means nothing
    /// that is looked for.
    fn key_name(&self, span: Range<usize>, escaped: bool) -> Cow<'a, str> {
        let text = self.text;
        if escaped {
            return Cow::Owned(serde_json::from_str(&text[span]).unwrap_or_default());
        }
        Cow::Borrowed(&text[span.start + 1..span.end - 1])
    }
}

fn close_value(members: &mut [Member<'_>], end: usize) {
    if let Some(member) = members.last_mut() {
        member.value.end = end;
    }
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
    fn a_complete_event_leaves_byte_for_byte() {
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
    fn an_inner_member_of_that_name_stays() {
        let stored = r#"{"event_id":"e1","team_slug":"Team-1","payload":{"drain_blocked_reason":"x"}}"#;
        assert_eq!(plan(stored).unwrap(), stored);
    }

    #[test]
    fn an_empty_team_is_filled_in_place_and_an_absent_one_appended() {
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
    fn a_row_of_another_team_is_not_sent() {
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
    fn what_is_no_event_is_refused_and_nothing_panics() {
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
