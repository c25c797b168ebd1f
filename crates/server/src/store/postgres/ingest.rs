//! Ingest of events in PostgreSQL: a few statements for a whole batch.
//!
//! A batch that looks new is added by COPY, which costs the database half of an `INSERT` that skips stored ids. If
//! one of its events is stored, the transaction is rolled back, and the batch is stored again by that `INSERT`.
//!
//! Rows are added in the order of their keys, so that two batches with the same events wait for each
//! other instead of being deadlocked.

use super::event_rows::EventRows;
use super::spans::BatchSpans;
use super::{AttemptFailure, Connections, Postgres, without_nul};
use crate::store::forget::event_hash;
use crate::store::missions::Spans;
use crate::store::{EventOutcome, NewBlock, NewEvent, StoreError, TeamKey};
use crate::time::UnixMillis;
use deadpool_postgres::Transaction;
use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use tokio_postgres::Error;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::ToSql;

/// Slots of the kept counts of a project: transactions that count in different ones do not wait for each
/// other.
const SLOTS: i64 = 16;

/// The smallest batch that is copied. A smaller one gains less than another statement costs.
const COPIED: usize = 32;
/// Events of a batch that are looked up before it is copied.
const SAMPLE: usize = 8;

const FIND_PROJECTS: &str =
    "SELECT project_uuid, key, name FROM projects WHERE team = $1 AND project_uuid = ANY($2)";

const ADD_PROJECTS: &str = "INSERT INTO projects (team, project_uuid)
    SELECT $1, uuid FROM unnest($2::text[]) AS new(uuid) ORDER BY uuid ON CONFLICT DO NOTHING";

const NAME_PROJECT: &str = "UPDATE projects SET name = $3 WHERE team = $1 AND key = $2";

const TAKE_KEYS: &str = "SELECT array_agg(nextval('blocks_key_seq')) FROM generate_series(1, $1::bigint)";

const TAKE_POSITIONS: &str =
    "SELECT array_agg(nextval('events_seq_seq')) FROM generate_series(1, $1::bigint)";

const ADD_BLOCKS: &str = "INSERT INTO blocks (team, key, project, received_at, packed, spans_known)
    SELECT $1, key, project, $2, packed, 1 FROM unnest($3::bigint[], $4::bigint[], $5::bytea[])
        AS new(key, project, packed)";

const FIND_EVENTS: &str =
    "SELECT event_id, digest, content_digest FROM events WHERE team = $1 AND event_id = ANY($2)";

const FIND_SAMPLE: &str = "SELECT 1 FROM events WHERE team = $1 AND event_id = ANY($2) LIMIT 1";

const HAS_FORGOTTEN: &str = "SELECT 1 FROM forgotten WHERE team = $1 LIMIT 1";

const FORGOTTEN: &str = "SELECT row_hash FROM forgotten WHERE team = $1 AND row_hash = ANY($2)";

const REMOVE_BLOCKS: &str = "DELETE FROM blocks WHERE team = $1 AND key = ANY($2)";

const ADD_ARTIFACTS: &str = "INSERT INTO artifacts (team, project_uuid, mission_slug, target_branch, mission_type,
        manifest_version, path)
    SELECT $1, a, b, c, d, e, f
    FROM unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[]) AS new(a, b, c, d, e, f)
    ORDER BY a, b, c, d, e, f ON CONFLICT DO NOTHING";

// Also where nothing was stored: the write makes the commit wait until what the duplicates repeat is durable.
const COUNT: &str = "INSERT INTO counts (team, project_uuid, slot, events, bodies)
    SELECT $1, uuid, $2, stored, 0 FROM unnest($3::text[], $4::bigint[]) AS new(uuid, stored) ORDER BY uuid
    ON CONFLICT (team, project_uuid, slot) DO UPDATE SET events = counts.events + excluded.events";

