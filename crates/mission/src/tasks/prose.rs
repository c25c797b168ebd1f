//! The text of a document as its reader sees it: without code blocks and comments.

/// `text` with every line of a fenced code block but the fence that opens it, and everything in a comment, made
/// blank. The lines keep their numbers. A comment that never ends is text, as a mistyped one must not hide the rest.
pub(crate) fn prose(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let (mut at, mut comment_end, mut endless) = (0, 0, false);
    let mut fence: Option<(char, usize)> = None;
    for line in text.split_inclusive('\n') {
        let start = at;
        at += line.len();
        let content = line.trim_end_matches(['\n', '\r']);
        if let Some(open) = fence {
            fence = (!closes(content, open)).then_some(open);
        } else if start >= comment_end {
            fence = opens(content);
            if let Some((mark, _)) = fence {
                out.extend([mark; 3]);
            } else {
                // Up to the first comment; what is behind one on the same line is not read.
                let mut visible = content.len();
                let mut from = 0;
                while let Some(found) = content.get(from..).and_then(|rest| rest.find("<!--")) {
                    let open = start + from + found;
                    let Some(length) = (!endless).then(|| text[open..].find("-->")).flatten() else {
                        endless = true;
                        break;
                    };
                    visible = visible.min(from + found);
                    comment_end = open + length + "-->".len();
                    from = comment_end.saturating_sub(start).min(content.len());
                }
                out.push_str(&content[..visible]);
            }
        }
        out.push('\n');
    }
    out
}

/// The character and the length of the fence that a line opens a code block with.
fn opens(line: &str) -> Option<(char, usize)> {
    let line = line.trim_start();
    let mark = line.chars().next().filter(|mark| matches!(mark, '`' | '~'))?;
    let length = line.chars().take_while(|c| *c == mark).count();
    // Three backticks on one line are code in a sentence when they end on it.
    (length >= 3 && (mark == '~' || !line[length..].contains('`'))).then_some((mark, length))
}

fn closes(line: &str, (mark, length): (char, usize)) -> bool {
    let line = line.trim();
    line.len() >= length && line.chars().all(|c| c == mark)
}

#[cfg(test)]
mod tests {
    use super::prose;

    #[test]
    fn code_and_comments_are_blank_and_lines_keep_their_numbers() {
        let text = "a\n```sh\nFR-001\n````\nb <!-- c\nd --> e\nf <!-- g --> h\n~~~\n```\n~~~\ni <!-- j\n";
        assert_eq!(prose(text), "a\n```\n\n\nb \n\nf \n~~~\n\n\ni <!-- j\n");
        assert_eq!(prose("```a``` b\nc"), "```a``` b\nc\n");
        assert_eq!(prose(""), "");
    }
}
