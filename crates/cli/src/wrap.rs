//! Text that is broken between its words where the terminal ends.

/// `head`, then `text` beside it: further lines begin below its first. A word that is wider than the
/// terminal stays whole.
pub(crate) fn hanging(head: &str, text: &str, width: usize) -> String {
    let indent = head.chars().count();
    let (mut out, mut column) = (head.to_owned(), indent);
    for word in text.split_whitespace() {
        let length = word.chars().count();
        if column > indent && column + 1 + length > width {
            out.push('\n');
            out.extend(std::iter::repeat_n(' ', indent));
            column = indent;
        } else if column > indent {
            out.push(' ');
            column += 1;
        }
        out.push_str(word);
        column += length;
    }
    out.push('\n');
    out
}

#[cfg(test)]
mod tests {
    use super::hanging;

    #[test]
    fn lines_end_between_words_and_begin_below_the_first() {
        assert_eq!(hanging("WP01  ", "ring the bell once", 14), "WP01  ring the\n      bell\n      once\n");
        assert_eq!(
            hanging("", "kitty-specs/a-name-that-is-copied x", 10),
            "kitty-specs/a-name-that-is-copied\nx\n"
        );
        assert_eq!(hanging("WP01  ", "", 10), "WP01  \n");
    }
}
