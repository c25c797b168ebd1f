//! A backup that is taken under load, and what a client does after its restore.

use crate::cluster::Cluster;
use crate::load::Load;
use crate::{Finding, Outcome, ProofRun};
use contract::Scope;
use std::collections::HashMap;
use std::path::Path;
use std::sync::atomic::Ordering;
use testkit::reference_queue::{PROJECT, ReferenceQueue};
use testkit::world::USER;
use testkit::{Server, ServerStore, World};

/// Deliveries of the client, with so many events and bodies each.
const DELIVERIES: usize = 10;
const EVENTS: usize = 40;
const BODIES: usize = 2;

/// Method of backing up a store and of restoring it into a server.
struct Method<'m> {
    back_up: &'m (dyn Fn(&Path) -> Outcome<()> + Sync),
    restore: &'m dyn Fn(&mut Server, &Path) -> Outcome<()>,
}

/// `server backup` and `server restore` of a data directory.
pub(crate) fn backup(run: &ProofRun) -> Outcome<Finding> {
    let mut world = World::new(&run.binary);
    let data = world.user_home().join("server-data");
    let server = Server::start(&world, USER);
    server.welcome(&mut world);
    let world = &world;
    let back_up =
        |file: &Path| complete(world, &["server", "backup", "--data"], &[&data, Path::new("--to"), file]);
    let restore = |server: &mut Server, file: &Path| {
        server.stop();
        complete(world, &["server", "restore", "--replace", "--data"], &[&data, Path::new("--from"), file])?;
        server.crash_and_restart(world);
        Ok(())
    };
    prove(run, world, server, &Method { back_up: &back_up, restore: &restore })
}

/// `pg_dump` and `pg_restore`.
pub(crate) fn dump(run: &ProofRun) -> Outcome<Finding> {
    let mut world = World::new(&run.binary);
    let cluster = Cluster::start()?;
    let address = cluster.address()?;
    let url = |database: &str| ServerStore::Database(format!("postgres://postgres@{address}/{database}"));
    let server = Server::start_on(&world, USER, url("postgres"));
    server.welcome(&mut world);
    let world = &world;
    let back_up = |file: &Path| cluster.dump("postgres", file);
    let restore = |server: &mut Server, file: &Path| {
        server.stop();
        cluster.restore("restored", file)?;
        server.move_to(world, url("restored"));
        Ok(())
    };
    prove(run, world, server, &Method { back_up: &back_up, restore: &restore })
}

fn complete(world: &World, words: &[&str], paths: &[&Path]) -> Outcome<()> {
    let words = words.iter().map(AsRef::as_ref).chain(paths.iter().map(|path| path.as_os_str()));
    let run = world.run(words);
    if run.code == Some(0) { Ok(()) } else { Err(format!("{run:?}").into()) }
}

