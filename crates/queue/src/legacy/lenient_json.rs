//! Whom an event names when no strict reader takes it: `NaN` and `Infinity` as Python's `json` writes
//! them, text that breaks off, bytes that are no UTF-8, any size.
//!
//! What cannot be read whole may still say whose it is, and what says so is never taken for ours. So the
//! text is only split into keys and values, up to where even that ends; nothing is copied but the few
//! values that decide, and depth costs no stack.

use crate::envelope::names_no_team;
use std::borrow::Cow;

/// The keys of an event's text that tell whose it is. The last of several is the one that counts.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tolerant<'a> {
    team_slug: Option<&'a [u8]>,
    project_uuid: Option<&'a [u8]>,
    namespace: Option<&'a [u8]>,
    payload: Option<&'a [u8]>,
}

impl<'a> Tolerant<'a> {
    /// Reads what there is; text that is no object has no keys.
    pub(crate) fn read(data: &'a [u8]) -> Self {
        let mut found = Self::default();
        let mut rest = Cursor { data, at: 0 };
        if !rest.take(b'{') {
            return found;
        }
        while let Some((key, value)) = rest.member() {
            let slot = match decoded(key).as_ref() {
                "team_slug" => &mut found.team_slug,
                "project_uuid" => &mut found.project_uuid,
                "namespace" => &mut found.namespace,
                "payload" => &mut found.payload,
                _ => continue,
            };
            *slot = Some(value);
        }
        found
    }

    /// The value of `team_slug` as text.
    pub(crate) fn team_slug(self) -> Option<String> {
        let names = |raw: &&[u8]| !std::str::from_utf8(raw).is_ok_and(names_no_team);
        self.team_slug.filter(names).and_then(scalar)
    }

    /// The project, by the rule of [`crate::envelope::Envelope::project_uuid`].
    pub(crate) fn project_uuid(self) -> Option<String> {
        let payload = self.payload.map(Self::read).unwrap_or_default();
        let namespaced = |value: Option<&[u8]>| {
            value.and_then(|value| Tolerant::read(value).project_uuid.and_then(scalar))
        };
        namespaced(self.namespace)
            .or_else(|| namespaced(payload.namespace))
            .or_else(|| self.project_uuid.and_then(scalar))
            .or_else(|| payload.project_uuid.and_then(scalar))
            .map(|uuid| contract::scope::trim(&uuid).to_lowercase())
            .filter(|uuid| !uuid.is_empty())
    }
}

/// A value as text; nothing for null and the empty string.
fn scalar(value: &[u8]) -> Option<String> {
    let text = match value {
        b"null" => return None,
        [b'"', ..] => decoded(value),
        _ => String::from_utf8_lossy(value),
    };
    Some(text.into_owned()).filter(|text| !text.is_empty())
}

/// What stands between the quotes; the closing one may be missing.
fn decoded(quoted: &[u8]) -> Cow<'_, str> {
    let inner = quoted.strip_prefix(b"\"").unwrap_or(quoted);
    let text = String::from_utf8_lossy(inner.strip_suffix(b"\"").unwrap_or(inner));
    if !text.contains('\\') {
        return text;
    }
    serde_json::from_str(&format!("\"{text}\"")).map_or(text, Cow::Owned)
}

struct Cursor<'a> {
    data: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    fn peek(&self) -> Option<u8> {
        self.data.get(self.at).copied()
    }

    /// Skips white space, and `wanted` if it follows.
    fn take(&mut self, wanted: u8) -> bool {
        while self.peek().is_some_and(|byte| byte.is_ascii_whitespace()) {
            self.at += 1;
        }
        let there = self.peek() == Some(wanted);
        self.at += usize::from(there);
        there
    }

    /// The next key and its value; nothing where the object, or its syntax, ends.
    fn member(&mut self) -> Option<(&'a [u8], &'a [u8])> {
        while self.take(b',') {}
        if self.peek() != Some(b'"') {
            return None;
        }
        let key = self.string();
        if !self.take(b':') {
            return None;
        }
        // Skips the space before the value; a comma here is no value, and ends up as an empty one.
        self.take(b'\0');
        let value = self.value();
        Some((key, value))
    }

    /// A string with its quotes, from the first of them on.
    fn string(&mut self) -> &'a [u8] {
        let from = self.at;
        self.at += 1;
        while let Some(byte) = self.peek() {
            self.at += if byte == b'\\' { 2 } else { 1 };
            if byte == b'"' {
                break;
            }
        }
        self.at = self.at.min(self.data.len());
        self.data.get(from..self.at).unwrap_or_default()
    }

    /// Everything up to the comma or bracket that ends the value.
    fn value(&mut self) -> &'a [u8] {
        let from = self.at;
        let mut depth = 0_usize;
        while let Some(byte) = self.peek() {
            match byte {
                b'"' => {
                    self.string();
                    continue;
                }
                b'{' | b'[' => depth += 1,
                b',' if depth == 0 => break,
                b'}' | b']' => match depth.checked_sub(1) {
                    Some(outer) => depth = outer,
                    None => break,
                },
                _ => {}
            }
            self.at += 1;
        }
        self.data.get(from..self.at).unwrap_or_default().trim_ascii_end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn team(data: &str) -> Option<String> {
        Tolerant::read(data.as_bytes()).team_slug()
    }

    #[test]
    fn invalid_json_still_names_its_account() {
        for data in [
            r#"{"event_id":"e","team_slug":"other","payload":{"x":NaN}}"#,
            r#"{"payload":{"x":[Infinity,-Infinity,"}"]}, "team_slug" : "other" }"#,
            r#"{"team_slug":"first","team_slug":"other","cut":"off"#,
            r#"{"te\u0061m_slug":"oth\u0065r""#,
            r#"{"team_slug":"other"} and more"#,
            "{\"raw\":\"\n\t\",\"team_slug\":\"other\"}",
        ] {
            assert_eq!(team(data).as_deref(), Some("other"), "{data}");
        }
        assert_eq!(
            Tolerant::read(b"{\"x\":\"\xff\",\"team_slug\":\"other\"}").team_slug().as_deref(),
            Some("other")
        );
    }

    #[test]
    fn row_without_top_level_account_has_none() {
        for data in [
            "",
            "{",
            "nonsense",
            r#"["team_slug","other"]"#,
            r#"{"team_slug":null,"x":NaN}"#,
            r#"{"team_slug":"","x":NaN}"#,
            r#"{"team_slug":""#,
            r#"{"payload":{"team_slug":"other"},"x":NaN}"#,
            r#"{"note":"\"team_slug\":\"other\"","x":NaN}"#,
            r#"{"team_slug"#,
            r#"{"a" 1,"team_slug":"other"}"#,
            "{\"\\",
        ] {
            assert_eq!(team(data), None, "{data}");
        }
    }

    #[test]
    fn the_project_is_found_by_the_rule_of_whole_events() {
        let project = |data: &str| Tolerant::read(data.as_bytes()).project_uuid();
        let data = r#"{"x":NaN,"project_uuid":"E","payload":{"namespace":{"project_uuid":" N "}}}"#;
        assert_eq!(project(data).as_deref(), Some("n"));
        assert_eq!(project(r#"{"x":NaN,"payload":{"project_uuid":"P"}}"#).as_deref(), Some("p"));
        assert_eq!(project(r#"{"x":NaN,"project_uuid":null}"#), None);
    }
}
