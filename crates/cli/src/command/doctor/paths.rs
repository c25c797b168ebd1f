//! `doctor paths`: every verb with its class, from the same exhaustive match the program runs by.

use crate::args::Cli;
use crate::class::{VerbClass, classify};
use crate::error::CliError;
use crate::report::{Document, Report};
use clap::{CommandFactory, Parser};
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Runs the verb.
pub(crate) fn run() -> Result<Report, CliError> {
    Ok(Report::of(&Inventory { paths: inventory() }))
}

/// The inventory.
#[derive(Debug, Serialize)]
struct Inventory {
    paths: Vec<Path>,
}

/// One verb.
#[derive(Debug, Serialize)]
struct Path {
    #[serde(flatten)]
    verb: VerbClass,
    needs: &'static str,
}

impl Document for Inventory {
    fn text(&self) -> String {
        let width = self.paths.iter().map(|path| path.verb.verb.len()).max().unwrap_or_default();
        let mut out = String::new();
        let mut needs = BTreeMap::new();
        for path in &self.paths {
            let class = serde_json::to_value(path.verb.class).unwrap_or_default();
            let class = class.as_str().unwrap_or_default();
            let _ = writeln!(out, "{:<width$}  {class}", path.verb.verb);
            needs.entry(class.to_owned()).or_insert(path.needs);
        }
        // Once for each class: beside each verb it would be wider than a terminal.
        for (class, needs) in needs {
            let _ = write!(out, "\n{class} needs\n  {needs}\n");
        }
        out
    }
}

/// Every leaf of the command tree, parsed from a minimal argv of its own and classified.
fn inventory() -> Vec<Path> {
    let mut paths: Vec<VerbClass> = leaves(&Cli::command(), &["spec-kitty".to_owned()])
        .into_iter()
        .filter_map(|argv| Cli::try_parse_from(argv).ok())
        .map(|cli| classify(&cli.command))
        .collect();
    paths.sort_by_key(|path| path.verb);
    paths.dedup();
    paths.into_iter().map(|verb| Path { verb, needs: verb.class.needs() }).collect()
}

/// A minimal argv for every leaf under `command`, and one more for each flag that changes a class.
pub(crate) fn leaves(command: &clap::Command, prefix: &[String]) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    let mut argv = prefix.to_vec();
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
    if !command.is_subcommand_required_set() && !command.is_arg_required_else_help_set() {
        found.push(argv.clone());
        for flag in ["fix", "local-only", "validate-only"] {
            if command.get_arguments().any(|argument| argument.get_long() == Some(flag)) {
                let mut flagged = argv.clone();
                flagged.push(format!("--{flag}"));
                found.push(flagged);
            }
        }
    }
    for child in command.get_subcommands() {
        let mut words = prefix.to_vec();
        words.push(child.get_name().to_owned());
        found.extend(leaves(child, &words));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_inventory_fits_a_terminal() {
        let text = Inventory { paths: inventory() }.text();
        let wide: Vec<&str> = text.lines().filter(|line| line.chars().count() > 80).collect();
        assert_eq!(wide, Vec::<&str>::new());
        assert!(text.contains("never refused by the boundary"), "{text}");
    }

    /// The class table of contract section 12, for the verbs that exist.
    #[test]
    fn inventory_equals_the_class_table() {
        use crate::class::Class::{self, Curing, Local, Producing, ReadOnly, Sending, Tool};
        let table: [(Class, &[&str]); 6] = [
            (
                ReadOnly,
                &[
                    "agent decision verify",
                    "agent evidence verify",
                    "agent mission check-prerequisites",
                    "agent status show",
                    "agent tasks list",
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
                    "agent tasks mark-status --local-only",
                    "agent tasks move-task --local-only",
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
                    "agent tasks mark-status",
                    "agent tasks move-task",
                    "plan",
                    "specify",
                    "sync capture --history",
                    "tasks",
                ],
            ),
            (Sending, &["sync now"]),
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
                    "man",
                    "quickstart",
                    "server",
                    "server token add",
                    "server token list",
                    "server token revoke",
                    "server user add",
                    "server user list",
                    "server user secret",
                ],
            ),
        ];
        let found = inventory();
        for (class, verbs) in table {
            let of_class: Vec<_> =
                found.iter().filter(|path| path.verb.class == class).map(|path| path.verb.verb).collect();
            assert_eq!(of_class, verbs, "{class:?}");
        }
    }

    #[test]
    fn every_leaf_of_the_command_tree_is_in_the_inventory() {
        let unparsed: Vec<_> = leaves(&Cli::command(), &["spec-kitty".to_owned()])
            .into_iter()
            .filter_map(|argv| Cli::try_parse_from(&argv).err().map(|error| (argv, error.to_string())))
            .collect();
        assert_eq!(unparsed, Vec::new());
        let verbs: Vec<_> = inventory().into_iter().map(|path| path.verb.verb).collect();
        for verb in ["sync now", "agent mission setup-plan", "server user add", "doctor orphan-daemons --fix"]
        {
            assert!(verbs.contains(&verb), "{verbs:?}");
        }
    }
}