pub(super) type Params<'p> = &'p [&'p (dyn ToSql + Sync)];

impl Postgres {
    pub(in crate::store) async fn ingest(
        &self,
        team: TeamKey,
        blocks: Vec<NewBlock>,
        now: UnixMillis,
    ) -> Result<Vec<EventOutcome>, StoreError> {
        let _slot = self.ingests.acquire().await.map_err(|_| StoreError::Closed)?;
        let (mut number, mut may_copy) = (0, true);
        loop {
            match self.connections.ingest_once(team, &blocks, now, may_copy).await {
                Ok(Some(outcomes)) => return Ok(outcomes),
                Ok(None) => may_copy = false,
                Err(failure) => {
                    tokio::time::sleep(failure.pause(number)?).await;
                    number += 1;
                }
            }
        }
    }
}

impl Connections {
    /// Nothing when an event that was copied is stored already: then nothing was changed.
    async fn ingest_once(
        &self,
        team: TeamKey,
        blocks: &[NewBlock],
        now: UnixMillis,
        may_copy: bool,
    ) -> Result<Option<Vec<EventOutcome>>, AttemptFailure> {
        let mut client = self.pool.get().await.map_err(AttemptFailure::of_pool)?;
        let outcome = async {
            let transaction = client.transaction().await.map_err(|error| AttemptFailure::of(&error))?;
            let stored = Batch { transaction: &transaction, team: team.0, blocks, may_copy }.store(now).await;
            match stored {
                Ok(outcomes) => self.commit(transaction).await.map(|()| Some(outcomes)),
                // Dropped, the transaction is rolled back.
                Err(error) if may_copy && error.code() == Some(&SqlState::UNIQUE_VIOLATION) => Ok(None),
                Err(error) => Err(AttemptFailure::of(&error)),
            }
        };
        let outcome = outcome.await;
        self.keep(client, outcome)
    }
}

pub(super) struct Batch<'b> {
    pub(super) transaction: &'b Transaction<'b>,
    pub(super) team: i64,
    blocks: &'b [NewBlock],
    /// Whether its events may be added by COPY.
    may_copy: bool,
}

