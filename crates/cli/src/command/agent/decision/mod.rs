//! `agent decision ...`: questions that came up while planning, and their answers.
//!
//! Agents call these without `--json` and read JSON, as earlier releases printed nothing else: so the
//! default is the document where stdout is not a terminal; `--no-json` asks for text.

mod cancel;
mod close;
mod defer;
mod error;
mod open;
mod resolve;
mod verify;

use crate::args::MissionArg;
use crate::render;
use crate::verb::{Args, Verb};
use clap::Subcommand;

// `agent decision ...`.
#[derive(Debug, Subcommand)]
#[command(defer = true)]
pub(crate) enum DecisionCommand {
    Open(open::DecisionOpenArgs),
    Resolve(resolve::ResolveArgs),
    Defer(defer::DeferArgs),
    Cancel(cancel::CancelArgs),
    Verify(verify::DecisionVerifyArgs),
}

impl DecisionCommand {
    pub(super) fn verb(self) -> Box<dyn Verb> {
        match self {
            Self::Open(args) => Box::new(args),
            Self::Resolve(args) => Box::new(args),
            Self::Defer(args) => Box::new(args),
            Self::Cancel(args) => Box::new(args),
            Self::Verify(args) => Box::new(args),
        }
    }
}

/// Options of every decision command.
#[derive(Debug, Args)]
struct DecisionArgs {
    #[command(flatten)]
    mission: MissionArg,
    /// Print text even where stdout is not a terminal; the default there is JSON
    #[arg(long, overrides_with = "json")]
    no_json: bool,
}

impl DecisionArgs {
    fn json(&self, asked: bool) -> bool {
        asked || !(self.no_json || render::stdout_is_terminal())
    }
}

/// Options of every command that writes into the ledger.
#[derive(Debug, Args)]
struct LedgerArgs {
    /// Name of the writer [default: cli]
    #[arg(long)]
    actor: Option<String>,
    /// Validate only; write nothing (dry run)
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    decision: DecisionArgs,
}
