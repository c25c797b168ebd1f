//! What a log adds up to: the lane of every work package, and `status.json`, byte for byte.
//!
//! Pure, and independent of the order of the rows: duplicates by id are dropped (the first wins). Rows are
//! ordered by instant; in one instant the row that starts where its work package stands comes first; then
//! `event_id` decides. A row that starts elsewhere still counts: the log is the truth.

use crate::error::Result;
use crate::instant::Instant;
use crate::lane::Lane;
use crate::log::LaneRow;
use crate::meta::{DEFAULT_TYPE, Meta};
use contract::json;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, HashSet, VecDeque};

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
    let rows = rows.filter(|row| seen.insert(row.event_id.as_str()));
    let mut rows: Vec<Timed<'a>> = rows.map(|row| (Instant::parse(&row.at), row)).collect();
    rows.sort_by(|(a, one), (b, other)| (a, &one.event_id).cmp(&(b, &other.event_id)));
    let mut snapshot = Snapshot { event_count: rows.len(), ..Snapshot::default() };
    let mut newest: BTreeMap<&str, Newest<'_>> = BTreeMap::new();
    let mut last: Option<&LaneRow> = None;
    for group in rows.chunk_by(|(a, _), (b, _)| a == b) {
        for row in chained(group, &newest) {
            if last.is_none() {
                snapshot.mission_slug.clone_from(&row.mission_slug);
            }
            last = Some(row);
            apply(&mut newest, group[0].0, row);
        }
    }
    if let Some(last) = last {
        snapshot.materialized_at.clone_from(&last.at);
        snapshot.last_event_id = Some(last.event_id.clone());
    }
    snapshot.work_packages = newest.into_iter().map(|(id, newest)| (id.to_owned(), newest.state())).collect();
    snapshot
}

/// A row and its instant; none when its `at` is no time: such rows come first.
type Timed<'a> = (Option<Instant>, &'a LaneRow);

/// The rows of one instant, sorted by id, in their order: of one work package the row that starts where it
/// stands comes first, and rows of different work packages follow their ids.
fn chained<'a>(group: &[Timed<'a>], newest: &BTreeMap<&'a str, Newest<'a>>) -> Vec<&'a LaneRow> {
    if group.len() == 1 {
        return vec![group[0].1];
    }
    let mut packages: BTreeMap<&str, Vec<&LaneRow>> = BTreeMap::new();
    for (_, row) in group {
        packages.entry(&row.wp_id).or_default().push(row);
    }
    let chains = packages.into_iter().map(|(wp_id, rows)| {
        let standing = newest.get(wp_id).map_or(Lane::Planned, |known| known.row.to_lane);
        chain(rows, standing)
    });
    let mut chains: Vec<VecDeque<&LaneRow>> = chains.collect();
    let head = |chain: &VecDeque<&'a LaneRow>| chain.front().map(|row| row.event_id.as_str());
    let mut heads: BTreeMap<&str, usize> =
        chains.iter().enumerate().filter_map(|(index, chain)| Some((head(chain)?, index))).collect();
    let mut ordered = Vec::with_capacity(group.len());
    while let Some((_, index)) = heads.pop_first() {
        ordered.extend(chains[index].pop_front());
        heads.extend(head(&chains[index]).map(|id| (id, index)));
    }
    ordered
}

/// The rows of one work package and one instant, each after the one it starts from where there is one.
fn chain(rows: Vec<&LaneRow>, mut standing: Lane) -> VecDeque<&LaneRow> {
    let mut by_start: BTreeMap<&str, VecDeque<&LaneRow>> = BTreeMap::new();
    for row in &rows {
        by_start.entry(row.from_lane.name()).or_default().push_back(row);
    }
    let mut ordered = VecDeque::with_capacity(rows.len());
    let mut placed = HashSet::new();
    let mut rest = rows.iter().copied();
    while ordered.len() < rows.len() {
        let follows = by_start.get_mut(standing.name()).and_then(|starts| {
            std::iter::from_fn(|| starts.pop_front()).find(|row| !placed.contains(row.event_id.as_str()))
        });
        let Some(row) = follows.or_else(|| rest.find(|row| !placed.contains(row.event_id.as_str()))) else {
            break;
        };
        placed.insert(row.event_id.as_str());
        standing = row.to_lane;
        ordered.push_back(row);
    }
    ordered
}

/// The row that decides where a work package stands, so far.
struct Newest<'a> {
    row: &'a LaneRow,
    instant: Option<Instant>,
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

/// A later row decides. Of two in the same instant a rollback wins over a forward move that does not start
/// where the rollback ended.
fn apply<'a>(newest: &mut BTreeMap<&'a str, Newest<'a>>, instant: Option<Instant>, row: &'a LaneRow) {
    let forced = u64::from(row.force);
    match newest.get_mut(row.wp_id.as_str()) {
        None => {
            newest.insert(&row.wp_id, Newest { row, instant, force_count: forced });
        }
        Some(known)
            if known.instant == instant
                && known.row.is_rollback()
                && !row.is_rollback()
                && row.from_lane != known.row.to_lane => {}
        Some(known) => {
            (known.row, known.instant) = (row, instant);
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

#[cfg(test)]
mod tests {
    use super::*;
    use Lane::{Claimed, Done, ForReview, InProgress, InReview, Planned};

    fn row(id: &str, at: &str, from_lane: Lane, to_lane: Lane) -> LaneRow {
        LaneRow {
            event_id: id.into(),
            mission_slug: "m".into(),
            mission_id: None,
            wp_id: "WP01".into(),
            from_lane,
            to_lane,
            at: at.into(),
            actor: "a".into(),
            force: false,
            execution_mode: "worktree".into(),
            reason: None,
            review_ref: None,
            evidence: None,
            policy_metadata: None,
        }
    }

    #[test]
    fn rows_follow_instants_whatever_their_offsets() {
        let rows = [
            row("1", "2026-06-01T10:00:00+00:00", Planned, Claimed),
            row("2", "2026-06-01T12:01:00+02:00", Claimed, InProgress),
            row("3", "2026-06-01T02:02:00-08:00", InProgress, ForReview),
            row("4", "2026-06-01T10:03:00Z", ForReview, InReview),
        ];
        assert_eq!(reduce(rows.iter().rev()).lane("WP01"), InReview);
    }

    #[test]
    fn rows_of_one_instant_follow_their_chain_then_their_ids() {
        let (here, there) = ("2026-06-01T10:00:00Z", "2026-06-01T12:00:00+02:00");
        let rows = [
            row("9", here, Planned, Claimed),
            row("3", there, Claimed, InProgress),
            row("1", here, InProgress, ForReview),
        ];
        let board = reduce(rows.iter());
        assert_eq!((board.lane("WP01"), board.last_event_id.as_deref()), (ForReview, Some("1")));
        let torn = [row("2", here, InReview, Done), row("1", here, InReview, InProgress)];
        assert_eq!(reduce(torn.iter()).lane("WP01"), Done);
    }

    #[test]
    fn rollback_wins_over_a_move_beside_it_and_not_over_one_behind_it() {
        let at = "2026-06-01T10:00:00Z";
        let mut back = row("5", at, ForReview, InProgress);
        back.review_ref = Some("review".into());
        let start = row("0", "2026-06-01T09:00:00Z", Planned, ForReview);
        let beside = [start.clone(), back.clone(), row("7", at, ForReview, Done)];
        assert_eq!(reduce(beside.iter()).lane("WP01"), InProgress);
        let behind = [start, back, row("7", at, InProgress, ForReview)];
        assert_eq!(reduce(behind.iter()).lane("WP01"), ForReview);
    }
}
