//! The missions of a batch, in a few statements: see [`crate::store::missions`].

use super::ingest::Batch;
use super::without_nul;
use crate::store::NewBlock;
use crate::store::missions::{ACTIVITY_STEP, Spans};
use crate::time::UnixMillis;
use std::borrow::Cow;
use std::collections::BTreeMap;
use tokio_postgres::{Error, Row};

const FIND: &str = "SELECT project, slug, missions.key, name, active_at FROM missions
    JOIN unnest($2::bigint[], $3::text[]) AS asked(project, slug) USING (project, slug) WHERE team = $1
    ORDER BY project, slug";

// Rows are added in the order of their keys.
const ADD: &str = "INSERT INTO missions (team, project, slug, name, active_at)
    SELECT $1, project, slug, '', $2 FROM unnest($3::bigint[], $4::text[]) AS new(project, slug)
    ORDER BY project, slug ON CONFLICT DO NOTHING";

// A row that another batch has locked is about to become as new.
const TOUCH: &str = "UPDATE missions SET active_at = $2
    FROM (SELECT key FROM missions WHERE team = $1 AND key = ANY($3) AND active_at < $2
          FOR NO KEY UPDATE SKIP LOCKED) AS older
    WHERE team = $1 AND missions.key = older.key RETURNING missions.key";

// Waits for a transaction that deletes one of the rows, and for no other.
const HOLD: &str = "SELECT key FROM missions WHERE team = $1 AND key = ANY($2) FOR KEY SHARE";

const NAME: &str = "UPDATE missions SET name = $3 WHERE team = $1 AND key = $2";

const ADD_SPANS: &str = "INSERT INTO mission_spans (team, mission, first_seq, last_seq, block)
    SELECT $1, mission, first, last, block
    FROM unnest($2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[]) AS new(mission, first, last, block)";

/// A mission of a batch: its name, if one is new, and its runs, each with its block.
#[derive(Default)]
struct OfMission<'b> {
    name: Option<Cow<'b, str>>,
    runs: Vec<(i64, i64, i64)>,
}

/// The runs of all blocks, by project and slug.
#[derive(Default)]
pub(super) struct BatchSpans<'b>(BTreeMap<(i64, Cow<'b, str>), OfMission<'b>>);

impl<'b> BatchSpans<'b> {
    pub(super) fn push(&mut self, block: &'b NewBlock, project: i64, key: i64, spans: &Spans) {
        for (place, first, last) in &spans.runs {
            let Some(new) = block.missions.get(*place) else { continue };
            let mission = self.0.entry((project, without_nul(&new.slug))).or_default();
            mission.name = new.name.as_deref().map(without_nul);
            mission.runs.push((*first, *last, key));
        }
    }
}

impl Batch<'_> {
    pub(super) async fn add_spans(&self, spans: &BatchSpans<'_>, now: UnixMillis) -> Result<(), Error> {
        if spans.0.is_empty() {
            return Ok(());
        }
        let projects: Vec<i64> = spans.0.keys().map(|(project, _)| *project).collect();
        let slugs: Vec<&str> = spans.0.keys().map(|(_, slug)| slug.as_ref()).collect();
        let found = loop {
            // What another transaction adds or deletes meanwhile is seen by the next query.
            let found = self.query(FIND, &[&self.team, &projects, &slugs]).await?;
            if found.len() < slugs.len() {
                self.query(ADD, &[&self.team, &now.0, &projects, &slugs]).await?;
                continue;
            }
            // First, because it waits for others; marking them as active does not.
            self.name(spans, &found).await?;
            if self.touch(&found, now).await? {
                break found;
            }
        };
        let mut runs = <[Vec<i64>; 4]>::default();
        for row in &found {
            let (project, slug): (i64, &str) = (row.try_get(0)?, row.try_get(1)?);
            let key: i64 = row.try_get(2)?;
            let Some(mission) = spans.0.get(&(project, Cow::Borrowed(slug))) else { continue };
            for (first, last, block) in &mission.runs {
                for (column, value) in runs.iter_mut().zip([key, *first, *last, *block]) {
                    column.push(value);
                }
            }
        }
        let [missions, firsts, lasts, blocks] = &runs;
        self.query(ADD_SPANS, &[&self.team, missions, firsts, lasts, blocks]).await?;
        Ok(())
    }

    /// Gives missions the names that their creation has, in the order of project and slug.
    async fn name(&self, spans: &BatchSpans<'_>, found: &[Row]) -> Result<(), Error> {
        for row in found {
            let (project, slug): (i64, &str) = (row.try_get(0)?, row.try_get(1)?);
            let (key, known): (i64, &str) = (row.try_get(2)?, row.try_get(3)?);
            let name =
                spans.0.get(&(project, Cow::Borrowed(slug))).and_then(|mission| mission.name.as_deref());
            if let Some(name) = name.filter(|name| *name != known) {
                self.query(NAME, &[&self.team, &key, &name]).await?;
            }
        }
        Ok(())
    }

    /// Marks missions as active. False if one of them was deleted meanwhile.
    async fn touch(&self, found: &[Row], now: UnixMillis) -> Result<bool, Error> {
        let mut older: Vec<i64> = Vec::new();
        for row in found {
            if now.0 - row.try_get::<_, i64>(4)? >= ACTIVITY_STEP {
                older.push(row.try_get(2)?);
            }
        }
        let is_touched = older.is_empty()
            || self.query(TOUCH, &[&self.team, &now.0, &older]).await?.len() == older.len()
            || self.query(HOLD, &[&self.team, &older]).await?.len() == older.len();
        Ok(is_touched)
    }
}
