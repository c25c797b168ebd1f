//! The only printer. Results go to stdout, everything else to stderr; with `--json` stdout gets
//! exactly one document, whatever happened. A closed pipe ends the output, not the program.

use crate::error::CliError;
use crate::report::Report;
use contract::ExitCode;
use std::io::{self, IsTerminal, Write};

/// Prints the end of a command and says how to exit.
pub fn finish(outcome: Result<Report, CliError>, as_json: bool) -> ExitCode {
    match outcome {
        Ok(report) => {
            for note in &report.notes {
                err(&format!("{note}\n"));
            }
            if !as_json {
                out(&report.text);
            } else if !report.json.is_null() {
                out(&format!("{}\n", report.json));
            }
            report.exit
        }
        Err(error) => {
            if as_json {
                out(&format!("{}\n", error.json()));
                err(&error.line());
            } else {
                err(&error.text());
            }
            error.exit
        }
    }
}

/// Prints one line to stderr while a command runs.
pub fn note(line: &str) {
    err(&format!("{line}\n"));
}

/// Prints text to stdout while a command runs: only for verbs that have no single result.
pub fn say(text: &str) {
    out(text);
}

/// Where a log of a long-running verb goes.
pub fn log() -> Box<dyn Write + Send> {
    Box::new(io::stderr())
}

/// Asks on stderr, without a newline.
pub fn prompt(question: &str) {
    err(question);
}

/// Whether notes and progress are seen by a person.
pub fn stderr_is_terminal() -> bool {
    io::stderr().is_terminal()
}

fn out(text: &str) {
    let mut stdout = io::stdout().lock();
    let _ = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
}

fn err(text: &str) {
    let _ = io::stderr().lock().write_all(text.as_bytes());
}
