//! Rows of the table `events`, added by COPY or by `INSERT`.

use super::ingest::Batch;
use super::without_nul;
use crate::store::NewEvent;
use crate::store::events::deviation_bits;
use std::collections::HashSet;
use std::pin::pin;
use tokio_postgres::Error;
use tokio_postgres::binary_copy::BinaryCopyInWriter;
use tokio_postgres::types::{ToSql, Type};

const COPY: &str =
    "COPY events (team, seq, event_id, sent_id, event_type, aggregate_id, project, deviations, digest,
        content_digest, block, \"offset\", length) FROM STDIN BINARY";

const COPIED_TYPES: [Type; 13] = [
    Type::INT8,
    Type::INT8,
    Type::TEXT,
    Type::TEXT,
    Type::TEXT,
    Type::TEXT,
    Type::INT8,
    Type::INT8,
    Type::BYTEA,
    Type::BYTEA,
    Type::INT8,
    Type::INT8,
    Type::INT8,
];

// Of two events with one id the first is stored.
const INSERT: &str = "INSERT INTO events (team, seq, event_id, sent_id, event_type, aggregate_id, project,
        deviations, digest, content_digest, block, \"offset\", length)
    SELECT $1, new.*
    FROM unnest($2::bigint[], $3::text[], $4::text[], $5::text[], $6::text[], $7::bigint[], $8::bigint[],
                $9::bytea[], $10::bytea[], $11::bigint[], $12::bigint[], $13::bigint[])
        AS new(seq, event_id, sent_id, event_type, aggregate_id, project, deviations, digest, content_digest, block,
               start, length)
    ORDER BY event_id, seq ON CONFLICT (team, event_id) DO NOTHING RETURNING seq";

/// An event with the columns that it does not have itself.
struct EventRow<'b> {
    seq: i64,
    event: &'b NewEvent,
    project: i64,
    block: i64,
}

impl<'b> EventRow<'b> {
    fn sent_id(&self) -> Option<&'b str> {
        (self.event.event_id != self.event.canonical_id).then_some(&*self.event.event_id)
    }
}

/// The rows of a batch.
#[derive(Default)]
pub(super) struct EventRows<'b>(Vec<EventRow<'b>>);

impl<'b> EventRows<'b> {
    pub(super) fn push(&mut self, event: &'b NewEvent, seq: i64, project: i64, block: i64) {
        self.0.push(EventRow { seq, event, project, block });
    }

    /// Adds the rows, and returns the positions of those that were not stored before. If the batch looks new, a row
    /// that is stored is an error.
    pub(super) async fn add(mut self, batch: &Batch<'_>, looks_new: bool) -> Result<HashSet<i64>, Error> {
        self.0.sort_unstable_by_key(|row| (&*row.event.canonical_id, row.seq));
        let are_distinct = self.0.is_sorted_by(|one, next| one.event.canonical_id < next.event.canonical_id);
        if looks_new && are_distinct {
            self.copy(batch).await?;
            return Ok(self.0.iter().map(|row| row.seq).collect());
        }
        self.insert(batch).await
    }

    async fn copy(&self, batch: &Batch<'_>) -> Result<(), Error> {
        let statement = batch.transaction.prepare_cached(COPY).await?;
        let sink = batch.transaction.copy_in(&statement).await?;
        let mut writer = pin!(BinaryCopyInWriter::new(sink, &COPIED_TYPES));
        for row in &self.0 {
            let event = row.event;
            let columns: [&(dyn ToSql + Sync); 13] = [
                &batch.team,
                &row.seq,
                &event.canonical_id,
                &row.sent_id(),
                &without_nul(&event.event_type),
                &without_nul(&event.aggregate_id),
                &row.project,
                &deviation_bits(&event.deviations),
                &event.digest.as_slice(),
                &event.content_digest.as_slice(),
                &row.block,
                &position(event.offset),
                &position(event.length),
            ];
            writer.as_mut().write(&columns).await?;
        }
        writer.finish().await?;
        Ok(())
    }

    async fn insert(&self, batch: &Batch<'_>) -> Result<HashSet<i64>, Error> {
        let numbers = |of: fn(&EventRow<'_>) -> i64| self.0.iter().map(of).collect::<Vec<i64>>();
        let texts = |of: fn(&'b NewEvent) -> &'b str| {
            self.0.iter().map(|row| without_nul(of(row.event))).collect::<Vec<_>>()
        };
        let bytes =
            |of: fn(&'b NewEvent) -> &'b [u8]| self.0.iter().map(|row| of(row.event)).collect::<Vec<&[u8]>>();
        let columns: [&(dyn ToSql + Sync); 13] = [
            &batch.team,
            &numbers(|row| row.seq),
            &texts(|event| &event.canonical_id),
            &self.0.iter().map(EventRow::sent_id).collect::<Vec<_>>(),
            &texts(|event| &event.event_type),
            &texts(|event| &event.aggregate_id),
            &numbers(|row| row.project),
            &numbers(|row| deviation_bits(&row.event.deviations)),
            &bytes(|event| &event.digest),
            &bytes(|event| &event.content_digest),
            &numbers(|row| row.block),
            &numbers(|row| position(row.event.offset)),
            &numbers(|row| position(row.event.length)),
        ];
        batch.query(INSERT, &columns).await?.iter().map(|row| row.try_get(0)).collect()
    }
}

fn position(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
