//! Bodies whose index event is missing: the server refuses a body until it has the event that announces its
//! document, and no such event waits here any more.
//!
//! It was lost with a damaged page, evicted by an older program, or refused. `sync capture --history` captures
//! the documents' events again.

use crate::consent::{ConsentView, RowOrigin};
use crate::origin;
use crate::store::Abort;
use contract::Consent;
use contract::event::kind::DOSSIER_ARTIFACT_INDEXED;
use contract::wire::body::INDEX_ENTRY_NOT_FOUND;
use rusqlite::{Connection, params};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Waiting bodies of one mission whose index event is missing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unindexed {
    /// The project that the bodies name.
    pub project_uuid: String,
    /// Their mission's directory name.
    pub mission_slug: String,
    /// Number of bodies.
    pub bodies: u64,
    /// The checkout in which they were captured, if it is known.
    pub checkout: Option<PathBuf>,
}

/// Only a body that was sent once has a time of its next attempt, and that column has an index: those that
/// were never sent are not read. `?1` is the answer, `?2` the type of the event.
const MISSING: &str = "b.next_attempt_at > 0 AND b.last_error = ?1
    AND NOT EXISTS (SELECT 1 FROM queue AS q
        WHERE q.coalesce_key = ?2 || '|' || b.project_uuid || '|' || b.mission_slug || '|' || b.artifact_path)";

/// All of them but those of opted-out projects, for which nothing is captured.
pub(crate) fn observe(conn: &Connection, consent: &dyn ConsentView) -> Result<Vec<Unindexed>, Abort> {
    let mut select = conn.prepare(&format!(
        "SELECT p.project_uuid, p.repo_slug, p.checkout, b.project_uuid, b.mission_slug, COUNT(*)
         FROM body_upload_queue AS b
         LEFT JOIN bindings ON bindings.kind = 1 AND bindings.row = b.id
         LEFT JOIN projects AS p ON p.id = bindings.place
         WHERE {MISSING} GROUP BY bindings.place, b.project_uuid, b.mission_slug"
    ))?;
    let mut rows = select.query(params![INDEX_ENTRY_NOT_FOUND, DOSSIER_ARTIFACT_INDEXED])?;
    let mut missions: BTreeMap<(String, String), Unindexed> = BTreeMap::new();
    while let Some(row) = rows.next()? {
        let known: Option<String> = row.get(0)?;
        let place = if known.is_some() { origin::of_row(row, 0)? } else { RowOrigin::default() };
        if consent.consent(&place) == Consent::OptedOut {
            continue;
        }
        let (project_uuid, mission_slug): (String, String) = (row.get(3)?, row.get(4)?);
        let mission = missions.entry((project_uuid, mission_slug)).or_insert_with_key(
            |(project_uuid, mission_slug)| {
                let (project_uuid, mission_slug) = (project_uuid.clone(), mission_slug.clone());
                Unindexed { project_uuid, mission_slug, bodies: 0, checkout: None }
            },
        );
        mission.bodies += row.get::<_, i64>(5)?.unsigned_abs();
        mission.checkout = mission.checkout.take().or_else(|| place.checkout().map(ToOwned::to_owned));
    }
    Ok(missions.into_values().collect())
}

/// The documents of one mission whose bodies are among them.
pub(crate) fn paths(conn: &Connection, project_uuid: &str, mission_slug: &str) -> Result<Vec<String>, Abort> {
    let mut select = conn.prepare(&format!(
        "SELECT DISTINCT b.artifact_path FROM body_upload_queue AS b
         WHERE b.project_uuid = ?3 AND b.mission_slug = ?4 AND {MISSING}"
    ))?;
    let columns = params![INDEX_ENTRY_NOT_FOUND, DOSSIER_ARTIFACT_INDEXED, project_uuid, mission_slug];
    let paths = select.query_map(columns, |row| row.get(0))?.collect::<Result<_, _>>()?;
    Ok(paths)
}

/// Makes bodies due at once when their index event is in the queue.
pub(crate) fn make_due(conn: &Connection) -> rusqlite::Result<()> {
    conn.prepare_cached(
        "UPDATE body_upload_queue AS b SET next_attempt_at = 0
         WHERE b.next_attempt_at > 0 AND b.last_error = ?1
             AND EXISTS (SELECT 1 FROM queue AS q
                 WHERE q.coalesce_key = ?2 || '|' || b.project_uuid || '|' || b.mission_slug || '|' || b.artifact_path)",
    )?
    .execute(params![INDEX_ENTRY_NOT_FOUND, DOSSIER_ARTIFACT_INDEXED])?;
    Ok(())
}
