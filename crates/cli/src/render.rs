//! The only printer. Results are printed on stdout, everything else on stderr; with `--json` stdout gets
//! exactly one document, whatever happened. No terminal control character of any source is printed:
//! text and documents pass through the escapes of `contract::text`. Notes and errors are broken between
//! words where stderr is a terminal. A closed pipe ends the output, not the program; a result that cannot
//! be written for another reason is a failure.

use crate::error::CliError;
use crate::report::Report;
use crate::wrap;
use contract::ExitCode;
use contract::text::{printable_json, printable_lines};
use std::io::{self, IsTerminal, Write};

/// Prints the result of a command; returns its exit code.
pub(crate) fn finish(outcome: Result<Report, CliError>, as_json: bool) -> ExitCode {
    match outcome {
        Ok(report) => {
            for note in &report.notes {
                err(&format!("{note}\n"));
            }
            let printed = if !as_json {
                out(&printable_lines(&report.text))
            } else if !report.json.is_null() {
                out(&document(&report.json))
            } else {
                Ok(())
            };
            exit_after(printed, report.exit)
        }
        Err(error) => {
            let printed = if as_json {
                let printed = out(&document(&error.json()));
                err(&error.line());
                printed
            } else {
                err(&error.text());
                Ok(())
            };
            exit_after(printed, error.exit)
        }
    }
}

/// Prints the output of the command-line parser: help and version on stdout, errors on stderr.
pub(crate) fn finish_parsing(error: &clap::Error) -> ExitCode {
    exit_after(error.print(), if error.use_stderr() { ExitCode::Refused } else { ExitCode::Ok })
}

/// Exit code after a result was printed, or not: a full disk must not look like success.
fn exit_after(printed: io::Result<()>, exit: ExitCode) -> ExitCode {
    match printed {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            err(&format!("error: the result could not be printed: {error}\n"));
            if exit == ExitCode::Ok { ExitCode::Failed } else { exit }
        }
        Ok(()) | Err(_) => exit,
    }
}

/// Prints one line to stderr while a command runs.
pub(crate) fn note(line: &str) {
    err(&format!("{line}\n"));
}

/// Prints text to stdout while a command runs: only for verbs that have no single result.
pub(crate) fn print_text(text: &str) {
    let _ = out(&printable_lines(text));
}

/// Prints one JSON line of a result that is too long to be held; false when the reader has closed the pipe.
pub(crate) fn line(text: &str) -> Result<bool, CliError> {
    let text = printable_json(text);
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.write_all(b"\n")) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => {
            Err(CliError::failed("NOT_PRINTED", format!("the result could not be printed: {error}")))
        }
    }
}

/// The log of a long-running verb.
pub(crate) fn log() -> Box<dyn Write + Send> {
    Box::new(io::stderr())
}

/// Logs failures of a long-running verb: one JSON object a line, beside its log.
pub(crate) fn log_failures() {
    let lines = tracing_subscriber::fmt().json().flatten_event(true).with_max_level(tracing::Level::WARN);
    // Only a second call could fail, and then the first one is in force.
    let _ = lines.with_writer(io::stderr).try_init();
}

/// Asks on stderr, without a newline.
pub(crate) fn prompt(question: &str) {
    err(question);
}

/// Whether notes and progress are seen by a person.
pub(crate) fn stderr_is_terminal() -> bool {
    io::stderr().is_terminal()
}

/// Whether the result is read by a person, and not by a program behind a pipe.
pub(crate) fn stdout_is_terminal() -> bool {
    io::stdout().is_terminal()
}

/// Columns that a result may fill: the terminal's, else `COLUMNS`, else 80.
pub(crate) fn width() -> usize {
    let terminal = terminal_size::terminal_size_of(io::stdout());
    let asked = || std::env::var("COLUMNS").ok()?.trim().parse().ok().filter(|width| *width > 0);
    terminal.map(|(terminal_size::Width(width), _)| usize::from(width)).or_else(asked).unwrap_or(80)
}

fn document(value: &serde_json::Value) -> String {
    format!("{}\n", printable_json(&value.to_string()))
}

fn out(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush())
}

fn err(text: &str) {
    let text = printable_lines(text);
    let terminal = terminal_size::terminal_size_of(io::stderr());
    let text = match terminal {
        Some((terminal_size::Width(width), _)) => wrap::lines(&text, usize::from(width)),
        None => text,
    };
    let _ = io::stderr().lock().write_all(text.as_bytes());
}
