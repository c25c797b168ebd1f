//! `agent context ...`: what an agent needs to begin an action.

mod resolve;

use crate::verb::Verb;
use clap::Subcommand;

// `agent context ...`.
#[derive(Debug, Subcommand)]
#[command(defer = true)]
pub(crate) enum ContextCommand {
    Resolve(resolve::ContextResolveArgs),
}

impl ContextCommand {
    pub(super) fn verb(self) -> Box<dyn Verb> {
        match self {
            Self::Resolve(args) => Box::new(args),
        }
    }
}
