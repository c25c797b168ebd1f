//! Rewind check at the start of a drain: whether the server still has the newest acknowledged rows.
//!
//! A server loses the rows first that it stored last. A row that was answered `duplicate` may have been there long before,
//! so a drain asks about the newest receipts back to one of a row that was new to the server.

use super::Outbox;
use crate::error::QueueError;
use crate::origin::{self, OriginId};
use crate::rewound::Rewound;
use crate::row::Kind;
use crate::store::Abort;
use contract::wire::receipts::{MOST_PROJECTS, ReceiptState};
use rusqlite::{Connection, params};
use std::collections::BTreeMap;

/// Receipts of one project that a drain asks about: an event, a body or both; a project may have several.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProjectReceipts {
    /// The project; none for rows without one.
    pub project_uuid: Option<String>,
    /// The id of the event.
    pub event: Option<String>,
    /// The seven key columns of the body.
    pub body: Option<[String; 7]>,
    event_seq: i64,
    body_seq: i64,
}

/// Receipts of rows that were on the server before, of which a drain asks about at most.
const MOST_THERE_BEFORE: usize = 3;

struct NewestReceipt {
    key: String,
    seq: i64,
    /// Whether the row was on the server before: a duplicate, or delivered by another release.
    was_there: bool,
}

impl Outbox {
    /// The newest event receipt and the newest body receipt of each project. Behind one of a row that was on the server
    /// before, also older ones: at most three such rows, and the newest that was new to the server. [`MOST_PROJECTS`]
    /// entries at most: those of projects with a warning, then one of each project, those with the newest receipts first,
    /// then their older ones. Receipts that are marked to be sent again claim nothing, so they are not named.
    pub fn newest_receipts(&mut self) -> Result<Vec<ProjectReceipts>, QueueError> {
        self.store.read("read receipts of", |tx| {
            let rewound = Rewound::read(tx)?;
            let mut places: BTreeMap<Option<String>, Vec<OriginId>> = BTreeMap::from([(None, vec![0])]);
            for (id, place) in origin::read_all(tx)? {
                places.entry(place.project_uuid).or_default().push(id);
            }
            let mut found = Vec::new();
            for (project_uuid, places) in places {
                let warned = rewound.of(&project_uuid);
                let newest =
                    |kind| newest_of(tx, kind, &places, warned.and_then(|warned| warned.newest(kind)));
                let entries = entries_of(&project_uuid, [newest(Kind::Event)?, newest(Kind::Body)?]);
                let last = entries.iter().map(|receipts| receipts.event_seq.max(receipts.body_seq)).max();
                for (at, receipts) in entries.into_iter().enumerate() {
                    // A warning ends when all of its project are there.
                    let rank = if warned.is_some() { 0 } else { 1 + at };
                    found.push((rank, std::cmp::Reverse(last), receipts));
                }
            }
            found.sort_by_key(|(rank, last, _)| (*rank, *last));
            Ok(found.into_iter().map(|(.., receipts)| receipts).take(MOST_PROJECTS).collect())
        })
    }

