//! A real ingest server: the binary's own `server` verb on a loopback port.

use crate::tree;
use crate::world::World;
use serde_json::Value;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

/// Longest wait for a server that starts while its database does.
const START: Duration = Duration::from_secs(60);

/// Location of a server's state.
#[derive(Clone, Debug)]
pub enum ServerStore {
    /// A data directory.
    Directory(PathBuf),
    /// The address of a PostgreSQL database.
    Database(String),
}

impl ServerStore {
    /// The directory of the server that [`Server::start`] starts in `world`.
    pub fn of(world: &World) -> Self {
        Self::Directory(world.user_home().join("server-data"))
    }

    /// Runs a command of the server's administrator on it, and returns its document.
    ///
    /// # Panics
    /// When the exit code differs.
    #[track_caller]
    pub fn administer(&self, world: &World, words: &[&str], code: i32) -> Value {
        let argv = words.iter().copied().chain(self.options()).chain(["--json"]);
        world.run(argv).exits(code).json()
    }

    /// The options that name it.
    #[allow(clippy::expect_used, reason = "a test that cannot build its world has to stop")]
    pub fn options(&self) -> [&str; 2] {
        match self {
            Self::Directory(path) => ["--data", path.to_str().expect("a UTF-8 path")],
            Self::Database(url) => ["--database-url", url],
        }
    }
}

/// A server process with one account. Ends with the test.
#[derive(Debug)]
pub struct Server {
    child: Child,
    address: String,
    store: ServerStore,
    /// The account's private team.
    pub team: String,
    /// A token of the account.
    pub token: String,
    /// The approval secret of the account.
    pub secret: String,
}

impl Server {
    /// Starts a server with its data in `world`, an account for `email`, and a token for it.
    ///
    /// # Panics
    /// When it does not start.
    pub fn start(world: &World, email: &str) -> Self {
        Self::start_on(world, email, ServerStore::of(world))
    }

    /// The same with its state in `store`.
    ///
    /// # Panics
    /// When it does not start.
    #[allow(clippy::expect_used, reason = "a test that cannot build its world has to stop")]
    pub fn start_on(world: &World, email: &str, store: ServerStore) -> Self {
        let account = store.administer(world, &["server", "user", "add", "--email", email], 0);
        let team = account["account"]["teams"][0]["id"].as_str().expect("a team").to_owned();
        let secret = account["approval_secret"].as_str().expect("a secret").to_owned();
        let issue = ["server", "token", "add", "--email", email, "--label", "test"];
        let issued = store.administer(world, &issue, 0);
        let token = issued["token"].as_str().expect("a token").to_owned();
        let (child, address) = spawn(world, &store, "127.0.0.1:0").expect("the server starts");
        Self { child, address, store, team, token, secret }
    }

    /// A second process on the same database.
    ///
    /// # Panics
    /// When it does not start.
    #[allow(clippy::expect_used, reason = "a test that cannot build its world has to stop")]
    pub fn beside(&self, world: &World) -> Self {
        let (child, address) = spawn(world, &self.store, "127.0.0.1:0").expect("the server starts");
        let (team, token, secret) = (self.team.clone(), self.token.clone(), self.secret.clone());
        Self { child, address, store: self.store.clone(), team, token, secret }
    }

    /// The base URL.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The id of the process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Kills the server, as in a crash, and starts it again on the same data and port.
    ///
    /// # Panics
    /// When it does not start again.
    #[allow(clippy::expect_used, reason = "a test that cannot build its world has to stop")]
    pub fn crash_and_restart(&mut self, world: &World) {
        self.stop();
        let until = Instant::now() + START;
        // A server whose database does not answer ends.
        let started = loop {
            match spawn(world, &self.store, &self.address) {
                None if Instant::now() < until => std::thread::sleep(Duration::from_millis(100)),
                started => break started,
            }
        };
        (self.child, self.address) = started.expect("the server starts again");
    }

    /// Starts again with another store, on the same port.
    pub fn move_to(&mut self, world: &World, store: ServerStore) {
        self.store = store;
        self.crash_and_restart(world);
    }

    #[allow(clippy::panic, reason = "a test that cannot build its world has to stop")]
    fn data(&self) -> &Path {
        match &self.store {
            ServerStore::Directory(path) => path,
            ServerStore::Database(_) => panic!("a database has its own tools for this"),
        }
    }

    /// Copies the data to `to`, as a backup of a stopped server does, and starts again.
    ///
    /// # Panics
    /// When the data cannot be copied.
    pub fn back_up(&mut self, world: &World, to: &Path) {
        self.stop();
        tree::copy(self.data(), to).expect("a copy of the data");
        self.crash_and_restart(world);
    }

    /// Replaces the data by a copy that [`Server::back_up`] made, and starts again.
    ///
    /// # Panics
    /// When the data cannot be replaced.
    #[allow(clippy::expect_used, reason = "a test that cannot build its world has to stop")]
    pub fn restore(&mut self, world: &World, from: &Path) {
        self.stop();
        std::fs::remove_dir_all(self.data()).expect("the data are removed");
        tree::copy(from, self.data()).expect("a copy of the data");
        self.crash_and_restart(world);
    }

    /// The rows stored for the account: SHA-256 of each event's bytes by its id, and the hash of each body
    /// by its path.
    pub fn held(&self) -> Vec<(String, String)> {
        self.held_by(&self.token)
    }

