//! Board of a mission: the work packages with their lanes, and the progress over time, computed from its events.
//!
//! Pure. Moves are ordered as in the log of the mission: by instant, in one instant by
//! [`contract::lane_order`], then by id.

use super::fact::{self, FactInstant, cut};
use crate::store::MissionEvent;
use contract::Lane;
use contract::event::{Node, kind};
use contract::lane_order::{LaneStep, order_instant};
use std::collections::{BTreeMap, HashSet};

/// The types of events that a board is made of.
pub(super) const TYPES: [&str; 3] = [kind::WP_STATUS_CHANGED, kind::WP_CREATED, kind::MISSION_CREATED];

/// Longer ids of work packages are cut, and their links lead nowhere.
pub(super) const LONGEST_ID: usize = 1000;
const LONGEST_TEXT: usize = 300;

/// A work package.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Package {
    pub(super) id: String,
    /// Empty before its creation arrived.
    pub(super) title: String,
    pub(super) lane: Lane,
    /// Actor of its last move.
    pub(super) actor: String,
    pub(super) moved_at: Option<FactInstant>,
}

/// Number of work packages in each lane, from an instant on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Progress {
    pub(super) at: FactInstant,
    /// In the order of [`Lane::ALL`].
    pub(super) counts: [u32; 9],
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct MissionBoard {
    /// By id.
    pub(super) packages: Vec<Package>,
    pub(super) progress: Vec<Progress>,
    /// Of the mission.
    pub(super) purpose: Option<String>,
}

impl MissionBoard {
    /// Work packages of a lane.
    pub(super) fn in_lane(&self, lane: Lane) -> impl Iterator<Item = &Package> {
        self.packages.iter().filter(move |package| package.lane == lane)
    }

    /// The board that events add up to, in any order.
    pub(super) fn of(events: &[MissionEvent]) -> Self {
        let mut board = Self::default();
        let mut packages: BTreeMap<String, Package> = BTreeMap::new();
        let mut moves = Vec::new();
        for event in events {
            let Ok(node) = Node::parse(&event.text) else { continue };
            let Some(payload) = node.get("payload") else { continue };
            match event.event_type.as_str() {
                kind::WP_STATUS_CHANGED => moves.extend(BoardMove::of(event, &node, payload)),
                kind::WP_CREATED => {
                    let id = cut(payload.text("wp_id").unwrap_or_default(), LONGEST_ID);
                    let title = payload.text("wp_title").or_else(|| payload.text("title"));
                    let package = packages.entry(id.clone()).or_insert_with(|| Package::planned(id));
                    package.title = cut(title.unwrap_or_default(), LONGEST_TEXT);
                }
                kind::MISSION_CREATED => {
                    let purpose = payload.text("purpose_tldr").filter(|purpose| !purpose.is_empty());
                    board.purpose =
                        board.purpose.take().or_else(|| purpose.map(|text| cut(text, LONGEST_TEXT)));
                }
                _ => {}
            }
        }
        board.progress = follow(&mut packages, moves);
        board.packages = packages.into_values().collect();
        board
    }
}

impl Package {
    fn planned(id: String) -> Self {
        Self { id, title: String::new(), lane: Lane::Planned, actor: String::new(), moved_at: None }
    }
}

struct BoardMove {
    event_id: String,
    wp_id: String,
    at: FactInstant,
    from: Lane,
    to: Lane,
    actor: String,
    names_review: bool,
}

impl LaneStep for BoardMove {
    fn event_id(&self) -> &str {
        &self.event_id
    }

    fn wp_id(&self) -> &str {
        &self.wp_id
    }

    fn from(&self) -> Lane {
        self.from
    }

    fn to(&self) -> Lane {
        self.to
    }
}

impl BoardMove {
    fn of(event: &MissionEvent, node: &Node<'_>, payload: &Node<'_>) -> Option<Self> {
        let lane = |key: &str| payload.text(key).and_then(Lane::from_event);
        Some(Self {
            event_id: event.event_id.clone(),
            wp_id: cut(payload.text("wp_id")?, LONGEST_ID),
            at: FactInstant::parse(node.text("timestamp")?)?,
            // The first move of a work package starts before the board.
            from: lane("from_lane").unwrap_or(Lane::Genesis),
            to: lane("to_lane")?,
            actor: cut(&fact::actor(payload.get("actor")), LONGEST_TEXT),
            names_review: payload.text("review_ref").is_some_and(|reference| !reference.is_empty()),
        })
    }

    /// Whether it takes a work package from review back to work; see the reducer of a mission's log.
    fn is_rollback(&self, is_current: bool) -> bool {
        self.to == Lane::InProgress
            && match self.from {
                Lane::ForReview => self.names_review,
                Lane::InReview => is_current,
                _ => false,
            }
    }
}