    /// Records the server's answer about `asked`: for each project the state of its event and of its body. Returns
    /// the new warning.
    pub fn record_answers(
        &mut self,
        asked: &[ProjectReceipts],
        answers: &[(Option<ReceiptState>, Option<ReceiptState>)],
    ) -> Result<Option<Rewound>, QueueError> {
        let before = self.store.read("read the warnings of", |tx| Rewound::read(tx))?;
        let mut after = before.clone();
        // Projects of the warning are first. One that is not asked about, although there was room, claims
        // nothing any more.
        let room = asked.len() < MOST_PROJECTS
            || asked.iter().any(|receipts| before.of(&receipts.project_uuid).is_none());
        for project in &before.projects {
            let receipts = asked.iter().find(|receipts| receipts.project_uuid == project.project_uuid);
            for kind in Kind::ALL {
                let is_asked = receipts.is_some_and(|receipts| receipts.names(kind));
                if !is_asked && (room || receipts.is_some()) {
                    after.clear_missing(&project.project_uuid, kind);
                }
            }
        }
        for (ProjectReceipts { project_uuid, .. }, _) in asked.iter().zip(answers) {
            for kind in Kind::ALL {
                let named = asked
                    .iter()
                    .zip(answers)
                    .filter(|(receipts, _)| receipts.project_uuid == *project_uuid && receipts.names(kind));
                let states = named.map(|(receipts, (event, body))| match kind {
                    Kind::Event => (receipts.event_seq, *event),
                    Kind::Body => (receipts.body_seq, *body),
                });
                let is_there = |state| matches!(state, Some(ReceiptState::Held | ReceiptState::Forgotten));
                if states.clone().all(|(_, state)| is_there(state)) {
                    after.clear_missing(project_uuid, kind);
                }
                for (seq, _) in states.filter(|(_, state)| *state == Some(ReceiptState::Missing)) {
                    after.add(project_uuid, kind, seq);
                }
            }
        }
        after.projects.retain(|project| Kind::ALL.iter().any(|kind| project.newest(*kind).is_some()));
        if after != before {
            self.store.write("record a warning in", |tx| after.write(tx))?;
        }
        Ok(Some(after).filter(|rewound| !rewound.projects.is_empty()))
    }

    /// The present warning.
    pub fn rewound(&mut self) -> Result<Option<Rewound>, QueueError> {
        let rewound = self.store.read("read the warnings of", |tx| Rewound::read(tx))?;
        Ok(Some(rewound).filter(|rewound| !rewound.projects.is_empty()))
    }
}

impl ProjectReceipts {
    fn names(&self, kind: Kind) -> bool {
        match kind {
            Kind::Event => self.event.is_some(),
            Kind::Body => self.body.is_some(),
        }
    }
}

/// The receipts of a kind to ask about, newest first: back to the newest of a row that was new to the server.
fn newest_of(
    conn: &Connection,
    kind: Kind,
    places: &[OriginId],
    up_to: Option<i64>,
) -> Result<Vec<NewestReceipt>, Abort> {
    let mut newest = Vec::new();
    for (all, most) in [(true, MOST_THERE_BEFORE as i64), (false, 1)] {
        for place in places {
            let mut select = conn.prepare_cached(
                "SELECT key, seq, outcome <> 'delivered' OR reason <> '' AS was_there FROM receipts
                 WHERE kind = ?1 AND place = ?2 AND seq <= ?3 AND again = 0 AND outcome <> 'dropped'
                     AND (?4 OR NOT was_there)
                 ORDER BY seq DESC LIMIT ?5",
            )?;
            let up_to = up_to.unwrap_or(i64::MAX);
            let found = select.query_map(params![kind.stored(), place, up_to, all, most], |row| {
                Ok(NewestReceipt { key: row.get(0)?, seq: row.get(1)?, was_there: row.get(2)? })
            })?;
            for receipt in found {
                newest.push(receipt?);
            }
        }
        newest.sort_by_key(|receipt| std::cmp::Reverse(receipt.seq));
        if all {
            newest.truncate(MOST_THERE_BEFORE);
        }
        if let Some(new) = newest.iter().position(|receipt| !receipt.was_there) {
            newest.truncate(new + 1);
            break;
        }
    }
    Ok(newest)
}

/// The entries of one project, each with an event, a body or both.
fn entries_of(
    project_uuid: &Option<String>,
    [events, bodies]: [Vec<NewestReceipt>; 2],
) -> Vec<ProjectReceipts> {
    let number = events.len().max(bodies.len());
    let (mut events, mut bodies) = (events.into_iter(), bodies.into_iter());
    let next = |_| {
        let (event, body) = (events.next(), bodies.next());
        ProjectReceipts {
            project_uuid: project_uuid.clone(),
            event_seq: event.as_ref().map_or(0, |event| event.seq),
            body_seq: body.as_ref().map_or(0, |body| body.seq),
            event: event.map(|event| event.key),
            body: body.and_then(|body| serde_json::from_str(&body.key).ok()),
        }
    };
    (0..number).map(next).collect()
}