    /// The rows stored for the account of `token`.
    pub fn held_by(&self, token: &str) -> Vec<(String, String)> {
        let mut held = self.pages(token, "/api/v1/inspect/events", ["event_id", "digest"]);
        held.extend(self.pages(token, "/api/v1/inspect/bodies", ["artifact_path", "content_hash"]));
        held.sort();
        held
    }

    /// Adds an account. Returns its private team and a token.
    ///
    /// # Panics
    /// When the server's commands fail.
    #[allow(clippy::expect_used, reason = "a test that cannot build its world has to stop")]
    pub fn add_account(&self, world: &World, email: &str) -> (String, String) {
        let account = self.store.administer(world, &["server", "user", "add", "--email", email], 0);
        let issue = ["server", "token", "add", "--email", email, "--label", "test"];
        let issued = self.store.administer(world, &issue, 0);
        let team = account["account"]["teams"][0]["id"].as_str().expect("a team").to_owned();
        (team, issued["token"].as_str().expect("a token").to_owned())
    }

    /// The number of events that the server counts for the account of `token`.
    ///
    /// # Panics
    /// When the answer is not a page.
    #[allow(clippy::expect_used, reason = "a test that cannot reach its server has to stop")]
    pub fn count_by(&self, token: &str) -> u64 {
        let (status, body) = self.fetch("/api/v1/inspect/events?limit=1", token);
        assert_eq!(status, 200, "{body}");
        let page: Value = serde_json::from_str(&body).expect("a page");
        page["total"].as_u64().expect("a total")
    }

    fn pages(&self, token: &str, path: &str, keys: [&str; 2]) -> Vec<(String, String)> {
        let (mut rows, mut after) = (Vec::new(), Some(0));
        while let Some(from) = after {
            let path = format!("{path}?after={from}&limit=10000");
            let (status, body) = self.fetch(&path, token);
            assert_eq!(status, 200, "{path}: {body}");
            let page: Value =
                serde_json::from_str(&body).unwrap_or_else(|error| panic!("{path}: {error}: {body}"));
            after = page["next"].as_u64();
            let text = |row: &Value, key: &str| row[key].as_str().unwrap_or_default().to_owned();
            let [one, two] = keys;
            let found = page["rows"].as_array().into_iter().flatten();
            rows.extend(found.map(|row| (text(row, one), text(row, two))));
        }
        rows
    }

    /// Kills the server, as in a crash.
    pub fn stop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Lets commands of `world` act as the account, with its token.
    pub fn welcome(&self, world: &mut World) {
        world.write_config(&format!("[sync]\nserver_url = \"{}\"\n", self.url()));
        world.set("SPEC_KITTY_TOKEN", &self.token).set("SPEC_KITTY_SERVER_URL", &self.url());
    }

    /// GET of a JSON document as the account.
    ///
    /// # Panics
    /// When the answer is not 200 with JSON.
    pub fn get(&self, path: &str) -> Value {
        let (status, body) = self.fetch(path, &self.token);
        assert_eq!(status, 200, "{path}: {body}");
        serde_json::from_str(&body).unwrap_or_else(|error| panic!("{path}: {error}: {body}"))
    }

    /// Ids of all events that arrived, in order of arrival.
    pub fn event_ids(&self) -> Vec<String> {
        self.rows("/api/v1/inspect/events", "event_id")
    }

    /// Hashes of all bodies that arrived, in order of arrival.
    pub fn body_hashes(&self) -> Vec<String> {
        self.rows("/api/v1/inspect/bodies", "content_hash")
    }

    /// Number of answered requests, except operator and inspection routes.
    ///
    /// # Panics
    /// When `/metrics` has no such counters.
    pub fn requests(&self) -> u64 {
        let (status, text) = self.fetch("/metrics", &self.token);
        assert_eq!(status, 200, "{text}");
        let counters =
            text.lines().filter_map(|line| line.strip_prefix("spec_kitty_requests_total{route=\""));
        let counted = counters.filter(|line| !line.starts_with("operations") && !line.starts_with("inspect"));
        let counts: Vec<u64> =
            counted.filter_map(|line| line.split_once("} ")?.1.trim().parse().ok()).collect();
        assert!(counts.len() > 5, "{text}");
        counts.iter().sum()
    }

    fn rows(&self, path: &str, key: &str) -> Vec<String> {
        self.pages(&self.token, path, [key, key]).into_iter().map(|(value, _)| value).collect()
    }

    #[allow(clippy::expect_used, reason = "a test that cannot reach its server has to stop")]
    fn fetch(&self, path: &str, token: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(&self.address).expect("the server");
        stream.set_read_timeout(Some(Duration::from_secs(10))).expect("a timeout");
        let host = &self.address;
        let request = format!("GET {path} HTTP/1.0\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\n\r\n");
        stream.write_all(request.as_bytes()).expect("a request");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        let (head, body) = answer.split_once("\r\n\r\n").expect("an HTTP answer");
        let status = head.split_whitespace().nth(1).and_then(|code| code.parse().ok()).expect("a status");
        (status, body.to_owned())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

/// A server process and its address; nothing when it ended before it listened.
#[allow(clippy::expect_used, reason = "a test that cannot build its world has to stop")]
fn spawn(world: &World, store: &ServerStore, listen: &str) -> Option<(Child, String)> {
    let mut command = world.command();
    command.arg("server").args(store.options()).args(["--listen", listen, "--quiet"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("the program starts");
    let mut line = String::new();
    BufReader::new(child.stdout.take().expect("a pipe")).read_line(&mut line).expect("a line");
    match line.trim().strip_prefix("listening on http://") {
        Some(address) => Some((child, address.to_owned())),
        None => {
            let _ = child.wait();
            None
        }
    }
}
