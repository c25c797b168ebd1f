//! `spec-kitty agent decision ...`
//!
//! Agents call these without `--json` and read JSON, as earlier releases printed nothing else: so a
//! stdout that is no terminal gets the document, unless `--no-json` asks for text.

use clap::{Args, Subcommand};

/// `spec-kitty agent decision ...`
#[derive(Debug, Subcommand)]
pub enum DecisionCommand {
    /// Open a question
    Open(OpenArgs),
    /// Answer a question; the answer is final
    Resolve(ResolveArgs),
    /// Put a question off; it can be answered later
    Defer(PutOffArgs),
    /// Drop a question for good
    Cancel(PutOffArgs),
    /// Compare the questions with the markers in spec.md and plan.md; changes nothing
    Verify(DecisionVerifyArgs),
}

/// Options of every decision command.
#[derive(Debug, Args)]
pub struct DecisionArgs {
    /// The mission: the name it was created with, its directory, its id, or the first eight
    /// characters of that
    #[arg(long, value_name = "HANDLE")]
    pub mission: Option<String>,
    /// Print one JSON document, as is done anyway when stdout is no terminal
    #[arg(long, overrides_with = "no_json")]
    pub json: bool,
    /// Print text, also when stdout is no terminal
    #[arg(long, overrides_with = "json")]
    pub no_json: bool,
}

impl DecisionArgs {
    fn wants_json(&self) -> bool {
        self.json || !(self.no_json || crate::render::stdout_is_terminal())
    }
}

/// Options of every command that writes into the ledger.
#[derive(Debug, Args)]
pub struct LedgerArgs {
    /// Who writes it down [default: cli]
    #[arg(long)]
    pub actor: Option<String>,
    /// Judge it, write nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Options of every decision command
    #[command(flatten)]
    pub decision: DecisionArgs,
}

/// `spec-kitty agent decision open`
#[derive(Debug, Args)]
pub struct OpenArgs {
    /// What was being done when it came up: charter, specify or plan
    #[arg(long)]
    pub flow: String,
    /// The name of the input that is asked for
    #[arg(long, value_name = "KEY")]
    pub input_key: String,
    /// The question
    #[arg(long, value_name = "TEXT")]
    pub question: String,
    /// The step it came up in; this or --slot-key is needed
    #[arg(long, value_name = "ID")]
    pub step_id: Option<String>,
    /// The slot it came up in
    #[arg(long, value_name = "KEY")]
    pub slot_key: Option<String>,
    /// The answers to choose from, as a JSON array of texts
    #[arg(long, value_name = "JSON")]
    pub options: Option<String>,
    /// Options of every command that writes into the ledger
    #[command(flatten)]
    pub ledger: LedgerArgs,
}

/// `spec-kitty agent decision resolve`
#[derive(Debug, Args)]
pub struct ResolveArgs {
    /// The question's id
    #[arg(value_name = "DECISION_ID")]
    pub id: String,
    /// The answer
    #[arg(long, value_name = "TEXT")]
    pub final_answer: String,
    /// The answer is none of the options
    #[arg(long)]
    pub other_answer: bool,
    /// Why
    #[arg(long, value_name = "TEXT")]
    pub rationale: Option<String>,
    /// Who decided
    #[arg(long, value_name = "NAME")]
    pub resolved_by: Option<String>,
    /// Options of every command that writes into the ledger
    #[command(flatten)]
    pub ledger: LedgerArgs,
}

/// `spec-kitty agent decision defer` and `cancel`
#[derive(Debug, Args)]
pub struct PutOffArgs {
    /// The question's id
    #[arg(value_name = "DECISION_ID")]
    pub id: String,
    /// Why
    #[arg(long, value_name = "TEXT")]
    pub rationale: String,
    /// Who decided
    #[arg(long, value_name = "NAME")]
    pub resolved_by: Option<String>,
    /// Options of every command that writes into the ledger
    #[command(flatten)]
    pub ledger: LedgerArgs,
}

/// `spec-kitty agent decision verify`
#[derive(Debug, Args)]
pub struct DecisionVerifyArgs {
    /// End with 1 when something does not agree, as is the default
    #[arg(long, overrides_with = "no_fail_on_stale")]
    pub fail_on_stale: bool,
    /// End with 0 also when something does not agree
    #[arg(long, overrides_with = "fail_on_stale")]
    pub no_fail_on_stale: bool,
    /// Options of every decision command
    #[command(flatten)]
    pub decision: DecisionArgs,
}

impl DecisionCommand {
    pub(super) fn json(&self) -> bool {
        match self {
            Self::Open(args) => &args.ledger.decision,
            Self::Resolve(args) => &args.ledger.decision,
            Self::Defer(args) | Self::Cancel(args) => &args.ledger.decision,
            Self::Verify(args) => &args.decision,
        }
        .wants_json()
    }
}
