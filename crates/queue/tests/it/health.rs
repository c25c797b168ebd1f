//! Files that are damaged, need a rollback, are newer, or were readable by every user.

use crate::support::*;
use contract::FaultCode;
use queue::{Cure, Export, QueueError, QueueFile, observe_counts, observe_health, salvage};
use rusqlite::Connection;
use std::path::Path;

const PAGE: usize = 4096;
const LEAF_OF_A_TABLE: u8 = 13;

/// Overwrites the page that contains `text`.
fn destroy_page_with(path: &Path, text: &str) {
    destroy_page_at(path, text.as_bytes());
}

fn destroy_page_at(path: &Path, needle: &[u8]) {
    let mut bytes = fs_err::read(path).expect("a database");
    let at = bytes.windows(needle.len()).position(|window| window == needle).expect("it is there");
    let start = at / PAGE * PAGE;
    bytes[start..start + PAGE].fill(0xa5);
    fs_err::write(path, bytes).expect("damaged");
}

/// Overwrites the first leaf of a table that contains `text`; an inner page may hold it as a trace.
fn destroy_leaf_with(path: &Path, text: &str) {
    let mut bytes = fs_err::read(path).expect("a database");
    let leaf = bytes.chunks_mut(PAGE).find(|page| {
        page[0] == LEAF_OF_A_TABLE && page.windows(text.len()).any(|window| window == text.as_bytes())
    });
    leaf.expect("it is there").fill(0xa5);
    fs_err::write(path, bytes).expect("damaged");
}

fn events(range: std::ops::Range<u32>) -> impl Iterator<Item = contract::event::ValidatedEvent> {
    range.map(|number| event(&format!("01E{number:05}")))
}

#[test]
fn row_on_a_page_that_cannot_be_read_costs_its_page_and_no_more() {
    let home = Home::new();
    let path = home.scoped(&scope());
    capture(&home, &scope(), events(0..2_000));
    let id = home.cure(&scope()).queue_id().to_owned();
    // A free page holds a copy of the row, too, and its damage is none.
    home.sql(&path).execute_batch("VACUUM").expect("no free pages");
    assert_eq!(observe_health(&path, QueueFile::Active), Ok(None));
    destroy_page_with(&path, "{\"event_id\": \"01E01000\"");
    let finding = observe_health(&path, QueueFile::Active).expect("looked").expect("damage");
    assert!(!finding.is_empty());

    let salvaged = salvage(&path, QueueFile::Active).expect("salvaged").expect("a new file");
    assert!(salvaged.gaps && salvaged.left == 0, "{salvaged:?}");
    let lost = 2_000 - salvaged.events;
    assert!((1..60).contains(&lost), "one page of rows, not {lost}");
    fs_err::rename(&salvaged.path, &path).expect("put in place");
    assert_eq!(observe_health(&path, QueueFile::Active), Ok(None));
    let counts = observe_counts(&path, &no_opt_in).expect("counts");
    assert_eq!((counts.events, counts.held.len()), (salvaged.events, 0), "they may leave as before");
    assert_eq!(home.cure(&scope()).queue_id(), id);
    // Ids are not used twice, and a repeat of the lost ones brings them back.
    let last: i64 = home
        .sql(&path)
        .query_row("SELECT seq FROM sqlite_sequence WHERE name = 'queue'", [], |row| row.get(0))
        .expect("a counter");
    assert_eq!(last, 2_000);
    assert_eq!(capture(&home, &scope(), events(0..2_000)).events, lost);
}

/// Lines of an export, and its errors.
fn exported(path: &Path) -> (Vec<String>, Vec<String>) {
    let (lines, errors): (Vec<_>, Vec<_>) = Export::of(path).partition(Result::is_ok);
    let errors = errors.into_iter().map(|error| error.expect_err("an error").to_string());
    (lines.into_iter().map(|line| line.expect("a line")).collect(), errors.collect())
}

