//! The server as a process of its own, and connections to it.

use crate::databases;
use crate::events::TEAM;
use contract::wire::endpoint;
use server::{Admin, DatabaseUrl, ServerConfig, ServerLimits, Shutdown, StoreLocation};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::Duration;

/// Set for the process that serves: the address of its database.
pub(crate) const DATABASE: &str = "SPEC_KITTY_BENCH_DATABASE";
/// Set for the process that serves: its data directory.
pub(crate) const DIRECTORY: &str = "SPEC_KITTY_BENCH_DIRECTORY";

/// Serves, in a process that was started for it.
pub(crate) fn serve_if_asked() -> bool {
    let store: StoreLocation = match (std::env::var(DATABASE), std::env::var_os(DIRECTORY)) {
        (Ok(url), _) => url.parse::<DatabaseUrl>().unwrap().into(),
        (_, Some(directory)) => PathBuf::from(directory).into(),
        _ => return false,
    };
    let mut config = ServerConfig::new(store);
    // One account and one address send everything.
    config.limits = ServerLimits {
        bytes_per_batch: 4 * 1024 * 1024,
        uploads_per_account: crate::CONNECTIONS,
        ..ServerLimits::default()
    };
    config.on_ready = Some(Box::new(|address| println!("{address}")));
    server::serve(config, Shutdown::new()).unwrap();
    true
}

pub(crate) const EMAIL: &str = "dev@example.com";

/// Credentials of a new account.
pub(crate) struct Credentials {
    /// A machine token.
    pub(crate) token: String,
    /// The approval secret.
    pub(crate) secret: String,
}

pub(crate) fn account(store: StoreLocation) -> Credentials {
    let admin = Admin::open(store).unwrap();
    let created = admin.create_account(EMAIL, None, Some(TEAM)).unwrap();
    let issued = admin.issue_ci_token(EMAIL, None, "bench").unwrap();
    Credentials {
        token: issued.token.expose().to_owned(),
        secret: created.approval_secret.expose().to_owned(),
    }
}

/// CPU seconds of a process, independent of what else the machine does.
pub(crate) fn cpu_seconds(process: u32) -> f64 {
    let fields = stat(process).unwrap_or_default();
    fields.get(11..13).map_or(0.0, |ticks| ticks.iter().sum::<f64>() / 100.0)
}

/// CPU seconds of all processes of a database on this machine, ended ones too.
pub(crate) fn database_cpu_seconds(url: &str) -> f64 {
    let directory = databases::run(url, "SHOW data_directory").remove(0);
    let file = std::fs::read_to_string(format!("{directory}/postmaster.pid")).unwrap();
    let postmaster: u32 = file.lines().next().unwrap().parse().unwrap();
    let of_ended = stat(postmaster).map_or(0.0, |fields| fields[13..15].iter().sum::<f64>() / 100.0);
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let processes = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let is_child = |process: &u32| stat(*process).is_some_and(|fields| fields[1] == f64::from(postmaster));
    of_ended + cpu_seconds(postmaster) + processes.filter(is_child).map(cpu_seconds).sum::<f64>()
}

/// The fields of `/proc/PID/stat` after the name; letters are 0.
fn stat(process: u32) -> Option<Vec<f64>> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    let fields = stat.rsplit(')').next()?.split_whitespace();
    Some(fields.map(|field| field.parse().unwrap_or(0.0)).collect())
}

/// Ended when dropped.
pub(crate) struct ServerProcess {
    child: Child,
    pub(crate) address: SocketAddr,
}

impl ServerProcess {
    pub(crate) fn start(store: &crate::NewStore) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        let (variable, value) = &store.variable;
        let mut child = command.env(variable, value).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        Self { child, address: line.trim().parse().unwrap() }
    }

    /// Sends requests over so many connections at once.
    pub(crate) fn send_all(&self, requests: Vec<Vec<u8>>, connections: usize) {
        let waiting = Mutex::new(requests.into_iter());
        std::thread::scope(|scope| {
            for _ in 0..connections {
                scope.spawn(|| {
                    let mut stream = self.connect();
                    loop {
                        let next = waiting.lock().unwrap().next();
                        let Some(request) = next else { break };
                        exchange(&mut stream, &request);
                    }
                });
            }
        });
    }

    pub(crate) fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        stream
    }

    pub(crate) fn cpu_seconds(&self) -> f64 {
        cpu_seconds(self.child.id())
    }

    /// Bytes of its largest resident set.
    pub(crate) fn peak_memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        peak.trim().trim_end_matches("kB").trim().parse::<u64>().unwrap() * 1024
    }

    /// Events that it counted as stored.
    pub(crate) fn stored(&self) -> usize {
        let scrape = format!("GET {} HTTP/1.1\r\nHost: localhost\r\n\r\n", endpoint::METRICS);
        let metrics = exchange(&mut self.connect(), scrape.as_bytes());
        let stored = metrics.split_once("\nspec_kitty_events_stored_total ").unwrap().1;
        stored.lines().next().unwrap().parse().unwrap()
    }
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Sends a request and reads its whole answer.
pub(crate) fn exchange(stream: &mut TcpStream, request: &[u8]) -> String {
    stream.write_all(request).unwrap();
    let (mut received, mut buffer) = (Vec::new(), [0; 64 * 1024]);
    loop {
        let count = stream.read(&mut buffer).unwrap();
        assert!(count > 0, "the server closed: {}", String::from_utf8_lossy(&received));
        received.extend_from_slice(&buffer[..count]);
        let Some(end) = received.windows(4).position(|window| window == b"\r\n\r\n") else { continue };
        let head = String::from_utf8_lossy(&received[..end]).to_lowercase();
        assert!(head.starts_with("http/1.1 200"), "{}", String::from_utf8_lossy(&received));
        let length = head.split("content-length: ").nth(1).and_then(|rest| rest.split("\r\n").next());
        let length: usize = length.unwrap().trim().parse().unwrap();
        if received.len() >= end + 4 + length {
            return String::from_utf8_lossy(&received).into_owned();
        }
    }
}
