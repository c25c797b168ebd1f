//! Lenient reader: splits the text of an object into its members and decodes nothing else.
//!
//! A stored event may come from Python, whose `json` writes `NaN`, `Infinity` and escapes of lone surrogates, or from
//! a program that was killed while it wrote. Reading ends where the syntax ends, never panics and never recurses, so
//! depth costs no stack.

use std::borrow::Cow;
use std::ops::Range;

/// One member of the outermost object. The ranges are positions in the text.
#[derive(Clone, Debug)]
pub struct Member<'a> {
    /// The key, its escapes resolved.
    pub name: Cow<'a, str>,
    /// The key with its quotes.
    pub key: Range<usize>,
    /// The value, without the space around it.
    pub value: Range<usize>,
}

/// Value that [`members`] passes to its visitor.
#[derive(Clone, Copy, Debug)]
pub enum Inside<'a> {
    /// An object or array begins; the outermost one has depth 1.
    Depth(u32),
    /// A key, its escapes resolved, of any object down to depth 127.
    Key(&'a str),
}

/// The members of the object in `text`, duplicates included; none without an object. `visit` is called for
/// every level and key, and its error ends the reading.
pub fn members<'a, E>(
    text: &'a [u8],
    mut visit: impl FnMut(Inside<'_>) -> Result<(), E>,
) -> Result<Vec<Member<'a>>, E> {
    let mut scanner = Scanner { text, at: 0 };
    scanner.skip_space();
    let mut members: Vec<Member<'a>> = Vec::new();
    if scanner.peek() != Some(b'{') {
        return Ok(members);
    }
    members.reserve(20);
    // Bit n: whether level n is an object.
    let mut objects: u128 = 0;
    let mut depth: u32 = 0;
    let mut key_next = false;
    while let Some(byte) = scanner.peek() {
        match byte {
            b'"' if key_next => {
                let (key, is_escaped) = scanner.string();
                key_next = false;
                let name = decode(&text[key.clone()], is_escaped);
                visit(Inside::Key(&name))?;
                scanner.skip_space();
                if depth == 1 {
                    if scanner.peek() != Some(b':') {
                        break;
                    }
                    scanner.at += 1;
                    scanner.skip_space();
                    members.push(Member { name, key, value: scanner.at..scanner.at });
                }
                continue;
            }
            b'"' => {
                let (value, _) = scanner.string();
                if depth == 1 {
                    extend_value(&mut members, value.end);
                }
                continue;
            }
            b'{' | b'[' => {
                depth += 1;
                visit(Inside::Depth(depth))?;
                let bit = 1_u128.checked_shl(depth).unwrap_or_default();
                objects = if byte == b'{' { objects | bit } else { objects & !bit };
                key_next = byte == b'{' && bit != 0;
            }
            b'}' | b']' => {
                depth -= 1;
                key_next = false;
                match depth {
                    0 => break,
                    1 => extend_value(&mut members, scanner.at + 1),
                    _ => {}
                }
            }
            b',' => key_next = objects & 1_u128.checked_shl(depth).unwrap_or_default() != 0,
            b' ' | b'\n' | b'\r' | b'\t' => {}
            // Text where a key must be: the object ends here.
            _ if depth == 1 && key_next => break,
            // A character of a number, a name or a constant.
            _ if depth == 1 => extend_value(&mut members, scanner.at + 1),
            _ => {}
        }
        scanner.at += 1;
    }
    Ok(members)
}

fn extend_value(members: &mut [Member<'_>], end: usize) {
    if let Some(member) = members.last_mut() {
        member.value.end = end;
    }
}

/// A value as text: a string decoded, none for `null` and the empty string, any other value as written.
pub fn lenient_text(value: &[u8]) -> Option<Cow<'_, str>> {
    let text = match value {
        b"null" => return None,
        [b'"', ..] => decode(value, value.contains(&b'\\')),
        _ => String::from_utf8_lossy(value),
    };
    Some(text).filter(|text| !text.is_empty())
}

