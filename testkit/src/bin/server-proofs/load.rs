//! Eight writers of two teams, and what they were told.

use crate::Outcome;
use contract::wire::body::hash;
use contract::wire::endpoint::{EVENTS_BATCH, TEAM_HEADER};
use serde_json::Value;
use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use testkit::{Dice, Server, World};

/// Writers of each team. The writer of the same place in the other team uses the same ids.
const PAIRS: u64 = 4;
/// Events of a batch at most.
const MOST: u64 = 120;
/// Pause before a refused batch is sent again.
const PAUSE: Duration = Duration::from_millis(20);

/// A team with the token of its account.
pub(crate) struct LoadTeam {
    pub(crate) id: String,
    pub(crate) token: String,
}

/// Sends its events in order: a batch is sent until it is acknowledged, then the next one.
pub(crate) struct Writer {
    /// Place of its team.
    pub(crate) team: usize,
    pair: u64,
    /// Events that were sent at least once, from the first on.
    pub(crate) sent: AtomicU64,
    /// Events that were acknowledged, from the first on.
    pub(crate) acknowledged: AtomicU64,
}

/// Results of the requests of a load.
#[derive(Default)]
pub(crate) struct Tally {
    pub(crate) requests: u64,
    /// Refusals by status, or without an answer.
    pub(crate) refused: BTreeMap<String, u64>,
    /// Acknowledged batches that were sent again.
    pub(crate) repeated: u64,
    /// Longest time between two acknowledgements of one writer.
    pub(crate) longest_pause: Duration,
    /// Answers that a server must not give.
    pub(crate) wrong: Vec<String>,
}

impl Tally {
    fn add(&mut self, other: Self) {
        self.requests += other.requests;
        self.repeated += other.repeated;
        self.longest_pause = self.longest_pause.max(other.longest_pause);
        for (reason, count) in other.refused {
            *self.refused.entry(reason).or_default() += count;
        }
        self.wrong.extend(other.wrong);
    }

    pub(crate) fn refusals(&self) -> String {
        let each: Vec<String> =
            self.refused.iter().map(|(reason, count)| format!("{reason}: {count}")).collect();
        if each.is_empty() { "none".to_owned() } else { each.join(", ") }
    }
}

pub(crate) struct Load {
    pub(crate) teams: [LoadTeam; 2],
    pub(crate) writers: Vec<Writer>,
    urls: Vec<String>,
    seed: u64,
    stopped: AtomicBool,
}

struct StopOnDrop<'l>(&'l AtomicBool);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

impl Load {
    /// Writers for these servers, which share a store, with two new accounts.
    pub(crate) fn new(world: &World, servers: &[&Server], seed: u64) -> Self {
        let team = |email| {
            let (id, token) = servers[0].add_account(world, email);
            LoadTeam { id, token }
        };
        let writer = |number: u64| Writer {
            team: usize::from(number >= PAIRS),
            pair: number % PAIRS,
            sent: AtomicU64::new(0),
            acknowledged: AtomicU64::new(0),
        };
        Self {
            teams: [team("one@example.com"), team("two@example.com")],
            writers: (0..2 * PAIRS).map(writer).collect(),
            urls: servers.iter().map(|server| server.url()).collect(),
            seed,
            stopped: AtomicBool::new(false),
        }
    }

    /// Writes while `during` runs.
    pub(crate) fn run(&self, during: impl FnOnce() -> Outcome<()>) -> Outcome<Tally> {
        std::thread::scope(|scope| {
            let stop = StopOnDrop(&self.stopped);
            let write = |number| scope.spawn(move || self.write(number));
            let writers: Vec<_> = (0..self.writers.len()).map(write).collect();
            let done = during();
            drop(stop);
            let mut tally = Tally::default();
            for writer in writers {
                tally.add(writer.join().map_err(|_| "a writer ended early")?);
            }
            done.map(|()| tally)
        })
    }

    pub(crate) fn acknowledged(&self) -> u64 {
        self.writers.iter().map(|writer| writer.acknowledged.load(Ordering::SeqCst)).sum()
    }

