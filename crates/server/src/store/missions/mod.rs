//! Missions: which events belong to one, and what pages read of it.
//!
//! | module | owns |
//! |---|---|
//! | `assign` | the mission of an event |
//! | `spans` | runs of positions, by which the events of a mission are found |
//! | `backfill` | spans of blocks that an earlier release stored |
//! | `list` | missions of the teams and shares of an account |
//! | `read` | events of a mission |
//! | `documents` | documents of a mission |
//! | `removal` | what forgetting and pruning delete of missions |

mod assign;
mod backfill;
mod documents;
mod list;
mod read;
mod removal;
mod spans;

pub(crate) use assign::{MissionHint, assign_missions};
pub(crate) use documents::DocumentRecord;
pub(crate) use list::{MissionCursor, MissionRecord, Sight};
pub(crate) use read::{EventCursor, EventFilter, MissionEvent, MissionEvents};
pub(super) use removal::{remove_bodies, remove_spans};
pub(super) use spans::{ACTIVITY_STEP, Spans, add_spans};

/// Statements of mission pages and removals, for the test of their plans.
#[cfg(test)]
pub(super) fn page_queries(sql: &dyn super::sql::Sql) -> Vec<String> {
    use list::{MISSION, OF_PROJECT, OF_TEAM, ONE};
    let events = format!(
        "{} AND event_type IN (?8, ?9) AND aggregate_id = ?10 {}",
        read::events_of_spans(sql),
        read::NEWEST_FIRST
    );
    let of_missions = [OF_TEAM, OF_PROJECT, ONE].map(|filter| format!("{MISSION} {filter}"));
    let others = [
        documents::LIST,
        documents::TEXT,
        read::SPANS_BEFORE,
        backfill::WAITING,
        removal::OLD,
        removal::SPANS,
        removal::EMPTY,
    ]
    .map(str::to_owned);
    of_missions.into_iter().chain(others).chain([events]).collect()
}
