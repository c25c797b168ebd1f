//! Cost of the gate, in process and as the whole process `sync status --check --json`, with its peak memory. The
//! queues have three sizes. `cargo bench -p spec-kitty --bench boundary`
#![allow(
    missing_docs,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a benchmark prints, and stops when it cannot run"
)]

use benches::{Timings, bare_process, peak_memory};
use identity::{BuildInfo, Environment};
use preflight::Boundary;
use std::process::{Command, Stdio};
use testkit::World;
use testkit::reference_queue::ReferenceQueue;
use testkit::world::SERVER;

const IN_PROCESS: usize = 5_000;
const PROCESSES: usize = 200;

fn main() {
    for rows in [0u32, 10_000, 1_000_000] {
        let world = World::new(env!("CARGO_BIN_EXE_spec-kitty"));
        world.log_in().init_project();
        world.write_config(&format!("[sync]\nserver_url = \"{SERVER}\"\nmax_queue_size = 2000000\n"));
        let queue = ReferenceQueue::create(&world.home().scoped_queue(&world.scope()));
        if rows > 0 {
            queue.many_events(rows);
        }
        drop(queue);
        // Gives the file our tables, its id and the session cache, and binds its rows.
        let _ = world.run(["sync", "migrate"]).exits(0);
        println!("\n{rows} waiting rows");
        in_process(&world);
        whole_process(&world);
    }
}

/// The gate as a producing command calls it, against opening the same file with bare SQLite.
///
/// A process remembers the last queue DB that it looked at. A command looks once, at a file that it never
/// saw: that is the first line, measured by turns between two homes. A daemon looks again and again: that
/// is the second.
fn in_process(world: &World) {
    let elsewhere = World::new(env!("CARGO_BIN_EXE_spec-kitty"));
    elsewhere.log_in().init_project();
    let _ = elsewhere.run(["agent", "mission", "create", "some-mission"]).exits(0);
    let (home, other) = (world.home(), elsewhere.home());
    let (environment, other_environment) = (environment_of(world), environment_of(&elsewhere));
    let build = BuildInfo { version: "3.3.0".into(), commit: None, release: true };
    let boundary = Boundary::new(&environment, &home, build.clone());
    let other_boundary = Boundary::new(&other_environment, &other, build);
    let path = home.scoped_queue(&world.scope());
    let is_coherent = |boundary: &Boundary<'_>| boundary.verdict(true).expect("not busy").result().ok;
    for (name, forgets) in
        [("preflight, in process, first look", true), ("preflight, in process, looked before", false)]
    {
        let (mut gate, mut yardstick) = (Timings::of(name), Timings::of("bare SQLite open + read"));
        for _ in 0..IN_PROCESS {
            if forgets {
                assert!(is_coherent(&other_boundary), "the bench measures coherent hosts");
            }
            let ok = gate.time(|| is_coherent(&boundary));
            assert!(ok, "the bench measures a coherent host");
            yardstick.time(|| {
                let flags =
                    rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY | rusqlite::OpenFlags::SQLITE_OPEN_NO_MUTEX;
                let db = rusqlite::Connection::open_with_flags(&path, flags).expect("the queue");
                db.query_row("SELECT count(*) FROM sqlite_master", [], |row| row.get::<_, i64>(0))
                    .expect("a count")
            });
        }
        println!("{}", gate.line(&yardstick));
    }
}

fn environment_of(world: &World) -> Environment {
    Environment::from_pairs([(testkit::world::HOME_VARIABLE, world.user_home().as_os_str())])
}

/// `sync status --check --json`, against a process that does nothing.
fn whole_process(world: &World) {
    let (mut status, mut yardstick) =
        (Timings::of("sync status --check --json, whole process"), Timings::of("bare process"));
    for _ in 0..PROCESSES {
        let mut command: Command = world.command();
        command.args(["sync", "status", "--check", "--json"]).stdout(Stdio::null());
        let code = status.time(|| command.status().expect("the binary").code());
        assert_eq!(code, Some(0), "the bench measures a coherent host");
        yardstick.time(bare_process);
    }
    println!("{}", status.line(&yardstick));
    let mut command: Command = world.command();
    command.args(["sync", "status", "--check", "--json"]).stdout(Stdio::null());
    match (peak_memory(command), peak_memory(Command::new("true"))) {
        (Some(ours), Some(bare)) => println!(
            "sync status --check --json, peak resident memory     {:.1} MiB (bare process {:.1} MiB)",
            mebibytes(ours),
            mebibytes(bare)
        ),
        _ => println!("not measured: this system does not tell the peak memory of a process"),
    }
}

#[allow(clippy::cast_precision_loss, reason = "a figure for people")]
fn mebibytes(kibibytes: u64) -> f64 {
    kibibytes as f64 / 1024.0
}
