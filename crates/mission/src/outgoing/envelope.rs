//! The envelope around an event, and the judgement of the published contract on both.
//!
//! Invariant: apart from what the capturing machine fills in (clock, node, build, branch, head, team), an envelope is a
//! function of the fact. So a fact that is captured again, by `sync capture --history` or in a clone, is the same event.

use super::payload::Draft;
use crate::error::{MissionError, Result};
use crate::project::MissionDirectory;
use contract::ExitCode;
use contract::event::{Envelope, SCHEMA_VERSION};
use queue::{NewRow, Witness};
use sha2::{Digest, Sha256};

/// The origin of a command's events: the same for all of them.
#[derive(Clone, Debug)]
pub(crate) struct Origin {
    /// The project.
    pub(crate) project_uuid: String,
    /// The project's name.
    pub(crate) project_slug: String,
    /// The checkout.
    pub(crate) build_id: String,
    /// `owner/repo`.
    pub(crate) repo_slug: Option<String>,
    /// The private teamspace, in its original case.
    pub(crate) team_id: String,
    /// The branch that is checked out.
    pub(crate) git_branch: Option<String>,
    /// Its head.
    pub(crate) head_commit_sha: Option<String>,
}

impl Origin {
    /// An origin without an account, to judge a row before its capture.
    pub(crate) fn trial() -> Self {
        Self {
            project_uuid: "00000000-0000-4000-8000-000000000000".to_owned(),
            project_slug: "trial".to_owned(),
            build_id: "trial".to_owned(),
            repo_slug: None,
            team_id: "trial".to_owned(),
            git_branch: None,
            head_commit_sha: None,
        }
    }
}

/// An id with the time of `mission` and a hash of `parts`: the same wherever it is made.
pub(crate) fn derived_id<'a>(mission: &MissionDirectory, parts: impl IntoIterator<Item = &'a str>) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    let random = hash.finalize().iter().take(10).fold(0, |bits, byte| (bits << 8) | u128::from(*byte));
    let time = u64::try_from(mission.created_at().0.as_millisecond()).unwrap_or_default();
    ulid::Ulid::from_parts(time, random).to_string()
}

/// Order of the events of a command.
#[derive(Clone, Debug)]
pub(crate) struct Stamp {
    /// The emitter.
    pub(crate) node_id: String,
    /// The next value of its clock.
    pub(crate) lamport: u64,
}

impl Stamp {
    /// A stamp that orders nothing, to judge a row before a clock value is drawn for it.
    pub(crate) fn trial() -> Self {
        Self { node_id: "trial".to_owned(), lamport: 0 }
    }
}

/// The row of the queue for `draft`, a fact of `mission`. All events of a mission have one correlation
/// id, which is what leads from an event that does not name its mission to those that do.
pub(crate) fn draft_to_row(
    draft: Draft,
    mission: &MissionDirectory,
    origin: &Origin,
    stamp: &mut Stamp,
    witness: Witness,
) -> Result<NewRow> {
    let envelope = Envelope {
        event_type: draft.event_type.to_owned(),
        aggregate_id: draft.aggregate_id,
        aggregate_type: draft.aggregate_type.to_owned(),
        schema_version: SCHEMA_VERSION.to_owned(),
        build_id: origin.build_id.clone(),
        payload: draft.payload,
        node_id: stamp.node_id.clone(),
        lamport_clock: stamp.lamport,
        causation_id: None,
        correlation_id: derived_id(mission, ["mission", &origin.project_uuid.to_lowercase(), &mission.slug]),
        timestamp: draft.timestamp,
        team_slug: Some(origin.team_id.clone()),
        project_uuid: Some(origin.project_uuid.clone()),
        project_slug: Some(origin.project_slug.clone()),
        git_branch: origin.git_branch.clone(),
        head_commit_sha: origin.head_commit_sha.clone(),
        repo_slug: origin.repo_slug.clone(),
        event_id: draft.event_id,
    };
    stamp.lamport += 1;
    let event = envelope.validate().map_err(|rejection| MissionError::Capture {
        problem: format!("the event {} breaks the published contract: {rejection}", draft.event_type),
        exit: ExitCode::Failed,
        remedy: None,
    })?;
    Ok(NewRow::event(event, witness))
}
