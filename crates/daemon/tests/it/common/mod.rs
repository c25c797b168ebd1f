//! A world in which `daemon-bench` is the command line, and in which no process outlives its test.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "tests; each uses a part of it"
)]

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
pub use testkit::patience::eventually;
use testkit::{Run, World};

pub struct Bench {
    pub world: World,
}

impl Bench {
    /// Logged in, hosted sync on, daemons allowed.
    pub fn logged_in() -> Self {
        let bench = Self::logged_out();
        bench.world.log_in();
        bench
    }

    pub fn logged_out() -> Self {
        Self::with_program(Path::new(env!("CARGO_BIN_EXE_daemon-bench")))
    }

    pub fn with_program(program: &Path) -> Self {
        let mut world = World::new(program);
        world.unset("SPEC_KITTY_NO_DAEMON");
        Self { world }
    }

    pub fn set(&mut self, name: &str, value: &str) -> &mut Self {
        self.world.set(name, value);
        self
    }

    pub fn run(&self, words: &[&str]) -> Run {
        self.world.run(words)
    }

    /// Runs a verb that has to succeed.
    #[track_caller]
    pub fn ok(&self, words: &[&str]) -> Value {
        self.run(words).exits(0).json()
    }

    /// Runs a verb that has to fail; gives its error.
    #[track_caller]
    pub fn fails(&self, words: &[&str]) -> Value {
        let mut document = self.run(words).exits(1).json();
        document["error"].take()
    }

    /// Starts a daemon; gives its pid.
    #[track_caller]
    pub fn start(&self) -> u32 {
        let started = self.ok(&["start"]);
        assert_eq!(started["result"], "started", "{started}");
        pid_of(&started["pid"])
    }

    pub fn daemon_dir(&self) -> PathBuf {
        self.world.home().daemon_dir()
    }

    pub fn record_path(&self) -> PathBuf {
        self.world.home().owner_record()
    }

    pub fn record(&self) -> Value {
        serde_json::from_slice(&fs::read(self.record_path()).expect("a record")).expect("json")
    }

    pub fn control(&self) -> Value {
        serde_json::from_slice(&fs::read(self.world.home().control_file()).expect("a control file"))
            .expect("json")
    }

    pub fn write_record(&self, record: &Value) {
        fs::write(self.record_path(), serde_json::to_vec_pretty(record).expect("json")).expect("written");
    }

    /// Makes the bench's draining step behave (see `daemon_bench.rs`).
    pub fn drain_file(&self, name: &str) -> PathBuf {
        let directory = self.world.root().join("drain");
        fs::create_dir_all(&directory).expect("a directory");
        directory.join(name)
    }

    pub fn touch(&self, name: &str) {
        fs::write(self.drain_file(name), "").expect("written");
    }

    pub fn drains(&self) -> u64 {
        fs::read_to_string(self.drain_file("count")).ok().and_then(|text| text.parse().ok()).unwrap_or(0)
    }

    /// The reasons of past ends, oldest first.
    pub fn stop_reasons(&self) -> Vec<String> {
        let status = self.ok(&["status"]);
        let stops = status["stops"].as_array().expect("a list");
        stops.iter().map(|stop| stop["reason"].as_str().expect("a reason").to_owned()).collect()
    }

    /// The daemons of this world: processes of its program with its home.
    pub fn daemons(&self) -> Vec<u32> {
        let home = [b"HOME=", self.world.user_home().as_os_str().as_encoded_bytes()].concat();
        processes()
            .filter(|pid| {
                let argv = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
                let environ = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
                let is_daemon =
                    argv.windows(7).any(|part| part == b"\0daemon") || contains(&argv, b"stand-in");
                is_daemon && environ.split(|byte| *byte == 0).any(|pair| pair == home)
            })
            .collect()
    }

    /// A process that has nothing to do with us.
    pub fn stranger(&self) -> Stranger {
        let mut command = std::process::Command::new("sleep");
        command.arg("300").stdin(Stdio::null());
        Stranger(command.spawn().expect("a stranger"))
    }

    /// A stand-in for a daemon of the reference.
    pub fn stand_in(&self, token: &str, mute: bool) -> (Stranger, u16) {
        self.stand_in_with(token, if mute { &["mute"] } else { &[] })
    }

    /// The same with words for how it answers.
    pub fn stand_in_with(&self, token: &str, words: &[&str]) -> (Stranger, u16) {
        let port_file = self.world.user_home().join(format!("port-{token}"));
        let mut command = self.world.command();
        command.args(["stand-in", "run_sync_daemon", port_file.to_str().expect("utf-8"), token]);
        command.args(words);
        let child = Stranger(command.spawn().expect("a stand-in"));
        eventually("the stand-in listens", || port_file.exists());
        let port = fs::read_to_string(&port_file).expect("a port").parse().expect("a number");
        (child, port)
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        for pid in self.daemons() {
            signal(pid, Signal::KILL);
        }
    }
}

/// A process that a test started; ends with it.
pub struct Stranger(pub Child);

impl Stranger {
    pub fn pid(&self) -> u32 {
        self.0.id()
    }

    pub fn is_alive(&mut self) -> bool {
        self.0.try_wait().expect("a child of ours").is_none()
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub fn contains(bytes: &[u8], wanted: &[u8]) -> bool {
    bytes.windows(wanted.len()).any(|window| window == wanted)
}

fn processes() -> impl Iterator<Item = u32> {
    fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|pid| is_alive(*pid))
}

#[track_caller]
pub fn pid_of(value: &Value) -> u32 {
    value.as_u64().and_then(|pid| u32::try_from(pid).ok()).unwrap_or_else(|| panic!("no pid: {value}"))
}

pub fn is_alive(pid: u32) -> bool {
    system::process::observe_process(i64::from(pid)).is_alive()
}

pub fn signal(pid: u32, signal: Signal) {
    let pid = Pid::from_raw(i32::try_from(pid).expect("a pid")).expect("a pid");
    let _ = kill_process(pid, signal);
}

pub fn mode(path: &Path) -> u32 {
    fs::metadata(path).expect("metadata").permissions().mode() & 0o777
}