/// The text between the quotes, of which the closing one may be missing. Escapes that mean no
/// character (a lone surrogate) leave the text as written.
fn decode(quoted: &[u8], is_escaped: bool) -> Cow<'_, str> {
    let inner = quoted.strip_prefix(b"\"").unwrap_or(quoted);
    let inner = inner.strip_suffix(b"\"").unwrap_or(inner);
    let text = std::str::from_utf8(inner).map_or_else(|_| String::from_utf8_lossy(inner), Cow::Borrowed);
    if !is_escaped {
        return text;
    }
    serde_json::from_str(&format!("\"{text}\"")).map_or(text, Cow::Owned)
}

struct Scanner<'a> {
    text: &'a [u8],
    at: usize,
}

impl Scanner<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn skip_space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\n' | b'\r' | b'\t')) {
            self.at += 1;
        }
    }

    /// The string that starts here, quotes included, and whether it has escapes; moves behind it.
    fn string(&mut self) -> (Range<usize>, bool) {
        let start = self.at;
        let mut is_escaped = false;
        self.at += 1;
        while let Some(byte) = self.peek() {
            self.at += 1;
            match byte {
                b'"' => break,
                b'\\' => {
                    is_escaped = true;
                    self.at += 1;
                }
                _ => {}
            }
        }
        self.at = self.at.min(self.text.len());
        (start..self.at, is_escaped)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::convert::Infallible;

    fn member(text: &[u8], name: &str) -> Option<String> {
        let Ok(members) = members(text, |_| Ok::<_, Infallible>(()));
        let found = members.iter().rfind(|member| member.name == name)?;
        lenient_text(&text[found.value.clone()]).map(Cow::into_owned)
    }

    #[test]
    fn text_that_is_no_json_still_has_members() {
        for text in [
            r#"{"event_id":"e","t":"other","payload":{"x":NaN}}"#,
            r#"{"payload":{"x":[Infinity,-Infinity,"}"]}, "t" : "other" }"#,
            r#"{"t":"first","t":"other","cut":"off"#,
            r#"{"\u0074":"oth\u0065r""#,
            r#"{"t":"other"} and more"#,
            "{\"raw\":\"\n\t\",\"t\":\"other\"}",
            r#"{"x":\ud83d,"t":"other"}"#,
        ] {
            assert_eq!(member(text.as_bytes(), "t").as_deref(), Some("other"), "{text}");
        }
        assert_eq!(member(b"{\"x\":\"\xff\",\"t\":\"other\"}", "t").as_deref(), Some("other"));
    }

    #[test]
    fn only_members_of_the_outermost_object_count() {
        for text in [
            "",
            "{",
            "nonsense",
            r#"["t","other"]"#,
            r#"{"t":null,"x":NaN}"#,
            r#"{"t":"","x":NaN}"#,
            r#"{"t":""#,
            r#"{"payload":{"t":"other"},"x":NaN}"#,
            r#"{"note":"\"t\":\"other\"","x":NaN}"#,
            r#"{"t"#,
            r#"{"a" 1,"t":"other"}"#,
            "{\"\\",
        ] {
            assert_eq!(member(text.as_bytes(), "t"), None, "{text}");
        }
    }

    #[test]
    fn value_is_its_text_as_written() {
        assert_eq!(member(br#"{"a": 1.50e3 , "b":[1, 2] }"#, "a").as_deref(), Some("1.50e3"));
        assert_eq!(member(br#"{"a": 1.50e3 , "b":[1, 2] }"#, "b").as_deref(), Some("[1, 2]"));
        assert_eq!(member(br#"{"a":"\ud800"}"#, "a").as_deref(), Some(r"\ud800"));
    }

    #[test]
    fn depth_costs_no_stack() {
        let text = format!(r#"{{"x":{}{},"t":"other"}}"#, "[".repeat(1_000_000), "]".repeat(1_000_000));
        assert_eq!(member(text.as_bytes(), "t").as_deref(), Some("other"));
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(text in prop::collection::vec(any::<u8>(), 0..80)) {
            let Ok(members) = members(&text, |_| Ok::<_, Infallible>(()));
            for member in members {
                prop_assert!(member.value.end <= text.len() && member.key.end <= text.len());
            }
        }

        #[test]
        fn arbitrary_punctuation_never_panics(text in "[\\[\\]{}\":,\\\\a1 ]{0,60}") {
            let _ = members(text.as_bytes(), |_| Ok::<_, Infallible>(()));
        }
    }
}
