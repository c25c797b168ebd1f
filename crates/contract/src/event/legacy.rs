//! The deviations of earlier clients that the server tolerates, and flags `legacy_shape`.
//!
//! The list of contract section 13: events that the reference client sends and the published contract
//! refuses. A rejected event would stay in its queue for ever. This client validates strictly and
//! never writes them.

use super::payload;
use super::shape::{ObjectShape, Shape, closed, may, need, open, some};
use crate::Lane;
use crate::json::Node;
use strum::VariantArray as _;

/// One tolerated deviation. Answers and the store contain its name.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, strum::IntoStaticStr, strum::VariantArray,
)]
#[strum(serialize_all = "snake_case")]
pub enum Deviation {
    /// `WPCreated` with `title` and `dependencies` instead of `wp_title`, `depends_on` and `actor`.
    WpCreatedTitle,
    /// `BuildRegistered` or `BuildHeartbeat` with further keys.
    BuildExtraKeys,
    /// A move to `approved` or `done` whose evidence has no review.
    EvidenceWithoutReview,
    /// `project_uuid` is `null`.
    #[strum(serialize = "null_project_uuid")]
    NullProject,
    /// `build_id` is empty.
    #[strum(serialize = "empty_build_id")]
    EmptyBuild,
    /// `MissionCreated` as the lifecycle log has it: with `actor`, without `mission_type` and `wp_count`.
    MissionCreatedLifecycle,
    /// A move from `genesis`, which `finalize-tasks` of the releases since 3.2.0 sends for each work package.
    StatusFromGenesis,
}

impl Deviation {
    /// Every one. Stores keep positions in this list: a new one is added at the end.
    pub const ALL: &[Self] = Self::VARIANTS;

    /// The wire form.
    pub fn name(self) -> &'static str {
        self.into()
    }
}

/// The deviation an event's payload shows, when it is one of the tolerated shapes and not a
/// contract shape. The payload must have failed the strict check first.
pub(super) fn payload_deviation(event_type: &str, payload: &Node<'_>) -> Option<Deviation> {
    let (shape, deviation): (&ObjectShape, Deviation) = match event_type {
        "WPCreated" => (&WP_CREATED, Deviation::WpCreatedTitle),
        "BuildRegistered" => (&BUILD_REGISTERED, Deviation::BuildExtraKeys),
        "BuildHeartbeat" => (&BUILD_HEARTBEAT, Deviation::BuildExtraKeys),
        "MissionCreated" => (&MISSION_CREATED_LIFECYCLE, Deviation::MissionCreatedLifecycle),
        "WPStatusChanged" if payload.text("from_lane") == Some(Lane::Genesis.name()) => {
            (&payload::status::FROM_GENESIS, Deviation::StatusFromGenesis)
        }
        "WPStatusChanged" => (&payload::status::WITHOUT_REVIEW, Deviation::EvidenceWithoutReview),
        _ => return None,
    };
    shape.check(payload).is_ok().then_some(deviation)
}

static WP_CREATED: ObjectShape = closed(&[
    need("wp_id", Shape::Text),
    need("title", Shape::Text),
    need("mission_slug", Shape::Text),
    some("dependencies", Shape::List(&Shape::AnyText, 0)),
    may("mission_id", &Shape::Text),
]);

static MISSION_CREATED_LIFECYCLE: ObjectShape = closed(&[
    may("mission_id", &Shape::Text),
    need("mission_slug", Shape::Text),
    need("mission_number", Shape::Nullable(&Shape::Whole(1))),
    need("target_branch", Shape::Text),
    need("friendly_name", Shape::Text),
    need("purpose_tldr", Shape::Text),
    need("purpose_context", Shape::Text),
    may("actor", &Shape::Text),
    may("created_at", &Shape::Text),
]);

static BUILD_REGISTERED: ObjectShape = open(payload::build::REGISTERED_KEYS);
static BUILD_HEARTBEAT: ObjectShape = open(payload::build::HEARTBEAT_KEYS);
