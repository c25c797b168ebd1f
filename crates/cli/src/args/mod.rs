//! The root of the command line, and the options that many verbs share.

mod hyphen;

use crate::command::Command;
use crate::context::CommandContext;
use crate::error::CliError;
use clap::{Args, CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
use mission::command::owned_checkout::{check_owned_mission, owned_checkout};
use mission::project::Project;
use std::borrow::Cow;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// The whole command line.
#[derive(Debug, Parser)]
#[command(
    name = "spec-kitty",
    version = crate::build::VERSION_LINE,
    about = "Plan work in missions; deliver its facts to the right account, or refuse with the reason",
    long_about = "Plan work in missions; deliver its facts to the right account, or refuse with the reason.\n\n\
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

/// The option that names the checkout of a mission.
#[derive(Debug, Args)]
pub(crate) struct OwnedCheckoutArg {
    /// Work in this checkout of the repository, such as a linked worktree, in place of the main one; needs --mission, whose
    /// branch is checked out there
    #[arg(long, value_name = "DIR")]
    owned_checkout: Option<PathBuf>,
}

impl OwnedCheckoutArg {
    /// The surroundings of a command on `mission`: in the named checkout, once it is proven to be one of this repository
    /// that holds the mission and its branch.
    pub(crate) fn enter<'c>(
        &self,
        context: &'c CommandContext,
        mission: Option<&str>,
    ) -> Result<Cow<'c, CommandContext>, CliError> {
        let Some(directory) = &self.owned_checkout else { return Ok(Cow::Borrowed(context)) };
        let (context, checkout) = self.enter_checkout(context, directory)?;
        check_owned_mission(&checkout, mission)?;
        Ok(Cow::Owned(context))
    }

    /// The same for a mission that is yet to be created.
    pub(crate) fn enter_to_create<'c>(
        &self,
        context: &'c CommandContext,
    ) -> Result<Cow<'c, CommandContext>, CliError> {
        let Some(directory) = &self.owned_checkout else { return Ok(Cow::Borrowed(context)) };
        Ok(Cow::Owned(self.enter_checkout(context, directory)?.0))
    }

    fn enter_checkout(
        &self,
        context: &CommandContext,
        directory: &Path,
    ) -> Result<(CommandContext, Project), CliError> {
        let checkout = owned_checkout(&context.project()?, &context.directory().join(directory))?;
        Ok((context.in_checkout(checkout.root().to_owned()), checkout))
    }
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

    /// Options that calls written for the Python CLI pass to verbs of both programs.
    const OPTIONS_OF_BOTH: [(&str, &[&str]); 10] = [
        (
            "agent tasks move-task",
            &[
                "to",
                "mission",
                "feature",
                "agent",
                "assignee",
                "shell-pid",
                "model",
                "profile",
                "invocation-id",
                "tracker-ref",
                "note",
                "review-feedback-file",
                "approval-ref",
                "reviewer",
                "self-review-fallback",
                "intended-reviewer",
                "reviewer-failure-reason",
                "done-override-reason",
                "force",
                "skip-review-artifact-check",
                "skip-pre-review-gate",
                "auto-commit",
                "no-auto-commit",
                "owned-checkout",
                "json",
            ],
        ),
        (
            "agent mission create",
            &[
                "mission-type",
                "mission",
                "target-branch",
                "friendly-name",
                "purpose-tldr",
                "purpose-context",
                "pr-bound",
                "no-pr-bound",
                "topology",
                "branch-strategy",
                "start-branch",
                "retain-branches",
                "retain-worktrees",
                "owned-checkout",
                "json",
            ],
        ),
        (
            "agent mission finalize-tasks",
            &[
                "mission",
                "feature",
                "validate-only",
                "target-branch",
                "refresh-planning-commit",
                "owned-checkout",
                "json",
            ],
        ),
        (
            "agent mission check-prerequisites",
            &["mission", "paths-only", "include-tasks", "require-tasks", "owned-checkout", "json"],
        ),
        ("agent tasks list-tasks", &["lane", "mission", "json"]),
        (
            "agent tasks mark-status",
            &["status", "mission", "owned-checkout", "auto-commit", "no-auto-commit", "json"],
        ),
        (
            "agent tasks map-requirements",
            &[
                "wp",
                "refs",
                "batch",
                "replace",
                "tracker-ref",
                "mission",
                "auto-commit",
                "no-auto-commit",
                "json",
            ],
        ),
        (
            "agent status emit",
            &[
                "to",
                "actor",
                "mission",
                "force",
                "reason",
                "evidence-json",
                "review-ref",
                "review-result-json",
                "workspace-context",
                "subtasks-complete",
                "implementation-evidence-present",
                "execution-mode",
                "json",
            ],
        ),
        ("agent tasks status", &["mission", "stale-threshold", "json"]),
        ("agent context resolve", &["action", "mission", "wp-id", "agent", "json"]),
    ];

    #[test]
    fn options_of_both_programs_are_taken() {
        let tree = Cli::tree();
        for (verb, options) in OPTIONS_OF_BOTH {
            let find = |command: &Command, word: &str| {
                command.find_subcommand(word).unwrap_or_else(|| panic!("{verb}: {word}")).clone()
            };
            let verb_tree = verb.split(' ').fold(tree.clone(), |command, word| find(&command, word));
            for option in options {
                let is_it = |arg: &clap::Arg| {
                    let aliases = arg.get_all_aliases().unwrap_or_default();
                    arg.get_long() == Some(option) || aliases.contains(option)
                };
                assert!(verb_tree.get_arguments().any(is_it), "{verb} --{option}");
            }
        }
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