#[test]
fn export_has_every_row_that_a_salvage_saves() {
    // Rows on the first pages, in the middle and on the last page.
    for (damaged, places) in [
        (&[0, 150, 299][..], "at its beginning and in 2 more places: "),
        (&[150, 220], " and in 1 more place: "),
        (&[150], ": "),
    ] {
        let home = Home::new();
        let path = home.scoped(&scope());
        capture(&home, &scope(), events(0..300));
        home.sql(&path).execute_batch("VACUUM").expect("no free pages");
        for number in damaged {
            destroy_leaf_with(&path, &format!("{{\"event_id\": \"01E{number:05}\""));
        }
        let bytes = fs_err::read(&path).expect("bytes");
        let (lines, errors) = exported(&path);
        assert_eq!(errors.len(), 1, "{damaged:?}: {errors:?}");
        assert!(errors[0].contains("is damaged in `queue` "), "{errors:?}");
        assert!(errors[0].contains(places), "{damaged:?}: {errors:?}");
        assert_eq!(fs_err::read(&path).expect("bytes"), bytes, "the file is only read");

        let salvaged = salvage(&path, QueueFile::Active).expect("salvaged").expect("a new file");
        assert!(salvaged.gaps && (180..300).contains(&salvaged.events), "{salvaged:?}");
        assert!(lines.iter().any(|line| line.starts_with("{\"table\":\"projects\"")), "{lines:?}");
        assert_eq!(lines.len() as u64, salvaged.events + 1);
        assert_eq!((lines, Vec::new()), exported(&salvaged.path), "{damaged:?}");
    }
}

/// The offset of the two-byte rowid of an event: behind the size of the payload in its cell.
fn rowid_of_event(bytes: &[u8], number: usize) -> usize {
    let text = format!("{{\"event_id\": \"01E{number:05}\"");
    let (start, at) = (0..bytes.len())
        .step_by(PAGE)
        .filter(|start| bytes[*start] == LEAF_OF_A_TABLE)
        .find_map(|start| {
            let mut windows = bytes[start..start + PAGE].windows(text.len());
            windows.position(|window| window == text.as_bytes()).map(|at| (start, at))
        })
        .expect("it is there");
    let short = |at: usize| usize::from(u16::from_be_bytes([bytes[at], bytes[at + 1]]));
    let cells = (0..short(start + 3)).map(|cell| short(start + 8 + 2 * cell));
    let mut rowid = start + cells.filter(|cell| *cell < at).max().expect("a cell");
    while bytes[rowid] & 0x80 != 0 {
        rowid += 1;
    }
    rowid + 1
}

fn two_byte_rowid(rowid: usize) -> [u8; 2] {
    [0x80 | (rowid >> 7) as u8, (rowid & 0x7f) as u8]
}

#[test]
fn walk_ends_behind_a_forged_rowid() {
    // Far back and far ahead, before an unreadable leaf and at the end of an exported page of 500 rows.
    for (forged, destroys) in [(1, true), (16_000, true), (1, false), (16_000, false)] {
        let home = Home::new();
        let path = home.scoped(&scope());
        capture(&home, &scope(), events(0..1_500));
        home.sql(&path).execute_batch("VACUUM").expect("no free pages");
        let mut bytes = fs_err::read(&path).expect("bytes");
        let leaf = |number: usize| rowid_of_event(&bytes, number) / PAGE;
        let last = (200..300).find(|number| leaf(*number) != leaf(number + 1)).expect("several leaves");
        let number = if destroys { last } else { 499 };
        let at = rowid_of_event(&bytes, number);
        assert_eq!(bytes[at..at + 2], two_byte_rowid(number + 1), "the rowid");
        bytes[at..at + 2].copy_from_slice(&two_byte_rowid(forged));
        fs_err::write(&path, bytes).expect("forged");
        if destroys {
            destroy_leaf_with(&path, &format!("{{\"event_id\": \"01E{:05}\"", number + 1));
        }
        assert!(Export::of(&path).take(2_000).count() < 1_510, "{forged} {destroys}: it ends");
        let (lines, errors) = exported(&path);
        // Of the rows behind a rowid that is too large none is exported, and the damage is named.
        let lost = destroys || forged == 16_000;
        assert_eq!((lines.len() < 1_501, errors.len()), (lost, usize::from(lost)), "{forged}: {errors:?}");
        let salvaged = salvage(&path, QueueFile::Active).expect("salvaged").expect("a new file");
        assert_eq!(salvaged.gaps, destroys, "{salvaged:?}");
    }
}

