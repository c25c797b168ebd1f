//! A verb: one leaf of the command tree, with what it needs before it acts (contract section 12).

// The names that nearly every verb needs.
pub(crate) use crate::context::CommandContext;
pub(crate) use crate::error::{CliError, chain};
pub(crate) use crate::report::{LineResult, Render, Report};
pub(crate) use clap::Args;
pub(crate) use contract::ExitCode;
use serde::Serialize;

/// The class of a verb.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Class {
    /// Changes nothing.
    ReadOnly,
    /// No gate: needs no identity.
    Tool,
    /// Changes the repository only.
    Local,
    /// Adds facts to the queue: authentication and the boundary, before any side effect.
    Producing,
    /// Sends: authentication, the boundary and an egress permit.
    Sending,
    /// Repairs: never refused by the boundary.
    Curing,
}

impl Class {
    /// Requirements of a verb of this class.
    pub(crate) const fn needs(self) -> &'static str {
        match self {
            Self::ReadOnly | Self::Tool => "nothing",
            Self::Local => "no authentication, no gate, no queue",
            Self::Producing => {
                "with the switch on: authentication, then the boundary, before any side effect"
            }
            Self::Sending => "authentication, the boundary, an egress permit",
            Self::Curing => "never refused by the boundary",
        }
    }
}

/// One parsed verb.
pub(crate) trait Verb {
    /// The class, where the options decide it by the options.
    fn class(&self) -> Class;

    /// Does the work of the verb.
    fn run(self: Box<Self>, context: &CommandContext) -> Result<Report, CliError>;

    /// Whether it changes nothing and shows what it would do.
    fn is_dry_run(&self) -> bool {
        false
    }

    /// Whether the result is one JSON document; an error where the verb has none. `asked` is `--json`.
    fn json(&self, asked: bool) -> Result<bool, &'static str> {
        Ok(asked)
    }
}

/// [`Verb::json`] of a verb without a JSON form.
pub(crate) fn no_document(asked: bool) -> Result<bool, &'static str> {
    if asked { Err("this command has no JSON form: leave --json out") } else { Ok(false) }
}
