//! Cost of the queue, as a multiple of the same work in bare SQLite (or of one durable write) in the
//! same run, because absolute times depend on the disk of the day.
//!
//! `cargo bench -p spec-kitty-queue --bench ratios -- [rows] [part ...]`; nothing here is asserted.
#![allow(clippy::print_stdout, clippy::print_stderr, unreachable_pub, dead_code)]

mod memory;
#[path = "../../tests/it/support.rs"]
mod support;

use queue::{Capacity, Writer, observe_active, observe_counts, observe_known_events, observe_legacy};
use rusqlite::{Connection, params};
use serde_json::json;
use std::hint::black_box;
use std::io::Write as _;
use std::time::{Duration, Instant};
use support::*;

fn main() {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    if let [part, home] = &words[..]
        && part == memory::CHILD
    {
        return memory::child(home);
    }
    let asked: Option<i64> = words.iter().filter_map(|word| word.parse().ok()).next();
    let rows = asked.unwrap_or(100_000);
    let sizes = asked.map_or_else(|| vec![10_000, 100_000, 500_000], |rows| vec![rows]);
    println!("{:<66}{:>11}{:>11}{:>8}{:>11}", "operation", "ours", "yardstick", "ratio", "ours, cpu");
    let wanted: Vec<&String> = words.iter().filter(|word| word.chars().all(char::is_alphabetic)).collect();
    let parts: [(&str, &dyn Fn()); 9] = [
        ("gate", &|| gate(rows)),
        ("scan", &|| scan(rows)),
        ("capture", &capture_one),
        ("writers", &eight_writers),
        ("migration", &|| sizes.iter().for_each(|rows| migration(*rows))),
        ("mixed", &|| mixed_migration(rows)),
        ("drain", &|| drain(rows.min(50_000))),
        ("counts", &|| counts(asked.unwrap_or(1_000_000))),
        ("memory", &memory::peak),
    ];
    for (name, part) in parts {
        if wanted.is_empty() || wanted.iter().any(|word| *word == name) {
            part();
        }
    }
}

/// A measurement: on the wall, and on the processor where the system tells.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Took {
    wall: Duration,
    cpu: Duration,
}

fn show(what: &str, ours: Took, yardstick: Took) {
    let ratio = ours.wall.as_secs_f64() / yardstick.wall.as_secs_f64();
    let cpu = format!("{:.2?}", ours.cpu);
    println!(
        "{what:<66}{:>11}{:>11}{ratio:>8.2}{cpu:>11}",
        format!("{:.2?}", ours.wall),
        format!("{:.2?}", yardstick.wall)
    );
}

/// The middle of `tries` measurements.
fn median(tries: usize, mut work: impl FnMut() -> Took) -> Took {
    let mut all: Vec<_> = (0..tries).map(|_| work()).collect();
    all.sort();
    all[tries / 2]
}

fn timed(work: impl FnOnce()) -> Took {
    let (start, spent) = (Instant::now(), cpu_time());
    work();
    Took { wall: start.elapsed(), cpu: cpu_time().saturating_sub(spent) }
}

/// Processor time of this thread; zero where the system does not report it.
fn cpu_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let spent = stat.split(' ').next().and_then(|field| field.parse().ok());
    Duration::from_nanos(spent.unwrap_or_default())
}

/// One durable append to a file of the same directory.
fn one_sync(home: &Home) -> Took {
    fs_err::create_dir_all(home.root()).expect("a directory");
    let mut file = std::fs::File::create(home.root().join("sync")).expect("a file");
    median(51, || {
        timed(|| {
            file.write_all(&[7; 4096]).expect("written");
            file.sync_data().expect("synced");
        })
    })
}

fn bare(home: &Home, name: &str) -> Connection {
    fs_err::create_dir_all(home.root()).expect("a directory");
    let conn = home.sql(&home.root().join(name));
    conn.query_row("PRAGMA journal_mode = TRUNCATE", [], |_| Ok(())).expect("a journal");
    conn.execute_batch("PRAGMA synchronous = FULL").expect("synchronous");
    conn.execute_batch(REFERENCE_TABLES).expect("tables");
    conn
}

