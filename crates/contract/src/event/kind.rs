//! Event types that this program produces: values of `event_type`.

/// A work package was created (once per work package).
pub const WP_CREATED: &str = "WPCreated";
/// A work package moved between lanes.
pub const WP_STATUS_CHANGED: &str = "WPStatusChanged";
/// A line was added to a work package's history.
pub const HISTORY_ADDED: &str = "HistoryAdded";
/// A mission was created.
pub const MISSION_CREATED: &str = "MissionCreated";
/// Specifying a mission began.
pub const SPECIFY_STARTED: &str = "SpecifyStarted";
/// A mission's spec is complete.
pub const SPECIFY_COMPLETED: &str = "SpecifyCompleted";
/// Planning began.
pub const PLAN_STARTED: &str = "PlanStarted";
/// A mission's plan is complete.
pub const PLAN_COMPLETED: &str = "PlanCompleted";
/// Cutting a mission into work packages began.
pub const TASKS_STARTED: &str = "TasksStarted";
/// The work packages are complete.
pub const TASKS_COMPLETED: &str = "TasksCompleted";
/// A checkout registered itself.
pub const BUILD_REGISTERED: &str = "BuildRegistered";
/// An artifact of a mission was found, with its content hash. Must arrive before the body.
pub const DOSSIER_ARTIFACT_INDEXED: &str = "MissionDossierArtifactIndexed";
/// The hash over all artifacts of a mission was computed.
pub const DOSSIER_SNAPSHOT_COMPUTED: &str = "MissionDossierSnapshotComputed";
