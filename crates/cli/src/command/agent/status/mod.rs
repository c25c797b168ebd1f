//! `agent status ...`: the lanes of work packages.

mod emit;
mod materialize;
mod show;
mod validate;

use crate::verb::Verb;
use clap::Subcommand;

// `agent status ...`.
#[derive(Debug, Subcommand)]
#[command(defer = true)]
#[allow(clippy::large_enum_variant, reason = "one is made for each command line")]
pub(crate) enum StatusCommand {
    Emit(emit::EmitArgs),
    Materialize(materialize::MaterializeArgs),
    Show(show::StatusShowArgs),
    Validate(validate::StatusValidateArgs),
}

impl StatusCommand {
    pub(super) fn verb(self) -> Box<dyn Verb> {
        match self {
            Self::Emit(args) => Box::new(args),
            Self::Materialize(args) => Box::new(args),
            Self::Show(args) => Box::new(args),
            Self::Validate(args) => Box::new(args),
        }
    }
}