fn gate(rows: i64) {
    let home = Home::new();
    fill_legacy(&home, rows, 1);
    capture(&home, &scope(), [event("01A")]);
    home.cure(&scope()).write_legacy_counts().expect("cached counts");
    let path = home.scoped(&scope());
    let open = median(501, || {
        timed(|| {
            let conn =
                Connection::open_with_flags(&path, rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY).expect("open");
            black_box(conn.query_row("SELECT 1 FROM meta", [], |row| row.get::<_, i64>(0)).expect("a row"));
        })
    });
    let ours = median(501, || timed(|| drop(black_box(observe_active(&path).expect("active")))));
    show("observe_active, against one bare read-only open", ours, open);
    let cached = observe_active(&path).expect("active").legacy_counts;
    let cached = median(501, || {
        timed(|| {
            _ = black_box(observe_legacy(&home.legacy(), Some(&scope()), cached.as_ref()).expect("seen"))
        })
    });
    show(&format!("observe_legacy of {rows} rows, cached, against the open"), cached, open);
    let scan = median(3, || {
        timed(|| _ = black_box(observe_legacy(&home.legacy(), Some(&scope()), None).expect("seen")))
    });
    show(&format!("observe_legacy of {rows} rows, scanned, against the cache"), scan, cached);
}

/// Rows of another account, which the gate has to tell from ours.
fn scan(rows: i64) {
    let home = Home::new();
    fill_with(&home, rows, |_| json!("team-OTHER-02"), 0);
    capture(&home, &scope(), [event("01A")]);
    home.cure(&scope()).write_legacy_counts().expect("cached counts");
    let cached = observe_active(&home.scoped(&scope())).expect("active").legacy_counts;
    let conn = home.sql(&home.legacy());
    let every_row = "SELECT SUM(LENGTH(data)) FROM queue";
    let yardstick = median(3, || {
        timed(|| _ = black_box(conn.query_row(every_row, [], |row| row.get::<_, i64>(0)).expect("a sum")))
    });
    let scanned = median(3, || {
        timed(|| _ = black_box(observe_legacy(&home.legacy(), Some(&scope()), None).expect("seen")))
    });
    show(&format!("{rows} rows of others, scanned, against reading them in SQL"), scanned, yardstick);
    let cached = median(501, || {
        timed(|| {
            _ = black_box(observe_legacy(&home.legacy(), Some(&scope()), cached.as_ref()).expect("seen"))
        })
    });
    show(&format!("{rows} rows of others, cached, against the scan"), cached, scanned);
}

/// Eight threads with a connection each, as eight processes would have.
fn eight_writers() {
    const WRITERS: usize = 8;
    const EACH: usize = 25;
    let home = Home::new();
    drop(bare(&home, "bare.db"));
    let data = event("0").text().to_owned();
    let all = |work: &(dyn Fn(usize) + Sync)| {
        timed(|| {
            std::thread::scope(|threads| {
                for writer in 0..WRITERS {
                    threads.spawn(move || work(writer));
                }
            });
        })
    };
    let yardstick = all(&|writer| {
        let conn = home.sql(&home.root().join("bare.db"));
        conn.busy_timeout(Duration::from_secs(30)).expect("patience");
        conn.execute_batch("PRAGMA synchronous = FULL").expect("synchronous");
        conn.query_row("PRAGMA journal_mode = TRUNCATE", [], |_| Ok(())).expect("a journal");
        for number in 0..EACH {
            for step in 0..2 {
                conn.execute(
                    "INSERT INTO queue(event_id, event_type, data, timestamp) VALUES (?1, 'T', ?2, 1)",
                    params![format!("{writer}-{number}-{step}"), data],
                )
                .expect("inserted");
            }
        }
    });
    capture(&home, &scope(), [event("01A")]);
    let ours = all(&|writer| {
        let permit = home.capture_permit(&scope());
        let mut open = Writer::open(&permit, Capacity(100_000)).expect("a writer");
        for number in 0..EACH {
            let capture = unproven([event(&format!("{writer}-{number}"))]);
            let prepared = open.prepare(&capture).expect("prepared");
            open.confirm(prepared).expect("confirmed");
        }
    });
    let captured = WRITERS * EACH;
    assert_eq!(count(&home.sql(&home.scoped(&scope())), "queue"), captured as i64 + 1);
    show(&format!("{captured} captures by eight writers, against the same commits"), ours, yardstick);
}

