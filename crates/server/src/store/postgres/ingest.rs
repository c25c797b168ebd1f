//! Ingest of events in PostgreSQL: a few statements for a whole batch.
//!
//! Rows are inserted in the order of their keys, so that two batches with the same events wait for each
//! other instead of being deadlocked.

use super::spans::BatchSpans;
use super::{AttemptFailure, Connections, Postgres, without_nul};
use crate::store::events::deviation_bits;
use crate::store::forget::event_hash;
use crate::store::missions::Spans;
use crate::store::{EventOutcome, NewBlock, NewEvent, StoreError, TeamKey};
use crate::time::UnixMillis;
use deadpool_postgres::Transaction;
use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use tokio_postgres::Error;
use tokio_postgres::types::ToSql;

/// Slots of the kept counts of a project: transactions that count in different ones do not wait for each
/// other.
const SLOTS: i64 = 16;

const FIND_PROJECTS: &str =
    "SELECT project_uuid, key, name FROM projects WHERE team = $1 AND project_uuid = ANY($2)";

const ADD_PROJECTS: &str = "INSERT INTO projects (team, project_uuid)
    SELECT $1, uuid FROM unnest($2::text[]) AS new(uuid) ORDER BY uuid ON CONFLICT DO NOTHING";

const NAME_PROJECT: &str = "UPDATE projects SET name = $3 WHERE team = $1 AND key = $2";

const TAKE_KEYS: &str = "SELECT nextval('blocks_key_seq') FROM generate_series(1, $1::bigint)";

const ADD_BLOCKS: &str = "INSERT INTO blocks (team, key, project, received_at, packed, spans_known)
    SELECT $1, key, project, $2, packed, 1 FROM unnest($3::bigint[], $4::bigint[], $5::bytea[])
        AS new(key, project, packed)";

// Positions are drawn in the order of the batch, before the rows are sorted. Of two events with one id the
// first is stored.
const ADD_EVENTS: &str =
    "INSERT INTO events (team, seq, event_id, sent_id, event_type, aggregate_id, project,
        deviations, digest, content_digest, block, \"offset\", length)
    SELECT $1, seq, event_id, sent_id, event_type, aggregate_id, project, deviations, digest, content_digest,
        block, start, length
    FROM (SELECT nextval('events_seq_seq') AS seq, new.*
          FROM unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::bigint[], $7::bigint[], $8::bytea[],
                      $9::bytea[], $10::bigint[], $11::bigint[], $12::bigint[])
              AS new(event_id, sent_id, event_type, aggregate_id, project, deviations, digest, content_digest,
                     block, start, length)) AS positioned
    ORDER BY event_id, seq ON CONFLICT (team, event_id) DO NOTHING RETURNING seq";

const FIND_EVENTS: &str =
    "SELECT event_id, block, digest, content_digest FROM events WHERE team = $1 AND event_id = ANY($2)";

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
        let mut number = 0;
        loop {
            match self.connections.ingest_once(team, &blocks, now).await {
                Ok(outcomes) => return Ok(outcomes),
                Err(failure) => tokio::time::sleep(failure.pause(number)?).await,
            }
            number += 1;
        }
    }
}

impl Connections {
    async fn ingest_once(
        &self,
        team: TeamKey,
        blocks: &[NewBlock],
        now: UnixMillis,
    ) -> Result<Vec<EventOutcome>, AttemptFailure> {
        let mut client = self.pool.get().await.map_err(AttemptFailure::of_pool)?;
        let outcome = async {
            let transaction = client.transaction().await.map_err(|error| AttemptFailure::of(&error))?;
            let stored = Batch { transaction: &transaction, team: team.0, blocks }.store(now).await;
            match stored {
                Ok(outcomes) => self.commit(transaction).await.map(|()| outcomes),
                // Dropped, the transaction is rolled back.
                Err(error) => Err(AttemptFailure::of(&error)),
            }
        };
        let outcome = outcome.await;
        self.keep(client, outcome)
    }
}

/// The columns of a table, for `unnest`.
#[derive(Default)]
struct Columns<'b> {
    event_id: Vec<&'b str>,
    sent_id: Vec<Option<&'b str>>,
    event_type: Vec<Cow<'b, str>>,
    aggregate_id: Vec<Cow<'b, str>>,
    project: Vec<i64>,
    deviations: Vec<i64>,
    digest: Vec<&'b [u8]>,
    content_digest: Vec<&'b [u8]>,
    block: Vec<i64>,
    start: Vec<i64>,
    length: Vec<i64>,
}

pub(super) struct Batch<'b> {
    transaction: &'b Transaction<'b>,
    pub(super) team: i64,
    blocks: &'b [NewBlock],
}