impl<'b> Batch<'b> {
    async fn store(&self, now: UnixMillis) -> Result<Vec<EventOutcome>, Error> {
        let events = self.events().count();
        let (projects, keys, positions, forgotten, looks_new) = tokio::try_join!(
            self.projects(),
            self.take(TAKE_KEYS, self.blocks.len()),
            self.take(TAKE_POSITIONS, events),
            self.forgotten(),
            self.looks_new(),
        )?;
        let packed: Vec<&[u8]> = self.blocks.iter().map(|block| &block.packed[..]).collect();
        let add_blocks: Params<'_> = &[&self.team, &now.0, &keys, &projects, &packed];
        let mut rows = EventRows::default();
        let mut next = positions.iter();
        for ((block, project), key) in self.blocks.iter().zip(&projects).zip(&keys) {
            for (event, seq) in block.events.iter().zip(next.by_ref()) {
                if !forgotten.contains(&*event.canonical_id) {
                    rows.push(event, *seq, *project, *key);
                }
            }
        }
        let (_, added) = tokio::try_join!(self.query(ADD_BLOCKS, add_blocks), rows.add(self, looks_new))?;
        let copies = if added.len() == events { HashMap::new() } else { self.stored_copies().await? };

        let mut outcomes = Vec::with_capacity(events);
        let (mut counts, mut empty, mut artifacts) =
            (Vec::new(), Vec::new(), <[Vec<Cow<'_, str>>; 6]>::default());
        let (mut spans, mut next) = (BatchSpans::default(), positions.iter());
        for ((block, key), project) in self.blocks.iter().zip(&keys).zip(&projects) {
            let (mut count, mut of_block) = (0_i64, Spans::default());
            for (event, seq) in block.events.iter().zip(next.by_ref()) {
                if added.contains(seq) {
                    count += 1;
                    of_block.add(event.mission, *seq);
                    outcomes.push(EventOutcome::Stored);
                    push_artifact(event, &mut artifacts);
                } else {
                    // Without a copy it was forgotten.
                    let copy = copies.get(&event.canonical_id);
                    outcomes.push(copy.map_or(EventOutcome::Duplicate { differs: false }, |copy| {
                        event.duplicate_of(&copy.digest, copy.content_digest.as_deref())
                    }));
                }
            }
            counts.push(count);
            spans.push(block, *project, *key, &of_block);
            if count == 0 {
                empty.push(*key);
            }
        }
        let uuids = self.project_uuids();
        let slot = keys.first().copied().unwrap_or(0).rem_euclid(SLOTS);
        let [a, b, c, d, e, f] = &artifacts;
        if !empty.is_empty() {
            self.query(REMOVE_BLOCKS, &[&self.team, &empty]).await?;
        }
        if !a.is_empty() {
            self.query(ADD_ARTIFACTS, &[&self.team, a, b, c, d, e, f]).await?;
        }
        self.add_spans(&spans, now).await?;
        // Last: other transactions of the project may wait for its counts.
        self.query(COUNT, &[&self.team, &slot, &uuids, &counts]).await?;
        Ok(outcomes)
    }

    fn events(&self) -> impl Iterator<Item = &'b NewEvent> + Clone + use<'b> {
        self.blocks.iter().flat_map(|block| &block.events)
    }

    /// The next `number` values of a sequence, in their order.
    async fn take(&self, sql: &str, number: usize) -> Result<Vec<i64>, Error> {
        let rows = self.query(sql, &[&(number as i64)]).await?;
        let mut taken: Vec<i64> = rows.first().map_or(Ok(Vec::new()), |row| row.try_get(0))?;
        taken.sort_unstable();
        Ok(taken)
    }

    /// Whether the batch may be copied, and none of a few of its events is stored. A batch that is sent again is rarely
    /// stored in part.
    async fn looks_new(&self) -> Result<bool, Error> {
        let ids: Vec<&str> = self.events().map(|event| &*event.canonical_id).collect();
        if !self.may_copy || ids.len() < COPIED {
            return Ok(false);
        }
        let sample: Vec<&str> = ids.iter().step_by(ids.len() / SAMPLE).chain(ids.last()).copied().collect();
        Ok(self.query(FIND_SAMPLE, &[&self.team, &sample]).await?.is_empty())
    }

    pub(super) async fn query(
        &self,
        sql: &str,
        params: Params<'_>,
    ) -> Result<Vec<tokio_postgres::Row>, Error> {
        let statement = self.transaction.prepare_cached(sql).await?;
        self.transaction.query(&statement, params).await
    }

    fn project_uuids(&self) -> Vec<&'b str> {
        self.blocks.iter().map(|block| block.project_uuid.as_deref().unwrap_or_default()).collect()
    }

    /// The project key of each block.
    async fn projects(&self) -> Result<Vec<i64>, Error> {
        let uuids = self.project_uuids();
        loop {
            let rows = self.query(FIND_PROJECTS, &[&self.team, &uuids]).await?;
            let known: HashMap<&str, (i64, &str)> = rows
                .iter()
                .map(|row| Ok((row.try_get(0)?, (row.try_get(1)?, row.try_get(2)?))))
                .collect::<Result<_, Error>>()?;
            let found: Vec<(i64, &str)> = uuids.iter().filter_map(|uuid| known.get(uuid).copied()).collect();
            if found.len() == uuids.len() {
                let mut named: Vec<_> = found.iter().zip(self.blocks).collect();
                // In one order, because it waits for others.
                named.sort_unstable_by_key(|((key, _), _)| *key);
                for ((key, known), block) in named {
                    let name = block.project_name.as_deref().map(without_nul);
                    if let Some(name) = name.filter(|name| name != known) {
                        self.query(NAME_PROJECT, &[&self.team, key, &name]).await?;
                    }
                }
                return Ok(found.into_iter().map(|(key, _)| key).collect());
            }
            // What another transaction adds meanwhile is visible when this statement ends.
            self.query(ADD_PROJECTS, &[&self.team, &uuids]).await?;
        }
    }

    /// The ids of the events that the team forgot. They are answered as duplicates.
    async fn forgotten(&self) -> Result<HashSet<&'b str>, Error> {
        if self.query(HAS_FORGOTTEN, &[&self.team]).await?.is_empty() {
            return Ok(HashSet::new());
        }
        let ids: Vec<(&str, [u8; 16])> =
            self.events().map(|event| (&*event.canonical_id, event_hash(&event.canonical_id))).collect();
        let hashes: Vec<&[u8]> = ids.iter().map(|(_, hash)| &hash[..]).collect();
        let rows = self.query(FORGOTTEN, &[&self.team, &hashes]).await?;
        let found: HashSet<Vec<u8>> = rows.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?;
        Ok(ids.into_iter().filter(|(_, hash)| found.contains(&hash[..])).map(|(id, _)| id).collect())
    }

    /// The stored copies of its events, by their ids.
    async fn stored_copies(&self) -> Result<HashMap<String, StoredCopy>, Error> {
        let ids: Vec<&str> = self.events().map(|event| &*event.canonical_id).collect();
        let copy = |row: &tokio_postgres::Row| {
            let copy = StoredCopy { digest: row.try_get(1)?, content_digest: row.try_get(2)? };
            Ok((row.try_get(0)?, copy))
        };
        self.query(FIND_EVENTS, &[&self.team, &ids]).await?.iter().map(copy).collect()
    }
}

/// A stored event.
struct StoredCopy {
    digest: Vec<u8>,
    content_digest: Option<Vec<u8>>,
}

fn push_artifact<'b>(event: &'b NewEvent, columns: &mut [Vec<Cow<'b, str>>; 6]) {
    if let Some(key) = &event.artifact {
        let fields = [
            &key.project_uuid,
            &key.mission_slug,
            &key.target_branch,
            &key.mission_type,
            &key.manifest_version,
            &key.path,
        ];
        for (column, field) in columns.iter_mut().zip(fields) {
            column.push(without_nul(field));
        }
    }
}
