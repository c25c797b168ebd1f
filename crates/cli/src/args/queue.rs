//! `spec-kitty sync ...` about the rows of the queue themselves: looking at them, taking them along,
//! putting them back, letting them go.

use clap::{ArgGroup, Args, Subcommand};
use std::path::PathBuf;

/// `spec-kitty sync migrate`
#[derive(Debug, Args)]
#[command(
    after_help = "Needs no server and no login beyond the account's name. Safe to repeat, and to kill at any \
    instant: the next run resumes. Rows of other accounts stay where they are."
)]
pub struct MigrateArgs {
    /// Say what would move; change nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Instead of legacy rows, copy those of another queue DB of the same user (a server or team that
    /// is no more): the 16 hex digits in its file name. They arrive held
    #[arg(long, value_name = "HASH", value_parser = scope_hash)]
    pub from_scope: Option<String>,
    /// With --from-scope: do it without asking
    #[arg(long, short, requires = "from_scope")]
    pub yes: bool,
    /// Print one JSON document
    #[arg(long)]
    pub json: bool,
}

/// `spec-kitty sync export`
#[derive(Debug, Args)]
#[command(
    after_help = "Each line is an object with `table` and the columns of one row as stored; bytes are \
    {\"hex\": ...}, text that is no UTF-8 is {\"text_hex\": ...}. Nothing is locked while a line is written, \
    and nothing is changed."
)]
pub struct ExportArgs {
    /// Whose rows: the 16 hex digits in the name of a scoped queue DB, or `legacy` for the legacy queue
    /// DB [default: the active queue]
    #[arg(long, value_name = "HASH", value_parser = scope_hash_or_legacy)]
    pub scope: Option<String>,
    /// Write the lines to this new file, readable by this user only, instead of stdout
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Print what was written as one JSON document; needs --output
    #[arg(long, requires = "output")]
    pub json: bool,
}

/// `spec-kitty sync preview`
#[derive(Debug, Args)]
pub struct PreviewArgs {
    /// Show at most this many rows
    #[arg(long, value_name = "ROWS", default_value_t = 20)]
    pub limit: usize,
    /// Show what each row says, as it would leave
    #[arg(long)]
    pub payload: bool,
    /// Print one JSON document
    #[arg(long)]
    pub json: bool,
}

/// `spec-kitty sync diagnose`
#[derive(Debug, Args)]
pub struct DiagnoseArgs {
    /// List valid rows, too
    #[arg(long)]
    pub all: bool,
    /// Print one JSON document
    #[arg(long)]
    pub json: bool,
}

/// `spec-kitty sync capture`
#[derive(Debug, Args)]
#[command(
    after_help = "Commands capture what they do. This is for rows they did not capture: pulled from a teammate, \
    made with hosted sync off or with --local-only, or older than the queue. Every fact keeps its id, so \
    what is known is not captured again."
)]
pub struct CaptureArgs {
    /// The mission whose history is captured: its id, the first eight characters of it, or its directory
    /// name
    #[arg(long, value_name = "MISSION", required = true)]
    pub history: String,
    /// Do it without asking
    #[arg(long, short)]
    pub yes: bool,
    /// Print one JSON document
    #[arg(long)]
    pub json: bool,
}

/// `spec-kitty sync gc`
#[derive(Debug, Args)]
#[command(
    after_help = "A receipt proves that a row was delivered, or dropped and why. Nothing else is ever collected, \
    and nothing is collected unless this command is run."
)]
pub struct GcArgs {
    /// Remove receipts older than this
    #[arg(long, value_name = "DAYS", default_value_t = 90, value_parser = clap::value_parser!(u32).range(1..))]
    pub older_than: u32,
    /// Say how many would go; change nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Print one JSON document
    #[arg(long)]
    pub json: bool,
}

/// `spec-kitty sync parked ...`
#[derive(Debug, Subcommand)]
pub enum ParkedCommand {
    /// List parked rows and why they are parked
    List(ParkedListArgs),
    /// Show one parked row with its columns and its payload
    Show(ParkedShowArgs),
    /// Put parked rows back into the queue
    Retry(ParkedRetryArgs),
    /// Write parked rows, payloads included, as JSON lines
    Export(ParkedExportArgs),
    /// Delete parked rows for good; a receipt keeps the reason
    Drop(ParkedDropArgs),
}

/// `spec-kitty sync parked list`
#[derive(Debug, Args)]
pub struct ParkedListArgs {
    /// Only rows parked for this reason, for example `rejected`
    #[arg(long, value_name = "REASON")]
    pub reason: Option<String>,
    /// List at most this many rows
    #[arg(long, value_name = "ROWS", default_value_t = 100)]
    pub limit: usize,
    /// Print one JSON document
    #[arg(long)]
    pub json: bool,
}

/// `spec-kitty sync parked show`
#[derive(Debug, Args)]
pub struct ParkedShowArgs {
    /// Its id, as `sync parked list` shows it
    pub id: i64,
    /// Print one JSON document
    #[arg(long)]
    pub json: bool,
}

/// `spec-kitty sync parked retry`
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("which").required(true).args(["ids", "all", "reason"]).multiple(false))]
pub struct ParkedRetryArgs {
    /// Their ids
    #[arg(value_name = "ID")]
    pub ids: Vec<i64>,
    /// Every parked row
    #[arg(long)]
    pub all: bool,
    /// Every row parked for this reason
    #[arg(long, value_name = "REASON")]
    pub reason: Option<String>,
    /// Print one JSON document
    #[arg(long)]
    pub json: bool,
}

/// `spec-kitty sync parked export`
#[derive(Debug, Args)]
pub struct ParkedExportArgs {
    /// Write the lines to this new file, readable by this user only, instead of stdout
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Print what was written as one JSON document; needs --output
    #[arg(long, requires = "output")]
    pub json: bool,
}

/// `spec-kitty sync parked drop`
#[derive(Debug, Args)]
pub struct ParkedDropArgs {
    /// Their ids: all of them are dropped, or none
    #[arg(value_name = "ID", required = true)]
    pub ids: Vec<i64>,
    /// Why; kept in the receipt
    #[arg(long, value_name = "TEXT", value_parser = not_blank)]
    pub reason: String,
    /// Print one JSON document
    #[arg(long)]
    pub json: bool,
}

impl ParkedCommand {
    pub(super) fn json(&self) -> bool {
        match self {
            Self::List(args) => args.json,
            Self::Show(args) => args.json,
            Self::Retry(args) => args.json,
            Self::Export(args) => args.json,
            Self::Drop(args) => args.json,
        }
    }
}

/// What names a scoped queue DB: the first 16 hex digits of its scope's hash, or all 64.
fn scope_hash(text: &str) -> Result<String, &'static str> {
    let hash = contract::scope::trim(text).to_lowercase();
    let hex = hash.bytes().all(|byte| byte.is_ascii_hexdigit());
    match hash.len() {
        16 | 64 if hex => Ok(hash.chars().take(16).collect()),
        _ => Err("16 hex digits are expected, as in the name queue-<16 hex digits>.db"),
    }
}

fn scope_hash_or_legacy(text: &str) -> Result<String, &'static str> {
    if text == LEGACY { Ok(text.to_owned()) } else { scope_hash(text) }
}

/// What names the legacy queue DB.
pub const LEGACY: &str = "legacy";

fn not_blank(text: &str) -> Result<String, &'static str> {
    if contract::scope::trim(text).is_empty() { Err("say why") } else { Ok(text.to_owned()) }
}