    fn write(&self, number: usize) -> Tally {
        let writer = &self.writers[number];
        let agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(Duration::from_secs(30)))
            .build()
            .new_agent();
        let mut dice = Dice(self.seed.wrapping_add(number as u64 * 7919).max(1));
        let mut tally = Tally::default();
        let (mut at, mut last) = (number, Instant::now());
        while !self.stopped.load(Ordering::SeqCst) {
            let from = writer.acknowledged.load(Ordering::SeqCst);
            let to = from + 1 + dice.roll(MOST);
            writer.sent.store(to, Ordering::SeqCst);
            let body = self.batch(writer, from, to);
            loop {
                tally.requests += 1;
                match self.post(&agent, writer, at, &body) {
                    Ok(results) => {
                        self.judge(writer, (from, to), &results, &["success", "duplicate"], &mut tally);
                        break;
                    }
                    Err(reason) => *tally.refused.entry(reason).or_default() += 1,
                }
                if self.stopped.load(Ordering::SeqCst) {
                    return tally;
                }
                at += 1;
                std::thread::sleep(PAUSE);
            }
            writer.acknowledged.store(to, Ordering::SeqCst);
            tally.longest_pause = tally.longest_pause.max(last.elapsed());
            last = Instant::now();
            // An acknowledged batch is known, to the other server too.
            if dice.roll(8) == 0
                && let Ok(results) = self.post(&agent, writer, at + 1, &body)
            {
                tally.repeated += 1;
                self.judge(writer, (from, to), &results, &["duplicate"], &mut tally);
            }
        }
        tally
    }

    /// The results of a batch, or why there are none.
    fn post(
        &self,
        agent: &ureq::Agent,
        writer: &Writer,
        at: usize,
        body: &str,
    ) -> Result<Vec<Value>, String> {
        let team = &self.teams[writer.team];
        let url = format!("{}{EVENTS_BATCH}", self.urls[at % self.urls.len()]);
        let request = agent
            .post(url)
            .header("Authorization", format!("Bearer {}", team.token))
            .header(TEAM_HEADER, &team.id)
            .header("Content-Type", "application/json");
        let none = |_| "no answer".to_owned();
        let mut answer = request.send(body).map_err(none)?;
        let text = answer.body_mut().read_to_string().map_err(none)?;
        match answer.status().as_u16() {
            200 => {
                let answer: Value = serde_json::from_str(&text).map_err(|_| "torn answer".to_owned())?;
                answer["results"].as_array().cloned().ok_or_else(|| "answer without results".to_owned())
            }
            status => Err(status.to_string()),
        }
    }

    fn judge(
        &self,
        writer: &Writer,
        (from, to): (u64, u64),
        results: &[Value],
        allowed: &[&str],
        tally: &mut Tally,
    ) {
        let is_right = |result: &Value| {
            result["content_differs"].is_null()
                && result["status"].as_str().is_some_and(|s| allowed.contains(&s))
        };
        if results.len() as u64 != to - from || !results.iter().all(is_right) {
            let wrong = results.iter().find(|result| !is_right(result));
            tally.wrong.push(format!(
                "{} of {}: {wrong:?}",
                self.teams[writer.team].id,
                id(writer.pair, from)
            ));
        }
    }

    fn batch(&self, writer: &Writer, from: u64, to: u64) -> String {
        let events: Vec<String> = (from..to).map(|n| self.event(writer, n)).collect();
        format!("{{\"events\":[{}]}}", events.join(","))
    }

    /// The bytes of an event: the same whenever it is sent, and of another content in each team.
    fn event(&self, writer: &Writer, n: u64) -> String {
        let (id, team) = (id(writer.pair, n), &self.teams[writer.team].id);
        let project = format!("4a9c9a6e-5d3c-4b52-8f0e-6f4c3a2b1d0{}", writer.pair);
        let mut event = testkit::events::claimed(&id, &project, "load");
        event["payload"]["actor"] = team.as_str().into();
        event["team_slug"] = team.as_str().into();
        event.to_string()
    }

    /// The events that the writers of a team sent: writer, number and digest, by id.
    pub(crate) fn sent_by(&self, team: usize) -> HashMap<String, (usize, u64, String)> {
        let writers = self.writers.iter().enumerate().filter(|(_, writer)| writer.team == team);
        let events = writers.flat_map(|(at, writer)| {
            let sent = writer.sent.load(Ordering::SeqCst);
            (0..sent).map(move |n| (id(writer.pair, n), (at, n, hash(self.event(writer, n).as_bytes()))))
        });
        events.collect()
    }
}

fn id(pair: u64, n: u64) -> String {
    format!("01K{pair:05}{n:018}")
}
