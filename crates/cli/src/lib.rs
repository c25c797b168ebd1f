//! The CLI: arguments in, one report or one error out, printed once.
//!
//! | module | owns |
//! |---|---|
//! | [`args`] | the command line |
//! | [`class`] | what each verb needs: the exhaustive inventory |
//! | `diagnostics` | one examination of this machine, for the doctors and for setup |
//! | `status_board` | boards of missions as tables |
//! | [`context`] | environment, home and directory of one command |
//! | `command` | one file per verb |
//! | [`report`], [`error`] | the two ways a verb ends |
//! | [`render`] | the only printer |
//! | `terminal` | asking a person, and showing progress |
//! | `interrupt` | Ctrl-C, the first and the second time |
//! | [`build`] | what this build knows about itself |

// Files are opened by `identity::regular`, or as a reason beside the call says (clippy.toml).
#![cfg_attr(not(test), deny(clippy::disallowed_methods))]

pub mod args;
pub mod build;
pub mod class;
mod command;
pub mod context;
mod diagnostics;
pub mod error;
mod housekeeping;
mod interrupt;
mod mission_document;
mod other_queues;
mod platform;
mod producing;
pub mod render;
pub mod report;
mod status_board;
mod terminal;
mod wrap;

/// Runs the command line of this process.
pub fn main() -> std::process::ExitCode {
    let cli = match args::Cli::parse_words(std::env::args_os().collect()) {
        Ok(cli) => cli,
        Err(error) => return usage(&error),
    };
    let json = cli.command.json();
    let context = context::Context::of_process();
    let verb = class::classify(&cli.command);
    if verb.class != class::Class::Tool
        && let Some(warning) = context.owner_warning()
    {
        render::note(&warning);
    }
    let narrows = verb.class == class::Class::Curing && !cli.command.is_dry_run();
    let outcome = command::run(&context, cli.command).map_err(|error| error.not_by_repeating(verb.verb));
    // A command of this class that ended with 0 has written, or had nothing to write; a preview ends with 2.
    if narrows
        && outcome.as_ref().is_ok_and(|report| report.exit == contract::ExitCode::Ok)
        && let Ok(home) = context.home()
    {
        identity::privacy::narrow_directories(home);
    }
    std::process::ExitCode::from(render::finish(outcome, json).code())
}

/// Help and version are results; wrong usage is an error. clap knows which, and where each belongs; only
/// who asked for JSON gets the error as a document.
fn usage(error: &clap::Error) -> std::process::ExitCode {
    let asked = || std::env::args_os().skip(1).take_while(|word| word != "--").any(|word| word == "--json");
    let code = if error.use_stderr() && asked() {
        render::finish(Err(error::CliError::usage(&error.render().to_string())), true)
    } else {
        render::finish_parsing(error)
    };
    std::process::ExitCode::from(code.code())
}
