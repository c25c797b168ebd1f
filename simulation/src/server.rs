//! The server of a history: the real one, without its sockets, on a disk of its own.

use crate::disk::{DiskFault, FaultyDisk};
use crate::expectation::{ACCOUNTS, Held};
use crate::random::SeededRandom;
use crate::request::SentRequest;
use contract::wire::endpoint::{INSPECT_BODIES, INSPECT_EVENTS, TEAM_HEADER};
use contract::wire::inspect::{InspectedBody, InspectedEvent, Page};
use jiff::Timestamp;
use serde::de::DeserializeOwned;
use server::{Admin, DetachedServer, ServerConfig};
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use system::clock::VirtualTime;
use tempfile::TempDir;

/// An account of the server.
#[derive(Clone, Debug)]
pub(crate) struct SimulatedAccount {
    /// Its private teamspace.
    pub(crate) team: String,
    /// A machine token.
    pub(crate) token: String,
}

/// A data directory with the accounts of every history: hashing their secrets takes longer than a history.
#[derive(Debug)]
pub(crate) struct ServerTemplate {
    directory: TempDir,
    /// The accounts.
    pub(crate) accounts: Vec<SimulatedAccount>,
}

impl ServerTemplate {
    /// Creates the directory below `place`.
    ///
    /// # Errors
    /// When it cannot be made.
    pub(crate) fn new(place: &Path, start: Timestamp) -> Result<Self, Box<dyn Error>> {
        let _time = VirtualTime::begin(start, 1);
        let directory = tempfile::tempdir_in(place)?;
        let admin = Admin::open(directory.path())?;
        let mut accounts = Vec::new();
        for number in 0..ACCOUNTS {
            let email = format!("a{number}@example.com");
            let team = format!("team-a{number}");
            admin.create_account(&email, None, Some(&team))?;
            let token = admin.issue_ci_token(&email, None, "simulation")?.token.expose().to_owned();
            accounts.push(SimulatedAccount { team, token });
        }
        drop(admin);
        Ok(Self { directory, accounts })
    }
}

/// A server on its disk.
#[derive(Debug)]
pub(crate) struct SimulatedServer {
    data: PathBuf,
    disk: FaultyDisk,
    running: Option<DetachedServer>,
    accounts: Vec<SimulatedAccount>,
    events_per_batch: usize,
    random: SeededRandom,
    /// How often it died or failed, by fault.
    pub(crate) ends: Vec<DiskFault>,
}

impl SimulatedServer {
    /// Starts a server with the accounts of `template` below `root`.
    ///
    /// # Errors
    /// When it does not start.
    pub(crate) fn start(
        template: &ServerTemplate,
        root: &Path,
        events_per_batch: usize,
        random: SeededRandom,
        ignores_syncs: bool,
    ) -> Result<Self, Box<dyn Error>> {
        let data = root.join("server");
        testkit::tree::copy(template.directory.path(), &data)?;
        let mut server = Self {
            disk: FaultyDisk::new(&data, ignores_syncs)?,
            data,
            running: None,
            accounts: template.accounts.clone(),
            events_per_batch,
            random,
            ends: Vec::new(),
        };
        if server.run() { Ok(server) } else { Err("the server does not start".into()) }
    }

    /// The accounts.
    pub(crate) fn accounts(&self) -> &[SimulatedAccount] {
        &self.accounts
    }

    /// Starts the server unless it runs; returns whether it runs now.
    pub(crate) fn run(&mut self) -> bool {
        if self.running.is_none() {
            let mut config = ServerConfig::new(self.data.as_path());
            config.limits.events_per_batch = self.events_per_batch;
            self.running = DetachedServer::open(config).ok();
        }
        self.running.is_some()
    }

    /// Ends it in good order.
    pub(crate) fn stop(&mut self) {
        self.running = None;
    }

    /// Plans a fault of its disk.
    pub(crate) fn plan(&mut self, fault: DiskFault, after: u64, lasting: bool) {
        self.disk.plan(fault, after, lasting);
    }

    /// The number of operations on its disk since the last call.
    pub(crate) fn take_operations(&self) -> u64 {
        self.disk.take_operations()
    }

    /// Repairs its disk; it must not run if it died of the fault.
    fn repair(&mut self) {
        if let Ok(end) = self.disk.repair(&mut self.random) {
            self.ends.extend(end);
        }
    }

    /// Repairs what a step planned; what died of it stays down.
    pub(crate) fn end_fault(&mut self) {
        if self.disk.is_off() {
            self.running = None;
        }
        self.repair();
    }

    /// Answers a request; nothing if it is down or dies before its answer is out.
    pub(crate) fn answer(&mut self, request: Vec<u8>) -> Option<Vec<u8>> {
        let answer = self.running.as_ref()?.answer(request);
        if self.disk.is_off() {
            self.running = None;
            self.repair();
            return None;
        }
        (!answer.is_empty()).then_some(answer)
    }

    /// A copy of its data as they are now. No request is under way.
    pub(crate) fn snapshot(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let entries = fs::read_dir(&self.data).into_iter().flatten().flatten();
        let files = entries.filter(|entry| entry.file_name().to_string_lossy().starts_with("server.db"));
        files.filter_map(|entry| Some((entry.path(), fs::read(entry.path()).ok()?))).collect()
    }

    /// Replaces the data by a copy. It does not run afterwards.
    pub(crate) fn forget_since(&mut self, copy: Vec<(PathBuf, Vec<u8>)>) {
        self.running = None;
        self.disk.forget_changes();
        for (path, _) in self.snapshot() {
            let _ = fs::remove_file(path);
        }
        for (path, bytes) in copy.into_iter().filter(|(path, _)| !path.ends_with("server.db-shm")) {
            let _ = fs::write(path, bytes);
        }
    }

    /// The request as the other account would send it. The server refuses events that name another team, so these are
    /// changed, too.
    pub(crate) fn in_the_name_of_another(&self, sent: &SentRequest) -> Vec<u8> {
        let from = sent.account.unwrap_or_default();
        let (Some(from), Some(to)) = (self.accounts.get(from), self.accounts.get(1 - from)) else {
            return Vec::new();
        };
        let body = sent.text.replace(&from.team, &to.team);
        format!(
            "POST {} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\n{TEAM_HEADER}: {}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            sent.path,
            to.token,
            to.team,
            body.len(),
        )
        .into_bytes()
    }

    /// What it holds, read through its inspection routes; the server must run.
    ///
    /// # Errors
    /// When it does not answer.
    pub(crate) fn held(&mut self) -> Result<Held, Box<dyn Error>> {
        let mut held = Held::default();
        for (team, account) in held.iter_mut().zip(self.accounts.clone()) {
            for event in self.page::<InspectedEvent>(INSPECT_EVENTS, &account)? {
                team.entry(event.event_id).or_default().push(event.digest);
            }
            for body in self.page::<InspectedBody>(INSPECT_BODIES, &account)? {
                team.entry(body.artifact_path).or_default().push(body.content_hash);
            }
        }
        Ok(held)
    }

    fn page<T: DeserializeOwned>(
        &mut self,
        path: &str,
        account: &SimulatedAccount,
    ) -> Result<Vec<T>, Box<dyn Error>> {
        let request =
            format!("GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\n\r\n", account.token);
        let answer = self.answer(request.into_bytes()).ok_or("the server is down")?;
        let text = String::from_utf8(answer)?;
        let (head, body) = text.split_once("\r\n\r\n").ok_or("no answer")?;
        let page: Page<T> = serde_json::from_str(body).map_err(|error| format!("{error}: {head}\n{body}"))?;
        Ok(page.rows)
    }
}