fn capture_one() {
    let home = Home::new();
    let sync = one_sync(&home);
    let conn = bare(&home, "bare.db");
    let data = event("0").text().to_owned();
    let mut number = 0;
    let yardstick = median(101, || {
        number += 1;
        timed(|| {
            for step in 0..2 {
                conn.execute(
                    "INSERT INTO queue(event_id, event_type, data, timestamp) VALUES (?1, 'T', ?2, 1)",
                    params![format!("{number}-{step}"), data],
                )
                .expect("inserted");
            }
        })
    });
    let mut writer = home.writer(&scope());
    let held = median(101, || {
        number += 1;
        let capture = unproven([event(&format!("{number}"))]);
        timed(|| {
            let prepared = writer.prepare(&capture).expect("prepared");
            writer.confirm(prepared).expect("confirmed");
        })
    });
    show("capture of one event, against the same two commits", held, yardstick);
    show("capture of one event, against one durable append", held, sync);
    show("the two commits, against one durable append", yardstick, sync);
    drop(writer);
    let one_shot = median(51, || {
        number += 1;
        let capture = unproven([event(&format!("{number}"))]);
        let permit = home.capture_permit(&scope());
        timed(|| {
            let mut writer = Writer::open(&permit, Capacity(100_000)).expect("a writer");
            let prepared = writer.prepare(&capture).expect("prepared");
            writer.confirm(prepared).expect("confirmed");
        })
    });
    show("capture of one event, opened for it", one_shot, yardstick);
}

/// A legacy file of `rows` events of 600 bytes, of `teams` teams in turn.
fn fill_legacy(home: &Home, rows: i64, teams: i64) {
    let team = |row: i64| if teams > 1 && row % teams == 0 { json!("team-OTHER-02") } else { json!(null) };
    fill_with(home, rows, team, 0);
}

/// The same, with a team for each row, and every `edited`th row saying something else.
fn fill_with(home: &Home, rows: i64, team: impl Fn(i64) -> serde_json::Value, edited: i64) {
    let conn = legacy_db(home);
    conn.execute_batch("BEGIN").expect("begun");
    let mut insert = conn
        .prepare(
            "INSERT INTO queue(event_id, event_type, data, timestamp) VALUES (?1, 'WPStatusChanged', ?2, ?3)",
        )
        .expect("a statement");
    for row in 0..rows {
        let id = format!("01M817{row:020}");
        let wp = if edited > 0 && row % edited == 0 { "WP99" } else { "WP01" };
        let data = json!({
            "event_id": id, "event_type": "WPStatusChanged", "team_slug": team(row), "project_uuid": PROJECT,
            "repo_slug": "acme/widgets", "payload": {"wp_id": wp, "text": "x".repeat(400)},
        });
        insert.execute(params![id, data.to_string(), 1_000 + row]).expect("inserted");
    }
    drop(insert);
    conn.execute_batch("COMMIT").expect("committed");
}

/// The least that a migration does, in SQL alone: insert or ignore, delete.
fn merge_in_sql(bare: &Home, conn: &Connection) -> Took {
    let legacy = bare.legacy();
    conn.execute("ATTACH ?1 AS legacy", [legacy.to_str().expect("a path")]).expect("attached");
    let took = timed(|| {
        conn.execute_batch(
            "BEGIN IMMEDIATE;
             INSERT OR IGNORE INTO main.queue(event_id, event_type, data, timestamp, retry_count, coalesce_key)
                SELECT event_id, event_type, data, timestamp, retry_count, coalesce_key FROM legacy.queue;
             DELETE FROM legacy.queue;
             COMMIT",
        )
        .expect("merged");
    });
    conn.execute_batch("DETACH legacy").expect("detached");
    took
}

fn migration(rows: i64) {
    let (home, bare_home) = (Home::new(), Home::new());
    let conn = bare(&bare_home, "bare.db");
    let mut cure = home.cure(&scope());
    let no_team = |_| json!(null);
    let mut round = |what: &str, edited: i64, check: &dyn Fn(&queue::MigrationReport)| {
        for each in [&home, &bare_home] {
            if each.legacy().exists() {
                fs_err::remove_file(each.legacy()).expect("removed");
            }
            fill_with(each, rows, no_team, edited);
        }
        let yardstick = merge_in_sql(&bare_home, &conn);
        let ours = timed(|| check(&cure.migrate(&mut ()).expect("migrated")));
        show(&format!("migration of {rows} rows, {what}, against INSERT SELECT + DELETE"), ours, yardstick);
    };
    let all = rows.unsigned_abs();
    round("all new", 0, &|report| assert_eq!(report.moved.event_rows, all));
    round("all duplicate", 0, &|report| assert_eq!(report.duplicates.event_rows, all));
    round("10 % divergent", 10, &|report| assert_eq!(report.conflicts.event_rows, all.div_ceil(10)));
    let sync = one_sync(&home);
    let again = timed(|| drop(cure.migrate(&mut ()).expect("migrated")));
    show("the same again, nothing left, against one durable append", again, sync);
}

