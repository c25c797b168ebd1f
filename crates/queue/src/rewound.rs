//! The warning `server_rewound`: the server no longer has rows that it acknowledged.
//!
//! Kept in the meta table until the rows are back. For each project and kind it keeps the number of the newest receipt at
//! the time of the warning. A server loses the newest rows first, and a resent row gets a newer receipt. So the
//! newest receipts up to that number that still settle a row show whether rows are still missing.

use crate::row::Kind;
use crate::store::{Abort, meta, now_seconds, set_meta};
use rusqlite::Connection;
use serde::{Deserialize, Serialize};

/// The key of the meta table.
pub(crate) const KEY: &str = "server_rewound";

/// The warning, as stored and as shown.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rewound {
    /// Time of the observation, in Unix seconds.
    pub at: i64,
    /// The projects whose rows are missing; never empty.
    pub projects: Vec<RewoundProject>,
}

/// One project of the warning.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RewoundProject {
    /// The project; none for rows without one.
    pub project_uuid: Option<String>,
    /// The newest event receipt when events were found missing.
    pub events_to: Option<i64>,
    /// The newest body receipt when bodies were found missing.
    pub bodies_to: Option<i64>,
}

impl RewoundProject {
    /// The newest receipt of a kind at the time of the warning; none when that kind is not missing.
    pub(crate) fn newest(&self, kind: Kind) -> Option<i64> {
        match kind {
            Kind::Event => self.events_to,
            Kind::Body => self.bodies_to,
        }
    }

    fn newest_mut(&mut self, kind: Kind) -> &mut Option<i64> {
        match kind {
            Kind::Event => &mut self.events_to,
            Kind::Body => &mut self.bodies_to,
        }
    }
}

impl Rewound {
    /// From the meta table; an unreadable text counts as no warning.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok().filter(|rewound: &Self| !rewound.projects.is_empty())
    }

    pub(crate) fn read(conn: &Connection) -> Result<Self, Abort> {
        Ok(meta(conn, KEY)?.and_then(|text| Self::parse(&text)).unwrap_or_default())
    }

    /// Stores the warning, or ends it when no project is left.
    pub(crate) fn write(&mut self, conn: &Connection) -> Result<(), Abort> {
        self.projects.retain(|project| project.events_to.is_some() || project.bodies_to.is_some());
        if self.projects.is_empty() {
            conn.execute("DELETE FROM meta WHERE key = ?1", [KEY])?;
            return Ok(());
        }
        if self.at == 0 {
            self.at = now_seconds();
        }
        // Numbers and text always serialise.
        set_meta(conn, KEY, &serde_json::to_string(self).unwrap_or_default())?;
        Ok(())
    }

    pub(crate) fn of(&self, project_uuid: &Option<String>) -> Option<&RewoundProject> {
        self.projects.iter().find(|project| project.project_uuid == *project_uuid)
    }

    /// The server lacks the receipt `seq`; an earlier, larger number stays.
    pub(crate) fn add(&mut self, project_uuid: &Option<String>, kind: Kind, seq: i64) {
        let known = self.projects.iter_mut().find(|project| project.project_uuid == *project_uuid);
        match known {
            Some(project) => {
                let newest = project.newest_mut(kind);
                *newest = Some(newest.map_or(seq, |known| known.max(seq)));
            }
            None => {
                let project_uuid = project_uuid.clone();
                let mut project = RewoundProject { project_uuid, events_to: None, bodies_to: None };
                *project.newest_mut(kind) = Some(seq);
                self.projects.push(project);
            }
        }
    }

    /// Clears the warning about this kind of rows: none is missing any more.
    pub(crate) fn clear_missing(&mut self, project_uuid: &Option<String>, kind: Kind) {
        if let Some(project) = self.projects.iter_mut().find(|project| project.project_uuid == *project_uuid)
        {
            *project.newest_mut(kind) = None;
        }
    }
}
