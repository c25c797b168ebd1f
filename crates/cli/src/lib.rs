//! The CLI: arguments in, one report or one error out, printed once.
//!
//! | module | owns |
//! |---|---|
//! | [`args`] | the root of the command line, and shared options |
//! | `verb` | what a verb is, and what its class needs |
//! | `diagnostics` | checks of this machine, for the doctors and for setup |
//! | `status_board` | boards of missions as tables |
//! | `python_cli` | verbs that run in the Python CLI |
//! | `context` | environment, home and directory of one command |
//! | `command` | the command tree: one file per verb |
//! | `report`, `error` | the two ways a verb ends |
//! | `render` | the only printer |
//! | `terminal` | asking a person, and showing progress |
//! | `interrupt` | Ctrl-C, the first and the second time |
//! | `build` | version and commit of this build |

// Files are opened by `system::regular`, or for the reason beside the call (clippy.toml).
#![cfg_attr(not(test), deny(clippy::disallowed_methods))]

pub mod args;
mod build;
mod command;
mod context;
mod diagnostics;
mod elsewhere;
mod error;
mod housekeeping;
mod interrupt;
mod mission_document;
mod producing;
mod python_cli;
mod render;
mod report;
mod status_board;
mod terminal;
mod verb;
mod wrap;

use clap::error::ErrorKind;
use contract::ExitCode;

/// Runs the command line of this process.
pub fn main() -> std::process::ExitCode {
    let words: Vec<_> = std::env::args_os().collect();
    // Editors and scripts ask for the version often; it needs no command tree.
    if let [_, only] = &words[..]
        && (only == "--version" || only == "-V")
    {
        let text = format!("spec-kitty {}\n", build::VERSION_LINE);
        return render::finish(Ok(report::Report { text, ..report::Report::silent() }), false).code().into();
    }
    if let Some(code) = python_cli::hand_over(&words) {
        return code;
    }
    let parsed = args::Cli::parse_words(&words).and_then(|cli| {
        let verb = cli.command.verb();
        let json = verb.json(cli.json);
        json.map(|json| (verb, json)).map_err(|why| args::Cli::tree().error(ErrorKind::ArgumentConflict, why))
    });
    let (verb, json) = match parsed {
        Ok(parsed) => parsed,
        Err(error) => {
            return python_cli::hand_over_init(&words, &error)
                .unwrap_or_else(|| usage(&error, &words).code().into());
        }
    };
    let context = context::CommandContext::of_process(json);
    let class = verb.class();
    if class != verb::Class::Tool
        && let Some(warning) = context.owner_warning()
    {
        render::note(&warning);
    }
    let narrows = class == verb::Class::Curing && !verb.is_dry_run();
    let outcome = verb.run(&context).map_err(|error| error.not_by_repeating(&words));
    // A command of this class that ended with 0 has written, or had nothing to write; a preview ends with 2.
    if narrows
        && outcome.as_ref().is_ok_and(|report| report.exit == ExitCode::Ok)
        && let Ok(home) = context.home()
    {
        identity::privacy::restrict_directories(home);
    }
    render::finish(outcome, json).code().into()
}

/// Help and version are results; wrong usage is an error, which is a document where `--json` was given.
fn usage(error: &clap::Error, words: &[std::ffi::OsString]) -> ExitCode {
    let asked = || words.iter().skip(1).take_while(|word| *word != "--").any(|word| word == "--json");
    if error.use_stderr() && asked() {
        render::finish(Err(error::CliError::usage(&error.render().to_string())), true)
    } else {
        render::finish_parsing(error)
    }
}
