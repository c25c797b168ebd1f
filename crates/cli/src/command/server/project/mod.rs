//! `server project ...`.

mod forget;
mod list;

use super::AdminLine;
use crate::report::events_and_bodies;
use crate::verb::Verb;
use clap::Subcommand;
use contract::text::printable;
use serde::Serialize;
use server::{ProjectRecord, UnixMillis};

// `server project ...`.
#[derive(Debug, Subcommand)]
#[command(defer = true)]
pub(crate) enum ProjectCommand {
    List(list::ProjectListArgs),
    Forget(forget::ProjectForgetArgs),
}

impl ProjectCommand {
    pub(super) fn verb(self) -> Box<dyn Verb> {
        match self {
            Self::List(args) => Box::new(args),
            Self::Forget(args) => Box::new(args),
        }
    }
}

/// A project as it is shown.
#[derive(Debug, Serialize)]
struct ProjectView {
    team: String,
    /// None for events without a project.
    project_uuid: Option<String>,
    events: u64,
    bodies: u64,
    last_received_at: Option<String>,
    shared_with: Vec<String>,
}

impl ProjectView {
    fn of(project: &ProjectRecord) -> Self {
        Self {
            team: project.team_id.clone(),
            project_uuid: Some(project.project_uuid.clone()).filter(|uuid| !uuid.is_empty()),
            events: project.events,
            bodies: project.bodies,
            last_received_at: project.last_received_at.map(UnixMillis::iso),
            shared_with: project.shared_with.clone(),
        }
    }
}

impl AdminLine for ProjectView {
    fn line(&self) -> String {
        let project = self.project_uuid.as_deref().unwrap_or("none");
        let mut line = format!(
            "{}  {}  {}",
            printable(&self.team),
            printable(project),
            events_and_bodies(self.events, self.bodies)
        );
        if let Some(at) = &self.last_received_at {
            line.push_str(&format!("  newest {at}"));
        }
        if !self.shared_with.is_empty() {
            let teams: Vec<_> = self.shared_with.iter().map(|team| printable(team).into_owned()).collect();
            line.push_str(&format!("  shared with: {}", teams.join(", ")));
        }
        line
    }
}
