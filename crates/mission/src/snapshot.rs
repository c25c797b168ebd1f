//! Reducer: the state of every work package, and `status.json` byte for byte, from the rows of a log.
//!
//! Pure, and independent of the order of the rows: of rows with one id the first counts. Rows are ordered by
//! instant; in one instant the row that starts at its work package's lane is first; then `event_id`
//! decides. A row that starts elsewhere still counts: the log is the truth. Annotations follow after all moves;
//! they change slots of a work package, never its lane.

use crate::dialect::Dialect;
use crate::error::Result;
use crate::instant::Instant;
use crate::lane::Lane;
use crate::log::{Annotation, LaneMove, Log, OtherRow};
use crate::meta::{DEFAULT_TYPE, Meta};
use crate::slug::is_plain_component;
use contract::json;
use contract::lane_order::order_instant;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// The file's name in a mission directory.
pub const FILE: &str = "status.json";

/// The log's state of one work package.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PackageState {
    /// Its lane.
    pub lane: Lane,
    /// Actor of the last move.
    pub actor: String,
    /// Time of the last move; none when it never moved.
    pub last_transition_at: Option<String>,
    /// By which row.
    pub last_event_id: Option<String>,
    /// Number of forced moves.
    pub force_count: u64,
    /// Slots that moves and annotations of a current mission fill: `subtasks`, `agent`, `notes`, `review_result` and so
    /// on, as `status.json` has them.
    pub slots: Map<String, Value>,
}

/// A reduced log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// Slug in the first row; empty for an empty log, and for a slug that cannot be the name of a directory.
    pub mission_slug: String,
    /// Work packages by id.
    pub work_packages: BTreeMap<String, PackageState>,
    /// Instant of the last lane row; empty without one.
    pub materialized_at: String,
    /// Id of the last lane row.
    pub last_event_id: Option<String>,
    /// Lane rows without duplicates.
    pub event_count: usize,
    /// State of the retrospective, reduced from its rows.
    pub retrospective: Option<Value>,
    dialect: Dialect,
}

/// Reduces a log that lies in one or more parts, in the order of the parts.
pub fn reduce(parts: &[&Log], dialect: Dialect) -> Snapshot {
    let mut rows: Vec<&LaneMove> =
        unique(parts, |part| part.moves(), |part, row| part.has_move(&row.event_id));
    rows.sort_by(|a, b| (a.instant, &a.event_id).cmp(&(b.instant, &b.event_id)));
    let mut snapshot = Snapshot {
        event_count: rows.len(),
        retrospective: retrospective(parts.iter().flat_map(|part| part.others())),
        dialect,
        ..Snapshot::default()
    };
    let mut newest: BTreeMap<&str, Newest<'_>> = BTreeMap::new();
    let mut last: Option<&LaneMove> = None;
    for group in rows.chunk_by(|a, b| a.instant == b.instant) {
        let lane = |wp_id: &str| newest.get(wp_id).map(|known| known.row.to);
        for row in order_instant(group, lane) {
            if last.is_none() && is_plain_component(&row.mission_slug) {
                snapshot.mission_slug = row.mission_slug.to_string();
            }
            last = Some(row);
            apply(&mut newest, row, dialect);
        }
    }
    if let Some(last) = last {
        snapshot.materialized_at = last.at().into_owned();
        snapshot.last_event_id = Some(last.event_id.to_string());
    }
    snapshot.work_packages = newest.into_iter().map(|(id, newest)| (id.to_owned(), newest.state())).collect();
    if dialect == Dialect::Current {
        annotate(&mut snapshot.work_packages, parts);
    }
    snapshot
}

/// The rows of all parts, without those that an earlier part has.
fn unique<'a, T>(
    parts: &[&'a Log],
    rows: impl Fn(&'a Log) -> &'a [T],
    has: impl Fn(&Log, &T) -> bool,
) -> Vec<&'a T> {
    let parts_with_earlier = parts.iter().enumerate().map(|(index, part)| (*part, &parts[..index]));
    parts_with_earlier
        .flat_map(|(part, earlier)| rows(part).iter().map(move |row| (row, earlier)))
        .filter(|(row, earlier)| !earlier.iter().any(|part| has(part, row)))
        .map(|(row, _)| row)
        .collect()
}

