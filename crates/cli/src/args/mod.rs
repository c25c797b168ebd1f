//! The root of the command line, and the options that many verbs share.

mod hyphen;

use crate::command::Command;
use clap::{Args, CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
use std::ffi::OsString;

/// The whole command line.
#[derive(Debug, Parser)]
#[command(
    name = "spec-kitty",
    version = crate::build::VERSION_LINE,
    about = "Plan work in missions; deliver every step of it to the right account, or refuse with the reason",
    long_about = "Plan work in missions; deliver every step of it to the right account, or refuse with the reason.\n\n\
        Commands that produce or send something the server can see first check that the foreground, the \
        daemon, the queue and the login describe one identity. If they do not, the command refuses, names \
        every field that differs, and shows the remedy.",
    after_help = crate::build::exit_code_help(),
    disable_help_subcommand = true,
    subcommand_required = true,
    arg_required_else_help = true
)]
pub struct Cli {
    /// Print one JSON document
    #[arg(long, global = true)]
    pub(crate) json: bool,
    #[command(subcommand)]
    pub(crate) command: Command,
}

impl Cli {
    /// Parses a command line that begins with the name of the program. A value may begin with a hyphen: see
    /// `hyphen`, which costs nothing where the line parses without it.
    ///
    /// Each level of the tree is built when a word of the line leads there. Help and errors show what lies beside
    /// that path, so they come from the whole tree.
    pub fn parse_words(words: &[OsString]) -> Result<Self, clap::Error> {
        if let Ok(cli) = Self::try_parse_from(words) {
            return Ok(cli);
        }
        let mut tree = Self::tree();
        let attached = hyphen::attach_values(&tree, words);
        let words = attached.as_deref().unwrap_or(words);
        let parsed = tree.try_get_matches_from_mut(words).and_then(|mut matches| {
            Self::from_arg_matches_mut(&mut matches).map_err(|error| error.format(&mut tree))
        });
        parsed.map_err(hyphen::with_tip)
    }

    /// The whole command tree.
    pub fn tree() -> clap::Command {
        let mut root = Self::command();
        root.build();
        root
    }
}

// A group of verbs, whose tree is built only when it is named. A doc comment here, or on `T`, would be its help.
#[derive(Debug, Args)]
pub(crate) struct Group<T: Subcommand> {
    #[command(subcommand)]
    pub(crate) command: T,
}

/// The option that names a mission.
#[derive(Debug, Args)]
pub(crate) struct MissionArg {
    /// The mission: the name it was created with, its directory, its id, or the first eight
    /// characters of that
    #[arg(long, alias = "feature", value_name = "HANDLE")]
    pub(crate) mission: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::Cli;
    use clap::{ArgMatches, Command};

    /// The words of an example line; double quotes keep spaces.
    fn words(line: &str) -> Vec<String> {
        let parts = line.split('"').enumerate();
        let words = parts.flat_map(|(index, part)| match index % 2 {
            0 => part.split_whitespace().map(str::to_owned).collect(),
            _ => vec![part.to_owned()],
        });
        words.collect()
    }

    /// Every leaf verb has one imperative line and one example, which parses as that very verb.
    #[test]
    fn help_of_every_verb_has_a_line_and_an_example() {
        let mut seen = 0;
        walk(&Cli::tree(), "spec-kitty", &mut seen);
        assert!(seen > 50, "{seen} verbs");
    }

    fn walk(command: &Command, path: &str, seen: &mut usize) {
        for child in command.get_subcommands() {
            walk(child, &format!("{path} {}", child.get_name()), seen);
        }
        let about = command.get_about().map(ToString::to_string).unwrap_or_default();
        assert!(!about.is_empty() && !about.ends_with('.') && !about.contains('\n'), "{path}: {about:?}");
        if command.is_arg_required_else_help_set() {
            return;
        }
        *seen += 1;
        let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        let examples: Vec<&str> = help.lines().filter_map(|line| line.strip_prefix("Example: ")).collect();
        let [example] = examples[..] else { panic!("{path}: {examples:?}") };
        let matches = Cli::tree()
            .try_get_matches_from(words(example))
            .unwrap_or_else(|error| panic!("{example}: {error}"));
        assert_eq!(parsed_path(&matches), path, "{example}");
    }

    /// The verb that was parsed, as it is typed.
    fn parsed_path(mut matches: &ArgMatches) -> String {
        let mut path = "spec-kitty".to_owned();
        while let Some((name, below)) = matches.subcommand() {
            path.push_str(&format!(" {name}"));
            matches = below;
        }
        path
    }
}
