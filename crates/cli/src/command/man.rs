//! `man`: one page per verb, generated from the tree that parses the command line.

use crate::args::Cli;
use crate::verb::{Args, Class, CliError, CommandContext, Report, Verb, chain, no_document};
use std::path::PathBuf;

/// Write the man pages into a directory
#[derive(Debug, Args)]
#[command(after_help = "Example: spec-kitty man target/man")]
pub(crate) struct ManArgs {
    /// Directory for the pages
    directory: PathBuf,
}

impl Verb for ManArgs {
    fn class(&self) -> Class {
        Class::Tool
    }

    fn json(&self, asked: bool) -> Result<bool, &'static str> {
        no_document(asked)
    }

    fn run(self: Box<Self>, _: &CommandContext) -> Result<Report, CliError> {
        fs_err::create_dir_all(&self.directory)
            .and_then(|()| clap_mangen::generate_to(Cli::tree(), &self.directory))
            .map_err(|error| CliError::failed("MAN_NOT_WRITTEN", chain(&error)))?;
        Ok(Report::silent())
    }
}
