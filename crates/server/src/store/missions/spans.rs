//! Runs of positions: the events of one block that belong to one mission.

use crate::store::sql::{Sql, SqlRow, values};
use crate::store::{NewMission, StoreError, TeamKey};
use crate::time::UnixMillis;

/// A mission's time of activity is stored when it is this much older, in milliseconds, so that parallel batches of one
/// mission do not wait for one row.
pub(in crate::store) const ACTIVITY_STEP: i64 = 1000;

/// The runs of one block, built from its stored events in the order of their positions.
#[derive(Default)]
pub(in crate::store) struct Spans {
    /// Mission, first and last position.
    pub(in crate::store) runs: Vec<(usize, i64, i64)>,
}

impl Spans {
    pub(in crate::store) fn add(&mut self, mission: usize, seq: i64) {
        match self.runs.last_mut() {
            Some((last, _, end)) if *last == mission => *end = seq,
            _ => self.runs.push((mission, seq, seq)),
        }
    }
}

/// Stores the runs of a block, and the missions that they belong to.
pub(in crate::store) fn add_spans(
    sql: &dyn Sql,
    (team, project, block): (TeamKey, i64, i64),
    missions: &[NewMission],
    spans: &Spans,
    now: UnixMillis,
) -> Result<(), StoreError> {
    let mut keys: Vec<Option<i64>> = vec![None; missions.len()];
    for (place, first, last) in &spans.runs {
        let (Some(new), Some(known)) = (missions.get(*place), keys.get_mut(*place)) else { continue };
        let key = match *known {
            Some(key) => key,
            None => *known.insert(mission_key(sql, team, project, new, now)?),
        };
        sql.execute(
            "INSERT INTO mission_spans (team, mission, first_seq, last_seq, block) VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT DO NOTHING",
            values![team, key, *first, *last, block],
        )?;
    }
    Ok(())
}

/// The key of a mission, which is added if it is new and marked as active.
fn mission_key(
    sql: &dyn Sql,
    team: TeamKey,
    project: i64,
    new: &NewMission,
    now: UnixMillis,
) -> Result<i64, StoreError> {
    let find = "SELECT key, active_at, name FROM missions WHERE team = ?1 AND project = ?2 AND slug = ?3";
    let read =
        |row: SqlRow| Ok::<_, StoreError>((row.get(0)?, row.get::<UnixMillis>(1)?, row.get::<String>(2)?));
    let found = sql.row(find, values![team, project, new.slug])?.map(read).transpose()?;
    let name = new.name.as_deref();
    let Some((key, active_at, known)) = found else {
        sql.execute(
            "INSERT INTO missions (team, project, slug, name, active_at) VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT DO NOTHING",
            values![team, project, new.slug, name.unwrap_or_default(), now],
        )?;
        let row = sql.row(find, values![team, project, new.slug])?;
        return row.ok_or_else(|| StoreError::Database("a new mission is missing".to_owned()))?.get(0);
    };
    if now.0 - active_at.0 >= ACTIVITY_STEP {
        let update = "UPDATE missions SET active_at = ?3 WHERE team = ?1 AND key = ?2 AND active_at < ?3";
        sql.execute(update, values![team, key, now])?;
    }
    if let Some(name) = name.filter(|name| *name != known) {
        sql.execute("UPDATE missions SET name = ?3 WHERE team = ?1 AND key = ?2", values![team, key, name])?;
    }
    Ok(key)
}

#[cfg(test)]
mod tests {
    use super::Spans;

    #[test]
    fn run_ends_at_an_event_of_another_mission() {
        let mut spans = Spans::default();
        for (mission, seq) in [(0, 5), (0, 6), (1, 7), (0, 10), (0, 14)] {
            spans.add(mission, seq);
        }
        assert_eq!(spans.runs, [(0, 5, 6), (1, 7, 7), (0, 10, 14)]);
    }
}