fn prove(run: &ProofRun, world: &World, mut server: Server, method: &Method<'_>) -> Outcome<Finding> {
    let file = world.user_home().join("backup");
    let load = Load::new(world, &[&server], run.seed);
    let counts =
        |count: fn(&crate::load::Writer) -> u64| -> Vec<u64> { load.writers.iter().map(count).collect() };
    let acknowledged = || counts(|writer| writer.acknowledged.load(Ordering::SeqCst));
    let sent = || counts(|writer| writer.sent.load(Ordering::SeqCst));
    let (mut least, mut most) = (Vec::new(), Vec::new());
    let back_up = method.back_up;
    let tally = load.run(|| {
        std::thread::scope(|scope| {
            let mut backup = None;
            for delivery in 0..DELIVERIES {
                deliver(world, &server, delivery)?;
                std::thread::sleep(run.load / 2 / DELIVERIES as u32);
                if delivery == DELIVERIES / 2 {
                    least = acknowledged();
                    let file = &file;
                    backup =
                        Some(scope.spawn(move || {
                            back_up(file).map(|()| sent()).map_err(|error| error.to_string())
                        }));
                }
            }
            let backup = backup.and_then(|backup| backup.join().ok()).ok_or("the backup ended early")?;
            most = backup?;
            std::thread::sleep(run.load / 4);
            Ok(())
        })
    })?;
    if let Some(wrong) = tally.wrong.first() {
        return Ok((format!("a wrong answer: {wrong}"), false));
    }
    let before = server.held();
    (method.restore)(&mut server, &file)?;

    let mut kept = 0;
    for team in [0, 1] {
        let sent = load.sent_by(team);
        let mut numbers: HashMap<usize, Vec<u64>> = HashMap::new();
        for (id, digest) in server.held_by(&load.teams[team].token) {
            match sent.get(&id) {
                Some((writer, n, expected)) if *expected == digest => {
                    numbers.entry(*writer).or_default().push(*n)
                }
                _ => return Ok((format!("{id} of team {team} is not what was sent"), false)),
            }
        }
        for (writer, _) in load.writers.iter().enumerate().filter(|(_, writer)| writer.team == team) {
            let mut numbers = numbers.remove(&writer).unwrap_or_default();
            numbers.sort_unstable();
            let length = numbers.len() as u64;
            if !numbers.iter().copied().eq(0..length) {
                return Ok((format!("the events of writer {writer} are no prefix of what it sent"), false));
            }
            if length < least[writer] || length > most[writer] {
                let (least, most) = (least[writer], most[writer]);
                return Ok((format!("writer {writer} has {length} events, not {least} to {most}"), false));
            }
            kept += length;
        }
    }
    let lost = load.acknowledged().saturating_sub(kept);
    let (healing, is_healed) = heal(world, &server, &before)?;
    let line = format!(
        "{} events of 8 writers acknowledged ({}); the backup has {kept}, for each writer a prefix; {healing}",
        load.acknowledged(),
        tally.refusals(),
    );
    Ok((line, is_healed && lost > 0))
}

/// Rows of a client, delivered by the real command.
fn deliver(world: &World, server: &Server, delivery: usize) -> Outcome<()> {
    let path = world.home().scoped_queue(&Scope::new(&server.url(), USER, &server.team));
    let queue = if path.exists() { ReferenceQueue::open(&path) } else { ReferenceQueue::create(&path) };
    for number in delivery * EVENTS..(delivery + 1) * EVENTS {
        queue.event(&format!("01KRX000000000000000{number:06}"), None);
    }
    for number in delivery * BODIES..(delivery + 1) * BODIES {
        let (path, text) = (format!("research/{number}.md"), format!("# {number} \u{1f431}\n"));
        queue.indexed(&format!("01KRX000000000000009{number:06}"), &path, &text);
        queue.body(&path, &text);
    }
    drop(queue);
    if delivery == 0 {
        complete(world, &["sync", "opt-in", "--project", PROJECT, "--include-held", "--yes"], &[])?;
    }
    complete(world, &["sync", "now"], &[])
}

/// The client finds out what the server lost, and sends it again.
fn heal(world: &World, server: &Server, before: &[(String, String)]) -> Outcome<Finding> {
    if before.len() != DELIVERIES * (EVENTS + 2 * BODIES) {
        return Ok((format!("{} rows of the client arrived", before.len()), false));
    }
    let lost = before.len() - server.held().len();
    let found = world.run(["sync", "now", "--json"]).json();
    if lost == 0 || found["server_rewound"]["projects"][0]["project_uuid"] != PROJECT {
        return Ok((
            format!("{lost} rows of the client are lost, and it found {}", found["server_rewound"]),
            false,
        ));
    }
    let queued = world.run(["sync", "resend", "--missing", "--yes", "--json"]).json();
    let count = |kind: &str| queued[kind].as_u64().unwrap_or(0);
    let resent = count("events") + count("bodies");
    complete(world, &["sync", "now"], &[])?;
    let is_healed = server.held() == before && resent == lost as u64;
    let state = if is_healed { "byte for byte as before" } else { "not as before" };
    let line = format!(
        "the client had {} rows there and lost {lost}; it found out, sent {resent} again, and the server is {state}",
        before.len()
    );
    Ok((line, is_healed))
}
