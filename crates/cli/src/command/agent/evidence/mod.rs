//! `agent evidence ...`: the evidence that an issue may be closed.

mod capture;
mod draft;
mod verify;

use crate::args::MissionArg;
use crate::verb::{Args, Verb};
use clap::Subcommand;
use mission::command::evidence::EvidenceRequest;
use std::path::PathBuf;

// `agent evidence ...`.
#[derive(Debug, Subcommand)]
#[command(defer = true)]
pub(crate) enum EvidenceCommand {
    Capture(capture::EvidenceCaptureArgs),
    Draft(draft::EvidenceDraftArgs),
    Verify(verify::EvidenceVerifyArgs),
}

impl EvidenceCommand {
    pub(super) fn verb(self) -> Box<dyn Verb> {
        match self {
            Self::Capture(args) => Box::new(args),
            Self::Draft(args) => Box::new(args),
            Self::Verify(args) => Box::new(args),
        }
    }
}

/// Options that select evidence.
#[derive(Debug, Args)]
struct EvidenceArgs {
    #[command(flatten)]
    mission: MissionArg,
    /// Only this check; may be repeated
    #[arg(long = "check", value_name = "ID")]
    checks: Vec<String>,
    /// Directory of the transcripts [default: evidence/test-transcripts of the mission]
    #[arg(long, value_name = "DIR")]
    transcripts: Option<PathBuf>,
}

impl EvidenceArgs {
    fn request(self, integrity_only: bool) -> EvidenceRequest {
        EvidenceRequest {
            mission: self.mission.mission,
            only: self.checks,
            transcripts: self.transcripts,
            integrity_only,
        }
    }
}