#[test]
fn table_without_rowids_ends_an_export_and_not_a_salvage() {
    // No damage: no search for readable rows helps.
    let home = Home::new();
    fs_err::create_dir_all(home.root()).expect("a directory");
    let conn = home.sql(&home.legacy());
    conn.execute_batch(
        "CREATE TABLE queue(id INTEGER PRIMARY KEY, event_id TEXT) WITHOUT ROWID;
         INSERT INTO queue VALUES (1, '01A')",
    )
    .expect("a table");
    let errors: Vec<_> = Export::of_legacy(&home.legacy()).collect();
    let [Err(error)] = &errors[..] else { panic!("{errors:?}") };
    assert!(error.to_string().contains("no such column: rowid"), "{error}");
    let salvaged = salvage(&home.legacy(), QueueFile::Legacy).expect("salvaged").expect("a new file");
    assert_eq!((salvaged.events, salvaged.gaps), (1, false), "{salvaged:?}");
}

#[test]
fn own_table_that_cannot_be_queried_does_not_stop_a_salvage() {
    let home = Home::new();
    let path = home.scoped(&scope());
    capture(&home, &scope(), events(0..10));
    home.sql(&path)
        .execute_batch(
            "PRAGMA writable_schema = ON;
             DELETE FROM sqlite_schema WHERE type = 'index' AND tbl_name = 'parked';
             UPDATE sqlite_schema SET sql = 'CREATE TABLE parked(id INTEGER PRIMARY KEY, x AS (absent(id)))'
             WHERE name = 'parked'",
        )
        .expect("a definition with an unknown function");
    let salvaged = salvage(&path, QueueFile::Active).expect("salvaged").expect("a new file");
    assert_eq!((salvaged.events, salvaged.gaps), (10, true), "{salvaged:?}");
}

#[test]
fn invalid_own_row_does_not_stop_a_salvage() {
    let home = Home::new();
    let path = home.scoped(&scope());
    capture(&home, &scope(), events(0..10));
    home.sql(&path)
        .execute_batch(
            "INSERT INTO imported VALUES (x'ff', x'00', 'no digest'), ('queue', CAST(x'ff' AS TEXT), 7);
             INSERT INTO meta VALUES (x'ff', x'00');
             DROP TABLE parked",
        )
        .expect("nonsense");
    let salvaged = salvage(&path, QueueFile::Active).expect("salvaged").expect("a new file");
    assert_eq!((salvaged.events, salvaged.left), (10, 1), "{salvaged:?}");
    fs_err::rename(&salvaged.path, &path).expect("put in place");
    drop(salvaged);
    assert_eq!(observe_health(&path, QueueFile::Active), Ok(None));
    home.cure(&scope());
}

#[test]
fn wrong_rowid_counter_does_not_slow_a_salvage() {
    let home = Home::new();
    let path = home.scoped(&scope());
    capture(&home, &scope(), events(0..500));
    home.sql(&path)
        .execute("UPDATE sqlite_sequence SET seq = 4000000000000 WHERE name = 'queue'", [])
        .expect("a lie");
    // Split pages keep old bytes: the row is on its page, and on others as a trace.
    let needle = b"{\"event_id\": \"01E00499\"";
    while fs_err::read(&path).expect("bytes").windows(needle.len()).any(|bytes| bytes == needle) {
        destroy_page_at(&path, needle);
    }
    let salvaged = salvage(&path, QueueFile::Active).expect("salvaged").expect("a new file");
    assert!(salvaged.gaps && (400..500).contains(&salvaged.events), "{salvaged:?}");
}