impl<'b> Batch<'b> {
    async fn store(&self, now: UnixMillis) -> Result<Vec<EventOutcome>, Error> {
        let number = self.blocks.len() as i64;
        let take: Params<'_> = &[&number];
        let (projects, keys, forgotten) =
            tokio::try_join!(self.projects(), self.query(TAKE_KEYS, take), self.forgotten())?;
        let keys: Vec<i64> = keys.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?;
        let packed: Vec<&[u8]> = self.blocks.iter().map(|block| &block.packed[..]).collect();
        let columns = self.columns(&projects, &keys, &forgotten);
        let add_blocks: Params<'_> = &[&self.team, &now.0, &keys, &projects, &packed];
        let add_events: Params<'_> = &[
            &self.team,
            &columns.event_id,
            &columns.sent_id,
            &columns.event_type,
            &columns.aggregate_id,
            &columns.project,
            &columns.deviations,
            &columns.digest,
            &columns.content_digest,
            &columns.block,
            &columns.start,
            &columns.length,
        ];
        let (_, added) =
            tokio::try_join!(self.query(ADD_BLOCKS, add_blocks), self.query(ADD_EVENTS, add_events))?;
        let mut positions: Vec<i64> = added.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?;
        // In the order of the batch, as they were drawn.
        positions.sort_unstable();
        let found = self.find_unless_all(positions.len()).await?;
        let mut positions = positions.into_iter();

        let mut outcomes = Vec::new();
        let (mut counts, mut empty, mut artifacts) =
            (Vec::new(), Vec::new(), <[Vec<Cow<'_, str>>; 6]>::default());
        let (mut spans, mut counted) = (BatchSpans::default(), HashSet::new());
        for ((block, key), project) in self.blocks.iter().zip(&keys).zip(&projects) {
            let (mut count, mut of_block) = (0_i64, Spans::default());
            for event in &block.events {
                let copy = found.as_ref().map(|found| found.get(&event.canonical_id));
                let is_stored = match copy {
                    None => true,
                    // Once: a second event with the id is a duplicate of the first.
                    Some(Some(copy)) => copy.block == *key && counted.insert(&event.canonical_id),
                    // Forgotten.
                    Some(None) => false,
                };
                if let Some(seq) = is_stored.then(|| positions.next()).flatten() {
                    count += 1;
                    of_block.add(event.mission, seq);
                    outcomes.push(EventOutcome::Stored);
                    push_artifact(event, &mut artifacts);
                } else {
                    outcomes.push(
                        copy.flatten().map_or(EventOutcome::Duplicate { differs: false }, |copy| {
                            event.duplicate_of(&copy.digest, copy.content_digest.as_deref())
                        }),
                    );
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
                for (block, (key, known)) in self.blocks.iter().zip(&found) {
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
        let events = self.blocks.iter().flat_map(|block| &block.events);
        let ids: Vec<(&str, [u8; 16])> =
            events.map(|event| (&*event.canonical_id, event_hash(&event.canonical_id))).collect();
        let hashes: Vec<&[u8]> = ids.iter().map(|(_, hash)| &hash[..]).collect();
        let rows = self.query(FORGOTTEN, &[&self.team, &hashes]).await?;
        let found: HashSet<Vec<u8>> = rows.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?;
        Ok(ids.into_iter().filter(|(_, hash)| found.contains(&hash[..])).map(|(id, _)| id).collect())
    }

    fn columns(&self, projects: &[i64], keys: &[i64], forgotten: &HashSet<&str>) -> Columns<'b> {
        let mut columns = Columns::default();
        let position = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
        for ((block, project), key) in self.blocks.iter().zip(projects).zip(keys) {
            for event in block.events.iter().filter(|event| !forgotten.contains(&*event.canonical_id)) {
                columns.event_id.push(&event.canonical_id);
                columns.sent_id.push((event.event_id != event.canonical_id).then_some(&*event.event_id));
                columns.event_type.push(without_nul(&event.event_type));
                columns.aggregate_id.push(without_nul(&event.aggregate_id));
                columns.project.push(*project);
                columns.deviations.push(deviation_bits(&event.deviations));
                columns.digest.push(&event.digest);
                columns.content_digest.push(&event.content_digest);
                columns.block.push(*key);
                columns.start.push(position(event.offset));
                columns.length.push(position(event.length));
            }
        }
        columns
    }

    /// The stored copies of all events by their ids, unless each event was added.
    async fn find_unless_all(&self, added: usize) -> Result<Option<HashMap<String, StoredCopy>>, Error> {
        let events = self.blocks.iter().flat_map(|block| &block.events);
        if added == events.clone().count() {
            return Ok(None);
        }
        let ids: Vec<&str> = events.map(|event| &*event.canonical_id).collect();
        let copy = |row: &tokio_postgres::Row| {
            let copy = StoredCopy {
                block: row.try_get(1)?,
                digest: row.try_get(2)?,
                content_digest: row.try_get(3)?,
            };
            Ok((row.try_get(0)?, copy))
        };
        let rows = self.query(FIND_EVENTS, &[&self.team, &ids]).await?;
        rows.iter().map(copy).collect::<Result<_, _>>().map(Some)
    }
}

/// A stored event. One that this batch added is in a block of this batch.
struct StoredCopy {
    block: i64,
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
