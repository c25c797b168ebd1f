//! Events and bodies on their way into the store.

use super::TeamKey;
use contract::event::Deviation;

/// Events of one project, with the bytes they arrived in.
///
/// A batch is kept as it came over the wire, packed, and its events point into it: that is what
/// makes storing cheap, and it keeps each event byte for byte. A block never mixes projects, so
/// forgetting a project is forgetting its blocks.
#[derive(Clone, Debug)]
pub struct NewBlock {
    /// The project all its events name; nothing for events without one.
    pub project_uuid: Option<String>,
    /// gzip of the text that the events' spans point into.
    pub packed: Vec<u8>,
    /// The events.
    pub events: Vec<NewEvent>,
}

/// A judged event.
#[derive(Clone, Debug)]
pub struct NewEvent {
    /// As it was sent.
    pub event_id: String,
    /// What idempotency compares.
    pub canonical_id: String,
    /// Its type.
    pub event_type: String,
    /// What it is about.
    pub aggregate_id: String,
    /// What was tolerated.
    pub deviations: Vec<Deviation>,
    /// SHA-256 of its bytes.
    pub digest: [u8; 32],
    /// Where its bytes begin in the unpacked block.
    pub offset: usize,
    /// How many they are.
    pub length: usize,
    /// For an index event: the artifact whose body may now arrive.
    pub artifact: Option<IndexedArtifact>,
}

/// What became of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventOutcome {
    /// New, and committed.
    Stored,
    /// Held before.
    Duplicate {
        /// Whether the bytes differ from those held. The first ones stay.
        differs: bool,
    },
}

/// Where a body belongs, without its content.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ArtifactKey {
    /// The project.
    pub project_uuid: String,
    /// The mission.
    pub mission_slug: String,
    /// The branch the mission aims at.
    pub target_branch: String,
    /// The mission's type.
    pub mission_type: String,
    /// The manifest's version.
    pub manifest_version: String,
    /// Relative to the mission.
    pub path: String,
}

/// What an index event announces.
pub type IndexedArtifact = ArtifactKey;

/// A checked body.
#[derive(Clone, Debug)]
pub struct NewBody {
    /// Where it belongs.
    pub key: ArtifactKey,
    /// SHA-256 of the content, lower-case hex.
    pub content_hash: String,
    /// The file.
    pub content: String,
}

/// What became of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyOutcome {
    /// New, and committed.
    Stored,
    /// Held before.
    AlreadyExists,
    /// No team of the account has the index event of its path.
    NotIndexed,
}

/// Rows that a client was told to be stored.
#[derive(Clone, Debug, Default)]
pub struct HeldQuery {
    /// The team that asks: events are looked for in it.
    pub team: TeamKey,
    /// The private teams of the account: a body names no team on its way, so it may be in any of them.
    pub teams: Vec<TeamKey>,
    /// Canonical event ids; none for a text that is no id.
    pub events: Vec<Option<String>>,
    /// Bodies: where they belong, and their hashes.
    pub bodies: Vec<(ArtifactKey, String)>,
}

/// What became of a row that was stored once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeldState {
    /// It is stored.
    Held,
    /// It is not.
    Missing,
}

/// The answer to a [`HeldQuery`], in its order.
#[derive(Clone, Debug, Default)]
pub struct HeldStates {
    /// One for each event.
    pub events: Vec<HeldState>,
    /// One for each body.
    pub bodies: Vec<HeldState>,
}

/// Which rows an inspection asks for.
#[derive(Clone, Debug, Default)]
pub struct EventQuery {
    /// Only rows of these teams.
    pub teams: Vec<TeamKey>,
    /// Only rows of this project.
    pub project_uuid: Option<String>,
    /// Only the row with this event id (any spelling); events only.
    pub event_id: Option<String>,
    /// Only rows after this position.
    pub after: u64,
    /// At most so many.
    pub limit: u64,
    /// Whether rows carry their content.
    pub with_content: bool,
}

/// What a store holds in all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Accounts.
    pub accounts: u64,
    /// Teams.
    pub teams: u64,
    /// Sessions that were not ended.
    pub sessions: u64,
    /// Projects with at least one event.
    pub projects: u64,
    /// Events.
    pub events: u64,
    /// Bodies.
    pub bodies: u64,
}
