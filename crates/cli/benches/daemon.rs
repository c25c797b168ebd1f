//! The daemon: what it costs while nothing happens, and how soon something happens when it should.
//! `cargo bench -p spec-kitty --bench daemon -- [--minutes N]`
//!
//! A session and not a token, because opening a session is the more expensive of the two.
#![allow(
    missing_docs,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a benchmark prints, and stops when it cannot run"
)]

#[cfg(not(target_os = "linux"))]
fn main() {
    println!("memory and wake-ups are read from /proc: Linux only");
}

#[cfg(target_os = "linux")]
fn main() {
    linux::main();
}

#[cfg(target_os = "linux")]
mod linux {
    use benches::{Timings, bare_process};
    use contract::ForegroundIdentity;
    use contract::event::ValidatedEvent;
    use daemon::control::client::ControlClient;
    use daemon::control::file::ControlFile;
    use daemon::lifecycle::{DaemonState, observe_status};
    use daemon::nudge::{FollowUp, follow_up};
    use daemon::spawn::Launcher;
    use identity::{BuildInfo, Config, Environment, Home, Secret, Session};
    use preflight::Boundary;
    use queue::{Capacity, Capture, NewRow, RowOrigin, Witness, Writer};
    use std::fs;
    use std::io::Write as _;
    use std::path::{Path, PathBuf};
    use std::process::{Child, Command, Stdio};
    use std::time::{Duration, Instant};
    use testkit::world::session;
    use testkit::{Server, World};

    const EMAIL: &str = "dev@example.com";
    const PROJECT: &str = "4a9c9a6e-5d3c-4b52-8f0e-6f4c3a2b1d00";
    const PATIENCE: Duration = Duration::from_secs(10);
    const STATUSES: usize = 200;
    const RESTARTS: usize = 40;
    const CAPTURES: usize = 300;

    pub(super) fn main() {
        let mut world = World::new(env!("CARGO_BIN_EXE_spec-kitty"));
        let server = Server::start(&world, EMAIL);
        world.write_config(&format!("[sync]\nserver_url = \"{}\"\n", server.url()));
        let login = Session {
            access_token: Secret::new(server.token.clone()),
            ..session(&server.url(), EMAIL, &server.team)
        };
        world.write_session(&login);
        world.allow_daemon();
        let scene = Scene::new(&world);

        let _ = world.run(["sync", "daemon", "start"]).exits(0);
        scene.captures(&server);
        scene.statuses(&world);
        scene.restarts(&world);
        scene.idle(minutes());
        let _ = world.run(["sync", "daemon", "stop"]).exits(0);
    }

    /// Minutes for which idleness is observed.
    fn minutes() -> u64 {
        let mut words = std::env::args().skip_while(|word| word != "--minutes").skip(1);
        words.next().and_then(|word| word.parse().ok()).unwrap_or(3)
    }

    /// A home with a daemon, as a command sees it.
    struct Scene {
        environment: Environment,
        home: Home,
        launcher: Launcher,
        foreground: ForegroundIdentity,
        queue: PathBuf,
    }

    impl Scene {
        fn new(world: &World) -> Self {
            let pairs =
                [("HOME", world.user_home().as_os_str()), ("SPEC_KITTY_ENABLE_SAAS_SYNC", "1".as_ref())];
            let environment = Environment::from_pairs(pairs);
            let home = world.home();
            let status = world.run(["sync", "status", "--json"]).exits(0).json();
            let text = |key: &str| status["foreground"][key].as_str().map(str::to_owned);
            let path = |key: &str| PathBuf::from(text(key).expect("a path"));
            let foreground = ForegroundIdentity {
                package_version: text("package_version").expect("a version"),
                executable_path: path("executable_path"),
                source_path: path("source_path"),
                server_url: text("server_url"),
                team_or_user: text("team_or_user"),
                queue_db_path: path("queue_db_path"),
                pid: std::process::id(),
            };
            let launcher = Launcher::new(env!("CARGO_BIN_EXE_spec-kitty").into(), &home, &environment);
            let queue = foreground.queue_db_path.clone();
            Self { environment, home, launcher, foreground, queue }
        }

        fn pid(&self) -> u32 {
            let status = observe_status(&self.home);
            assert_eq!(status.state, DaemonState::Running, "{status:?}");
            status.pid.and_then(|pid| u32::try_from(pid).ok()).expect("a pid")
        }

        /// From the commit of a capture until its receipt is in the queue DB: nudged, gated, sent, answered,
        /// recorded. Two yardsticks. The first is the server's part alone: the same request over a fresh connection.
        /// The second is one durable write; a delivery needs at least eight on both sides.
        fn captures(&self, server: &Server) {
            let config = Config::read(&self.home).expect("a configuration");
            let mut timings = Timings::of("capture -> receipt, through the daemon");
            let mut direct = Timings::of("the same event, posted directly");
            let mut sync = Timings::of("one 4 KiB write and fdatasync");
            let mut file = fs::File::create(self.home.root().join("yardstick")).expect("a file");
            for n in 0..CAPTURES {
                self.capture(n);
                timings.time(|| {
                    let told = follow_up(&self.home, &config, &self.environment, &self.launcher, "3.3.0");
                    assert_eq!(told, FollowUp::Nudged);
                    self.await_receipt();
                });
                let body = format!("{{\"events\":[{}]}}", event_text(1_000_000 + n));
                direct.time(|| post(server, &body));
                sync.time(|| {
                    file.write_all(&[0; 4096]).and_then(|()| file.sync_data()).expect("written");
                });
            }
            println!("{}", timings.line(&direct));
            println!("{}", timings.line(&sync));
        }