#[test]
fn rows_behind_damage_are_found_wherever_their_rowids_are() {
    // Before zero, far apart, and both with the very first page gone.
    for (first, step, damaged) in
        [(-300, 1, 150), (-300, 1, 0), (1, 1_000_000_007, 150), (-1 << 60, 1 << 52, 0)]
    {
        let home = Home::new();
        fs_err::create_dir_all(home.root()).expect("a directory");
        let conn = home.sql(&home.legacy());
        conn.execute_batch("PRAGMA synchronous = OFF; PRAGMA journal_mode = MEMORY").expect("a fast test");
        conn.execute_batch(REFERENCE_TABLES).expect("tables");
        for number in 0..300_i64 {
            conn.execute(
                "INSERT INTO queue(id, event_id, event_type, data, timestamp) VALUES (?1, ?2, 'T', ?3, 1)",
                (first + number * step, format!("01E{number:05}"), format!("<{number}>{}", "x".repeat(200))),
            )
            .expect("an event");
        }
        drop(conn);
        destroy_page_with(&home.legacy(), &format!("<{damaged}>x"));
        let salvaged = salvage(&home.legacy(), QueueFile::Legacy).expect("salvaged").expect("a new file");
        assert!(salvaged.gaps && (270..300).contains(&salvaged.events), "{first} {step}: {salvaged:?}");
    }
}

#[test]
fn damaged_row_is_recovered_from_the_legacy_file() {
    let home = Home::new();
    let legacy = legacy_db(&home);
    for number in 0..200 {
        legacy_event(&legacy, &format!("01E{number:05}"), None, PROJECT);
    }
    legacy_body(&legacy, PROJECT, "spec.md");
    legacy_failure(&legacy, PROJECT, "spec.md");
    legacy
        .execute(
            "INSERT INTO queue(event_id, event_type, data, timestamp) VALUES ('odd', 'T', 'no event', 1)",
            [],
        )
        .expect("a row");
    // The state after a kill between copy and clear.
    let before = fs_err::read(home.legacy()).expect("bytes");
    home.cure(&scope()).migrate(&mut ()).expect("migrated");
    fs_err::write(home.legacy(), before).expect("put back");
    let path = home.scoped(&scope());
    destroy_page_with(&path, "\"event_id\":\"01E00100\"");

    let salvaged = salvage(&path, QueueFile::Active).expect("salvaged").expect("a new file");
    let lost = 200 - salvaged.events;
    assert!(salvaged.gaps && lost > 0, "{salvaged:?}");
    fs_err::rename(&salvaged.path, &path).expect("put in place");
    drop(salvaged);
    let report = home.cure(&scope()).migrate(&mut ()).expect("migrated");
    let moved = contract::LegacyRowCounts { event_rows: lost, ..Default::default() };
    assert_eq!((report.moved, report.duplicates.event_rows), (moved, 201 - lost), "{report:?}");
    assert_eq!((report.duplicates.body_upload_rows, report.duplicates.failure_log_rows), (1, 1));
    let conn = home.sql(&path);
    assert_eq!((count(&conn, "queue"), count(&conn, "parked"), count(&legacy, "queue")), (200, 1, 0));
}

#[test]
fn row_with_lost_binding_is_held_until_opt_in() {
    let home = Home::new();
    let path = home.scoped(&scope());
    capture(&home, &scope(), events(0..2_000));
    let digest: Vec<u8> = home
        .sql(&path)
        .query_row("SELECT digest FROM bindings WHERE kind = 0 AND row = 1000", [], |row| row.get(0))
        .expect("a binding");
    destroy_page_at(&path, &digest);
    let salvaged = salvage(&path, QueueFile::Active).expect("salvaged").expect("a new file");
    assert!(salvaged.gaps && salvaged.events == 2_000, "{salvaged:?}");
    fs_err::rename(&salvaged.path, &path).expect("put in place");
    drop(salvaged);
    let held = |consent: &dyn queue::ConsentView| -> u64 {
        let counts = observe_counts(&path, consent).expect("counts");
        assert_eq!(counts.events, 2_000);
        counts.held.iter().map(|held| held.events).sum()
    };
    let lost = held(&no_opt_in);
    assert!((1..200).contains(&lost), "the rows of one page, not {lost}");
    home.cure(&scope());
    assert_eq!((held(&no_opt_in), held(&all_opted_in)), (lost, 0), "bound again, by their content");
    let conn = home.sql(&path);
    let tallied: i64 = conn
        .query_row("SELECT SUM(waiting) FROM tallies WHERE kind = 0", [], |row| row.get(0))
        .expect("a count");
    assert_eq!((tallied, count(&conn, "bindings")), (2_000, 2_000));
}

