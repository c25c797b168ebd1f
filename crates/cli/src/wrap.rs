//! Line breaks between words, by display width. A word that is wider than the line stays whole, and so
//! does a line that holds a command to copy.

use std::borrow::Cow;
use textwrap::{Options, WordSeparator, WordSplitter};

/// Indentation of the second and later lines of a wrapped line, beyond its first.
const INDENT: usize = 2;

/// `head`, then `text` beside it: further lines begin below its first.
pub(crate) fn hanging(head: &str, text: &str, width: usize) -> String {
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let indent = " ".repeat(textwrap::core::display_width(head));
    if text.is_empty() {
        return format!("{head}\n");
    }
    format!("{}\n", textwrap::fill(&text, options(width).initial_indent(head).subsequent_indent(&indent)))
}

/// `text` with every line that is too long for `width` columns broken between its words. Lines with a
/// command line of this program stay as they are, so that they can be copied.
pub(crate) fn lines(text: &str, width: usize) -> Cow<'_, str> {
    let fits = |line: &str| textwrap::core::display_width(line) <= width || line.contains("spec-kitty ");
    if text.lines().all(fits) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 64);
    for line in text.split_inclusive('\n') {
        let (line, end) = line.strip_suffix('\n').map_or((line, ""), |line| (line, "\n"));
        if fits(line) {
            out.push_str(line);
        } else {
            let words = line.trim_start();
            let first = &line[..line.len() - words.len()];
            let rest = " ".repeat(first.len() + INDENT);
            out.push_str(&textwrap::fill(
                words,
                options(width).initial_indent(first).subsequent_indent(&rest),
            ));
        }
        out.push_str(end);
    }
    Cow::Owned(out)
}

/// Whether every word of `text` fits into `width` columns.
pub(crate) fn words_fit(text: &str, width: usize) -> bool {
    text.split_whitespace().all(|word| textwrap::core::display_width(word) <= width)
}

fn options(width: usize) -> Options<'static> {
    Options::new(width)
        .break_words(false)
        .word_separator(WordSeparator::AsciiSpace)
        .word_splitter(WordSplitter::NoHyphenation)
}

#[cfg(test)]
mod tests {
    use super::{hanging, lines, words_fit};

    #[test]
    fn hanging_text_breaks_between_words_and_aligns() {
        assert_eq!(hanging("WP01  ", "ring the bell once", 14), "WP01  ring the\n      bell\n      once\n");
        assert_eq!(
            hanging("", "kitty-specs/a-name-that-is-copied x", 10),
            "kitty-specs/a-name-that-is-copied\nx\n"
        );
        assert_eq!(hanging("WP01  ", "", 10), "WP01  \n");
    }

    #[test]
    fn wide_characters_count_twice() {
        assert_eq!(hanging("", "茶茶 茶茶", 8), "茶茶\n茶茶\n");
    }

    #[test]
    fn long_lines_break_between_words_only() {
        let text = "warning: the title of this work package is long\nshort\n";
        assert_eq!(lines(text, 20), "warning: the title\n  of this work\n  package is long\nshort\n");
        assert_eq!(lines("  a-word-that-is-wider-than-it", 10), "  a-word-that-is-wider-than-it");
        assert_eq!(lines("short\n", 20), "short\n");
    }

    #[test]
    fn command_lines_stay_whole() {
        let hint = "hint: spec-kitty sync opt-in --project none --include-held --yes\n";
        assert_eq!(lines(hint, 20), hint);
    }

    #[test]
    fn words_fit_looks_at_the_longest() {
        assert!(words_fit("ring the bell", 4));
        assert!(!words_fit("ring the doorbell", 4));
    }
}
