//! A real daemon of the world, and a stand-in for a daemon of the reference. Both end with their test.

use crate::world::World;
use serde_json::Value;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long a daemon may take to come to rest.
const PATIENCE: Duration = Duration::from_secs(30);

/// The daemons of a world: started here or by a command, all gone when this is dropped.
#[derive(Debug)]
pub struct Daemons {
    control_file: std::path::PathBuf,
    /// Of the one started here.
    pid: u32,
    /// When it started: what tells it from a later process of the same pid.
    born: Option<u64>,
}

impl Daemons {
    /// Starts the daemon of `world`, and waits until it has nothing left to do.
    ///
    /// # Panics
    /// When it does not start.
    #[allow(clippy::expect_used, reason = "a test that cannot build its world has to stop")]
    pub fn start(world: &World) -> Self {
        let _ = world.run(["sync", "daemon", "start", "--json"]).exits(0);
        let control_file = world.home().control_file();
        let pid = read_pid(&control_file).expect("a control file");
        let daemons = Self { control_file, pid, born: born(pid) };
        daemons.rest(world);
        daemons
    }

    /// The process id of the daemon that was started here.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Ends the daemon as a crash would.
    ///
    /// # Panics
    /// When it does not end.
    pub fn crash(&self) {
        end(self.pid);
    }

    /// Sends a signal to the daemon.
    ///
    /// # Panics
    /// When it cannot be sent.
    pub fn signal(&self, name: &str) {
        assert!(send(self.pid, name), "SIG{name} to {}", self.pid);
    }

    /// Waits until the daemon, having looked for rows once, writes nothing more.
    fn rest(&self, world: &World) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let status = world.run(["sync", "daemon", "status", "--json"]).exits(0).json();
            if status["report"]["phase"] == "idle" {
                return;
            }
            assert!(Instant::now() < deadline, "never at rest: {status:#}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Daemons {
    fn drop(&mut self) {
        if born(self.pid) == self.born {
            end(self.pid);
        }
        // The one that a command put in its place.
        if let Some(pid) = read_pid(&self.control_file)
            && pid != self.pid
        {
            end(pid);
        }
    }
}

fn read_pid(control_file: &std::path::Path) -> Option<u32> {
    let control: Value = serde_json::from_slice(&std::fs::read(control_file).ok()?).ok()?;
    u32::try_from(control["pid"].as_u64()?).ok()
}

fn born(pid: u32) -> Option<u64> {
    identity::process::observe_process(i64::from(pid)).start_ticks()
}

fn send(pid: u32, name: &str) -> bool {
    let status = Command::new("kill").args(["-s", name]).arg(pid.to_string()).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}

/// Ends a process and waits until it is gone.
fn end(pid: u32) {
    let _ = send(pid, "KILL");
    let deadline = Instant::now() + PATIENCE;
    while identity::process::observe_process(i64::from(pid)).is_alive() {
        assert!(Instant::now() < deadline, "{pid} does not end");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A process with the argv of a daemon of the reference, and the voice of one on a port of its own: it
/// repeats its token to whoever asks for its health, and ends when it is told to by somebody who knows it.
#[derive(Debug)]
pub struct ReferenceDaemon {
    process: Arc<Mutex<Child>>,
    /// Its process id.
    pub pid: u32,
    /// Its port.
    pub port: u16,
    /// Its control token.
    pub token: &'static str,
}

impl ReferenceDaemon {
    /// Starts one in the home of `world`.
    ///
    /// # Panics
    /// When it does not start.
    #[allow(clippy::expect_used, reason = "a test that cannot build its world has to stop")]
    pub fn start(world: &World) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a loopback port");
        let port = listener.local_addr().expect("an address").port();
        let mut command = Command::new("sh");
        world.dress(&mut command);
        // It lives as long as somebody holds the other end of its input.
        command.args(["-c", "read -r _", "run_sync_daemon"]).stdin(Stdio::piped());
        let child = command.spawn().expect("a process");
        let pid = child.id();
        let process = Arc::new(Mutex::new(child));
        let theirs = Arc::clone(&process);
        let token = "0123456789abcdef";
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                if answer(&mut stream, token).unwrap_or_default() {
                    finish(&theirs);
                    return;
                }
            }
        });
        Self { process, pid, port, token }
    }

    /// Writes the state file that names it.
    pub fn write_state_file(&self, world: &World) {
        let Self { pid, port, token, .. } = self;
        world.write_state(
            "sync-daemon",
            format!("http://127.0.0.1:{port}\n{port}\n{token}\n{pid}\n").as_bytes(),
        );
    }
}

impl Drop for ReferenceDaemon {
    fn drop(&mut self) {
        finish(&self.process);
    }
}

fn finish(process: &Mutex<Child>) {
    let mut child = process.lock().unwrap_or_else(PoisonError::into_inner);
    drop(child.stdin.take());
    let _ = child.wait();
}

/// Answers one request; true when it was told to end.
fn answer(stream: &mut TcpStream, token: &str) -> std::io::Result<bool> {
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut first = String::new();
    reader.read_line(&mut first)?;
    let mut length = 0;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 || line.trim().is_empty() {
            break;
        }
        if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap_or_default();
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let ends = first.starts_with("POST /api/shutdown") && String::from_utf8_lossy(&body).contains(token);
    let document = serde_json::json!({ "status": "ok", "token": token }).to_string();
    write!(
        stream,
        "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{document}",
        document.len()
    )?;
    Ok(ends)
}
