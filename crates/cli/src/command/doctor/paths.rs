//! `doctor paths`: every verb with its class, from the command tree that the program runs by and from the list of the
//! verbs that it hands to the Python CLI.

use crate::args::Cli;
use crate::python_cli;
use crate::verb::{Args, Class, CliError, CommandContext, Render, Report, Verb};
use clap::Parser as _;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// List every command with its class: what it needs before it acts
#[derive(Debug, Args)]
#[command(after_help = "Example: spec-kitty doctor paths")]
pub(crate) struct PathsArgs;

impl Verb for PathsArgs {
    fn class(&self) -> Class {
        Class::ReadOnly
    }

    fn run(self: Box<Self>, _: &CommandContext) -> Result<Report, CliError> {
        Ok(Report::of(&Inventory { paths: inventory() }))
    }
}

/// The inventory.
#[derive(Debug, Serialize)]
struct Inventory {
    paths: Vec<PathLine>,
}

/// One verb, with the option that decides its class.
#[derive(Debug, Serialize)]
struct PathLine {
    verb: String,
    class: Class,
    needs: &'static str,
    /// `python` for a verb that is handed to the Python CLI.
    #[serde(skip_serializing_if = "Option::is_none")]
    runs_in: Option<&'static str>,
}

impl PathLine {
    const fn of(verb: String, class: Class) -> Self {
        Self { verb, class, needs: class.needs(), runs_in: None }
    }
}

impl Render for Inventory {
    fn text(&self) -> String {
        let width = self.paths.iter().map(|path| path.verb.len()).max().unwrap_or_default();
        let mut out = String::new();
        let mut needs = BTreeMap::new();
        for path in &self.paths {
            let class = serde_json::to_value(path.class).unwrap_or_default();
            let class = class.as_str().unwrap_or_default();
            let elsewhere = if path.runs_in.is_some() { ", in the Python CLI" } else { "" };
            let _ = writeln!(out, "{:<width$}  {class}{elsewhere}", path.verb);
            needs.entry(class.to_owned()).or_insert(path.needs);
        }
        // Once for each class: beside each verb it would be wider than a terminal.
        for (class, needs) in needs {
            let _ = write!(out, "\n{class} needs\n  {needs}\n");
        }
        out
    }
}

/// Every leaf of the command tree with its class, and every option that changes the class.
fn inventory() -> Vec<PathLine> {
    let mut paths = Vec::new();
    for Leaf { verb, argv, flags } in leaves(&Cli::tree(), "") {
        let Some(plain) = class_of(&argv) else { continue };
        paths.push(PathLine::of(verb.clone(), plain));
        for flag in flags {
            let flagged = class_of(&[&argv[..], std::slice::from_ref(&flag)].concat());
            paths.extend(
                flagged
                    .filter(|class| *class != plain)
                    .map(|class| PathLine::of(format!("{verb} {flag}"), class)),
            );
        }
    }
    let handed = python_cli::verbs::all().filter(|verb| paths.iter().all(|path| path.verb != verb.words));
    let handed: Vec<_> = handed.map(|verb| (verb.words.to_owned(), verb.class)).collect();
    paths.extend(
        handed
            .into_iter()
            .map(|(verb, class)| PathLine { runs_in: Some("python"), ..PathLine::of(verb, class) }),
    );
    paths.sort_by(|one, other| one.verb.cmp(&other.verb));
    paths
}

fn class_of(argv: &[String]) -> Option<Class> {
    Cli::try_parse_from(argv).ok().map(|cli| cli.command.verb().class())
}

/// One verb of the command tree.
struct Leaf {
    /// The words after `spec-kitty`.
    verb: String,
    /// A minimal command line that parses.
    argv: Vec<String>,
    /// Its options without a value.
    flags: Vec<String>,
}

/// Every leaf below `command`, whose own words are `verb`.
fn leaves(command: &clap::Command, verb: &str) -> Vec<Leaf> {
    let mut found = Vec::new();
    if !command.is_subcommand_required_set() && !command.is_arg_required_else_help_set() {
        found.push(Leaf { verb: verb.to_owned(), argv: minimal(command, verb), flags: flags(command) });
    }
    for child in command.get_subcommands() {
        found.extend(leaves(child, format!("{verb} {}", child.get_name()).trim_start()));
    }
    found
}

fn flags(command: &clap::Command) -> Vec<String> {
    let flags = command.get_arguments().filter(|argument| !argument.get_action().takes_values());
    flags.filter_map(|argument| Some(format!("--{}", argument.get_long()?))).collect()
}