/// Folds the annotations into the states.
fn annotate(packages: &mut BTreeMap<String, PackageState>, parts: &[&Log]) {
    let has =
        |part: &Log, row: &Annotation| part.annotations().iter().any(|known| known.event_id == row.event_id);
    let rows = unique(parts, |part| part.annotations(), has);
    let mut rows: Vec<(Option<Instant>, &Annotation)> =
        rows.into_iter().map(|row| (Instant::parse(&row.at), row)).collect();
    rows.sort_by(|(a, one), (b, other)| (a, &one.event_id).cmp(&(b, &other.event_id)));
    for (_, row) in rows {
        let state = packages.entry(row.wp_id.clone()).or_insert_with(|| PackageState {
            lane: Lane::Uninitialized,
            actor: row.actor.clone(),
            last_transition_at: None,
            last_event_id: None,
            force_count: 0,
            slots: Map::new(),
        });
        row.fold_into(&mut state.slots);
    }
}

/// State of the retrospective, reduced from its rows in the order of the file; nothing without one.
fn retrospective<'a>(rows: impl Iterator<Item = &'a OtherRow>) -> Option<Value> {
    let mut found: Option<(&str, Value, Value)> = None;
    let [mut total, mut applied, mut rejected] = [0_u64; 3];
    for row in rows {
        let Some(name) = row.name.strip_prefix("retrospective.") else { continue };
        let (status, mode, record_path) = found.get_or_insert(("pending", Value::Null, Value::Null));
        match name {
            "completed" => *status = "completed",
            "skipped" => *status = "skipped",
            "failed" => *status = "failed",
            "proposal.generated" => total += 1,
            "proposal.applied" => applied += 1,
            "proposal.rejected" => rejected += 1,
            _ => {}
        }
        for (key, value) in [("mode", mode), ("record_path", record_path)] {
            if let Some(told) = row.payload.get(key).filter(|told| !told.is_null()) {
                *value = told.clone();
            }
        }
    }
    let (status, mode, record_path) = found?;
    Some(json!({
        "mode": mode,
        "proposals_applied": applied,
        "proposals_pending": total.saturating_sub(applied + rejected),
        "proposals_rejected": rejected,
        "proposals_total": total,
        "record_path": record_path,
        "status": status,
    }))
}

/// The row that decides the lane of a work package, so far.
struct Newest<'a> {
    row: &'a LaneMove,
    force_count: u64,
    slots: Map<String, Value>,
}

impl<'a> Newest<'a> {
    fn state(self) -> PackageState {
        PackageState {
            lane: self.row.to,
            actor: self.row.actor.to_string(),
            last_transition_at: Some(self.row.at().into_owned()),
            last_event_id: Some(self.row.event_id.to_string()),
            force_count: self.force_count,
            slots: self.slots,
        }
    }

    /// Takes over a row. Only current missions keep more of it than the lane.
    fn follow(&mut self, row: &'a LaneMove, dialect: Dialect) {
        self.row = row;
        self.force_count += u64::from(row.force);
        if dialect == Dialect::Rc11 {
            return;
        }
        self.slots.extend(row.claim().map(|(key, value)| (key.clone(), value.clone())));
        match row.review_result() {
            Some(result) => drop(self.slots.insert("review_result".into(), result.clone())),
            None if row.from == Lane::InReview => {
                self.slots.insert("review_result".into(), Value::Null);
            }
            None => {}
        }
        for key in ["cancellation_reason", "reason_source"] {
            self.slots.shift_remove(key);
        }
        if let Some((reason, source)) = row.cancellation() {
            self.slots.insert("cancellation_reason".into(), reason.into());
            self.slots.insert("reason_source".into(), source.into());
        }
    }
}

