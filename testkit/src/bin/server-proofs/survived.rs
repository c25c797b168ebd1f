//! Servers and databases that are killed under load.

use crate::cluster::Cluster;
use crate::load::{Load, Tally};
use crate::{Finding, Outcome, ProofRun};
use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use testkit::world::USER;
use testkit::{Dice, Server, ServerStore, World};

/// Two servers on one PostgreSQL, one of them killed every few seconds, the database restarted twice.
pub(crate) fn processes(run: &ProofRun) -> Outcome<Finding> {
    let world = World::new(&run.binary);
    let cluster = Cluster::start()?;
    let url = format!("postgres://postgres@{}/postgres", cluster.address()?);
    let first = Server::start_on(&world, USER, ServerStore::Database(url));
    let mut servers = [first.beside(&world), first];
    let load = Load::new(&world, &[&servers[0], &servers[1]], run.seed);
    let mut kills = 0;
    let tally = load.run(|| {
        let (started, mut dice) = (Instant::now(), Dice(run.seed));
        let mut restarts = [("fast", run.load / 3), ("immediate", run.load * 2 / 3)].into_iter().peekable();
        while started.elapsed() < run.load {
            std::thread::sleep(Duration::from_millis(1500 + dice.roll(2000)));
            if let Some((mode, _)) = restarts.next_if(|(_, at)| started.elapsed() >= *at) {
                cluster.restart(mode)?;
            }
            servers[kills % 2].crash_and_restart(&world);
            kills += 1;
        }
        if restarts.next().is_some() {
            return Err("the load ended before the database was restarted twice".into());
        }
        Ok(())
    })?;
    let (line, holds) = verdict(&load, &tally, [&servers[0], &servers[1]])?;
    Ok((format!("{kills} servers killed, 2 restarts of the database; {line}"), holds && kills > 4))
}

/// One server on SQLite, killed every few seconds.
pub(crate) fn process(run: &ProofRun) -> Outcome<Finding> {
    let world = World::new(&run.binary);
    let mut server = Server::start(&world, USER);
    let load = Load::new(&world, &[&server], run.seed);
    let mut kills = 0;
    let tally = load.run(|| {
        let (started, mut dice) = (Instant::now(), Dice(run.seed));
        while started.elapsed() < run.load {
            std::thread::sleep(Duration::from_millis(500 + dice.roll(2000)));
            server.crash_and_restart(&world);
            kills += 1;
        }
        Ok(())
    })?;
    let (line, holds) = verdict(&load, &tally, [&server, &server])?;
    Ok((format!("{kills} times killed; {line}"), holds && kills > 4))
}

/// A primary that is killed, and its synchronous standby promoted. The servers are not restarted.
pub(crate) fn standby(run: &ProofRun) -> Outcome<Finding> {
    let world = World::new(&run.binary);
    let primary = Cluster::start()?;
    let standby = primary.standby()?;
    let hosts = format!("{},{}", primary.address()?, standby.address()?);
    let url = format!("postgres://postgres@{hosts}/postgres?target_session_attrs=read-write");
    let first = Server::start_on(&world, USER, ServerStore::Database(url));
    let servers = [first.beside(&world), first];
    let load = Load::new(&world, &[&servers[0], &servers[1]], run.seed);
    let mut before = 0;
    let tally = load.run(|| {
        std::thread::sleep(run.load / 2);
        primary.kill()?;
        before = load.acknowledged();
        standby.promote()?;
        std::thread::sleep(run.load / 2);
        Ok(())
    })?;
    let (line, holds) = verdict(&load, &tally, [&servers[0], &servers[1]])?;
    let after = load.acknowledged() - before;
    let pause = tally.longest_pause.as_millis();
    let line = format!(
        "{before} events acknowledged before the primary was killed, {after} after it; longest pause of a writer {pause} ms; {line}"
    );
    Ok((line, holds && before > 0 && after > 0))
}

/// Compares what each team has with what was sent to it and acknowledged.
fn verdict(load: &Load, tally: &Tally, servers: [&Server; 2]) -> Outcome<Finding> {
    let (mut stored, mut lost, mut doubled, mut misplaced, mut altered) = (0, 0, 0, 0, 0);
    for (team, server) in servers.into_iter().enumerate() {
        let token = &load.teams[team].token;
        let mut held: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (id, digest) in server.held_by(token) {
            held.entry(id).or_default().push(digest);
        }
        let (sent, other) = (load.sent_by(team), load.sent_by(1 - team));
        for (id, digests) in &held {
            stored += digests.len();
            doubled += digests.len() - 1;
            for found in digests {
                let is_of = |(_, _, digest): &(usize, u64, String)| digest == found;
                match (sent.get(id).is_some_and(is_of), other.get(id).is_some_and(is_of)) {
                    (true, _) => {}
                    (false, true) => misplaced += 1,
                    (false, false) => altered += 1,
                }
            }
        }
        let is_acknowledged = |(writer, n, _): &(usize, u64, String)| {
            *n < load.writers[*writer].acknowledged.load(Ordering::SeqCst)
        };
        lost += sent.iter().filter(|(id, event)| is_acknowledged(event) && !held.contains_key(*id)).count();
        let counted = server.count_by(token);
        let rows: usize = held.values().map(Vec::len).sum();
        if counted != rows as u64 {
            return Ok((format!("{counted} events are counted, {rows} are there"), false));
        }
    }
    if let Some(wrong) = tally.wrong.first() {
        return Ok((format!("{} wrong answers, the first: {wrong}", tally.wrong.len()), false));
    }
    let acknowledged = load.acknowledged();
    let known = ["503", "no answer", "torn answer"];
    let unexpected: u64 = tally
        .refused
        .iter()
        .filter(|(reason, _)| !known.contains(&reason.as_str()))
        .map(|(_, count)| count)
        .sum();
    let line = format!(
        "{acknowledged} events acknowledged in {} requests ({}; {} batches sent again), {stored} stored: \
         {lost} lost, {doubled} twice, {misplaced} in another team, {altered} altered",
        tally.requests,
        tally.refusals(),
        tally.repeated,
    );
    let holds = lost + doubled + misplaced + altered == 0 && unexpected == 0 && acknowledged > 1000;
    Ok((line, holds))
}
