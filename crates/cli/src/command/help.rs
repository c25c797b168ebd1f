//! `help`: the pages of `docs/` in the terminal, and the help of a command.

use crate::args::Cli;
use crate::verb::{Args, Class, CliError, CommandContext, ExitCode, Report, Verb, no_document};
use contract::FailureName;
use std::fmt::Write as _;

/// Show a page of the manual, or the help of a command
#[derive(Debug, Args)]
#[command(after_help = "Example: spec-kitty help guide")]
pub(crate) struct HelpArgs {
    /// A topic, or a command; without it the list of topics
    topic: Vec<String>,
}

/// A page that is made from the code.
type MadePage = (&'static str, &'static str, fn() -> String);

/// Pages that are made from the code; `docs/reference` has them as files.
const MADE: [MadePage; 2] = [
    ("refusals", "name, cause and remedy of each refusal", refusals),
    ("exit-codes", "the exit code of a command", exit_codes),
];

/// The pages, by topic.
const PAGES: [(&str, &str, &str); 14] = [
    ("guide", "first steps: installation to a delivered mission", include_str!("../../../../docs/guide.md")),
    ("install", "install, upgrade, uninstall", include_str!("../../../../docs/install.md")),
    ("json", "JSON documents and their schemas", include_str!("../../../../docs/json.md")),
    ("missions", "one mission from its name to its evidence", include_str!("../../../../docs/missions.md")),
    (
        "boundary",
        "values compared before a command captures or sends",
        include_str!("../../../../docs/boundary.md"),
    ),
    ("daemon", "delivery in the background", include_str!("../../../../docs/daemon.md")),
    ("server", "running a server", include_str!("../../../../docs/server.md")),
    (
        "queue",
        "queue of this machine: capture, consent, migration, collection",
        include_str!("../../../../docs/queue.md"),
    ),
    ("delivery", "requests, and the effect of each answer", include_str!("../../../../docs/delivery.md")),
    ("events", "events and their content", include_str!("../../../../docs/events.md")),
    ("compatibility", "earlier releases beside this one", include_str!("../../../../docs/compatibility.md")),
    ("security", "threat model: what each party can do", include_str!("../../../../docs/security.md")),
    ("python-cli", "verbs that run in the Python CLI", include_str!("../../../../docs/python-cli.md")),
    ("glossary", "each term, defined once", include_str!("../../../../docs/glossary.md")),
];

impl Verb for HelpArgs {
    fn class(&self) -> Class {
        Class::Tool
    }

    fn json(&self, asked: bool) -> Result<bool, &'static str> {
        no_document(asked)
    }

    fn run(self: Box<Self>, _: &CommandContext) -> Result<Report, CliError> {
        if self.topic.is_empty() {
            return Ok(page(topics()));
        }
        if let [topic] = &self.topic[..]
            && let Some((_, _, text)) = PAGES.iter().find(|(name, ..)| name == topic)
        {
            return Ok(page((*text).to_owned()));
        }
        if let [topic] = &self.topic[..]
            && let Some((_, _, make)) = MADE.iter().find(|(name, ..)| name == topic)
        {
            return Ok(page(make()));
        }
        let mut command = Cli::tree();
        command.build();
        for word in &self.topic {
            command = command.find_subcommand(word).cloned().ok_or_else(|| unknown(&self.topic.join(" ")))?;
        }
        Ok(page(command.render_long_help().to_string()))
    }
}

fn page(text: String) -> Report {
    Report { text, ..Report::silent() }
}

fn topics() -> String {
    let mut text = String::from("Topics:\n");
    let made = MADE.map(|(name, about, _)| (name, about));
    for (name, about) in PAGES.map(|(name, about, _)| (name, about)).into_iter().chain(made) {
        let _ = writeln!(text, "  {name:<14} {about}");
    }
    text.push_str(
        "\n`spec-kitty help TOPIC` shows a page; `spec-kitty help COMMAND` the help of a command.\n",
    );
    text
}

fn refusals() -> String {
    let mut text = String::from(
        "# When it refuses\n\nA command that captures or sends refuses while the boundary is not coherent: exit code 2, \
         nothing written, nothing sent.\nStderr and `preflight` of the JSON document have these names, in this order. \
         [boundary.md](../boundary.md) describes the gate.\n",
    );
    for name in FailureName::all() {
        let _ = write!(text, "\n## `{name}`\n\n{}\n\nRemedy: {}\n", name.cause(), name.remedy_text());
    }
    text
}

fn exit_codes() -> String {
    let mut text = String::from("# Exit codes\n\n| code | meaning |\n|---|---|\n");
    for code in ExitCode::ALL {
        let _ = writeln!(text, "| {code} | {} |", code.meaning());
    }
    text.push_str("\nWith `--json` the document of an error or a refusal has the code as `exit_code`.\n");
    text
}

fn unknown(topic: &str) -> CliError {
    CliError::usage(&format!("`{topic}` is neither a topic nor a command\n{}", topics()))
}

#[cfg(test)]
mod tests {
    use super::PAGES;

    /// Every page of the book has a topic, but for the ones about the project itself.
    #[test]
    fn topics_are_the_pages_of_the_book() {
        let book = include_str!("../../../../docs/SUMMARY.md");
        let mut pages: Vec<&str> = book
            .split("](")
            .skip(1)
            .filter_map(|rest| rest.split(".md)").next())
            .filter(|page| !page.starts_with("reference/"))
            .collect();
        pages.retain(|page| !["proof", "performance", "benchmarks", "full-check"].contains(page));
        let mut topics: Vec<&str> = PAGES.iter().map(|(topic, ..)| *topic).collect();
        pages.sort_unstable();
        topics.sort_unstable();
        assert_eq!(topics, pages);
    }
}