/// A later row decides. Of two in the same instant a rollback wins over a forward move that does not start
/// where the rollback ended.
fn apply<'a>(newest: &mut BTreeMap<&'a str, Newest<'a>>, row: &'a LaneMove, dialect: Dialect) {
    let is_current = dialect == Dialect::Current;
    let is_beside = |known: &LaneMove| {
        known.instant == row.instant
            && known.is_rollback(is_current)
            && !row.is_rollback(is_current)
            && row.from != known.to
    };
    let known = newest.entry(&row.wp_id);
    let known = known.or_insert_with(|| Newest { row, force_count: 0, slots: Map::new() });
    if !is_beside(known.row) {
        known.follow(row, dialect);
    }
}

impl Snapshot {
    /// The lane of a work package. One without a row is `planned`, and in a current mission `genesis`.
    pub fn lane(&self, wp_id: &str) -> Lane {
        let before = match self.dialect {
            Dialect::Rc11 => Lane::Planned,
            Dialect::Current => Lane::Genesis,
        };
        self.work_packages.get(wp_id).map_or(before, |state| state.lane)
    }

    /// The lane in which a board shows a work package: `planned` until a row moves it elsewhere.
    pub(crate) fn board_lane(&self, wp_id: &str) -> Lane {
        let lane = self.lane(wp_id);
        if lane.is_on_board() { lane } else { Lane::Planned }
    }

    /// Dialect of the mission.
    pub const fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// A slot of a work package; nothing when it is not there or null.
    pub fn slot(&self, wp_id: &str, key: &str) -> Option<&Value> {
        self.work_packages.get(wp_id)?.slots.get(key).filter(|value| !value.is_null())
    }

    /// Number of work packages in each lane, in the order of [`Lane::ALL`].
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
            let mut package = state.slots.clone();
            for (key, value) in [
                ("lane", json!(state.lane)),
                ("actor", json!(state.actor)),
                ("last_transition_at", json!(state.last_transition_at)),
                ("last_event_id", json!(state.last_event_id)),
                ("force_count", json!(state.force_count)),
            ] {
                package.insert(key.into(), value);
            }
            (id.clone(), package.into())
        })
        .collect();
    let summary: Map<String, Value> =
        snapshot.summary().into_iter().map(|(lane, count)| (lane.name().into(), count.into())).collect();
    let mut document = json!({
        "mission_slug": snapshot.mission_slug,
        "mission_number": number,
        "mission_type": meta.map_or(DEFAULT_TYPE, Meta::mission_type),
        "materialized_at": snapshot.materialized_at,
        "event_count": snapshot.event_count,
        "last_event_id": snapshot.last_event_id,
        "work_packages": packages,
        "summary": summary,
    });
    if let (Some(map), Some(retrospective)) = (document.as_object_mut(), &snapshot.retrospective) {
        map.insert("retrospective".into(), retrospective.clone());
    }
    Ok(document)
}

