//! Machines that deliver events, and the events of theirs that were rejected.

use super::sql::{Sql, SqlRow, Value, values};
use super::{MachineRecord, NewRejection, RejectionRecord, Sighting, Store, StoreError, TeamKey};

/// Rows of each table that a team has at most; the oldest give way.
const ROWS: u64 = 1000;

impl Store {
    /// Records the sender of a batch, if it is time to, and its rejected events.
    pub(crate) async fn record_sender(
        &self,
        sighting: Sighting,
        delivers: bool,
        rejections: Vec<NewRejection>,
    ) -> Result<(), StoreError> {
        self.change(move |sql| {
            // Rows are written in the order of the batch, and others are deleted to make room.
            sql.lock(&format!("senders of {}", sighting.team.0))?;
            if delivers {
                record_machine(sql, &sighting)?;
            }
            rejections.iter().try_for_each(|rejection| record_rejection(sql, &sighting, rejection))?;
            if !rejections.is_empty() {
                make_room(sql, "rejections", "rejected_at, event_id, code, path", sighting.team)?;
            }
            Ok(())
        })
        .await
    }

    /// Machines of the teams, the newest delivery first.
    pub(crate) async fn machines(&self, teams: Vec<TeamKey>) -> Result<Vec<MachineRecord>, StoreError> {
        self.query(move |sql| {
            let select = format!(
                "SELECT team_id, email, node_id, machines.name, program, first_at, delivered_at FROM machines
                 JOIN teams ON teams.key = machines.team JOIN accounts USING (user_id)
                 WHERE machines.team IN ({}) ORDER BY delivered_at DESC, team, user_id, node_id LIMIT ?1",
                marks(2, teams.len())
            );
            let read = |row: &SqlRow| {
                Ok(MachineRecord {
                    team_id: row.get(0)?,
                    email: row.get(1)?,
                    node_id: row.get(2)?,
                    name: row.get(3)?,
                    program: row.get(4)?,
                    first_at: row.get(5)?,
                    delivered_at: row.get(6)?,
                })
            };
            sql.rows(&select, &with_teams(values![ROWS], &teams))?.iter().map(read).collect()
        })
        .await
    }

    /// Rejected events of the teams, the newest first, after `skip` of them. A team has few enough to skip.
    pub(crate) async fn rejections(
        &self,
        teams: Vec<TeamKey>,
        skip: u64,
        limit: u64,
    ) -> Result<Vec<RejectionRecord>, StoreError> {
        self.query(move |sql| {
            let select = format!(
                "SELECT team_id, email, event_id, event_type, project_uuid, code, path, reason, machine, times,
                    rejected_at
                 FROM rejections JOIN teams ON teams.key = rejections.team JOIN accounts USING (user_id)
                 WHERE rejections.team IN ({})
                 ORDER BY rejected_at DESC, team, event_id, code, path LIMIT ?1 OFFSET ?2",
                marks(3, teams.len())
            );
            let read = |row: &SqlRow| {
                Ok(RejectionRecord {
                    team_id: row.get(0)?,
                    email: row.get(1)?,
                    rejection: NewRejection {
                        event_id: row.get(2)?,
                        event_type: row.get(3)?,
                        project_uuid: row.get(4)?,
                        code: row.get(5)?,
                        path: row.get(6)?,
                        reason: row.get(7)?,
                    },
                    machine: row.get(8)?,
                    times: row.get(9)?,
                    rejected_at: row.get(10)?,
                })
            };
            sql.rows(&select, &with_teams(values![limit, skip], &teams))?.iter().map(read).collect()
        })
        .await
    }
}

fn record_machine(sql: &dyn Sql, sighting: &Sighting) -> Result<(), StoreError> {
    let Sighting { team, user_id, node_id, name, program, now } = sighting;
    sql.execute(
        "INSERT INTO machines (team, user_id, node_id, name, program, first_at, delivered_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6)
         ON CONFLICT (team, user_id, node_id)
         DO UPDATE SET name = excluded.name, program = excluded.program, delivered_at = excluded.delivered_at",
        values![*team, *user_id, *node_id, *name, *program, *now],
    )?;
    make_room(sql, "machines", "delivered_at, user_id, node_id", *team)
}

/// An event that is sent again is counted, so that it does not push others out.
fn record_rejection(sql: &dyn Sql, sighting: &Sighting, new: &NewRejection) -> Result<(), StoreError> {
    sql.execute(
        "INSERT INTO rejections (team, event_id, code, path, project_uuid, reason, event_type, user_id, machine,
             times, rejected_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, 1, ?10)
         ON CONFLICT (team, event_id, code, path)
         DO UPDATE SET reason = excluded.reason, user_id = excluded.user_id, machine = excluded.machine,
             times = rejections.times + 1, rejected_at = excluded.rejected_at",
        values![
            sighting.team,
            new.event_id,
            new.code,
            new.path,
            new.project_uuid,
            new.reason,
            new.event_type,
            sighting.user_id,
            sighting.label(),
            sighting.now
        ],
    )?;
    Ok(())
}

/// Deletes the oldest rows of a team above the bound; `age` orders them, oldest first.
fn make_room(sql: &dyn Sql, table: &str, age: &str, team: TeamKey) -> Result<(), StoreError> {
    let newest_first: Vec<String> = age.split(", ").map(|column| format!("{column} DESC")).collect();
    let delete = format!(
        "DELETE FROM {table} WHERE team = ?1 AND ({age}) <=
            (SELECT {age} FROM {table} WHERE team = ?1 ORDER BY {} LIMIT 1 OFFSET {ROWS})",
        newest_first.join(", ")
    );
    sql.execute(&delete, values![team])?;
    Ok(())
}

/// Marks of `number` parameters from `first`; one that matches nothing for none.
fn marks(first: usize, number: usize) -> String {
    let marks: Vec<String> = (first..first + number).map(|number| format!("?{number}")).collect();
    if marks.is_empty() { "-1".to_owned() } else { marks.join(", ") }
}

fn with_teams<'v>(values: &[Value<'v>], teams: &[TeamKey]) -> Vec<Value<'v>> {
    let mut all = values.to_vec();
    all.extend(teams.iter().map(|team| Value::Int(team.0)));
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{NewAccount, Store};
    use crate::time::UnixMillis;

    #[tokio::test]
    async fn team_keeps_its_newest_thousand_machines() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open_blocking(directory.path());
        let account = NewAccount {
            user_id: "usr_1".into(),
            email: "dev@example.com".into(),
            name: "Dev".into(),
            secret_hash: String::new(),
            team_id: "team".into(),
            team_name: "Team".into(),
            now: UnixMillis(0),
        };
        let team = store.create_account(account).await.unwrap().teams[0].key;
        // The oldest is neither the first nor the last to be recorded.
        let at = |number: i64| if number == 500 { 0 } else { 1 + number };
        let (rows, has_oldest) = store
            .change(move |sql| {
                for number in 0..1001 {
                    let sighting = Sighting {
                        team,
                        user_id: "usr_1".into(),
                        node_id: format!("node-{number}"),
                        name: String::new(),
                        program: String::new(),
                        now: UnixMillis(at(number)),
                    };
                    record_machine(sql, &sighting)?;
                }
                let oldest = "SELECT 1 FROM machines WHERE node_id = 'node-500'";
                Ok((sql.count("SELECT count(*) FROM machines", &[])?, sql.exists(oldest, &[])?))
            })
            .await
            .unwrap();
        assert_eq!((rows, has_oldest), (1000, false));
        assert_eq!(store.machines(vec![team]).await.unwrap().len(), 1000);
    }
}