#[test]
fn broken_list_of_tables_costs_nothing() {
    let home = Home::new();
    let path = home.scoped(&scope());
    capture(&home, &scope(), events(0..500));
    let conn = home.sql(&path);
    // Two indexes on one page: SQLite refuses to read the list at all.
    conn.execute_batch(
        "PRAGMA writable_schema = ON;
         UPDATE sqlite_schema SET rootpage = (SELECT rootpage FROM sqlite_schema WHERE name = 'idx_retry')
             WHERE name = 'idx_timestamp'",
    )
    .expect("broken");
    drop(conn);
    let queue::ObserveError::Fault(fault) =
        observe_health(&path, QueueFile::Active).expect_err("no list of tables")
    else {
        panic!("a fault")
    };
    assert_eq!(fault.code, FaultCode::ActiveQueueUnreadable);
    let (lines, errors) = exported(&path);
    assert_eq!((lines.len(), errors.len()), (501, 0), "{errors:?}");
    let salvaged = salvage(&path, QueueFile::Active).expect("salvaged").expect("a new file");
    assert_eq!((salvaged.events, salvaged.left, salvaged.gaps), (500, 0, false));
}

/// A disk that ignores syncs leaves such files; checks of pages find nothing in them.
#[test]
fn stale_index_is_found_by_a_drain_and_rebuilt_by_a_salvage() {
    let home = Home::new();
    let path = home.scoped(&scope());
    capture(&home, &scope(), events(0..20));
    // Hidden from SQLite, the index keeps the entry of a deleted row and lacks that of a new one.
    let index = "type, name, tbl_name, rootpage, sql";
    let steps = [
        &*format!(
            "CREATE TEMP TABLE hidden AS SELECT {index} FROM sqlite_schema WHERE name = 'bindings_order'"
        ),
        "PRAGMA writable_schema = ON; DELETE FROM sqlite_schema WHERE name = 'bindings_order';
         PRAGMA writable_schema = RESET",
        "DELETE FROM queue WHERE id = 7;
         INSERT INTO queue(event_id, event_type, data, timestamp)
             SELECT 'another', event_type, data, timestamp FROM queue WHERE id = 8;
         INSERT INTO bindings(kind, row, place, hold, at, digest)
             SELECT kind, (SELECT max(id) FROM queue), place, hold, at, digest FROM bindings WHERE row = 8",
        &*format!(
            "PRAGMA writable_schema = ON; INSERT INTO sqlite_schema({index}) SELECT * FROM hidden;
             PRAGMA writable_schema = OFF"
        ),
    ];
    let conn = home.sql(&path);
    for step in steps {
        conn.execute_batch(step).expect(step);
    }
    drop(conn);
    assert_eq!(observe_health(&path, QueueFile::Active).expect("looked at"), None);
    let refused = read_all(&home).expect_err("the entry cannot be removed");
    assert!(refused.contains("an index disagrees with its table"), "{refused}");
    let found = observe_health(&path, QueueFile::Active).expect("looked at");
    assert_eq!(found.as_deref(), Some("an index disagrees with its table"), "and is remembered");
    let salvaged = salvage(&path, QueueFile::Active).expect("salvaged").expect("a new file");
    assert_eq!((salvaged.events, salvaged.left, salvaged.gaps), (20, 0, false));
    fs_err::rename(&salvaged.path, &path).expect("put in place");
    drop(salvaged);
    assert_eq!(read_all(&home), Ok(20));
}

