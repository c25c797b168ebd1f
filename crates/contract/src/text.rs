//! Untrusted text, escaped for a terminal.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::path::Path;

/// `value` with control characters, direction marks and other invisible characters written as escapes, so
/// that no value moves the cursor and different values look different. Never shortens. Joiners inside words
/// and emoji are kept: they are visible.
pub fn printable(value: &str) -> Cow<'_, str> {
    escaped(value, needs_escape, |c, out| out.extend(c.escape_default()))
}

/// The same for text of several lines: line ends and tabs are kept. All terminal output passes through this
/// function; values are escaped by [`printable`] first, so that they add no lines.
pub fn printable_lines(text: &str) -> Cow<'_, str> {
    let escape = |c| needs_escape(c) && !matches!(c, '\n' | '\t');
    escaped(text, escape, |c, out| out.extend(c.escape_default()))
}

/// A JSON document with the same characters as `\uXXXX`. They occur only in its strings, so the value is
/// unchanged.
pub fn printable_json(document: &str) -> Cow<'_, str> {
    let escape = |c| needs_escape(c) && !matches!(c, '\n' | '\t' | '\r');
    escaped(document, escape, |c, out| {
        for unit in c.encode_utf16(&mut [0; 2]) {
            let _ = write!(out, "\\u{unit:04x}");
        }
    })
}

fn escaped(value: &str, needs: impl Fn(char) -> bool, write: impl Fn(char, &mut String)) -> Cow<'_, str> {
    if !value.chars().any(&needs) {
        return Cow::Borrowed(value);
    }
    Cow::Owned(value.chars().fold(String::with_capacity(value.len() + 8), |mut out, c| {
        if needs(c) {
            write(c, &mut out);
        } else {
            out.push(c);
        }
        out
    }))
}

/// A path as messages show it: raw, but for the escapes of [`printable`].
pub fn path(path: &Path) -> String {
    printable(&path.to_string_lossy()).into_owned()
}

fn needs_escape(c: char) -> bool {
    let invisible = matches!(
        c,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}'
    );
    c.is_control() || invisible
}

#[cfg(test)]
mod tests {
    use super::{printable, printable_json, printable_lines};

    #[test]
    fn control_characters_are_escaped() {
        assert_eq!(printable("plain ünïcode"), "plain ünïcode");
        assert_eq!(printable("a\u{1b}[31mb\nc"), "a\\u{1b}[31mb\\nc");
        assert_eq!(printable("\u{202e}evil"), "\\u{202e}evil");
        assert_eq!(printable("team\u{200b}\u{feff}"), "team\\u{200b}\\u{feff}");
        assert_eq!(printable("👩\u{200d}🚀"), "👩\u{200d}🚀");
    }

    #[test]
    fn text_keeps_lines_and_tabs_and_no_other_control_character() {
        assert_eq!(printable_lines("a\n\tb\r\u{9b}2J\n"), "a\n\tb\\r\\u{9b}2J\n");
    }

    #[test]
    fn escaped_json_means_the_same() {
        let value = serde_json::json!({"name": "a\u{1b}[2J\u{9b}\u{7f}\u{202e}\u{e0041}"});
        let shown = printable_json(&value.to_string()).into_owned();
        assert!(shown.is_ascii(), "{shown}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&shown).unwrap(), value);
    }
}
