//! Comments for issues, the body of a pull request, and the definition of done, from transcripts.
//!
//! Pure. They quote what was captured and summarise nothing; a person reads and posts them.

use super::transcript::Transcript;
use crate::command::status::BoardLane;
use crate::decision::Verification;
use crate::lane::Lane;
use contract::text::printable;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Most bytes of one output that are quoted; the rest stays in the transcript.
const QUOTED_BYTES: usize = 20_000;

/// A check's transcript with its outputs.
#[derive(Clone, Debug)]
pub struct Quoted {
    /// The record.
    pub transcript: Transcript,
    /// Its output.
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
    /// Path of the whole transcript, relative to the project.
    pub path: String,
}

/// The comment that closes an issue.
pub(crate) fn close_issue(issue: u64, checks: &[&Quoted]) -> String {
    let mut out = format!("Evidence for #{issue}\n");
    for check in checks {
        out.push_str(&section(check));
    }
    out
}

/// The body of the pull request.
pub(crate) fn pull_request(mission: &str, by_issue: &BTreeMap<u64, Vec<&Quoted>>) -> String {
    let mut out = format!("# {mission}\n\n| issue | check | result | commit |\n|---|---|---|---|\n");
    for (issue, checks) in by_issue {
        for check in checks {
            let transcript = &check.transcript;
            let commit = transcript.commit.as_deref().and_then(|commit| commit.get(..12)).unwrap_or("none");
            // Writing to a String does not fail.
            let _ =
                writeln!(out, "| #{issue} | `{}` | {} | {commit} |", transcript.check.id, transcript.ending);
        }
    }
    for issue in by_issue.keys() {
        let _ = write!(out, "\nCloses #{issue}");
    }
    out.push('\n');
    out
}

/// The definition of done.
pub(crate) fn definition_of_done(
    mission: &str,
    packages: &[(String, String, BoardLane)],
    decisions: &Verification,
    checks: &[Quoted],
) -> String {
    let mark = |done: bool| if done { "x" } else { " " };
    let mut out = format!("# Definition of done: {mission}\n\n## Work packages\n\n");
    for (id, title, lane) in packages {
        let title = printable(title);
        let _ = writeln!(
            out,
            "- [{}] {id} {title}: {lane}",
            mark(*lane == Lane::Done || *lane == Lane::Canceled)
        );
    }
    let _ = write!(
        out,
        "\n## Decisions\n\n- [{}] markers and ledger agree ({} deferred, {} findings)\n\n## Evidence\n\n",
        mark(decisions.findings.is_empty()),
        decisions.deferred_count,
        decisions.findings.len()
    );
    for check in checks {
        let transcript = &check.transcript;
        let _ = writeln!(
            out,
            "- [{}] #{} `{}`: {}",
            mark(transcript.passed),
            transcript.check.issue,
            transcript.check.id,
            transcript.ending
        );
    }
    out
}

fn section(check: &Quoted) -> String {
    let transcript = &check.transcript;
    let mut out = format!(
        "\n## {}\n\n- command: `{}`\n- result: {} after {} ms, started {}\n- commit: {}\n- captured by: spec-kitty {}\n- transcript: `{}`\n",
        transcript.check.id,
        one_line(&transcript.check.command),
        transcript.ending,
        transcript.duration_ms,
        transcript.started_at,
        transcript.commit.as_deref().unwrap_or("none"),
        transcript.tool_version,
        check.path
    );
    for (name, text) in [("stdout", &check.stdout), ("stderr", &check.stderr)] {
        if !text.is_empty() {
            out.push_str(&quote(name, text));
        }
    }
    out
}

/// The end of an output in a fence that nothing in it can close.
fn quote(name: &str, text: &str) -> String {
    let start = text.len().saturating_sub(QUOTED_BYTES);
    let start = (start..text.len()).find(|at| text.is_char_boundary(*at)).unwrap_or(text.len());
    // From the beginning of a line, unless the line is most of what is quoted.
    let line = text[start..].find('\n').filter(|at| start > 0 && *at < QUOTED_BYTES / 2);
    let start = line.map_or(start, |at| start + at + 1);
    let longest = text[start..].split(|c| c != '`').map(str::len).max().unwrap_or_default();
    let fence = "`".repeat(longest.max(2) + 1);
    let cut = if start == 0 {
        String::new()
    } else {
        format!(" (the last {} of {} bytes)", text.len() - start, text.len())
    };
    format!("\n{name}{cut}:\n\n{fence}text\n{}\n{fence}\n", harmless(text[start..].trim_end_matches('\n')))
}

/// The text with its lines and tabs, and everything else that a terminal would obey escaped.
fn harmless(text: &str) -> String {
    let line = |line: &str| {
        let line = line.strip_suffix('\r').unwrap_or(line);
        line.split('\t').map(printable).collect::<Vec<_>>().join("\t")
    };
    text.split('\n').map(line).collect::<Vec<_>>().join("\n")
}

fn one_line(text: &str) -> String {
    printable(&text.split_whitespace().collect::<Vec<_>>().join(" ")).replace('`', "'")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_output_closes_its_own_fence() {
        let text = quote("stdout", "a\n````\nb\n");
        assert!(text.contains("\n`````text\na\n````\nb\n`````\n"), "{text}");
    }

    #[test]
    fn one_line_that_is_too_long_is_quoted_from_its_middle() {
        let line = format!("{}\n", "x".repeat(30_000));
        let text = quote("stdout", &line);
        assert!(text.contains("stdout (the last 20000 of 30001 bytes):"), "{}", &text[..80]);
        assert!(text.contains(&"x".repeat(19_999)), "{}", text.len());
    }

    #[test]
    fn terminal_control_characters_are_escaped() {
        let text = quote("stdout", "a\tb\r\n\u{1b}[31mred\0\u{202e}\n");
        assert!(text.contains("\na\tb\n\\u{1b}[31mred\\u{0}\\u{202e}\n"), "{text:?}");
        assert_eq!(one_line("a\n `b` \u{1b}[2J"), "a 'b' \\u{1b}[2J");
        let packages = [("WP01".to_owned(), "x\u{1b}[2J".to_owned(), Lane::Done.into())];
        let ledger = crate::decision::read_ledger(std::path::Path::new("nowhere"), "m").unwrap();
        let decisions = crate::decision::verify_markers(&ledger, &[]);
        let done = definition_of_done("m", &packages, &decisions, &[]);
        assert!(done.contains("- [x] WP01 x\\u{1b}[2J: done"), "{done:?}");
    }

    #[test]
    fn long_output_is_quoted_from_its_end_with_a_note() {
        let long = "línea\n".repeat(10_000);
        let text = quote("stdout", &long);
        assert!(text.contains("of 70000 bytes") && text.len() < QUOTED_BYTES + 200, "{}", &text[..80]);
    }
}
