//! `spec-kitty config ...`: the settings of this machine.

use super::JsonArgs;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Subcommand};
use identity::config::Key;

/// `spec-kitty config ...`
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// List every setting with its value and where it comes from
    List(JsonArgs),
    /// Print the value of one setting
    #[command(after_help = "Example: spec-kitty config get sync.server_url")]
    Get(GetArgs),
    /// Set one setting
    #[command(after_help = "Example: spec-kitty config set sync.hosted true")]
    Set(SetArgs),
    /// Remove one setting, so that its default counts
    #[command(after_help = "Example: spec-kitty config unset sync.token_host")]
    Unset(UnsetArgs),
}

/// `spec-kitty config get`
#[derive(Debug, Args)]
pub struct GetArgs {
    /// The setting
    #[arg(value_parser = keys())]
    pub key: Key,
    /// Print one JSON document
    #[arg(long)]
    pub json: bool,
}

/// `spec-kitty config set`
#[derive(Debug, Args)]
pub struct SetArgs {
    /// The setting
    #[arg(value_parser = keys())]
    pub key: Key,
    /// Its value
    #[arg(allow_negative_numbers = true)]
    pub value: String,
    /// Print one JSON document
    #[arg(long)]
    pub json: bool,
}

/// `spec-kitty config unset`
#[derive(Debug, Args)]
pub struct UnsetArgs {
    /// The setting
    #[arg(value_parser = keys())]
    pub key: Key,
    /// Print one JSON document
    #[arg(long)]
    pub json: bool,
}

/// The known keys: an unknown one is a usage error that lists them.
fn keys() -> impl TypedValueParser<Value = Key> {
    PossibleValuesParser::new(Key::ALL.map(Key::name))
        .try_map(|name| Key::parse(&name).ok_or("not a known setting"))
}

impl ConfigCommand {
    pub(super) fn json(&self) -> bool {
        match self {
            Self::List(args) => args.json,
            Self::Get(args) => args.json,
            Self::Set(args) => args.json,
            Self::Unset(args) => args.json,
        }
    }
}
