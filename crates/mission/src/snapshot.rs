//! What a log adds up to: the lane of every work package, and `status.json`, byte for byte.
//!
//! Pure, and independent of the order of the rows: duplicates by id are dropped (the first wins),
//! then rows are taken in the order of (`at`, `event_id`). `from_lane` is never looked at: the log is
//! the truth, whoever wrote it.

use crate::error::Result;
use crate::json;
use crate::lane::Lane;
use crate::log::LaneRow;
use crate::meta::{DEFAULT_TYPE, Meta};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, HashSet};

/// The file's name in a mission directory.
pub const FILE: &str = "status.json";

/// Where one work package stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PackageState {
    /// Its lane.
    pub lane: Lane,
    /// Who moved it last.
    pub actor: String,
    /// When.
    pub last_transition_at: String,
    /// By which row.
    pub last_event_id: String,
    /// How many of its moves were forced.
    pub force_count: u64,
}

/// A reduced log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// Slug in the first row; empty for an empty log.
    pub mission_slug: String,
    /// Work packages by id.
    pub work_packages: BTreeMap<String, PackageState>,
    /// Instant of the last row; empty for an empty log.
    pub materialized_at: String,
    /// Id of the last row.
    pub last_event_id: Option<String>,
    /// Lane rows without duplicates.
    pub event_count: usize,
}

/// Reduces lane rows.
pub fn reduce<'a>(rows: impl Iterator<Item = &'a LaneRow>) -> Snapshot {
    let mut seen = HashSet::new();
    let mut rows: Vec<&LaneRow> = rows.filter(|row| seen.insert(row.event_id.as_str())).collect();
    rows.sort_by(|a, b| (&a.at, &a.event_id).cmp(&(&b.at, &b.event_id)));
    let mut snapshot = Snapshot { event_count: rows.len(), ..Snapshot::default() };
    if let Some(first) = rows.first() {
        snapshot.mission_slug.clone_from(&first.mission_slug);
    }
    if let Some(last) = rows.last() {
        snapshot.materialized_at.clone_from(&last.at);
        snapshot.last_event_id = Some(last.event_id.clone());
    }
    let mut newest: BTreeMap<&str, Newest<'_>> = BTreeMap::new();
    for row in rows {
        apply(&mut newest, row);
    }
    snapshot.work_packages = newest.into_iter().map(|(id, newest)| (id.to_owned(), newest.state())).collect();
    snapshot
}

/// The row that decides where a work package stands, so far.
struct Newest<'a> {
    row: &'a LaneRow,
    force_count: u64,
}

impl Newest<'_> {
    fn state(&self) -> PackageState {
        PackageState {
            lane: self.row.to_lane,
            actor: self.row.actor.clone(),
            last_transition_at: self.row.at.clone(),
            last_event_id: self.row.event_id.clone(),
            force_count: self.force_count,
        }
    }
}

/// A later row decides. Of two in the same instant a rollback wins over a forward move, whichever comes
/// first.
fn apply<'a>(newest: &mut BTreeMap<&'a str, Newest<'a>>, row: &'a LaneRow) {
    let forced = u64::from(row.force);
    match newest.get_mut(row.wp_id.as_str()) {
        None => {
            newest.insert(&row.wp_id, Newest { row, force_count: forced });
        }
        Some(known) if known.row.at == row.at && known.row.is_rollback() && !row.is_rollback() => {}
        Some(known) => {
            known.row = row;
            known.force_count += forced;
        }
    }
}

impl Snapshot {
    /// The lane of a work package; `planned` when the log does not know it.
    pub fn lane(&self, wp_id: &str) -> Lane {
        self.work_packages.get(wp_id).map_or(Lane::Planned, |state| state.lane)
    }

    /// How many work packages each lane holds, in the order of [`Lane::ALL`].
    pub fn summary(&self) -> [(Lane, usize); 9] {
        Lane::ALL.map(|lane| (lane, self.work_packages.values().filter(|state| state.lane == lane).count()))
    }
}

/// `status.json`: a snapshot together with the mission's number and type.
pub fn status_document(snapshot: &Snapshot, meta: Option<&Meta>) -> Result<Value> {
    let number = match meta {
        Some(meta) => meta.display_number(&snapshot.mission_slug)?,
        None => crate::slug::leading_number(&snapshot.mission_slug),
    };
    let packages: Map<String, Value> = snapshot
        .work_packages
        .iter()
        .map(|(id, state)| {
            let state = json!({
                "lane": state.lane,
                "actor": state.actor,
                "last_transition_at": state.last_transition_at,
                "last_event_id": state.last_event_id,
                "force_count": state.force_count,
            });
            (id.clone(), state)
        })
        .collect();
    let summary: Map<String, Value> =
        snapshot.summary().into_iter().map(|(lane, count)| (lane.name().into(), count.into())).collect();
    Ok(json!({
        "mission_slug": snapshot.mission_slug,
        "mission_number": number,
        "mission_type": meta.map_or(DEFAULT_TYPE, Meta::mission_type),
        "materialized_at": snapshot.materialized_at,
        "event_count": snapshot.event_count,
        "last_event_id": snapshot.last_event_id,
        "work_packages": packages,
        "summary": summary,
    }))
}

/// The bytes of `status.json`.
pub fn render_status(document: &Value) -> String {
    json::sorted_document(document)
}
