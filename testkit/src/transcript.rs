//! Transcript pages: every `console` block of a Markdown page is run, and its output is compared with the
//! page.
//!
//! `$ ` begins a command, `> ` continues it, other lines are its output, `[exit N]` ends it when N is
//! not 0, and `...` matches any lines. Identifiers, commits and durations differ between runs: those of
//! the page are mapped to the real ones, also in later commands.

use crate::world::World;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// One command of a page.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TranscriptStep {
    /// The typed text, with continuation lines.
    pub command: String,
    /// The output on the page.
    pub output: Vec<String>,
    /// The exit code on the page.
    pub exit: i32,
}

/// The commands of a page, in order.
pub fn steps(page: &str) -> Vec<TranscriptStep> {
    let mut steps: Vec<TranscriptStep> = Vec::new();
    let mut inside = false;
    for line in page.lines() {
        match (inside, line) {
            (false, _) => inside = line.trim() == "```console",
            (true, "```") => inside = false,
            (true, _) => read_line(&mut steps, line),
        }
    }
    steps
}

fn read_line(steps: &mut Vec<TranscriptStep>, line: &str) {
    if let Some(command) = line.strip_prefix("$ ") {
        steps.push(TranscriptStep { command: command.to_owned(), ..TranscriptStep::default() });
        return;
    }
    let Some(step) = steps.last_mut() else { return };
    let continued = line.strip_prefix("> ").or((line == ">").then_some(""));
    let exit = line.strip_prefix("[exit ").and_then(|rest| rest.strip_suffix(']')?.parse().ok());
    match (continued, exit) {
        (Some(more), _) if step.output.is_empty() => {
            step.command.push('\n');
            step.command.push_str(more);
        }
        (_, Some(exit)) => step.exit = exit,
        _ => step.output.push(line.to_owned()),
    }
}

/// Runs the commands in `world`, whose binary they find as `spec-kitty`. `shown` maps
/// real paths to paths of the page.
///
/// # Panics
/// When a command's exit code or output differs from the page.
pub fn run(world: &World, steps: &[TranscriptStep], shown: &[(&str, &str)]) {
    let mut names = BTreeMap::new();
    for step in steps {
        let command = names.iter().fold(step.command.clone(), |text, (page, real): (&String, &String)| {
            text.replace(page.as_str(), real)
        });
        let run = world.run_program("sh", ["-c", &format!("exec 2>&1\n{command}")]);
        let printed = shown.iter().fold(run.stdout.clone(), |text, (real, page)| text.replace(real, page));
        let real: Vec<&str> = printed.lines().collect();
        let page: Vec<&str> = step.output.iter().map(String::as_str).collect();
        if run.code != Some(step.exit) || !agree(&page, &real, &mut names) {
            let mut message = format!("the page shows of `{}`, exit {}:\n", step.command, step.exit);
            let _ = writeln!(message, "{}\nprinted, exit {:?}:\n{printed}", step.output.join("\n"), run.code);
            panic!("{message}");
        }
    }
}

/// Whether the lines are equal; records the mapped names.
fn agree(page: &[&str], real: &[&str], names: &mut BTreeMap<String, String>) -> bool {
    match (page.split_first(), real.split_first()) {
        (None, None) => true,
        (Some((&"...", rest)), _) => (0..=real.len()).any(|skipped| {
            let mut tried = names.clone();
            let agrees = agree(rest, &real[skipped..], &mut tried);
            if agrees {
                *names = tried;
            }
            agrees
        }),
        (Some((line, rest)), Some((printed, others))) => {
            learn(line, printed, names) && agree(rest, others, names)
        }
        _ => false,
    }
}

/// Whether two lines are equal, token by token.
fn learn(page: &str, real: &str, names: &mut BTreeMap<String, String>) -> bool {
    let (page, real) = (words(page), words(real));
    page.len() == real.len()
        && page.iter().zip(&real).enumerate().all(|(n, (page_word, real_word))| {
            let duration = || {
                page.get(n + 2).is_some_and(|unit| *unit == "ms")
                    && [page_word, real_word].iter().all(|word| word.bytes().all(|b| b.is_ascii_digit()))
            };
            if is_name(page_word) && is_name(real_word) && page_word.len() == real_word.len() {
                let known = names.entry((*page_word).to_owned()).or_insert_with(|| (*real_word).to_owned());
                return known == real_word;
            }
            page_word == real_word || duration()
        })
}

/// Runs of letters and digits, and each separator as one token.
pub fn words(line: &str) -> Vec<&str> {
    let mut words = Vec::new();
    let mut rest = line;
    while let Some(first) = rest.chars().next() {
        let end = if first.is_alphanumeric() {
            rest.find(|c: char| !c.is_alphanumeric()).unwrap_or(rest.len())
        } else {
            first.len_utf8()
        };
        let (word, tail) = rest.split_at(end);
        words.push(word);
        rest = tail;
    }
    words
}

/// An identifier of this decade, its first eight characters, or a short commit.
fn is_name(word: &str) -> bool {
    let ulid = matches!(word.len(), 8 | 26)
        && word.starts_with("01")
        && word.bytes().all(|b| b.is_ascii_digit() || b.is_ascii_uppercase());
    let commit = word.len() == 12 && word.bytes().all(|b| b.is_ascii_hexdigit() && !b.is_ascii_uppercase());
    ulid || commit
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn page_is_read_command_by_command() {
        let page = "text\n```console\n$ cat <<E\n> a\n>\n> E\na\n\n$ false\n[exit 1]\n```\n$ not this\n";
        let read = steps(page);
        assert_eq!(read[0].command, "cat <<E\na\n\nE");
        assert_eq!(read[0].output, ["a", ""]);
        assert_eq!((read[1].command.as_str(), read[1].exit, read.len()), ("false", 1, 2));
    }

    #[test]
    fn names_are_learned_once_and_everything_else_has_to_be_equal() {
        let mut names = BTreeMap::new();
        assert!(agree(&["made tea-01KRX11M", "..."], &["made tea-01M8ADFJ", "x", "y"], &mut names));
        assert_eq!(names["01KRX11M"], "01M8ADFJ");
        assert!(!agree(&["tea-01KRX11M"], &["tea-01M8ADFK"], &mut names), "one name, one thing");
        assert!(agree(&["took 12 ms"], &["took 7 ms"], &mut names));
        assert!(!agree(&["took 12 s"], &["took 7 s"], &mut names));
        assert!(!agree(&["a"], &["a", "b"], &mut names));
    }
}
