//! Verbs of the Python CLI that this program lacks: they run there, and what they wrote is captured here.
//!
//! A command line that names one of a closed list of verbs is handed to the Python CLI. Its streams, terminal,
//! signals and exit code are those of this process. A reading verb needs nothing. A producing verb has the
//! requirements of every producing command. When it has ended and the boundary was judged again, the rows that its
//! run is proven to have written are captured. `SPEC_KITTY_FRONT` in the environment of the child refuses a second
//! hand-over, and makes this program capture nothing inside of it.
//!
//! | module | owns |
//! |---|---|
//! | [`verbs`] | the closed list, with classes and counterparts |
//! | `python` | finding the Python CLI |
//! | `child` | its process |

mod child;
mod python;
pub(crate) mod verbs;

pub(crate) use child::ChildEnd;

use crate::args::Cli;
use crate::context::CommandContext;
use crate::error::CliError;
use crate::producing::Producing;
use crate::render;
use crate::verb::Class;
use clap::error::ErrorKind;
use contract::Remedy;
use std::ffi::OsString;
use verbs::{AskedVerb, HandedVerb};

/// Variable with the depth of nested hand-overs; set by this program for its child.
pub(crate) const DEPTH: &str = identity::environment::names::SPEC_KITTY_FRONT;

/// Runs a command line in the Python CLI, when it names a verb of the list; `words` begins with the program's name.
pub(crate) fn hand_over(words: &[OsString]) -> Option<std::process::ExitCode> {
    let arguments = words.get(1..)?;
    let asked = verbs::find(arguments.iter().map_while(|word| word.to_str()))?;
    if is_ours(arguments) {
        return None;
    }
    let (verb, class) = match asked {
        AskedVerb::Verb(verb, class) => (Some(verb), class),
        AskedVerb::Group => (None, Class::ReadOnly),
    };
    Some(end(run(arguments, verb, class), arguments))
}

/// Runs `init` in the Python CLI when its options or arguments are not ours, and adds drivers and ignored files.
/// `error` is that of our own parser.
pub(crate) fn hand_over_init(words: &[OsString], error: &clap::Error) -> Option<std::process::ExitCode> {
    let arguments = words.get(1..)?;
    let is_foreign = matches!(error.kind(), ErrorKind::UnknownArgument | ErrorKind::InvalidSubcommand);
    if arguments.first()? != "init" || !is_foreign {
        return None;
    }
    let context = CommandContext::of_process(false);
    let outcome = start(&context, arguments, None).map_err(|error| {
        // The part of `init` that this program has.
        if error.code == "PYTHON_CLI_MISSING" {
            error.remedy(Remedy::Advice(
                "`spec-kitty init` without options sets up what this program needs".into(),
            ))
        } else {
            error
        }
    });
    if outcome.as_ref().is_ok_and(|ended| ended.is_success()) {
        crate::command::complete_init(&context, &arguments[1..]);
    }
    Some(end(outcome, arguments))
}

fn end(outcome: Result<ChildEnd, CliError>, arguments: &[OsString]) -> std::process::ExitCode {
    match outcome {
        Ok(ended) => ended.code(),
        Err(error) => {
            let json = arguments.iter().take_while(|word| *word != "--").any(|word| word == "--json");
            render::finish(Err(error), json).code().into()
        }
    }
}

/// Whether the leading words name a verb or a group of this program.
fn is_ours(arguments: &[OsString]) -> bool {
    let root = Cli::tree();
    let mut command = &root;
    let leading = arguments.iter().map_while(|word| word.to_str().filter(|word| !word.starts_with('-')));
    for word in leading {
        if !command.has_subcommands() {
            return true;
        }
        match command.find_subcommand(word) {
            Some(found) => command = found,
            None => return false,
        }
    }
    true
}

fn run(arguments: &[OsString], verb: Option<HandedVerb>, class: Class) -> Result<ChildEnd, CliError> {
    let context = CommandContext::of_process(false);
    if class != Class::Producing || !context.sync_enabled() {
        return start(&context, arguments, verb);
    }
    // Before anything else is judged: without the program there is nothing to do.
    let prepared = prepare(&context, verb)?;
    let producing = Producing::begin_hosted(&context)?;
    producing.around(|| child::run(&prepared.program, arguments, &prepared.depth))
}

/// Program and depth of a child to start.
struct PreparedRun {
    program: std::path::PathBuf,
    depth: String,
}

fn start(
    context: &CommandContext,
    arguments: &[OsString],
    verb: Option<HandedVerb>,
) -> Result<ChildEnd, CliError> {
    let prepared = prepare(context, verb)?;
    child::run(&prepared.program, arguments, &prepared.depth)
}

fn prepare(context: &CommandContext, verb: Option<HandedVerb>) -> Result<PreparedRun, CliError> {
    if let Some(depth) = context.environment.text(DEPTH).filter(|depth| !depth.is_empty()) {
        let depth = contract::text::printable(&depth).into_owned();
        return Err(CliError::refused(
            "HAND_OVER_REPEATED",
            "a command of the Python CLI hands over to the Python CLI",
        )
        .evidence(format!("{DEPTH} is {depth}: this process was started by a hand-over"))
        .remedy(Remedy::Advice(format!("call the Python CLI by its path there, or unset {DEPTH}"))));
    }
    let depth = "1".to_owned();
    let program = python::find(context, &depth).map_err(|error| match error.code {
        "PYTHON_CLI_MISSING" => python::install(without_python(error, verb)),
        _ => error,
    })?;
    Ok(PreparedRun { program, depth })
}

/// The error of a verb that cannot be run here, with what this program has in its place.
fn without_python(mut error: CliError, verb: Option<HandedVerb>) -> CliError {
    if let Some(verb) = verb {
        error.summary = format!("`{}` runs in the Python CLI, which is not installed", verb.words);
        if let Some(counterpart) = verb.counterpart() {
            error = error.remedy(Remedy::Advice(format!("spec-kitty {counterpart}")));
        }
    }
    error
}
