//! Arguments and reports of `agent decision`.

use super::invalid;
use crate::decision::{DecisionStatus, OriginFlow};
use crate::error::{MissionError, Result};
use crate::remedies::ErrorCode;
use crate::slug::is_ulid;
use serde::Serialize;
use serde_json::json;

/// `open`: a question.
#[derive(Clone, Debug, Default)]
pub struct OpenRequest {
    /// `--mission`.
    pub mission: Option<String>,
    /// `--flow`: charter, specify or plan; in a current mission also tasks, implement or review.
    pub flow: String,
    /// `--step-id`; this or the slot is needed.
    pub step_id: Option<String>,
    /// `--slot-key`.
    pub slot_key: Option<String>,
    /// `--input-key`.
    pub input_key: String,
    /// `--question`.
    pub question: String,
    /// `--options`: a JSON array of texts.
    pub options: Option<String>,
    /// `--actor`; `cli` without it.
    pub actor: Option<String>,
    /// `--dry-run`: writes nothing.
    pub dry_run: bool,
}

/// Way of closing a question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Closing {
    /// `resolve`.
    Resolve {
        /// `--final-answer`.
        final_answer: String,
        /// `--other-answer`: none of the options.
        other_answer: bool,
    },
    /// `defer`.
    Defer,
    /// `cancel`.
    Cancel,
}

/// `resolve`, `defer`, `cancel`.
#[derive(Clone, Debug)]
pub struct CloseRequest {
    /// `--mission`.
    pub mission: Option<String>,
    /// The decision.
    pub decision_id: String,
    /// Way of closing it.
    pub closing: Closing,
    /// `--rationale`; needed to defer and to cancel.
    pub rationale: Option<String>,
    /// `--resolved-by`.
    pub resolved_by: Option<String>,
    /// `--actor`; `cli` without it.
    pub actor: Option<String>,
    /// `--dry-run`: writes nothing.
    pub dry_run: bool,
}

/// Report of `open`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Opened {
    /// The decision: a new one, or the open one that asks the same. `DRY_RUN` for a dry run.
    pub decision_id: String,
    /// Its page; empty for a dry run.
    pub artifact_path: String,
    /// Number of rows in the log after it; null when nothing was written.
    pub event_lamport: Option<usize>,
    /// Whether it was open before.
    pub idempotent: bool,
    /// ULID of the mission.
    pub mission_id: String,
    /// Warnings.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

/// Report of `resolve`, `defer` and `cancel`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Closed {
    /// The decision.
    pub decision_id: String,
    /// New state of the decision.
    pub status: &'static str,
    /// The same once more.
    pub terminal_outcome: &'static str,
    /// Number of rows in the log after it; null when nothing was written.
    pub event_lamport: Option<usize>,
    /// Whether it was so before.
    pub idempotent: bool,
    /// Warnings.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

impl Closing {
    pub(super) const fn status(&self) -> DecisionStatus {
        match self {
            Self::Resolve { .. } => DecisionStatus::Resolved,
            Self::Defer => DecisionStatus::Deferred,
            Self::Cancel => DecisionStatus::Canceled,
        }
    }
}

fn blank(text: Option<&str>) -> bool {
    text.is_none_or(|text| text.trim().is_empty())
}

impl OpenRequest {
    pub(super) fn arguments(&self) -> Result<(OriginFlow, Vec<String>)> {
        let wrong = |name, problem: &str| MissionError::Argument { name, problem: problem.to_owned() };
        let flow = OriginFlow::from_name(&self.flow)
            .ok_or_else(|| wrong("--flow", "must be charter, specify, plan, tasks, implement or review"))?;
        if blank(self.step_id.as_deref()) && blank(self.slot_key.as_deref()) {
            return Err(invalid(
                ErrorCode::DecisionMissingStepOrSlot,
                "give --step-id or --slot-key",
                json!({}),
            ));
        }
        for (name, text) in [("--input-key", &self.input_key), ("--question", &self.question)] {
            if blank(Some(text)) {
                return Err(wrong(name, "must not be blank"));
            }
        }
        let options = match &self.options {
            None => Vec::new(),
            Some(text) => {
                serde_json::from_str(text).map_err(|_| wrong("--options", "must be a JSON array of texts"))?
            }
        };
        Ok((flow, options))
    }

    /// Judges the arguments by themselves.
    pub fn check(&self) -> Result<()> {
        self.arguments().map(|_| ())
    }
}

impl CloseRequest {
    /// Judges the arguments by themselves.
    pub fn check(&self) -> Result<()> {
        if !is_ulid(&self.decision_id) {
            let shown = contract::text::printable(&self.decision_id).into_owned();
            return Err(MissionError::Argument {
                name: "DECISION_ID",
                problem: format!("`{shown}` is not a decision id (26 characters)"),
            });
        }
        match &self.closing {
            Closing::Resolve { final_answer, .. } if blank(Some(final_answer)) => {
                Err(MissionError::Argument { name: "--final-answer", problem: "must not be blank".into() })
            }
            Closing::Defer | Closing::Cancel if blank(self.rationale.as_deref()) => {
                Err(MissionError::Argument { name: "--rationale", problem: "must not be blank".into() })
            }
            _ => Ok(()),
        }
    }
}
