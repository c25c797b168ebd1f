//! Text that comes from outside and goes to a terminal.

use std::borrow::Cow;
use std::path::Path;

/// `value` with control characters, direction marks and other invisible characters written as escapes,
/// so that a value can neither move the cursor nor hide itself, and two values that differ look
/// different. Never cuts. The joiners inside words and emoji stay: they show.
pub fn printable(value: &str) -> Cow<'_, str> {
    if value.chars().any(needs_escape) {
        let escaped = value.chars().fold(String::with_capacity(value.len() + 8), |mut out, c| {
            if needs_escape(c) {
                out.extend(c.escape_default());
            } else {
                out.push(c);
            }
            out
        });
        Cow::Owned(escaped)
    } else {
        Cow::Borrowed(value)
    }
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
    use super::printable;

    #[test]
    fn escapes_what_a_terminal_would_obey() {
        assert_eq!(printable("plain ünïcode"), "plain ünïcode");
        assert_eq!(printable("a\u{1b}[31mb\nc"), "a\\u{1b}[31mb\\nc");
        assert_eq!(printable("\u{202e}evil"), "\\u{202e}evil");
        assert_eq!(printable("team\u{200b}\u{feff}"), "team\\u{200b}\\u{feff}");
        assert_eq!(printable("👩\u{200d}🚀"), "👩\u{200d}🚀");
    }
}