/// Moves the packages in the order of the moves. Returns the counts after each instant.
fn follow(packages: &mut BTreeMap<String, Package>, mut moves: Vec<BoardMove>) -> Vec<Progress> {
    moves.sort_by(|a, b| (a.at, &a.event_id).cmp(&(b.at, &b.event_id)));
    // Only logs of the present form begin before `planned`.
    let is_current = moves.iter().any(|step| step.from == Lane::Genesis);
    let mut last: BTreeMap<&str, &BoardMove> = BTreeMap::new();
    let mut moved: HashSet<&str> = HashSet::new();
    let (mut counts, mut progress) = ([0_u32; 9], Vec::new());
    let place = |lane: Lane| Lane::ALL.iter().position(|known| *known == lane);
    for group in moves.chunk_by(|a, b| a.at == b.at) {
        let steps: Vec<&BoardMove> = group.iter().collect();
        for step in order_instant(&steps, |wp_id| last.get(wp_id).map(|known| known.to)) {
            // Of two moves in one instant a rollback wins over one that does not start where it ended.
            let is_overruled = last.get(&*step.wp_id).is_some_and(|known| {
                known.at == step.at
                    && known.is_rollback(is_current)
                    && !step.is_rollback(is_current)
                    && step.from != known.to
            });
            if is_overruled {
                continue;
            }
            last.insert(&step.wp_id, step);
            let id = step.wp_id.clone();
            let package = packages.entry(id.clone()).or_insert_with(|| Package::planned(id));
            if !moved.insert(&step.wp_id)
                && let Some(before) = place(package.lane)
            {
                counts[before] -= 1;
            }
            if let Some(after) = place(step.to) {
                counts[after] += 1;
            }
            package.lane = step.to;
            package.actor.clone_from(&step.actor);
            package.moved_at = Some(step.at);
        }
        if let Some(step) = group.first() {
            progress.push(Progress { at: step.at, counts });
        }
    }
    progress
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::UnixMillis;
    use serde_json::json;

    fn stored(event_type: &str, id: &str, at: &str, payload: serde_json::Value) -> MissionEvent {
        MissionEvent {
            event_id: id.to_owned(),
            event_type: event_type.to_owned(),
            aggregate_id: "WP01".to_owned(),
            received_at: UnixMillis(0),
            text: json!({ "timestamp": at, "payload": payload }).to_string(),
        }
    }

    fn moved(id: &str, at: &str, from: Option<&str>, to: &str) -> MissionEvent {
        let payload = json!({"wp_id": "WP01", "from_lane": from, "to_lane": to, "actor": "dev"});
        stored("WPStatusChanged", id, at, payload)
    }

    fn lane(events: &[MissionEvent]) -> Lane {
        MissionBoard::of(events).packages[0].lane
    }

    #[test]
    fn later_move_decides_in_any_order_of_arrival() {
        let mut events = vec![
            moved("3", "2026-11-22T09:02:00Z", Some("claimed"), "in_progress"),
            moved("1", "2026-11-22T09:00:00+00:00", None, "planned"),
            moved("2", "2026-11-22T11:01:00+02:00", Some("planned"), "claimed"),
        ];
        for _ in 0..3 {
            events.rotate_left(1);
            assert_eq!(lane(&events), Lane::InProgress);
        }
        let board = MissionBoard::of(&events);
        let totals: Vec<u32> = board.progress.iter().map(|step| step.counts.iter().sum()).collect();
        assert_eq!(totals, [1, 1, 1], "a package is counted once");
    }

    #[test]
    fn moves_of_one_instant_form_a_chain() {
        let at = "2026-11-22T09:00:00Z";
        let events =
            [moved("a", at, Some("claimed"), "in_progress"), moved("b", at, Some("planned"), "claimed")];
        assert_eq!(lane(&events), Lane::InProgress);
    }

    #[test]
    fn rollback_wins_over_a_move_of_its_instant() {
        let at = "2026-11-22T09:00:00Z";
        let mut back = moved("1", at, Some("for_review"), "in_progress");
        back.text = back.text.replace("\"actor\"", "\"review_ref\":\"r1\",\"actor\"");
        let events = [
            moved("0", "2026-11-22T08:00:00Z", Some("in_progress"), "for_review"),
            back,
            moved("2", at, Some("for_review"), "approved"),
        ];
        assert_eq!(lane(&events), Lane::InProgress);
    }

    #[test]
    fn created_package_without_a_move_is_planned() {
        let events =
            [stored("WPCreated", "1", "2026-11-22T09:00:00Z", json!({"wp_id": "WP07", "wp_title": "Seven"}))];
        let board = MissionBoard::of(&events);
        let package = &board.packages[0];
        assert_eq!(
            (package.id.as_str(), package.title.as_str(), package.lane),
            ("WP07", "Seven", Lane::Planned)
        );
        assert!(board.progress.is_empty());
    }

    #[test]
    fn unreadable_events_are_left_out() {
        let mut broken = moved("1", "2026-11-22T09:00:00Z", None, "planned");
        broken.text.truncate(10);
        assert_eq!(MissionBoard::of(&[broken, moved("2", "soon", None, "planned")]), MissionBoard::default());
        let long = stored(
            "WPCreated",
            "1",
            "2026-11-22T09:00:00Z",
            json!({"wp_id": "é".repeat(9999), "title": "x".repeat(99999)}),
        );
        let board = MissionBoard::of(&[long]);
        assert!(board.packages[0].id.len() < 1010 && board.packages[0].title.len() < 310);
    }
}
