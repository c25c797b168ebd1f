//! Documents of a mission: the body that was pushed last, for each path.

use super::MissionRecord;
use crate::store::sql::{SqlRow, values};
use crate::store::{Store, StoreError};
use crate::time::UnixMillis;

/// A document, without its text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DocumentRecord {
    pub(crate) key: i64,
    /// Relative to the mission.
    pub(crate) path: String,
    pub(crate) branch: String,
    pub(crate) bytes: u64,
    pub(crate) received_at: UnixMillis,
}

/// A document with its text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DocumentText {
    pub(crate) record: DocumentRecord,
    pub(crate) text: String,
}

/// Documents that one page lists.
const MOST: u64 = 1000;

// `?2` and `?3` are project and slug: the first columns of the unique key of artifacts.
pub(in crate::store) const LIST: &str =
    "SELECT artifacts.key, path, target_branch, size_bytes, received_at, latest
     FROM artifacts JOIN bodies ON bodies.team = artifacts.team AND bodies.seq = artifacts.latest
     WHERE artifacts.team = ?1 AND artifacts.project_uuid = ?2 AND mission_slug = ?3 LIMIT ?4";

pub(in crate::store) const TEXT: &str =
    "SELECT artifacts.key, path, target_branch, size_bytes, received_at, latest, content
     FROM artifacts JOIN bodies ON bodies.team = artifacts.team AND bodies.seq = artifacts.latest
     WHERE artifacts.team = ?1 AND artifacts.project_uuid = ?2 AND mission_slug = ?3 AND artifacts.key = ?4";

impl Store {
    /// The documents of a mission by path; whether there are more than one page lists.
    pub(crate) async fn documents(
        &self,
        mission: &MissionRecord,
    ) -> Result<(Vec<DocumentRecord>, bool), StoreError> {
        let (team, project, slug) = (mission.team, mission.project_uuid.clone(), mission.slug.clone());
        self.query(move |sql| {
            let rows = sql.rows(LIST, values![team, project, slug, MOST + 1])?;
            let is_cut = rows.len() as u64 > MOST;
            let mut found: Vec<(i64, DocumentRecord)> =
                rows.iter().map(|row| Ok((row.get(5)?, record(row)?))).collect::<Result<_, StoreError>>()?;
            // Of one path under several manifest versions the newest is shown.
            found.sort_by(|(a, one), (b, other)| {
                (&one.path, &one.branch, b).cmp(&(&other.path, &other.branch, a))
            });
            found.dedup_by(|(_, later), (_, first)| {
                (&later.path, &later.branch) == (&first.path, &first.branch)
            });
            Ok((found.into_iter().map(|(_, record)| record).collect(), is_cut))
        })
        .await
    }

    /// A document of a mission.
    pub(crate) async fn document(
        &self,
        mission: &MissionRecord,
        key: i64,
    ) -> Result<Option<DocumentText>, StoreError> {
        let (team, project, slug) = (mission.team, mission.project_uuid.clone(), mission.slug.clone());
        self.query(move |sql| {
            let row = sql.row(TEXT, values![team, project, slug, key])?;
            row.map(|row| Ok(DocumentText { record: record(&row)?, text: row.get(6)? })).transpose()
        })
        .await
    }
}

fn record(row: &SqlRow) -> Result<DocumentRecord, StoreError> {
    Ok(DocumentRecord {
        key: row.get(0)?,
        path: row.get(1)?,
        branch: row.get(2)?,
        bytes: row.get(3)?,
        received_at: row.get(4)?,
    })
}
