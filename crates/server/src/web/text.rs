//! Text on pages: one escaper, and numbers.

use askama::filters::Escaper;
use contract::text::{printable, printable_lines};
use std::fmt::{self, Write};

/// The escaper of all templates (`askama.toml`): markup is escaped, and characters that move or hide text are shown
/// as escapes.
#[derive(Clone, Copy)]
pub(crate) struct Html;

impl Escaper for Html {
    fn write_escaped_str<W: Write>(&self, out: W, text: &str) -> fmt::Result {
        askama::filters::Html.write_escaped_str(out, &printable(text))
    }
}

/// Text of several lines: line ends and tabs are kept. Used in a template as `{{ Lines(text)|safe }}`, because it
/// escapes itself.
#[allow(dead_code, reason = "for pages with text of several lines")]
pub(crate) struct Lines<'t>(pub(crate) &'t str);

impl fmt::Display for Lines<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        askama::filters::Html.write_escaped_str(f, &printable_lines(self.0))
    }
}

/// Groups digits by three with non-breaking spaces: `1 048 576`.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() * 2);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push('\u{202f}');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn escape(text: &str) -> String {
        let mut out = String::new();
        Html.write_escaped_str(&mut out, text).unwrap();
        out
    }

    #[test]
    fn escaped_text_contains_no_markup() {
        assert_eq!(escape("<a href='x'>&\"</a>"), "&#60;a href=&#39;x&#39;&#62;&#38;&#34;&#60;/a&#62;");
        assert_eq!(escape("a\u{202e}b\nc"), "a\\u{202e}b\\nc");
        assert_eq!(escape("ünïcode"), "ünïcode");
        assert_eq!(Lines("a\n\t<\u{202e}").to_string(), "a\n\t&#60;\\u{202e}");
    }

    #[test]
    fn long_numbers_are_grouped_by_three() {
        assert_eq!(
            [0, 999, 1000, 1_048_576].map(grouped),
            ["0", "999", "1\u{202f}000", "1\u{202f}048\u{202f}576"]
        );
    }
}
