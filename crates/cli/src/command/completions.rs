//! `completions`, and `man`: generated from the same tree that parses the command line.

use crate::args::Cli;
use crate::error::{CliError, chain};
use crate::report::Report;
use clap::CommandFactory;
use std::path::Path;

/// Prints the completion script of `shell`.
pub(crate) fn run(shell: clap_complete::Shell) -> Result<Report, CliError> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "spec-kitty", &mut script);
    Ok(Report { text: String::from_utf8_lossy(&script).into_owned(), ..Report::silent() })
}

/// Writes one man page per verb into `directory`.
pub(crate) fn man(directory: &Path) -> Result<Report, CliError> {
    fs_err::create_dir_all(directory)
        .and_then(|()| clap_mangen::generate_to(Cli::command(), directory))
        .map_err(|error| CliError::failed("MAN_NOT_WRITTEN", chain(&error)))?;
    Ok(Report::silent())
}
