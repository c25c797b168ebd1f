//! A real daemon of a world, and a fake daemon of the reference. Both end with their test.

use crate::patience::eventually;
use crate::scripted::{Reply, ScriptedServer};
use crate::world::World;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use system::lock::LockProbe;

/// A daemon that a test started. Dropping this ends it; one that a command starts ends with its world.
#[derive(Debug)]
pub struct Daemon {
    pid: u32,
    /// Start time, which distinguishes it from a later process with the same pid.
    born: Option<u64>,
    /// Its owner lock.
    lock: PathBuf,
}

impl Daemon {
    /// Starts the daemon of `world`, and waits until it is idle.
    ///
    /// # Panics
    /// When it does not start.
    #[allow(clippy::expect_used, reason = "a test that cannot build its world has to stop")]
    pub fn start(world: &World) -> Self {
        let _ = world.run(["sync", "daemon", "start", "--json"]).exits(0);
        let pid = read_pid(&world.home().control_file()).expect("a control file");
        let daemon = Self { pid, born: born(pid), lock: world.home().owner_lock() };
        // It has checked for rows once and stopped writing.
        eventually("the daemon rests", || {
            let status = world.run(["sync", "daemon", "status", "--json"]).exits(0).json();
            status["report"]["phase"] == "idle"
        });
        daemon
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Kills the daemon, as in a crash.
    ///
    /// # Panics
    /// When it does not end.
    pub fn crash(&self) {
        end(self.pid);
        // The other threads of a dead process close its files a moment later.
        eventually("its lock is free", || {
            system::lock::probe(&self.lock).is_ok_and(|lock| lock == LockProbe::Free)
        });
    }

    /// Sends a signal to the daemon.
    ///
    /// # Panics
    /// When it cannot be sent.
    pub fn signal(&self, name: &str) {
        assert!(send(self.pid, name), "SIG{name} to {}", self.pid);
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if born(self.pid) == self.born {
            end(self.pid);
        }
    }
}

/// Ends the daemon of `world` that a command started, if one runs. A control file may be that of a crashed
/// daemon, or a copy of another home's.
pub(crate) fn end_of(world: &World) {
    let home = world.home();
    if let Some(pid) = read_pid(&home.control_file())
        && system::lock::probe(&home.owner_lock()).is_ok_and(|lock| lock == LockProbe::Held)
        && is_daemon_of(world, pid)
    {
        end(pid);
    }
}

fn is_daemon_of(world: &World, pid: u32) -> bool {
    let argv = system::process::process_argv(i64::from(pid)).unwrap_or_default();
    let home = [b"HOME=", world.user_home().as_os_str().as_encoded_bytes()].concat();
    // On a system that does not show the environment, the lock decides.
    let environ = std::fs::read(format!("/proc/{pid}/environ"));
    argv.iter().any(|word| word == "daemon")
        && environ.map_or(true, |pairs| pairs.split(|byte| *byte == 0).any(|pair| pair == home))
}

fn read_pid(control_file: &Path) -> Option<u32> {
    let control: Value = serde_json::from_slice(&std::fs::read(control_file).ok()?).ok()?;
    u32::try_from(control["pid"].as_u64()?).ok()
}

fn born(pid: u32) -> Option<u64> {
    system::process::observe_process(i64::from(pid)).start_ticks()
}

fn send(pid: u32, name: &str) -> bool {
    let status = Command::new("kill").args(["-s", name]).arg(pid.to_string()).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}

/// Kills a process and waits for its end.
fn end(pid: u32) {
    let _ = send(pid, "KILL");
    eventually("a daemon ends", || !system::process::observe_process(i64::from(pid)).is_alive());
}

/// A process with the argv of a reference daemon, and its control protocol on a separate port: health
/// returns the token, and a request with the token ends it.
#[derive(Debug)]
pub struct ReferenceDaemon {
    process: Arc<Mutex<Child>>,
    _control: ScriptedServer,
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
        let mut command = Command::new("sh");
        world.dress(&mut command);
        // It lives as long as the other end of its input is open.
        command.args(["-c", "read -r _", "run_sync_daemon"]).stdin(Stdio::piped());
        let child = command.spawn().expect("a process");
        let pid = child.id();
        let process = Arc::new(Mutex::new(child));
        let theirs = Arc::clone(&process);
        let token = "0123456789abcdef";
        let control = ScriptedServer::start(move |asked, _| {
            let body = String::from_utf8_lossy(&asked.body);
            if asked.method == "POST" && asked.path == "/api/shutdown" && body.contains(token) {
                finish(&theirs);
            }
            let document = serde_json::json!({ "status": "ok", "token": token });
            Reply::Raw(format!("HTTP/1.0 200 OK\r\n\r\n{document}").into_bytes())
        });
        Self { process, pid, port: control.port(), token, _control: control }
    }

    /// Writes its state file.
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