/// Number of events that a drain reads.
fn read_all(home: &Home) -> Result<usize, String> {
    let (mut outbox, mut skip, mut read) = (home.outbox(&scope()), queue::SkipSet::default(), 0);
    let limits = queue::BatchLimits { rows: 100, bytes: 1 << 20 };
    loop {
        let batch = outbox.read_events(limits, &all_opted_in, &skip).map_err(|error| format!("{error:?}"))?;
        let Some(batch) = batch else { return Ok(read) };
        read += batch.rows.len();
        batch.rows.iter().for_each(|row| skip.skip_row(row.row));
    }
}

#[test]
fn legacy_file_keeps_shape_claims_and_non_utf8_text() {
    let home = Home::new();
    fs_err::create_dir_all(home.root()).expect("a directory");
    let conn = home.sql(&home.legacy());
    conn.execute_batch(
        "CREATE TABLE queue (id INTEGER PRIMARY KEY, event_id TEXT UNIQUE, event_type TEXT, data TEXT, timestamp INTEGER);
         INSERT INTO queue(event_id, event_type, data, timestamp)
            VALUES ('01A', 'T', '{}', 7), (NULL, 'T', CAST(x'ff00' AS TEXT), 7), ('01C', x'00', NULL, 'noon');
         CREATE TABLE claims (\"table\" TEXT, key TEXT, scope TEXT, PRIMARY KEY (\"table\", key)) WITHOUT ROWID;
         INSERT INTO claims VALUES ('queue', '01A', 'another scope');
         CREATE TRIGGER theirs AFTER INSERT ON queue BEGIN DELETE FROM queue; END;
         CREATE VIEW seen AS SELECT * FROM queue",
    )
    .expect("an old file");
    let dump = |conn: &Connection| -> Vec<String> {
        let mut select = conn
            .prepare("SELECT quote(id) || quote(event_id) || quote(event_type) || hex(data) || typeof(data) || quote(timestamp) FROM queue ORDER BY id")
            .expect("a table");
        select.query_map([], |row| row.get(0)).expect("rows").collect::<Result<_, _>>().expect("rows")
    };
    let before = dump(&conn);
    let salvaged = salvage(&home.legacy(), QueueFile::Legacy).expect("salvaged").expect("a new file");
    let new = home.sql(&salvaged.path);
    assert_eq!(dump(&new), before);
    assert_eq!((count(&new, "claims"), salvaged.events, salvaged.others), (1, 3, 1));
    let strange: i64 = new
        .query_row("SELECT COUNT(*) FROM sqlite_schema WHERE type IN ('trigger', 'view')", [], |row| {
            row.get(0)
        })
        .expect("a count");
    assert_eq!(strange, 0, "what would run by itself is not taken along");
}

#[test]
fn rows_that_are_known_by_their_rowid_alone_keep_it() {
    let home = Home::new();
    fs_err::create_dir_all(home.root()).expect("a directory");
    home.sql(&home.legacy())
        .execute_batch(
            "CREATE TABLE queue (event_id TEXT, event_type TEXT, data TEXT, timestamp INTEGER);
             INSERT INTO queue VALUES ('01A', 'T', '{}', 7), (NULL, 'T', '{}', 7), (NULL, 'T', '{}', 7);
             DELETE FROM queue WHERE rowid = 1",
        )
        .expect("an old file");
    let salvaged = salvage(&home.legacy(), QueueFile::Legacy).expect("salvaged").expect("a new file");
    let rowids: (i64, i64) = home
        .sql(&salvaged.path)
        .query_row("SELECT MIN(rowid), MAX(rowid) FROM queue", [], |row| Ok((row.get(0)?, row.get(1)?)))
        .expect("rows");
    assert_eq!(rowids, (2, 3));
}

#[test]
fn file_under_salvage_is_not_written() {
    let home = Home::new();
    let path = home.scoped(&scope());
    capture(&home, &scope(), events(0..10));
    let salvaged = salvage(&path, QueueFile::Active).expect("salvaged").expect("a new file");
    let other = home.sql(&path);
    other.busy_timeout(std::time::Duration::ZERO).expect("no patience");
    assert!(other.execute("DELETE FROM queue", []).is_err());
    drop(salvaged);
    other.execute("DELETE FROM queue", []).expect("free again");
}

#[test]
fn file_that_is_no_database_is_not_salvaged_and_stays() {
    let home = Home::new();
    fs_err::create_dir_all(home.root()).expect("a directory");
    fs_err::write(home.legacy(), "no database at all, and not empty").expect("written");
    assert!(salvage(&home.legacy(), QueueFile::Legacy).expect("looked").is_none());
    assert_eq!(fs_err::read_dir(home.root()).expect("a listing").count(), 1, "nothing is left behind");
}

/// A writer that is killed between two pages of a commit leaves a hot journal.
fn leave_hot_journal(path: &Path) {
    let conn = Connection::open(path).expect("a database");
    conn.execute_batch("PRAGMA journal_mode = DELETE; PRAGMA cache_size = 2; BEGIN IMMEDIATE")
        .expect("begun");
    conn.execute_batch(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 300)
         INSERT INTO queue(event_id, event_type, data, timestamp) SELECT 'half' || i, 'T', hex(zeroblob(900)), 1 FROM n",
    )
    .expect("half written");
    let journal = |path: &Path| {
        let mut name = path.as_os_str().to_owned();
        name.push("-journal");
        std::path::PathBuf::from(name)
    };
    let copy = path.with_extension("copy");
    fs_err::copy(path, &copy).expect("copied");
    fs_err::copy(journal(path), journal(&copy)).expect("copied");
    drop(conn);
    fs_err::rename(&copy, path).expect("put in place");
    fs_err::rename(journal(&copy), journal(path)).expect("put in place");
}