/// The bytes of `status.json`.
pub fn render_status(document: &Value) -> String {
    json::sorted_document(document)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::{LaneRow, Row};
    use Lane::{Claimed, Done, ForReview, InProgress, InReview, Planned};
    use std::path::Path;

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
            reason_source: None,
            review_ref: None,
            review_result: None,
            evidence: None,
            policy_metadata: None,
        }
    }

    fn board<'a>(rows: impl IntoIterator<Item = &'a LaneRow>, dialect: Dialect) -> Snapshot {
        let rows: Vec<Row> = rows.into_iter().cloned().map(Row::Lane).collect();
        reduce(&[&Log::of(Path::new("log"), &rows)], dialect)
    }

    fn lane_of<'a>(rows: impl IntoIterator<Item = &'a LaneRow>) -> Lane {
        board(rows, Dialect::Rc11).lane("WP01")
    }

    #[test]
    fn rows_follow_instants_whatever_their_offsets() {
        let rows = [
            row("1", "2026-06-01T10:00:00+00:00", Planned, Claimed),
            row("2", "2026-06-01T12:01:00+02:00", Claimed, InProgress),
            row("3", "2026-06-01T02:02:00-08:00", InProgress, ForReview),
            row("4", "2026-06-01T10:03:00Z", ForReview, InReview),
        ];
        assert_eq!(lane_of(rows.iter().rev()), InReview);
    }

    #[test]
    fn rows_of_one_instant_follow_their_chain_then_their_ids() {
        let (here, there) = ("2026-06-01T10:00:00Z", "2026-06-01T12:00:00+02:00");
        let rows = [
            row("9", here, Planned, Claimed),
            row("3", there, Claimed, InProgress),
            row("1", here, InProgress, ForReview),
        ];
        let board = board(&rows, Dialect::Rc11);
        assert_eq!((board.lane("WP01"), board.last_event_id.as_deref()), (ForReview, Some("1")));
        let torn = [row("2", here, InReview, Done), row("1", here, InReview, InProgress)];
        assert_eq!(lane_of(&torn), Done);
    }

    #[test]
    fn rollback_wins_over_a_move_beside_it_and_not_over_one_behind_it() {
        let at = "2026-06-01T10:00:00Z";
        let mut back = row("5", at, ForReview, InProgress);
        back.review_ref = Some("review".into());
        let start = row("0", "2026-06-01T09:00:00Z", Planned, ForReview);
        let beside = [start.clone(), back.clone(), row("7", at, ForReview, Done)];
        assert_eq!(lane_of(&beside), InProgress);
        let behind = [start, back, row("7", at, InProgress, ForReview)];
        assert_eq!(lane_of(&behind), ForReview);
    }

    #[test]
    fn current_mission_has_slots_and_an_earlier_one_has_none() {
        let at = |second: u8| format!("2026-06-01T10:00:0{second}Z");
        let mut claim = row("2", &at(2), Planned, Claimed);
        claim.policy_metadata = Some(json!({ "agent": "codex", "shell_pid": 7, "tool": "x" }));
        let mut cancel = row("4", &at(4), InReview, Lane::Canceled);
        cancel.reason = Some("Force move to canceled".into());
        let rows =
            [row("1", &at(1), Lane::Genesis, Planned), claim, row("3", &at(3), Claimed, InReview), cancel];
        let state = board(&rows, Dialect::Current).work_packages.remove("WP01").unwrap();
        assert_eq!(
            Value::from(state.slots),
            json!({
                "agent": "codex", "shell_pid": 7, "review_result": null,
                "cancellation_reason": "Force move to canceled", "reason_source": "synthetic",
            })
        );
        assert!(board(&rows, Dialect::Rc11).work_packages["WP01"].slots.is_empty());
        assert_eq!(board(&[], Dialect::Current).lane("WP09"), Lane::Genesis);
        assert_eq!(board(&[], Dialect::Current).board_lane("WP09"), Planned);
    }

    #[test]
    fn seed_and_claim_of_one_instant_follow_their_chain() {
        let at = "2026-06-01T10:00:00Z";
        assert_eq!(lane_of(&[row("9", at, Lane::Genesis, Planned), row("1", at, Planned, Claimed)]), Claimed);
    }

    #[test]
    fn parts_of_a_log_are_one_log() {
        let one = row("1", "2026-06-01T10:00:00Z", Planned, Claimed);
        let two = row("2", "2026-06-01T10:00:01Z", Claimed, InProgress);
        let part = |rows: &[&LaneRow]| {
            let rows: Vec<Row> = rows.iter().map(|row| Row::Lane((*row).clone())).collect();
            Log::of(Path::new("log"), &rows)
        };
        let (a, b) = (part(&[&one]), part(&[&one, &two]));
        assert_eq!(reduce(&[&a, &b], Dialect::Rc11), reduce(&[&b], Dialect::Rc11));
    }
}
