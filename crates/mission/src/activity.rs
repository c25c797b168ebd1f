//! The activity log at the end of a work package file, and review cycles beside it.
//!
//! Pure but for reading the review cycles. A review that rejects leaves its feedback as
//! `tasks/<file stem>/review-cycle-N.md`; the log points at it.

use crate::document::{MAX_TEXT, read_names, read_text};
use crate::error::{MissionError, Result};
use crate::front_matter::reader::parse_yaml;
use serde_json::Value;
use std::path::{Path, PathBuf};

const HEADING: &str = "## Activity Log";

/// One line of an activity log.
#[derive(Clone, Copy, Debug)]
pub struct ActivityEntry<'a> {
    /// Time: UTC, whole seconds, `Z`.
    pub at: &'a str,
    /// Actor.
    pub actor: &'a str,
    /// The process that works on it.
    pub shell_pid: Option<u32>,
    /// Text of the entry.
    pub note: &'a str,
}

/// `text` with `entry` at the end of its activity log; the section is made when there is none.
pub fn with_entry(text: &str, entry: &ActivityEntry<'_>) -> String {
    let pid = entry.shell_pid.map(|pid| format!("shell_pid={pid} – ")).unwrap_or_default();
    let one_line = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let (note, actor) = (one_line(entry.note), one_line(entry.actor));
    let line = format!("- {} – {actor} – {pid}{note}", entry.at);
    let nl = if text.contains("\r\n") { "\r\n" } else { "\n" };
    let Some(start) = section_start(text) else {
        let gap = if text.is_empty() || text.ends_with(&format!("{nl}{nl}")) {
            String::new()
        } else if text.ends_with('\n') {
            nl.to_owned()
        } else {
            nl.repeat(2)
        };
        return format!("{text}{gap}{HEADING}{nl}{nl}{line}{nl}");
    };
    let rest = &text[start..];
    let end = start + rest.find("\n## ").map_or(rest.len(), |at| at + 1);
    let kept = text[..end].trim_end();
    let gap = nl.repeat(if kept.ends_with(HEADING) { 2 } else { 1 });
    let tail = &text[end..];
    let after = if tail.is_empty() { String::new() } else { format!("{nl}{tail}") };
    format!("{kept}{gap}{line}{nl}{after}")
}

/// Offset of the section's text.
fn section_start(text: &str) -> Option<usize> {
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        at += line.len();
        if line.trim_end() == HEADING {
            return Some(at);
        }
    }
    None
}

/// A review cycle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReviewCycle {
    /// 1, 2, ...
    pub number: u32,
    /// Its file.
    pub path: PathBuf,
}

/// The directory of the review cycles of a work package file.
pub(crate) fn cycle_directory(wp_file: &Path) -> PathBuf {
    wp_file.with_extension("")
}

/// The newest review cycle of a work package file.
pub(crate) fn newest_cycle(wp_file: &Path) -> Result<Option<ReviewCycle>> {
    let directory = cycle_directory(wp_file);
    let newest = newest_number(&read_names(&directory)?);
    Ok(newest.map(|number| ReviewCycle { number, path: directory.join(cycle_file(number)) }))
}

/// The number of the newest review cycle among the names of files.
pub(crate) fn newest_number(names: &[String]) -> Option<u32> {
    // One number has one name.
    let number = |name: &String| {
        let number = name.strip_prefix("review-cycle-")?.strip_suffix(".md")?.parse().ok()?;
        (*name == cycle_file(number)).then_some(number)
    };
    names.iter().filter_map(number).max()
}

/// The name of the file of a review cycle.
pub(crate) fn cycle_file(number: u32) -> String {
    format!("review-cycle-{number}.md")
}

