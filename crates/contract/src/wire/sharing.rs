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