        fn capture(&self, n: usize) {
            let build = BuildInfo { version: "3.3.0".into(), commit: None, release: true };
            let boundary =
                Boundary::new(&self.environment, &self.home, build).with_foreground(self.foreground.clone());
            let permit = boundary.capture_permit().expect("a coherent boundary");
            let mut writer = Writer::open(&permit, Capacity(1_000_000)).expect("the queue");
            let row = ValidatedEvent::parse(event_text(n)).expect("an event");
            let log = "/nowhere/status.events.jsonl".into();
            let witness = Witness::LogRow { log, event_id: row.id().to_owned() };
            let place = RowOrigin { project_uuid: Some(PROJECT.to_owned()), ..RowOrigin::default() };
            let rows = vec![NewRow::event(row, witness)];
            let prepared = writer
                .prepare(&Capture { place, mission_slug: "demo-01KRX11M".into(), rows })
                .expect("prepared");
            writer.confirm(prepared).expect("confirmed");
        }

        fn await_receipt(&self) {
            let deadline = Instant::now() + PATIENCE;
            let waits = || {
                queue::observe_counts(&self.queue, &|_: &RowOrigin| contract::Consent::Unset)
                    .map_or(true, |counts| counts.events > 0)
            };
            while waits() {
                assert!(Instant::now() < deadline, "it never left: {:?}", observe_status(&self.home).report);
                std::thread::sleep(Duration::from_micros(200));
            }
        }

        fn statuses(&self, world: &World) {
            let (mut status, mut yardstick) =
                (Timings::of("sync daemon status, whole process"), Timings::of("bare process"));
            for _ in 0..STATUSES {
                let mut command = world.command();
                command.args(["sync", "daemon", "status"]).stdout(Stdio::null());
                assert!(status.time(|| command.status().expect("the binary").success()));
                yardstick.time(bare_process);
            }
            println!("{}", status.line(&yardstick));
        }

        fn restarts(&self, world: &World) {
            let (mut restart, mut yardstick) = (
                Timings::of("doctor restart-daemon and the first healthy answer"),
                Timings::of("bare process"),
            );
            for _ in 0..RESTARTS {
                let mut command = world.command();
                command.args(["doctor", "restart-daemon"]).stdout(Stdio::null());
                restart.time(|| {
                    assert!(command.status().expect("the binary").success());
                    let control =
                        ControlFile::read(&self.home.control_file()).expect("readable").expect("there");
                    ControlClient::connect(&control, PATIENCE).expect("healthy and proven");
                });
                yardstick.time(bare_process);
            }
            println!("{}", restart.line(&yardstick));
        }

        /// After one drain, without requests: memory, and wake-ups of all its threads.
        fn idle(&self, minutes: u64) {
            self.capture(2_000_000);
            let config = Config::read(&self.home).expect("a configuration");
            follow_up(&self.home, &config, &self.environment, &self.launcher, "3.3.0");
            self.await_receipt();
            let pid = self.pid();
            let mut sleeper = Sleeper::start();
            // Work that the drain and the request above started ends by itself.
            std::thread::sleep(Duration::from_secs(5));
            let (before, before_sleeper) = (wake_ups(pid), wake_ups(sleeper.0.id()));
            std::thread::sleep(Duration::from_secs(60 * minutes));
            #[allow(clippy::cast_precision_loss, reason = "small counts")]
            let per_minute = |woke: u64| woke as f64 / minutes as f64;
            let woke = wake_ups(pid) - before;
            let woke_sleeper = wake_ups(sleeper.0.id()) - before_sleeper;
            let (rss, threads) = (resident_kib(pid), threads(pid));
            println!(
                "idle daemon: {:.1} MiB resident, {threads} threads (a sleeping process: {:.1} MiB)",
                mib(rss),
                mib(resident_kib(sleeper.0.id()))
            );
            println!(
                "idle daemon: {:.1} wake-ups a minute over {minutes} minutes (a sleeping process: {:.1})",
                per_minute(woke),
                per_minute(woke_sleeper)
            );
            let _ = sleeper.0.kill();
            let _ = sleeper.0.wait();
        }
    }

    /// A process that does nothing and stays.
    struct Sleeper(Child);

    impl Sleeper {
        fn start() -> Self {
            Self(Command::new("sleep").arg("86400").stdin(Stdio::null()).spawn().expect("a process"))
        }
    }

    fn threads(pid: u32) -> usize {
        fs::read_dir(format!("/proc/{pid}/task")).expect("tasks").count()
    }

    /// Voluntary context switches over all threads.
    fn wake_ups(pid: u32) -> u64 {
        let tasks = fs::read_dir(format!("/proc/{pid}/task")).expect("tasks").flatten();
        tasks.map(|task| field(&task.path().join("status"), "voluntary_ctxt_switches:")).sum()
    }

    fn resident_kib(pid: u32) -> u64 {
        field(Path::new(&format!("/proc/{pid}/status")), "VmRSS:")
    }

    fn field(path: &Path, name: &str) -> u64 {
        let text = fs::read_to_string(path).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or_default()
    }

    #[allow(clippy::cast_precision_loss, reason = "a size in KiB")]
    fn mib(kib: u64) -> f64 {
        kib as f64 / 1024.0
    }

    fn event_text(n: usize) -> String {
        testkit::events::claimed(&format!("01KX00000000000000{n:08}"), PROJECT, "demo-01KRX11M").to_string()
    }

    fn post(server: &Server, body: &str) {
        let agent = ureq::Agent::new_with_defaults();
        let answer = agent
            .post(format!("{}/api/v1/events/batch/", server.url()))
            .header("Authorization", format!("Bearer {}", server.token))
            .header("Content-Type", "application/json")
            .header("X-Team-Slug", &server.team)
            .send(body)
            .expect("an answer");
        assert_eq!(answer.status().as_u16(), 200);
    }
}