#[test]
fn unclean_end_checks_pages_before_writing() {
    let home = Home::new();
    let path = home.scoped(&scope());
    capture(&home, &scope(), events(0..300));
    leave_hot_journal(&path);
    Cure::open(&home_permit(&home)).expect("rolled back");
    assert_eq!(count(&home.sql(&path), "queue"), 300);

    // The same end on a disk that lost a page on the way.
    leave_hot_journal(&path);
    destroy_page_with(&path, "{\"event_id\": \"01E00150\"");
    let permit = home_permit(&home);
    let error = Cure::open(&permit).expect_err("damaged");
    let QueueError::Fault(fault) = error else { panic!("{error}") };
    assert_eq!((fault.code, &fault.remedy), (FaultCode::ActiveQueueUnreadable, &contract::Remedy::Repair));
    assert!(fault.detail.contains("is damaged"), "{}", fault.detail);

    // The journal is gone, and the damage is recorded: every write is refused until it is repaired.
    let again = Cure::open(&permit).expect_err("still damaged");
    assert_eq!(again.to_string(), QueueError::Fault(fault).to_string());
    assert!(queue::observe_active(&path).is_err(), "the gate knows, too");
    assert!(observe_health(&path, QueueFile::Active).expect("looked").is_some());
    let salvaged = salvage(&path, QueueFile::Active).expect("salvaged").expect("a new file");
    assert!((240..300).contains(&salvaged.events), "{salvaged:?}");
    fs_err::rename(&salvaged.path, &path).expect("put in place");
    home.cure(&scope());
    assert_eq!(observe_health(&path, QueueFile::Active), Ok(None));
}

/// A permit for a file that may not be observed first.
fn home_permit(home: &Home) -> gate::CurePermit {
    cure_permit(facts(&scope(), &home.scoped(&scope()), &home.legacy(), None))
}

#[test]
fn rollback_is_salvaged_without_what_was_half_done() {
    let home = Home::new();
    let path = home.scoped(&scope());
    capture(&home, &scope(), events(0..300));
    leave_hot_journal(&path);
    let bytes = fs_err::read(&path).expect("bytes");
    let salvaged = salvage(&path, QueueFile::Active).expect("salvaged").expect("a new file");
    assert_eq!((salvaged.events, salvaged.gaps), (300, false));
    assert_eq!(fs_err::read(&path).expect("bytes"), bytes, "the old file is only read");
}

