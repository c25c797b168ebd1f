//! Lines that a merge leaves where two sides differ.

use std::path::Path;

/// Problem with such a line of a document, and its remedy.
pub(crate) const PROBLEM: &str = "is a conflict marker of a merge: resolve the merge first";

/// The warning about such a line in a document of which only the text is in question.
pub(crate) fn warning(path: &Path, line: usize) -> String {
    format!("{} line {line}: {PROBLEM}", contract::text::path(path))
}

/// Beginnings of the lines around and between the two sides.
const MARKS: [&str; 3] = ["<<<<<<<", ">>>>>>>", "|||||||"];

/// Whether a line is a conflict marker.
pub(crate) fn is_marker(line: &str) -> bool {
    let line = line.trim_end();
    let marks =
        |mark: &str| line.strip_prefix(mark).is_some_and(|rest| rest.is_empty() || rest.starts_with(' '));
    line == "=======" || MARKS.into_iter().any(marks)
}

/// The 1-based numbers of the marker lines of a Markdown document, in which a line of `=======` alone underlines
/// a heading.
pub(crate) fn marker_lines(text: &str) -> impl Iterator<Item = usize> {
    // Nearly every document has none, and a search for three texts is faster than a look at each line.
    let text = if MARKS.into_iter().any(|mark| text.contains(mark)) { text } else { "" };
    let lines = text.lines().enumerate();
    lines.filter(|(_, line)| !line.starts_with('=') && is_marker(line)).map(|(index, _)| index + 1)
}
