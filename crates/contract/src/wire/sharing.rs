//! Sharing a project with another team: `/api/v1/sync/repository-shares/`.

use serde::{Deserialize, Serialize};

/// The shares of one project, or of all projects of an account.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShareList {
    /// The shares.
    #[serde(default)]
    pub results: Vec<Share>,
}

/// A project that another team sees.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Share {
    /// The team that sees it.
    #[serde(default)]
    pub team: ShareTeam,
    /// [`SHARED`].
    #[serde(default)]
    pub state: String,
    /// Members who share it with the team.
    #[serde(default)]
    pub active_sharer_count: u64,
    /// The project.
    #[serde(default)]
    pub shared_project: SharedProject,
}

/// A team, as earlier clients read it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShareTeam {
    /// For display.
    #[serde(default)]
    pub name: String,
    /// Its id.
    #[serde(default)]
    pub slug: String,
}

/// A project, as earlier clients read it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SharedProject {
    /// Its slug in the newest event that names one.
    #[serde(default)]
    pub project_slug: Option<String>,
    /// Its id.
    #[serde(default)]
    pub project_uuid: Option<String>,
}

/// The state of a share that is in effect.
pub const SHARED: &str = "shared";

/// Sharing a project, or ending that.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShareRequest {
    /// The project.
    pub source_project_uuid: String,
    /// The id of the team that sees it.
    pub destination_team_slug: String,
}

/// The answer to a share.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShareCreated {
    /// The share.
    pub share: Share,
    /// Whether it is in effect at once; always, in this server.
    #[serde(default)]
    pub auto_approved: bool,
}

/// The answer to the end of a share.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShareLeft {
    /// As asked.
    #[serde(default)]
    pub source_project_uuid: String,
    /// As asked.
    #[serde(default)]
    pub destination_team_slug: String,
    /// [`LEFT`].
    #[serde(default)]
    pub status: String,
    /// [`SHARED`] while another member shares it, else [`LEFT`].
    #[serde(default)]
    pub state: String,
}

/// The share has ended for this account.
pub const LEFT: &str = "left";

/// The answer to forgetting a project.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProjectForgotten {
    /// Deleted events.
    #[serde(default)]
    pub deleted_event_count: u64,
    /// `BuildRegistered` events among them.
    #[serde(default)]
    pub deleted_build_count: u64,
    /// Deleted bodies.
    #[serde(default)]
    pub deleted_body_count: u64,
}