/// The words with every required argument.
fn minimal(command: &clap::Command, verb: &str) -> Vec<String> {
    let mut argv: Vec<String> =
        std::iter::once("spec-kitty").chain(verb.split(' ')).map(str::to_owned).collect();
    let one_of = command.get_groups().filter(|group| group.is_required_set()).filter_map(|group| {
        let first = group.get_args().next()?;
        command.get_arguments().find(|argument| argument.get_id() == first)
    });
    let required = command.get_arguments().filter(|argument| argument.is_required_set());
    for argument in required.chain(one_of) {
        if let Some(long) = argument.get_long() {
            argv.push(format!("--{long}"));
        }
        if !argument.get_action().takes_values() {
            continue;
        }
        let allowed = argument.get_possible_values();
        // A value that every kind of argument takes.
        argv.push(allowed.first().map_or_else(|| "1".to_owned(), |value| value.get_name().to_owned()));
    }
    argv
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inventory_fits_a_terminal() {
        let text = Inventory { paths: inventory() }.text();
        let wide: Vec<&str> = text.lines().filter(|line| line.chars().count() > 80).collect();
        assert_eq!(wide, Vec::<&str>::new());
        assert!(text.contains("never refused by the boundary"), "{text}");
    }

    /// The class table of contract section 12, for the verbs that exist.
    #[test]
    fn inventory_equals_the_class_table() {
        use Class::{Curing, Local, Producing, ReadOnly, Sending, Tool};
        let table: [(Class, &[&str]); 6] = [
            (
                ReadOnly,
                &[
                    "agent context resolve",
                    "agent decision verify",
                    "agent evidence verify",
                    "agent mission branch-context",
                    "agent mission check-prerequisites",
                    "agent status show",
                    "agent status validate",
                    "agent tasks list",
                    "agent tasks list-dependents",
                    "agent tasks status",
                    "auth doctor",
                    "auth status",
                    "auth whoami",
                    "config get",
                    "config list",
                    "doctor orphan-daemons",
                    "doctor paths",
                    "sync daemon status",
                    "sync diagnose",
                    "sync doctor",
                    "sync export",
                    "sync parked export",
                    "sync parked list",
                    "sync parked show",
                    "sync preview",
                    "sync status",
                ],
            ),
            (
                Local,
                &[
                    "agent decision cancel",
                    "agent decision defer",
                    "agent decision open",
                    "agent decision resolve",
                    "agent evidence capture",
                    "agent evidence draft",
                    "agent mission create --local-only",
                    "agent mission finalize-tasks --local-only",
                    "agent mission finalize-tasks --validate-only",
                    "agent mission setup-plan --local-only",
                    "agent status emit --local-only",
                    "agent status materialize",
                    "agent tasks add-history --local-only",
                    "agent tasks map-requirements --local-only",
                    "agent tasks mark-status --local-only",
                    "agent tasks move-task --local-only",
                    "init",
                    "plan --local-only",
                    "specify --local-only",
                    "tasks --local-only",
                    "tasks --validate-only",
                ],
            ),
            (
                Producing,
                &[
                    "agent mission create",
                    "agent mission finalize-tasks",
                    "agent mission setup-plan",
                    "agent status emit",
                    "agent tasks add-history",
                    "agent tasks map-requirements",
                    "agent tasks mark-status",
                    "agent tasks move-task",
                    "plan",
                    "specify",
                    "sync capture",
                    "tasks",
                ],
            ),
            (Sending, &["sync now", "sync routes", "sync share", "sync unshare"]),
            (
                Curing,
                &[
                    "auth login",
                    "auth logout",
                    "auth switch",
                    "config set",
                    "config unset",
                    "doctor orphan-daemons --fix",
                    "doctor repair",
                    "doctor restart-daemon",
                    "sync daemon run",
                    "sync daemon start",
                    "sync daemon stop",
                    "sync gc",
                    "sync migrate",
                    "sync opt-in",
                    "sync opt-out",
                    "sync parked drop",
                    "sync parked retry",
                    "sync resend",
                    "sync setup",
                ],
            ),
            (
                Tool,
                &[
                    "completions",
                    "help",
                    "man",
                    "merge-driver-acceptance-matrix",
                    "merge-driver-event-log",
                    "merge-driver-issue-matrix",
                    "merge-driver-meta",
                    "merge-driver-review-cycle",
                    "merge-driver-status",
                    "merge-driver-traces",
                    "quickstart",
                    "server",
                    "server backup",
                    "server copy",
                    "server doctor",
                    "server project forget",
                    "server project list",
                    "server prune",
                    "server restore",
                    "server session list",
                    "server session revoke",
                    "server team add",
                    "server team add-member",
                    "server team list",
                    "server team remove-member",
                    "server team rename",
                    "server token add",
                    "server token list",
                    "server token revoke",
                    "server user add",
                    "server user disable",
                    "server user enable",
                    "server user list",
                    "server user remove",
                    "server user secret",
                    "server user show",
                ],
            ),
        ];
        let found = inventory();
        let found: Vec<_> = found.iter().filter(|path| path.runs_in.is_none()).collect();
        for (class, verbs) in table {
            let of_class: Vec<_> =
                found.iter().filter(|path| path.class == class).map(|path| path.verb.as_str()).collect();
            assert_eq!(of_class, verbs, "{class:?}");
        }
    }

    #[test]
    fn every_leaf_of_the_command_tree_is_in_the_inventory() {
        let leaves = leaves(&Cli::tree(), "");
        let unparsed: Vec<_> = leaves
            .iter()
            .filter_map(|leaf| {
                Cli::try_parse_from(&leaf.argv).err().map(|error| (&leaf.argv, error.to_string()))
            })
            .collect();
        assert_eq!(unparsed, Vec::new());
        assert!(leaves.len() > 50, "{}", leaves.len());
    }
}
