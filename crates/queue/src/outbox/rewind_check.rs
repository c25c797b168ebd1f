//! Rewind check at the start of a drain: whether the server still has the newest acknowledged rows.

use super::Outbox;
use crate::error::QueueError;
use crate::origin::{self, OriginId};
use crate::rewound::Rewound;
use crate::row::Kind;
use crate::store::Abort;
use contract::wire::receipts::{MOST_PROJECTS, ReceiptState};
use rusqlite::{Connection, OptionalExtension as _, params};
use std::collections::BTreeMap;

/// The receipts of one project that a drain asks about.
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

/// The newest receipts of a project, by kind: key and number.
type NewestKeys = [Option<(String, i64)>; 2];

impl Outbox {
    /// The newest event receipt and the newest body receipt of up to [`MOST_PROJECTS`] projects: those with a warning
    /// first, then those with the newest receipts. Receipts that are marked to be sent again claim
    /// nothing, so they are not named.
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
                let newest = newest_of(tx, &places, |kind| warned.and_then(|warned| warned.newest(kind)))?;
                if newest.iter().any(Option::is_some) {
                    found.push((warned.is_some(), named(project_uuid, newest)));
                }
            }
            found.sort_by_key(|(warned, receipts)| {
                (!warned, std::cmp::Reverse(receipts.event_seq.max(receipts.body_seq)))
            });
            Ok(found.into_iter().take(MOST_PROJECTS).map(|(_, receipts)| receipts).collect())
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
        for (receipts, (event, body)) in asked.iter().zip(answers) {
            for (kind, state, seq) in
                [(Kind::Event, event, receipts.event_seq), (Kind::Body, body, receipts.body_seq)]
            {
                match state {
                    Some(ReceiptState::Missing) if receipts.names(kind) => {
                        after.add(&receipts.project_uuid, kind, seq);
                    }
                    Some(ReceiptState::Held | ReceiptState::Forgotten) => {
                        after.clear_missing(&receipts.project_uuid, kind);
                    }
                    _ => {}
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

fn newest_of(
    conn: &Connection,
    places: &[OriginId],
    up_to: impl Fn(Kind) -> Option<i64>,
) -> Result<NewestKeys, Abort> {
    let mut newest: NewestKeys = [None, None];
    for (slot, kind) in newest.iter_mut().zip(Kind::ALL) {
        let most = up_to(kind).unwrap_or(i64::MAX);
        for place in places {
            let found: Option<(String, i64)> = conn
                .prepare_cached(
                    "SELECT key, seq FROM receipts
                     WHERE kind = ?1 AND place = ?2 AND seq <= ?3 AND again = 0 AND outcome <> 'dropped'
                     ORDER BY seq DESC LIMIT 1",
                )?
                .query_row(params![kind.stored(), place, most], |row| Ok((row.get(0)?, row.get(1)?)))
                .optional()?;
            if found.as_ref().map(|(_, seq)| *seq) > slot.as_ref().map(|(_, seq)| *seq) {
                *slot = found;
            }
        }
    }
    Ok(newest)
}

fn named(project_uuid: Option<String>, [event, body]: NewestKeys) -> ProjectReceipts {
    let seq = |newest: &Option<(String, i64)>| newest.as_ref().map_or(0, |(_, seq)| *seq);
    ProjectReceipts {
        project_uuid,
        event_seq: seq(&event),
        body_seq: seq(&body),
        event: event.map(|(key, _)| key),
        body: body.and_then(|(key, _)| serde_json::from_str(&key).ok()),
    }
}
