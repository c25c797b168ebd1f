//! Events and bodies: what the store takes and returns.

use super::TeamKey;
use contract::event::Deviation;
use contract::wire::receipts::ReceiptState;

/// Events of one project, with the packed bytes they arrived in.
///
/// A batch is kept as it was sent, packed, and its events point into it. That makes storing cheap and
/// keeps each event byte for byte. A block never mixes projects, so deleting a project deletes its blocks.
#[derive(Clone, Debug)]
pub(crate) struct NewBlock {
    /// `None` for events without a project.
    pub(crate) project_uuid: Option<String>,
    /// Name of the project, if its events have one.
    pub(crate) project_name: Option<String>,
    /// The missions that its events belong to.
    pub(crate) missions: Vec<NewMission>,
    /// gzip of the text that the events' spans point into.
    pub(crate) packed: Vec<u8>,
    pub(crate) events: Vec<NewEvent>,
}

/// A mission, as the events of a block name it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NewMission {
    pub(crate) slug: String,
    /// Of the event that created it.
    pub(crate) name: Option<String>,
}

/// An accepted event.
#[derive(Clone, Debug)]
pub(crate) struct NewEvent {
    /// As it was sent.
    pub(crate) event_id: String,
    /// The idempotency key.
    pub(crate) canonical_id: String,
    pub(crate) event_type: String,
    pub(crate) aggregate_id: String,
    pub(crate) deviations: Vec<Deviation>,
    /// SHA-256 of its bytes.
    pub(crate) digest: [u8; 32],
    /// Digest of its content: equal for two copies that differ only in form and in members of the transport or
    /// of the sender's machine.
    pub(crate) content_digest: [u8; 16],
    /// Span of its bytes in the unpacked block.
    pub(crate) offset: usize,
    pub(crate) length: usize,
    /// Index in the missions of its block.
    pub(crate) mission: usize,
    /// For an index event: the artifact whose body may now arrive.
    pub(crate) artifact: Option<ArtifactKey>,
}

impl NewEvent {
    /// The outcome when a copy with these digests is stored. Rows of earlier releases have no digest of
    /// the content, or one of more members: equal bytes are equal content for them, too.
    pub(crate) fn duplicate_of(&self, digest: &[u8], content_digest: Option<&[u8]>) -> EventOutcome {
        let differs =
            digest != self.digest && content_digest.is_none_or(|content| content != self.content_digest);
        EventOutcome::Duplicate { differs }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EventOutcome {
    Stored,
    /// Stored before. The first bytes stay, also if the new content differs.
    Duplicate {
        differs: bool,
    },
}

/// The namespace and path of a body.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct ArtifactKey {
    pub(crate) project_uuid: String,
    pub(crate) mission_slug: String,
    pub(crate) target_branch: String,
    pub(crate) mission_type: String,
    pub(crate) manifest_version: String,
    /// Relative to the mission.
    pub(crate) path: String,
}

impl ArtifactKey {
    /// Size of the texts.
    pub(crate) fn bytes(&self) -> usize {
        let Self { project_uuid, mission_slug, target_branch, mission_type, manifest_version, path } = self;
        [project_uuid, mission_slug, target_branch, mission_type, manifest_version, path]
            .map(String::len)
            .iter()
            .sum()
    }
}

/// A validated body.
#[derive(Clone, Debug)]
pub(crate) struct NewBody {
    pub(crate) key: ArtifactKey,
    /// SHA-256 of the content, lower-case hex.
    pub(crate) content_hash: String,
    pub(crate) content: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BodyOutcome {
    Stored,
    AlreadyExists,
    /// No team of the account has the index event of its path.
    NotIndexed,
}

/// Rows that a client holds receipts for.
#[derive(Clone, Debug, Default)]
pub(crate) struct HeldQuery {
    /// The team in which events are searched.
    pub(crate) team: TeamKey,
    /// The private teams of the account. A push names no team, so its body may be in any of them.
    pub(crate) teams: Vec<TeamKey>,
    /// Canonical event ids; `None` for a text that is not an id.
    pub(crate) events: Vec<Option<String>>,
    /// Bodies with their content hashes.
    pub(crate) bodies: Vec<(ArtifactKey, String)>,
}

/// The answer to a [`HeldQuery`], in its order.
#[derive(Clone, Debug, Default)]
pub(crate) struct HeldStates {
    pub(crate) events: Vec<ReceiptState>,
    pub(crate) bodies: Vec<ReceiptState>,
}

/// The rows that an inspection selects.
#[derive(Clone, Debug, Default)]
pub(crate) struct EventQuery {
    pub(crate) teams: Vec<TeamKey>,
    /// Projects of other teams that these teams see.
    pub(crate) shared: Vec<(TeamKey, String)>,
    pub(crate) project_uuid: Option<String>,
    /// In any spelling; events only.
    pub(crate) event_id: Option<String>,
    /// Only rows after this position.
    pub(crate) after: u64,
    pub(crate) limit: u64,
    pub(crate) with_content: bool,
}

impl EventQuery {
    /// The teams to read, each whole or one project of it.
    pub(crate) fn sources(&self) -> impl Iterator<Item = (TeamKey, Option<&String>)> {
        let own = self.teams.iter().map(|team| (*team, self.project_uuid.as_ref()));
        let is_asked = |project: &String| self.project_uuid.as_ref().is_none_or(|asked| asked == project);
        let shared =
            self.shared.iter().filter(move |(team, project)| !self.teams.contains(team) && is_asked(project));
        own.chain(shared.map(|(team, project)| (*team, Some(project))))
    }
}

/// Row counts of the whole store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    pub(crate) accounts: u64,
    pub(crate) teams: u64,
    /// Sessions that have not ended.
    pub(crate) sessions: u64,
    /// Projects with at least one event.
    pub(crate) projects: u64,
    pub(crate) events: u64,
    pub(crate) bodies: u64,
}
