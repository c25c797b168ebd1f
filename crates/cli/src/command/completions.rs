//! `completions`: generated from the tree that parses the command line.

use crate::args::Cli;
use crate::verb::{Args, Class, CliError, CommandContext, Report, Verb, no_document};

/// Print a completion script for a shell
#[derive(Debug, Args)]
#[command(after_help = "Example: spec-kitty completions bash")]
pub(crate) struct CompletionsArgs {
    /// The shell
    shell: clap_complete::Shell,
}

impl Verb for CompletionsArgs {
    fn class(&self) -> Class {
        Class::Tool
    }

    fn json(&self, asked: bool) -> Result<bool, &'static str> {
        no_document(asked)
    }

    fn run(self: Box<Self>, _: &CommandContext) -> Result<Report, CliError> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::tree(), "spec-kitty", &mut script);
        Ok(Report { text: String::from_utf8_lossy(&script).into_owned(), ..Report::silent() })
    }
}
