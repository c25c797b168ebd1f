//! `spec-kitty agent evidence ...`

use clap::{Args, Subcommand};
use std::path::PathBuf;

/// What `capture` reads, for its help.
const EVIDENCE_YAML: &str = "\
Stops at the first check that fails, with exit 1 and the work package to reopen.

evidence.yaml lies beside spec.md:
  checks:
  - id: it-rings               # its transcript is called after it
    issue: 12                  # what it proves
    work_package: WP02         # what is reopened when it fails
    command: sh src/ring.sh    # run in the project root
    timeout: 30                # seconds [default: 600]
    exit: 0                    # how it has to end [default: 0]
    contains: [\"gong\"]         # what it has to say
    sources: [\"src/**\"]        # what makes the evidence stale";

/// `spec-kitty agent evidence ...`
#[derive(Debug, Subcommand)]
pub enum EvidenceCommand {
    /// Run the checks of evidence.yaml and keep what they say
    #[command(
        after_help = EVIDENCE_YAML
    )]
    Capture(EvidenceArgs),
    /// Write issue comments, the PR body and the definition of done from evidence that holds; posts nothing
    Draft(DraftArgs),
    /// Say whether the evidence is there, untouched and up to date; changes nothing
    Verify(EvidenceVerifyArgs),
}

/// `spec-kitty agent evidence capture`
#[derive(Debug, Args)]
pub struct EvidenceArgs {
    /// The mission: the name it was created with, its directory, its id, or the first eight
    /// characters of that
    #[arg(long, value_name = "HANDLE")]
    pub mission: Option<String>,
    /// Only this check; may be repeated
    #[arg(long = "check", value_name = "ID")]
    pub checks: Vec<String>,
    /// Where the transcripts lie [default: evidence/test-transcripts of the mission]
    #[arg(long, value_name = "DIR")]
    pub transcripts: Option<PathBuf>,
    /// Print one JSON document
    #[arg(long)]
    pub json: bool,
}

/// `spec-kitty agent evidence draft`
#[derive(Debug, Args)]
pub struct DraftArgs {
    /// The mission: the name it was created with, its directory, its id, or the first eight
    /// characters of that
    #[arg(long, value_name = "HANDLE")]
    pub mission: Option<String>,
    /// Print one JSON document
    #[arg(long)]
    pub json: bool,
}

/// `spec-kitty agent evidence verify`
#[derive(Debug, Args)]
pub struct EvidenceVerifyArgs {
    /// What to verify
    #[command(flatten)]
    pub evidence: EvidenceArgs,
    /// Only whether it is what was captured, not whether its sources moved on
    #[arg(long)]
    pub integrity_only: bool,
}

impl EvidenceCommand {
    pub(super) const fn json(&self) -> bool {
        match self {
            Self::Capture(args) => args.json,
            Self::Draft(args) => args.json,
            Self::Verify(args) => args.evidence.json,
        }
    }
}