#[test]
fn live_writers_journal_is_no_unclean_end() {
    let home = Home::new();
    let path = home.scoped(&scope());
    capture(&home, &scope(), events(0..300));
    let writer = home.sql(&path);
    writer
        .execute_batch("PRAGMA cache_size = 2; BEGIN IMMEDIATE; UPDATE queue SET retry_count = 1")
        .expect("at work");
    std::thread::scope(|threads| {
        let (started, start) = std::sync::mpsc::channel();
        let opening = threads.spawn({
            let permit = home_permit(&home);
            move || {
                started.send(()).expect("heard");
                Cure::open(&permit)
            }
        });
        start.recv().expect("it opens");
        writer.execute_batch("COMMIT").expect("committed");
        opening.join().expect("no panic").expect("opened as soon as the writer was done");
    });
}

#[test]
fn newer_schema_is_refused_and_left_unchanged() {
    let home = Home::new();
    let path = home.scoped(&scope());
    capture(&home, &scope(), events(0..1));
    let permit = home_permit(&home);
    home.sql(&path).execute("UPDATE meta SET value = 99 WHERE key = 'schema_version'", []).expect("newer");
    let bytes = fs_err::read(&path).expect("bytes");
    let QueueError::Fault(fault) = Cure::open(&permit).expect_err("refused") else { panic!("a fault") };
    assert_eq!(fault.code, FaultCode::QueueSchemaNewer);
    assert!(fault.detail.contains("schema 99; this release supports up to 2"), "{}", fault.detail);
    let contract::Remedy::Advice(advice) = &fault.remedy else { panic!("an advice") };
    assert!(advice.contains("update spec-kitty"), "{advice}");
    assert!(queue::observe_active(&path).is_err() && observe_counts(&path, &no_opt_in).is_err());
    assert_eq!(fs_err::read(&path).expect("bytes"), bytes);
}

#[cfg(unix)]
#[test]
fn open_files_are_made_private_when_written() {
    use std::os::unix::fs::PermissionsExt as _;
    let home = Home::new();
    legacy_event(&legacy_db(&home), "01A", None, PROJECT);
    let path = home.scoped(&scope());
    capture(&home, &scope(), events(0..1));
    let open = |path: &Path, mode: u32| {
        fs_err::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("opened");
    };
    let mode = |path: &Path| fs_err::metadata(path).expect("there").permissions().mode() & 0o777;
    let queues = path.parent().expect("a directory").to_owned();
    open(&path, 0o666);
    open(&home.legacy(), 0o644);
    open(&queues, 0o755);
    open(home.root(), 0o777);
    home.cure(&scope()).migrate(&mut ()).expect("migrated");
    assert_eq!((mode(&path), mode(&home.legacy())), (0o600, 0o600));
    assert_eq!((mode(&queues), mode(home.root())), (0o700, 0o700));
}

#[test]
fn torn_header_beside_a_hot_journal_is_rolled_back() {
    let home = Home::new();
    let path = home.scoped(&scope());
    capture(&home, &scope(), events(0..300));
    let permit = home_permit(&home);
    leave_hot_journal(&path);
    // The first page as a power cut leaves it.
    let mut torn = fs_err::read(&path).expect("a database");
    torn[..512].fill(0xa5);
    fs_err::write(&path, &torn).expect("torn");
    let fault = observe_health(&path, QueueFile::Active).expect_err("not read").to_string();
    assert!(fault.contains("hot journal"), "{fault}");
    assert!(fs_err::read(&path).expect("the file") == torn, "looking changes nothing");
    Cure::open(&permit).expect("rolled back");
    assert_eq!(count(&home.sql(&path), "queue"), 300);

    // Without a journal it is no database.
    fs_err::write(&path, &torn).expect("torn");
    let fault = observe_health(&path, QueueFile::Active).expect_err("not read").to_string();
    assert!(fault.contains("is not a SQLite database"), "{fault}");
}
