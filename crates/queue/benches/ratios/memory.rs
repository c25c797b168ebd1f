//! Peak memory of a migration and of a drain of large bodies: a process of their own,
//! because a peak is a process's.

use crate::support::*;
use queue::{BatchLimits, RowOutcome};
use std::path::Path;
use std::process::Command;

/// The part of the benchmark that is the child.
pub const CHILD: &str = "memorychild";

/// Bodies, and the size of each: the largest that a producer captures.
const BODIES: usize = 200;
const SIZE: usize = 512 * 1024;

/// The peak of this process, in KiB; nothing where the system does not tell.
fn peak_kib() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().trim_end_matches(" kB").parse().ok()
}

/// Measures in a child process.
pub fn peak() {
    let home = Home::new();
    let legacy = legacy_db(&home);
    for number in 0..BODIES {
        let text = format!("{number:08}").repeat(SIZE / 8);
        let row = body(&format!("research/{number}.md"), &text);
        legacy
            .execute(
                "INSERT INTO body_upload_queue(project_uuid, mission_slug, target_branch, mission_type,
                    manifest_version, artifact_path, content_hash, content_body, size_bytes, created_at)
                 VALUES (?1, 'm', 'main', 'software-dev', '1', ?2, ?3, ?4, ?5, 1000.5)",
                (PROJECT, &row.artifact_path, &row.content_hash, &text, SIZE as i64),
            )
            .expect("a body");
    }
    drop(legacy);
    let output = Command::new(std::env::current_exe().expect("this binary"))
        .args([CHILD.as_ref(), home.root().as_os_str()])
        .output()
        .expect("a process");
    print!("{}", String::from_utf8_lossy(&output.stdout));
}

/// Migrates and drains the home at `root`.
pub fn child(root: &str) {
    let before = peak_kib();
    let root = Path::new(root);
    let queue = root.join("queues").join(scope().queue_file_name());
    let facts = || {
        let id = queue::observe_active(&queue).expect("active").queue_id;
        facts(&scope(), &queue, &root.join("queue.db"), id)
    };
    let mut cure = queue::Cure::open(&cure_permit(facts())).expect("a cure");
    assert_eq!(cure.migrate(&mut ()).expect("migrated").moved.body_upload_rows, BODIES as u64);
    drop(cure);
    let migrated = peak_kib();
    let mut outbox = queue::Outbox::open(&egress_permit(facts())).expect("an outbox");
    let limits = BatchLimits { rows: 1, bytes: 1 };
    while let Some(batch) =
        outbox.read_bodies(limits, &all_opted_in, &Default::default(), f64::MAX).expect("read")
    {
        let outcomes: Vec<_> =
            batch.rows.iter().map(|row| (row.row, row.digest, RowOutcome::Delivered)).collect();
        outbox.record(&outcomes).expect("recorded");
    }
    let drained = peak_kib();
    let mib = |kib: Option<u64>| {
        kib.map_or_else(|| "?".to_owned(), |kib| format!("{:.1} MiB", kib as f64 / 1024.0))
    };
    println!(
        "peak memory over {BODIES} bodies of 512 KiB: {} at start, {} after the migration, {} after the drain",
        mib(before),
        mib(migrated),
        mib(drained)
    );
}
