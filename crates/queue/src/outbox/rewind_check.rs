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
use std::cmp::Reverse;
use std::collections::BTreeMap;

/// Receipts of one project that a drain asks about: an event, a body or both. A project may have several.
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
    /// Number of the project's entries, with those for which there was no place.
    of_project: usize,
}

/// The server's answer about one entry: the state of its event and of its body.
type EntryStates = (Option<ReceiptState>, Option<ReceiptState>);

/// Receipts of rows that were on the server before, of which a drain asks about at most, by project and kind.
pub(crate) const MOST_THERE_BEFORE: usize = 3;
/// Receipts that are read at most, by place and kind, to find one of a row that was new to the server.
const MOST_READ: i64 = 1000;

struct NewestReceipt {
    key: String,
    seq: i64,
    /// Whether the row was on the server before: a duplicate, or delivered by another release.
    was_there: bool,
}

impl Outbox {
    /// The newest event receipt and the newest body receipt of each project. Behind one of a row that was on the server
    /// before, also older ones: at most three such rows, and the newest that was new to the server. [`MOST_PROJECTS`]
    /// entries at most: the first one of each project with a warning, then of each other project, those with the newest
    /// receipts first, then the older ones. Receipts that are marked to be sent again claim nothing, so they are not named.
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
                    found.push(((at > 0, warned.is_none(), Reverse(last)), receipts));
                }
            }
            found.sort_by_key(|(order, _)| *order);
            Ok(found.into_iter().map(|(_, receipts)| receipts).take(MOST_PROJECTS).collect())
        })
    }

    /// Records the server's answers about `asked`, one for each entry. Returns the new warning.
    pub fn record_answers(
        &mut self,
        asked: &[ProjectReceipts],
        answers: &[EntryStates],
    ) -> Result<Option<Rewound>, QueueError> {
        let before = self.store.read("read the warnings of", |tx| Rewound::read(tx))?;
        let mut after = before.clone();
        let mut projects: BTreeMap<&Option<String>, Vec<(&ProjectReceipts, &EntryStates)>> = BTreeMap::new();
        for (receipts, answer) in asked.iter().zip(answers) {
            projects.entry(&receipts.project_uuid).or_default().push((receipts, answer));
        }
        // Projects of the warning are first. One that is not asked about, although there was room, claims
        // nothing any more.
        let room =
            projects.len() < MOST_PROJECTS || projects.keys().any(|project| before.of(project).is_none());
        for project in before.projects.iter().filter(|project| !projects.contains_key(&project.project_uuid))
        {
            for kind in Kind::ALL.into_iter().filter(|_| room) {
                after.clear_missing(&project.project_uuid, kind);
            }
        }
        for (project_uuid, entries) in projects {
            let is_complete = entries.iter().all(|(receipts, _)| receipts.of_project == entries.len());
            for kind in Kind::ALL {
                let named = entries.iter().filter(|(receipts, _)| receipts.names(kind));
                let states = named.map(|(receipts, (event, body))| match kind {
                    Kind::Event => (receipts.event_seq, *event),
                    Kind::Body => (receipts.body_seq, *body),
                });
                let is_there = |state| matches!(state, Some(ReceiptState::Held | ReceiptState::Forgotten));
                // Without an entry this kind claims nothing.
                if is_complete && states.clone().all(|(_, state)| is_there(state)) {
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
    let mut select = conn.prepare_cached(
        "SELECT key, seq, outcome <> 'delivered' OR reason <> '' FROM receipts
         WHERE kind = ?1 AND place = ?2 AND seq <= ?3 AND again = 0 AND outcome <> 'dropped'
         ORDER BY seq DESC LIMIT ?4",
    )?;
    let mut newest = Vec::new();
    for place in places {
        let mut rows = select.query(params![kind.stored(), place, up_to.unwrap_or(i64::MAX), MOST_READ])?;
        let mut there = 0;
        while let Some(row) = rows.next()? {
            let receipt = NewestReceipt { key: row.get(0)?, seq: row.get(1)?, was_there: row.get(2)? };
            let is_new = !receipt.was_there;
            there += usize::from(receipt.was_there);
            if is_new || there <= MOST_THERE_BEFORE {
                newest.push(receipt);
            }
            if is_new {
                break;
            }
        }
    }
    newest.sort_by_key(|receipt| Reverse(receipt.seq));
    let new = newest.iter().position(|receipt| !receipt.was_there);
    let new = new.map(|at| newest.split_off(at)).and_then(|rest| rest.into_iter().next());
    newest.truncate(MOST_THERE_BEFORE);
    newest.extend(new);
    Ok(newest)
}

/// The entries of one project, each with an event, a body or both.
fn entries_of(
    project_uuid: &Option<String>,
    [events, bodies]: [Vec<NewestReceipt>; 2],
) -> Vec<ProjectReceipts> {
    let of_project = events.len().max(bodies.len());
    let (mut events, mut bodies) = (events.into_iter(), bodies.into_iter());
    let next = |_| {
        let (event, body) = (events.next(), bodies.next());
        ProjectReceipts {
            project_uuid: project_uuid.clone(),
            event_seq: event.as_ref().map_or(0, |event| event.seq),
            body_seq: body.as_ref().map_or(0, |body| body.seq),
            event: event.map(|event| event.key),
            body: body.and_then(|body| serde_json::from_str(&body.key).ok()),
            of_project,
        }
    };
    (0..of_project).map(next).collect()
}
