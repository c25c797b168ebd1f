//! Option values that begin with a hyphen.
//!
//! `--note "- fixed"` is a note, not an option. The rule, for every option that takes a value: the word after the
//! option is its value, unless it is exactly an option of this verb. Such an option is `--json`, `-v`, or `--to=done`
//! with its value attached. `--note=--json` is always a value.

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, Command};
use std::ffi::{OsStr, OsString};

/// The words of a command line with every value that begins with a hyphen attached to its option
/// (`--note=- fixed`), or nothing when there is no such value. `words` begins with the program's name.
pub(super) fn attach_values(root: &Command, words: &[OsString]) -> Option<Vec<OsString>> {
    let mut verb = root;
    let mut out: Vec<OsString> = Vec::with_capacity(words.len());
    let mut changed = false;
    let mut words = words.iter().peekable();
    out.extend(words.next().cloned());
    while let Some(word) = words.next() {
        if word == "--" {
            out.push(word.clone());
            out.extend(words.by_ref().cloned());
            break;
        }
        out.push(word.clone());
        if let Some(found) = word.to_str().and_then(|name| verb.find_subcommand(name)) {
            verb = found;
            continue;
        }
        if !takes_next_word(verb, word) {
            continue;
        }
        // Only the exact words of this verb, and `--`, are no value.
        let Some(value) = words.next_if(|next| *next != "--" && !is_option(verb, next)) else { continue };
        if starts_with_hyphen(value) {
            changed = true;
            if let Some(option) = out.last_mut() {
                option.push("=");
                option.push(value);
            }
        } else {
            out.push(value.clone());
        }
    }
    changed.then_some(out)
}

/// An error about a missing value, with the form in which an option of the verb is a value.
pub(super) fn with_tip(mut error: clap::Error) -> clap::Error {
    let is_missing = match error.get(ContextKind::InvalidValue) {
        Some(ContextValue::String(value)) => value.is_empty(),
        other => other.is_none(),
    };
    let Some(ContextValue::String(option)) = error.get(ContextKind::InvalidArg) else { return error };
    let name = option.split([' ', '=', '[']).next().unwrap_or_default().to_owned();
    if error.kind() == ErrorKind::InvalidValue && is_missing && name.starts_with("--") {
        let tip = format!("to pass a value that is an option, such as '--json', write '{name}=--json'");
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![tip.into()]));
    }
    error
}

fn starts_with_hyphen(word: &OsStr) -> bool {
    word.as_encoded_bytes().starts_with(b"-") && word != "-"
}

/// Whether `word` is an option of `verb` whose value is the next word.
fn takes_next_word(verb: &Command, word: &OsStr) -> bool {
    word.to_str().and_then(|word| option(verb, word)).is_some_and(|arg| arg.get_action().takes_values())
}

/// Whether `word` is exactly an option of `verb`, alone or with its value attached.
fn is_option(verb: &Command, word: &OsStr) -> bool {
    let Some(word) = word.to_str() else { return false };
    let attached = || word.split_once('=').filter(|(_, value)| !value.contains(char::is_whitespace));
    option(verb, word).is_some() || attached().is_some_and(|(name, _)| option(verb, name).is_some())
}

fn option<'a>(verb: &'a Command, word: &str) -> Option<&'a Arg> {
    let is_long = |arg: &Arg, name: &str| {
        arg.get_long() == Some(name) || arg.get_all_aliases().unwrap_or_default().contains(&name)
    };
    if let Some(name) = word.strip_prefix("--") {
        return verb.get_arguments().find(|arg| is_long(arg, name));
    }
    let mut letters = word.strip_prefix('-')?.chars();
    let (letter, None) = (letters.next()?, letters.next()) else { return None };
    verb.get_arguments().find(|arg| arg.get_short() == Some(letter))
}

#[cfg(test)]
mod tests {
    use super::attach_values;
    use crate::args::Cli;
    use clap::Command;
    use std::ffi::OsString;

    fn attached(line: &[&str]) -> Option<Vec<String>> {
        let words: Vec<OsString> =
            std::iter::once("spec-kitty").chain(line.iter().copied()).map(Into::into).collect();
        let out = attach_values(&Cli::tree(), &words)?;
        Some(out.into_iter().skip(1).map(|word| word.into_string().expect("text")).collect())
    }

    const NOTE: [&str; 5] = ["agent", "tasks", "add-history", "WP01", "--note"];

    fn note(rest: &[&str]) -> Option<String> {
        let line: Vec<&str> = NOTE.iter().chain(rest).copied().collect();
        attached(&line).map(|words| words[4..].join("|"))
    }

    #[test]
    fn value_with_hyphen_is_attached() {
        assert_eq!(note(&["- fixed"]).as_deref(), Some("--note=- fixed"));
        assert_eq!(note(&["-fixed", "--json"]).as_deref(), Some("--note=-fixed|--json"));
        assert_eq!(note(&["--jsonlines"]).as_deref(), Some("--note=--jsonlines"));
        assert_eq!(
            note(&["--status", "--json"]).as_deref(),
            Some("--note=--status|--json"),
            "of another verb"
        );
        assert_eq!(note(&["--mission=x is wrong"]).as_deref(), Some("--note=--mission=x is wrong"));
    }

    #[test]
    fn option_of_the_verb_is_no_value() {
        for word in ["--json", "--mission", "--mission=x", "--help", "-h", "--"] {
            assert_eq!(note(&[word]), None, "{word}");
        }
        assert_eq!(note(&["fixed", "--json"]), None);
        assert_eq!(attached(&["agent", "tasks", "add-history", "WP01", "--note=--json"]), None);
    }

    #[test]
    fn value_named_like_a_verb_stays_a_value() {
        let line = ["agent", "tasks", "add-history", "WP01", "--agent", "agent", "--note", "-x"];
        let words = attached(&line).expect("changed");
        assert_eq!(words[4..], ["--agent", "agent", "--note=-x"]);
    }

    /// Every option with a value of free text, of every verb: the value arrives as it was written.
    #[test]
    fn every_option_takes_a_value_with_hyphen() {
        let mut seen = 0;
        walk(&Cli::tree(), &mut Vec::new(), &mut seen);
        assert!(seen > 60, "{seen} options");
    }

    fn walk(command: &Command, path: &mut Vec<String>, seen: &mut usize) {
        for arg in command.get_arguments().filter(|arg| arg.get_action().takes_values()) {
            let Some(long) = arg.get_long() else { continue };
            let option = format!("--{long}");
            let mut line: Vec<&str> = path.iter().map(String::as_str).collect();
            line.extend([option.as_str(), "- a value", "--no-such-option"]);
            let words = attached(&line).unwrap_or_else(|| panic!("{line:?}"));
            assert_eq!(words[path.len()], format!("{option}=- a value"), "{line:?}");
            *seen += 1;
        }
        for child in command.get_subcommands() {
            path.push(child.get_name().to_owned());
            walk(child, path, seen);
            path.pop();
        }
    }
}