/// The verdict of a review cycle; an error when its front matter cannot be read.
pub(crate) fn read_verdict(cycle: &ReviewCycle) -> Result<String> {
    let wrong = |problem: String| MissionError::malformed(&cycle.path, problem);
    let text = read_text(&cycle.path, MAX_TEXT)?.unwrap_or_default().replace("\r\n", "\n");
    let yaml = text.strip_prefix("---\n").and_then(|rest| rest.split_once("\n---")).map(|(yaml, _)| yaml);
    let map = parse_yaml(yaml.ok_or_else(|| wrong("has no front matter".into()))?).map_err(wrong)?;
    let verdict = map.get("verdict").and_then(Value::as_str).map(str::trim).unwrap_or_default();
    if verdict.is_empty() { Err(wrong("has no `verdict`".into())) } else { Ok(verdict.to_owned()) }
}

/// The pointer to a review cycle, as lane rows hold it.
pub(crate) fn cycle_pointer(mission_slug: &str, number: u32, wp_file: &Path) -> String {
    let stem = wp_file.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    format!("review-cycle://{mission_slug}/{stem}/{}", cycle_file(number))
}

/// The text of a rejecting review cycle.
pub(crate) fn render_cycle(
    number: u32,
    mission_slug: &str,
    wp_id: &str,
    reviewer: &str,
    at: &str,
    feedback: &str,
) -> String {
    let quoted = |text: &str| format!("'{}'", text.replace('\'', "''"));
    let reviewer = quoted(&contract::text::printable(reviewer));
    format!(
        "---\naffected_files: []\ncycle_number: {number}\nmission_slug: {mission_slug}\nreproduction_command:\nreviewed_at: {}\nreviewer_agent: {reviewer}\nverdict: rejected\nwp_id: {wp_id}\n---\n\n{}\n",
        quoted(at),
        feedback.trim_end()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENTRY: ActivityEntry<'_> = ActivityEntry { at: "T", actor: "dev", shell_pid: None, note: "a\n b" };

    #[test]
    fn entry_is_appended_to_its_section() {
        assert_eq!(with_entry("body\n", &ENTRY), "body\n\n## Activity Log\n\n- T – dev – a b\n");
        let text = "body\n\n## Activity Log\n\n- one\n\n## Later\nx\n";
        assert_eq!(
            with_entry(text, &ActivityEntry { shell_pid: Some(7), ..ENTRY }),
            "body\n\n## Activity Log\n\n- one\n- T – dev – shell_pid=7 – a b\n\n## Later\nx\n"
        );
        assert_eq!(with_entry("## Activity Log\n", &ENTRY), "## Activity Log\n\n- T – dev – a b\n");
    }

    #[test]
    fn entry_is_one_line_and_ends_as_the_lines_of_its_file_do() {
        let entry = ActivityEntry { actor: "x\ny", ..ENTRY };
        for text in
            ["", "body", "body\n", "b\n\n## Activity Log\n", "b\n\n## Activity Log\n\n- one\n\n## Later\nx\n"]
        {
            let plain = with_entry(text, &entry);
            assert!(plain.contains("- T – x y – a b\n"), "{plain:?}");
            if text.contains('\n') {
                let other = with_entry(&text.replace('\n', "\r\n"), &entry);
                assert_eq!(other, plain.replace('\n', "\r\n"));
            }
        }
    }

    #[test]
    fn review_cycle_reads_back() {
        let world = tempfile::tempdir().unwrap();
        let wp = world.path().join("WP01-x.md");
        assert_eq!(newest_cycle(&wp).unwrap(), None);
        std::fs::create_dir(cycle_directory(&wp)).unwrap();
        for n in [2, 10, 9] {
            let text = render_cycle(n, "m", "WP01", "it's me: #1", "T", "no\n");
            std::fs::write(cycle_directory(&wp).join(format!("review-cycle-{n}.md")), text).unwrap();
        }
        let newest = newest_cycle(&wp).unwrap().unwrap();
        assert_eq!((newest.number, read_verdict(&newest).unwrap().as_str()), (10, "rejected"));
        assert_eq!(cycle_pointer("m", newest.number, &wp), "review-cycle://m/WP01-x/review-cycle-10.md");
        std::fs::write(&newest.path, "---\r\nverdict: approved\r\n---\r\n").unwrap();
        assert_eq!(read_verdict(&newest).unwrap(), "approved");
        std::fs::write(&newest.path, "no front matter").unwrap();
        assert!(read_verdict(&newest).is_err());
    }
}
