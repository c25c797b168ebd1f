//! `init`: a project in this directory, with merge drivers and ignored files.

use crate::render;
use crate::report::counted;
use crate::verb::{Args, Class, CliError, CommandContext, Render, Report, Verb};
use mission::command::init::{Initialized, init};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// Set up a project: identity, merge drivers, ignored files
///
/// Creates `.kittify/`, adds the merge drivers of missions to `.gitattributes` and to the configuration of the
/// repository, and adds the files of one machine to `.gitignore`. Asks nothing, commits nothing, and repairs a project
/// that lacks some of it. Each clone needs it once, because git does not share its configuration. Other options and
/// arguments are those of the Python CLI, which then sets up the project before this program does.
#[derive(Debug, Args)]
#[command(after_help = "Example: spec-kitty init")]
pub(crate) struct InitArgs;

impl Verb for InitArgs {
    fn class(&self) -> Class {
        Class::Local
    }

    fn run(self: Box<Self>, context: &CommandContext) -> Result<Report, CliError> {
        let done = init(&root(context), &context.environment)?;
        let mut report = Report::of(&done);
        if done.drivers_set.is_none() {
            report = report
                .note("no git repository: run `git init`, then `spec-kitty init` for the merge drivers");
        }
        Ok(report)
    }
}

/// Adds drivers and ignored files after the Python CLI has set up a project. `arguments` may name its directory.
pub(crate) fn complete(context: &CommandContext, arguments: &[OsString]) {
    let named = arguments.iter().map(|word| context.directory().join(word));
    let made = named.into_iter().find(|directory| directory.join(".kittify").is_dir());
    match init(&made.unwrap_or_else(|| root(context)), &context.environment) {
        // Stdout is the child's.
        Ok(done) => render::note(done.text().trim_end()),
        Err(error) => render::note(CliError::from(error).text().trim_end()),
    }
}

/// The project of this repository above the directory, else the directory itself. A `.kittify` beyond the repository
/// belongs to something else: earlier releases keep one in the user's home directory.
fn root(context: &CommandContext) -> PathBuf {
    let directory = context.directory();
    let repository =
        |path: &Path| identity::git::read_git_facts(path).ok().flatten().map(|facts| facts.common_dir);
    let located = identity::locate_project_root(directory, &context.environment);
    let here = repository(directory);
    located
        .filter(|root| root == directory || (here.is_some() && repository(root) == here))
        .unwrap_or_else(|| directory.to_owned())
}

impl Render for Initialized {
    fn text(&self) -> String {
        let added = |lines: &[String], file: &str| {
            (!lines.is_empty())
                .then(|| format!("{file}: {} added\n", counted(lines.len() as u64, "line", "lines")))
        };
        let settings = self.drivers_set.as_deref().unwrap_or_default();
        let head = match self.result {
            "created" => format!("project created in {}\n", self.project_root),
            "repaired" => format!("project repaired in {}\n", self.project_root),
            _ if self.drivers_set.is_none() => {
                format!("nothing added: the project in {} lacks a git repository\n", self.project_root)
            }
            _ => format!("nothing to do: the project in {} is set up\n", self.project_root),
        };
        let git = (!settings.is_empty()).then(|| {
            format!("git config: {} added\n", counted(settings.len() as u64, "setting", "settings"))
        });
        [
            Some(head),
            added(&self.attributes_added, ".gitattributes"),
            added(&self.ignores_added, ".gitignore"),
            git,
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}
