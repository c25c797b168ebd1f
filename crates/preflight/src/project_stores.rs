//! Rows in the project stores of releases 3.2.0 to 3.2.7, as every screen shows them.

use crate::others::{log_in_as, look_again};
use contract::{Remedy, Scope, server_url};
use identity::Login;
use queue::{ProjectStore, StoreReading, StoreRows};
use serde::Serialize;
use std::path::PathBuf;

/// A project store with rows that were not delivered and not imported.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ProjectStoreStatus {
    /// The file.
    #[serde(serialize_with = "contract::foreground::raw_path")]
    pub path: PathBuf,
    /// The project.
    pub project_uuid: String,
    /// Rows of the present opt-in there; null when the file was not read.
    pub ready: Option<u64>,
    /// Rows that wait for a decision.
    pub held: Option<u64>,
    /// Ready and held rows that the release that wrote them never sends again.
    pub stranded: Option<u64>,
    /// Rows that were refused there.
    pub parked: Option<u64>,
    /// Events among the ready, held and parked rows.
    pub events: Option<u64>,
    /// Bodies among them.
    pub bodies: Option<u64>,
    /// The server that the rows were admitted for; null before the first delivery.
    pub server: Option<String>,
    /// The account that they were admitted for.
    pub account: Option<String>,
    /// Reason why the file was not read; absent when it was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The remedy.
    #[serde(rename = "remediation_hint", serialize_with = "crate::status::hint")]
    pub remedy: Remedy,
}

impl ProjectStoreStatus {
    pub(crate) fn of(store: ProjectStore, login: &Login) -> Self {
        let ProjectStore { path, project_uuid, reading } = store;
        let rows = match reading {
            StoreReading::Read(rows) => rows,
            StoreReading::Busy => {
                return Self::unread(
                    path,
                    project_uuid,
                    "is locked by another process".to_owned(),
                    look_again(),
                );
            }
            // The logs of the missions recorded the same facts.
            StoreReading::Unreadable(why) => {
                let remedy = Remedy::CaptureHistory { mission: "MISSION".to_owned() };
                return Self::unread(path, project_uuid, why, remedy);
            }
        };
        let sum = |pick: fn(&queue::RowCounts) -> u64| {
            Some(pick(&rows.ready) + pick(&rows.held) + pick(&rows.refused))
        };
        Self {
            ready: Some(rows.ready.total()),
            held: Some(rows.held.total()),
            stranded: Some(rows.stranded.total()),
            parked: Some(rows.refused.total()),
            events: sum(|counts| counts.events),
            bodies: sum(|counts| counts.bodies),
            server: rows.target.as_ref().map(|target| server_url::shown(target.server()).into_owned()),
            account: rows.target.as_ref().map(|target| target.principal().to_owned()),
            error: None,
            remedy: remedy(&rows, &project_uuid, login),
            path,
            project_uuid,
        }
    }

    fn unread(path: PathBuf, project_uuid: String, error: String, remedy: Remedy) -> Self {
        Self {
            path,
            project_uuid,
            ready: None,
            held: None,
            stranded: None,
            parked: None,
            events: None,
            bodies: None,
            server: None,
            account: None,
            error: Some(error),
            remedy,
        }
    }

    /// One line for people: the project, how many rows, and what will become of them.
    pub fn line(&self) -> String {
        let project = &self.project_uuid;
        if let Some(error) = &self.error {
            return format!("project {project}: {} {error}", contract::text::path(&self.path));
        }
        let counts = [
            (self.ready, "ready"),
            (self.held, "held"),
            (self.parked, "refused"),
            (self.stranded, "of these never sent again by the release that wrote them"),
        ];
        let parts: Vec<String> = counts
            .into_iter()
            .filter_map(|(count, what)| Some(format!("{} {what}", count.filter(|count| *count > 0)?)))
            .collect();
        format!("project {project}: {}", parts.join(", "))
    }
}

/// The command that helps: an import, another team of this session, or a login.
fn remedy(rows: &StoreRows, project_uuid: &str, login: &Login) -> Remedy {
    let Some(ours) = &login.scope else { return Remedy::Login };
    let Some(target) = &rows.target else { return Remedy::Migrate };
    let server = server_url::shown(target.server()).into_owned();
    let from_server = Remedy::FromServer { server, project: project_uuid.to_owned() };
    if target.principal() != ours.principal() {
        let then = from_server.hint();
        return Remedy::Advice(log_in_as(Some(target.principal()), Some(target.server()), &then, login));
    }
    if target.server() != ours.server() {
        return from_server;
    }
    if target.team() == ours.team() {
        return Remedy::Migrate;
    }
    let team = login.private_teams.iter().find(|team| Scope::new("", "", team).team() == target.team());
    match team {
        Some(team) => Remedy::SwitchTeam { team: team.clone() },
        None => Remedy::Login,
    }
}