fn mixed_migration(rows: i64) {
    let home = Home::new();
    fill_legacy(&home, rows, 2);
    let mut cure = home.cure(&scope());
    let sync = one_sync(&home);
    let ours = timed(|| drop(cure.migrate(&mut ()).expect("migrated")));
    show(&format!("migration of {rows} rows of two scopes, against one sync"), ours, sync);
}

fn drain(rows: i64) {
    let home = Home::new();
    let mut writer = home.writer(&scope());
    let capture = unproven((0..rows).map(|row| event(&format!("01{row:024}"))));
    let prepared = writer.prepare(&capture).expect("prepared");
    writer.confirm(prepared).expect("confirmed");
    let bare_home = Home::new();
    let conn = bare(&bare_home, "bare.db");
    conn.execute_batch("BEGIN").expect("begun");
    for row in 0..rows {
        let row = event(&format!("01{row:024}"));
        conn.prepare_cached(
            "INSERT INTO queue(event_id, event_type, data, timestamp) VALUES (?1, 'T', ?2, 1)",
        )
        .expect("a statement")
        .execute([row.id(), row.text()])
        .expect("inserted");
    }
    conn.execute_batch("COMMIT").expect("committed");
    let yardstick = timed(|| {
        loop {
            let ids: Vec<(i64, String)> = conn
                .prepare_cached("SELECT id, data FROM queue ORDER BY timestamp, id LIMIT 1000")
                .expect("a statement")
                .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))
                .expect("rows")
                .collect::<Result<_, _>>()
                .expect("rows");
            if ids.is_empty() {
                break;
            }
            conn.execute_batch("BEGIN IMMEDIATE").expect("begun");
            for (id, _) in &ids {
                conn.prepare_cached("DELETE FROM queue WHERE id = ?1")
                    .expect("a statement")
                    .execute([id])
                    .expect("gone");
            }
            conn.execute_batch("COMMIT").expect("committed");
        }
    });
    let mut outbox = home.outbox(&scope());
    let ours = timed(|| {
        while let Some(batch) = outbox.read_events(PLENTY, &all_opted_in, &Default::default()).expect("read")
        {
            let outcomes: Vec<_> =
                batch.rows.iter().map(|row| (row.row, row.digest, queue::RowOutcome::Delivered)).collect();
            outbox.record(&outcomes).expect("recorded");
        }
    });
    show(&format!("drain of {rows} rows, against read + DELETE"), ours, yardstick);
}

fn counts(rows: i64) {
    let home = Home::new();
    fill_legacy(&home, rows, 1);
    home.cure(&scope()).migrate(&mut ()).expect("migrated");
    let path = home.scoped(&scope());
    let conn = home.sql(&path);
    let yardstick = median(11, || {
        timed(|| {
            let conn = Connection::open(&path).expect("open");
            black_box(count(&conn, "queue"));
        })
    });
    let ours = median(11, || timed(|| drop(black_box(observe_counts(&path, &no_opt_in).expect("counts")))));
    show(&format!("observe_counts of {rows} held rows, against COUNT(*)"), ours, yardstick);
    let ids = [format!("01M817{:020}", rows / 2)];
    let yardstick = median(101, || {
        timed(|| {
            let conn = Connection::open(&path).expect("open");
            let mut select = conn.prepare("SELECT 1 FROM queue WHERE event_id = ?1").expect("a statement");
            assert!(black_box(select.exists([&ids[0]]).expect("an answer")));
        })
    });
    let ours = median(101, || {
        timed(|| assert_eq!(black_box(observe_known_events(&path, &ids).expect("known")).len(), 1))
    });
    show(&format!("whether one of {rows} events is known, against EXISTS"), ours, yardstick);
    drop(conn);
}
