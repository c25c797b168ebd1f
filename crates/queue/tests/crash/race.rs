//! Processes that do the same at the same instant.

use crate::stage::lines;
use crate::support::*;
use crate::victim::{Act, end, go, start};
use rusqlite::Connection;

#[test]
fn eight_processes_that_capture_at_once_lose_nothing() {
    const EACH: usize = 25;
    let dir = tempfile::tempdir().expect("a directory");
    let stage = Stage::at(dir.path());
    let ids = |process: usize| (0..EACH).map(move |number| format!("01P{process}N{number:02}"));
    let mut processes: Vec<_> = (0..8)
        .map(|process| {
            let act = Act::Capture { ids: ids(process).collect(), bodies: vec![format!("p{process}.md")] };
            start(&stage, &scope(), &act, None)
        })
        .collect();
    processes.iter_mut().for_each(go);
    for process in processes {
        assert!(end(process).success());
    }
    let waiting = stage.waiting(&scope());
    for id in (0..8).flat_map(ids) {
        assert_eq!(waiting.get(&(id.clone(), 'c')), Some(&1), "{id}");
    }
    assert_eq!((waiting.len(), lines(&stage.acks()).len()), (8 * EACH, 8 * EACH));
    assert_eq!(stage.count(&scope(), "body_upload_queue"), 8);
    assert_eq!(stage.count(&scope(), "prepared"), 0);
}

#[test]
fn concurrent_migrations_of_two_accounts_share_no_row() {
    const ROWS: usize = 12;
    let mut first_got_some = 0;
    for round in 0..100 {
        let dir = tempfile::tempdir().expect("a directory");
        let stage = Stage::at(dir.path());
        let legacy = Connection::open(stage.legacy()).expect("a database");
        legacy.execute_batch("PRAGMA synchronous = OFF").expect("a fast test");
        legacy.execute_batch(REFERENCE_TABLES).expect("tables");
        for row in 0..ROWS {
            legacy_event(&legacy, &format!("01R{row:02}"), None, PROJECT);
        }
        legacy_body(&legacy, PROJECT, "spec.md");
        legacy_failure(&legacy, PROJECT, "spec.md");
        drop(legacy);
        let scopes = [scope(), other_scope()];
        let mut processes = scopes.each_ref().map(|scope| start(&stage, scope, &Act::Migrate, None));
        processes.iter_mut().for_each(go);
        for process in processes {
            assert!(end(process).success(), "round {round}");
        }
        let held = scopes.each_ref().map(|scope| stage.waiting(scope).len());
        assert_eq!(held.iter().sum::<usize>(), ROWS, "round {round}: {held:?}");
        for table in ["body_upload_queue", "body_upload_failure_log"] {
            let held = scopes.each_ref().map(|scope| stage.count(scope, table));
            assert_eq!(held.iter().sum::<i64>(), 1, "round {round}: {table}: {held:?}");
        }
        let legacy = Connection::open(stage.legacy()).expect("a database");
        assert_eq!((count(&legacy, "queue"), count(&legacy, "claims")), (0, 0), "round {round}");
        first_got_some += usize::from(held[0] > 0);
    }
    eprintln!("the first account won {first_got_some} of 100 races");
}
