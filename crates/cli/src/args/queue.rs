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
    /// List the table and key of every row, with what became of it
    #[arg(long, short)]
    pub verbose: bool,
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

/// `spec-kitty sync resend`
#[derive(Debug, Args)]
#[command(
    group = ArgGroup::new("which_rows").required(true).args(["missing", "since"]),
    after_help = "The rows wait again, for the account and the server that they were delivered to; `sync now` sends them. \
    A server that has a row answers `duplicate`. Rows of projects that are opted out are held.\n\n\
    Example: spec-kitty sync resend --since 2026-11-01 --yes"
)]
pub struct ResendArgs {
    /// Ask the server which rows it no longer has, and send those
    #[arg(long)]
    pub missing: bool,
    /// Send the rows that were delivered since this time: a date, an instant, or an age such as `36h` or `7d`
    #[arg(long, value_name = "TIME", value_parser = instant)]
    pub since: Option<jiff::Timestamp>,
    /// Only rows of this project: a known uuid, an unambiguous slug, or `none` for rows without a project
    #[arg(long, value_name = "UUID")]
    pub project: Option<String>,
    /// Only rows of this mission: its id, the first eight characters of it, or its directory name
    #[arg(long, value_name = "MISSION", value_parser = not_blank_name)]
    pub mission: Option<String>,
    /// Do it without asking
    #[arg(long, short)]
    pub yes: bool,
    /// Print one JSON document
    #[arg(long)]
    pub json: bool,
}

fn not_blank_name(text: &str) -> Result<String, &'static str> {
    let text = contract::scope::trim(text);
    if text.is_empty() { Err("name a mission") } else { Ok(text.to_owned()) }
}

/// A point in time as a person writes it.
fn instant(text: &str) -> Result<jiff::Timestamp, &'static str> {
    let text = contract::scope::trim(text);
    let age = || -> Option<jiff::Timestamp> {
        let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
        let seconds = match unit {
            "m" => 60,
            "h" => 60 * 60,
            "d" => 24 * 60 * 60,
            _ => return None,
        };
        let number: i64 = number.parse().ok().filter(|number| *number >= 0)?;
        let seconds = number.checked_mul(seconds)?;
        jiff::Timestamp::now().checked_sub(jiff::SignedDuration::from_secs(seconds)).ok()
    };
    let date = || {
        let date: jiff::civil::Date = text.parse().ok()?;
        date.to_zoned(jiff::tz::TimeZone::UTC).ok().map(|at| at.timestamp())
    };
    text.parse()
        .ok()
        .or_else(date)
        .or_else(age)
        .ok_or("a date (2026-11-01, UTC), an instant (2026-11-01T12:00:00Z) or an age (36h, 7d) is expected")
}

/// `spec-kitty sync gc`
#[derive(Debug, Args)]
#[command(
    after_help = "A receipt proves that a row was delivered, or dropped and why. Receipts are collected only by this \
    command. Kept bytes also go by themselves, oldest first: see sync.keep_sent_days and sync.keep_sent_mib."
)]
pub struct GcArgs {
    /// Remove receipts older than this [default: 90]; with --sent, only bytes older than this
    #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u32).range(1..))]
    pub older_than: Option<u32>,
    /// Remove the kept bytes of delivered rows instead: receipts stay, and the rows can no longer be sent
    /// again
    #[arg(long)]
    pub sent: bool,
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
