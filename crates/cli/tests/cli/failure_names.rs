//! Every name of a refusal, one world each. Gate, `--check`, its JSON, `sync now` and a producing verb agree on it;
//! nothing is written or sent; the named remedy makes the machine coherent. The tests cover the closed list itself,
//! and the match below its types. A new name does not compile until a test makes its state and runs its remedy.
#![cfg(unix)]

use crate::worlds::with_server;
use contract::{FailureName, FaultCode, Field, OwnerRecord};
use serde_json::Value;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use testkit::browser;
use testkit::daemon::{Daemon, ReferenceDaemon};
use testkit::owner::failing_names;
use testkit::reference_queue::{ReferenceQueue, leave_hot_journal};
use testkit::tree::{difference, snapshot};
use testkit::world::{USER, session};
use testkit::{Server, World};

const PRODUCING: [&str; 4] = ["agent", "mission", "create", "some-mission"];

/// A coherent machine with a real server, to be spoiled and cured.
pub(crate) struct Scene {
    pub(crate) world: World,
    server: Server,
    /// Processes that live as long as the machine is spoiled.
    daemon: Option<Daemon>,
    stray: Option<ReferenceDaemon>,
    /// The schema that the queue DB had before it seemed to have another.
    schema: i64,
}

/// A spoiled machine, and the required result.
pub(crate) struct Spoiled {
    /// All names that fail, in refusal order.
    names: Vec<&'static str>,
    /// The remedies, as they are shown.
    remedies: Vec<&'static str>,
    /// Action of a person where the remedy is an advice.
    advised: fn(&mut Scene),
    /// Whether `sync now` refuses; otherwise it repairs the state itself.
    refuses_now: bool,
    /// Whether producing verbs refuse; otherwise they cure by themselves.
    refuses_capture: bool,
}

impl Spoiled {
    fn by(name: FailureName, remedy: &'static str) -> Self {
        let no_advice = |_: &mut Scene| panic!("there was no advice");
        Self {
            names: vec![name.name()],
            remedies: vec![remedy],
            advised: no_advice,
            refuses_now: true,
            refuses_capture: true,
        }
    }

    fn advised(self, change: fn(&mut Scene)) -> Self {
        Self { advised: change, ..self }
    }
}

impl Scene {
    /// Logged in by a token, with a project and a queue DB that holds nothing any more.
    pub(crate) fn coherent() -> Self {
        let (world, server) = with_server();
        let _ = world.run(["agent", "mission", "create", "earlier"]).exits(0);
        let _ = world.run(["sync", "now"]).exits(0);
        let _ = world.run(["sync", "status", "--check"]).exits(0);
        Self { world, server, daemon: None, stray: None, schema: 0 }
    }

    fn queue(&self) -> PathBuf {
        let status = self.world.run(["sync", "status", "--json"]).exits(0).json();
        status["active_queue"]["path"].as_str().unwrap().into()
    }

    fn change_meta(&self, key: &str, value: impl rusqlite::ToSql) {
        let db = rusqlite::Connection::open(self.queue()).unwrap();
        let changed =
            db.execute("UPDATE meta SET value = ?2 WHERE key = ?1", rusqlite::params![key, value]).unwrap();
        assert_eq!(changed, 1, "{key}");
    }

    /// A real daemon of ours, holding its lock.
    fn start_daemon(&mut self) -> &Daemon {
        self.daemon.insert(Daemon::start(&self.world))
    }

    /// Rewrites the record of the daemon that holds the lock.
    fn rewrite_record(&self, change: fn(&mut OwnerRecord)) {
        let path = self.world.home().owner_record();
        let mut record = OwnerRecord::parse(&std::fs::read(&path).unwrap()).unwrap();
        assert!(record.instance.is_some(), "a record of ours");
        change(&mut record);
        std::fs::write(path, record.render()).unwrap();
    }

    /// Acts by a session from now on, and by no token.
    fn use_session(&mut self) {
        self.world.unset("SPEC_KITTY_TOKEN").unset("SPEC_KITTY_SERVER_URL");
        self.world.write_session(&session(&self.server.url(), USER, &self.server.team));
        let _ = self.world.run(["sync", "status", "--check"]).exits(0);
    }

    /// Everything on the machine but what the server itself keeps.
    fn changes_since(&self, before: &testkit::tree::Tree) -> Vec<String> {
        let changed = difference(before, &snapshot(self.world.user_home().parent().unwrap()));
        changed.into_iter().filter(|line| !line.contains("server-data")).collect()
    }

    /// Brings `name` about.
    pub(crate) fn spoil(&mut self, name: FailureName) -> Spoiled {
        match name {
            FailureName::Field(field) => {
                self.start_daemon();
                self.rewrite_record(change_of(field));
                Spoiled::by(name, "spec-kitty doctor restart-daemon")
            }
            FailureName::OrphanDaemonRecord => {
                self.start_daemon().crash();
                Spoiled::by(name, "spec-kitty doctor orphan-daemons --fix")
            }
            FailureName::LegacyRowsInScope => {
                ReferenceQueue::create(&self.world.root().join("queue.db"))
                    .event("01KRX0000000000000000000A1", Some(&self.server.team))
                    .body("spec.md", "# Spec\n");
                Spoiled { refuses_now: false, ..Spoiled::by(name, "spec-kitty sync migrate") }
            }
            FailureName::AuthAbsent => {
                self.world.unset("SPEC_KITTY_TOKEN").unset("SPEC_KITTY_SERVER_URL");
                Spoiled::by(name, "spec-kitty auth login")
            }
            FailureName::Fault(code) => self.spoil_by(code),
        }
    }

    fn spoil_by(&mut self, code: FaultCode) -> Spoiled {
        let name = FailureName::Fault(code);
        let root = self.world.root();
        match code {
            FaultCode::OwnerRecordUnreadable => {
                self.world.write_state("sync/daemon/owner.json", b"{");
                Spoiled::by(name, "spec-kitty doctor repair")
            }
            FaultCode::OwnerRecordStale => {
                self.start_daemon();
                std::fs::remove_file(self.world.home().owner_record()).unwrap();
                Spoiled::by(name, "spec-kitty doctor restart-daemon")
            }
            FaultCode::SessionUnreadable => {
                self.use_session();
                std::fs::write(self.world.home().session_file(), "{").unwrap();
                Spoiled {
                    names: vec!["auth_absent", name.name()],
                    ..Spoiled::by(name, "spec-kitty auth login")
                }
            }
            FaultCode::ConfigUnreadable => {
                let config = self.world.home().config_file();
                let text = std::fs::read_to_string(&config).unwrap();
                std::fs::write(config, format!("{text}max_queue_size = \n")).unwrap();
                Spoiled::by(name, "line 3").advised(|scene| {
                    let config = scene.world.home().config_file();
                    let text = std::fs::read_to_string(&config).unwrap();
                    let kept: Vec<&str> = text.lines().take(2).collect();
                    std::fs::write(config, format!("{}\n", kept.join("\n"))).unwrap();
                })
            }
            FaultCode::ServerUrlInvalid => {
                self.use_session();
                self.world.write_config("[sync]\nserver_url = \"sync.example.org\"\n");
                Spoiled::by(name, "spec-kitty auth login --server URL")
            }
            FaultCode::LegacyQueueUnreadable => {
                std::fs::write(root.join("queue.db"), "no database at all, and not empty").unwrap();
                Spoiled::by(name, "spec-kitty doctor repair")
            }
            FaultCode::ActiveQueueUnreadable => {
                std::fs::write(self.queue(), "no database at all, and not empty").unwrap();
                Spoiled::by(name, "spec-kitty doctor repair")
            }
            FaultCode::QueueRecoveryNeeded => {
                // Another queue DB takes the place: without the birth record it is not one that lost its rows.
                let queue = self.queue();
                std::fs::remove_file(queue.with_extension("id")).unwrap();
                leave_hot_journal(&queue);
                let by = Spoiled::by(name, "spec-kitty sync migrate");
                Spoiled { refuses_now: false, refuses_capture: false, ..by }
            }
            FaultCode::QueueSchemaNewer => {
                let db = rusqlite::Connection::open(self.queue()).unwrap();
                let version = "SELECT value FROM meta WHERE key = 'schema_version'";
                self.schema = db.query_row(version, [], |row| row.get(0)).unwrap();
                self.change_meta("schema_version", self.schema + 1);
                // As the release that wrote it sees the file: with a schema that it knows.
                Spoiled::by(name, "update spec-kitty")
                    .advised(|scene| scene.change_meta("schema_version", scene.schema))
            }
            FaultCode::QueueIdentityChanged => {
                self.start_daemon();
                self.change_meta("queue_id", "01KRX0000000000000000000ZZ");
                Spoiled::by(name, "spec-kitty doctor restart-daemon")
            }
            FaultCode::HomeAmbiguous => {
                let elsewhere = self.world.user_home().join("elsewhere");
                self.world.set("SPEC_KITTY_HOME", elsewhere.to_str().unwrap());
                Spoiled::by(name, "unset SPEC_KITTY_HOME").advised(|scene| {
                    scene.world.unset("SPEC_KITTY_HOME");
                })
            }
            FaultCode::HomeNotPrivate => {
                let mode = std::fs::Permissions::from_mode(0o777);
                std::fs::set_permissions(&root, mode).unwrap();
                Spoiled::by(name, "chmod 700 ").advised(|scene| {
                    let mode = std::fs::Permissions::from_mode(0o700);
                    std::fs::set_permissions(scene.world.root(), mode).unwrap();
                })
            }
            FaultCode::StrayDaemon => {
                let stray = self.stray.insert(ReferenceDaemon::start(&self.world));
                stray.write_state_file(&self.world);
                Spoiled::by(name, "spec-kitty doctor orphan-daemons --fix")
            }
        }
    }

    /// Every surface prints what `spoiled` expects, and nothing changes. Returns the remedies.
    #[track_caller]
    fn agrees(&self, spoiled: &Spoiled) -> Vec<String> {
        let Self { world, server, .. } = self;
        let names = &spoiled.names;
        let before = snapshot(world.user_home().parent().unwrap());
        let requests = server.requests();

        let status = world.run(["sync", "status", "--check", "--json"]).exits(2).json();
        assert_eq!(failing_names(&status), *names, "{status:#}");
        assert_eq!((&status["ok"], &status["exit_code"]), (&false.into(), &2.into()));
        let strays = u64::from(names.contains(&"stray_daemon"));
        assert_eq!(status["live_orphan_daemon_count"], strays, "{status:#}");
        let text = world.run(["sync", "status", "--check"]).exits(2);
        assert_eq!(text.stderr, "", "everything on stdout");
        let plain = world.run(["sync", "status", "--json"]).exits(0).json();
        assert_eq!(failing_names(&plain), *names, "without --check it is the same judgement");
        self.is_found_by_the_doctor(spoiled);
        let mut said = vec![text.stdout];

        let refusing = [
            (spoiled.refuses_now, &["sync", "now"][..]),
            (spoiled.refuses_capture, &PRODUCING),
            (spoiled.refuses_capture, &["agent", "mission", "setup-plan", "--mission", "earlier"]),
        ];
        // Without a refusal there is only the text of the check.
        let mut remedies: Vec<String> = spoiled.remedies.iter().map(|remedy| (*remedy).to_owned()).collect();
        for (_, verb) in refusing.iter().filter(|(refuses, _)| *refuses) {
            let run = world.run(*verb).exits(2);
            assert_eq!(run.stdout, "", "{verb:?}");
            let screen: usize = run.stderr.lines().map(|line| line.chars().count().max(1).div_ceil(80)).sum();
            assert!(screen <= 25, "{verb:?}: {screen} screen lines:\n{}", run.stderr);
            said.push(run.stderr);
            let run = world.run(verb.iter().copied().chain(["--json"])).exits(2);
            let document = run.json();
            assert_eq!((&document["result"], &document["exit_code"]), (&"refused".into(), &2.into()));
            assert_eq!(failing_names(&document["preflight"]), *names, "{verb:?}: {document:#}");
            assert_eq!(run.stderr.lines().count(), 1, "{verb:?}: {}", run.stderr);
            assert!(names.iter().all(|name| run.stderr.contains(name)), "{verb:?}: {}", run.stderr);
            remedies = texts(&document["remediation"]);
        }
        for text in &said {
            assert!(names.iter().all(|name| text.contains(name)), "{text}");
            assert!(spoiled.remedies.iter().all(|remedy| text.contains(remedy)), "{text}");
            assert!(!text.contains("0123456789abcdef\n") && !text.contains(&server.token), "{text}");
        }
        assert_eq!(self.changes_since(&before), Vec::<String>::new());
        assert_eq!(server.requests(), requests, "nothing was asked of the server");
        remedies
    }

    /// `sync doctor` has a finding of each name, and its first remedy is one of the
    /// gate. One remedy is printed once: a login for an unreadable session is not repeated for the absence.
    #[track_caller]
    fn is_found_by_the_doctor(&self, spoiled: &Spoiled) {
        let doctor = self.world.run(["sync", "doctor", "--offline", "--json"]).exits(1).json();
        let checks = doctor["checks"].as_array().unwrap().iter();
        let findings: Vec<_> = checks.flat_map(|check| check["findings"].as_array().unwrap()).collect();
        let found = spoiled.names.iter().map(|name| {
            let finding = findings.iter().find(|finding| finding["code"] == *name);
            finding.unwrap_or_else(|| panic!("no {name}: {doctor:#}"))
        });
        let first: Vec<_> = found.filter_map(|finding| finding["remediation"][0].as_str()).collect();
        assert!(!first.is_empty(), "{doctor:#}");
        for hint in first {
            assert!(spoiled.remedies.iter().any(|remedy| hint.contains(remedy)), "{hint}: {doctor:#}");
        }
    }

    /// Runs a remedy.
    fn follow(&mut self, remedy: &str, advised: fn(&mut Self)) {
        let Some(words) = remedy.strip_prefix("spec-kitty ") else { return advised(self) };
        let argv: Vec<String> =
            words.split(' ').map(|word| word.replace("URL", &self.server.url())).collect();
        if argv[..2] == ["auth", "login"] {
            browser::log_in(&mut self.world, &self.server, USER, &argv);
            return;
        }
        let _ = self.world.run(&argv).exits(0);
    }

    /// The machine is coherent, and works.
    #[track_caller]
    fn works(&self) {
        let _ = self.world.run(PRODUCING).exits(0);
        let _ = self.world.run(["sync", "status", "--check"]).exits(0);
        let now = self.world.run(["sync", "now", "--json"]).exits(0).json();
        assert_eq!(
            now["remaining"]["events"],
            now["held"].as_array().map_or(0, |held| {
                held.iter().map(|project| project["events"].as_u64().unwrap()).sum::<u64>()
            }),
            "{now:#}"
        );
        let _ = self.world.run(["sync", "status", "--check"]).exits(0);
    }
}

fn texts(list: &Value) -> Vec<String> {
    list.as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_owned()).collect()
}

/// Changes the record of a daemon in one field and no other.
fn change_of(field: Field) -> fn(&mut OwnerRecord) {
    match field {
        Field::PackageVersion => |record| record.package_version = "3.2.0rc10".into(),
        Field::ExecutablePath => |record| record.executable_path = "/".into(),
        Field::SourcePath => |record| record.source_checkout_path = "/other".into(),
        Field::ServerUrl => |record| record.server_url = "https://other.invalid".into(),
        Field::TeamOrUser => |record| record.auth_team = Some("other".into()),
        Field::QueueDbPath => |record| record.queue_db_path = record.queue_db_path.with_file_name("other.db"),
    }
}

/// One world for each name that `of` picks from the closed list.
fn walk(of: fn(&FailureName) -> bool) {
    let names: Vec<FailureName> = FailureName::all().filter(of).collect();
    assert!(names.len() >= 3);
    for name in names {
        let mut scene = Scene::coherent();
        let spoiled = scene.spoil(name);
        let remedies = scene.agrees(&spoiled);
        assert_eq!(remedies.len(), spoiled.remedies.len(), "{name}: {remedies:?}");
        for remedy in &spoiled.remedies {
            // The page has no line number.
            let words = remedy.trim_end_matches(|c: char| c.is_ascii_digit() || c == ' ').to_lowercase();
            assert!(
                name.remedy_text().to_lowercase().contains(&words),
                "{name}: {remedy}: {}",
                name.remedy_text()
            );
        }
        for remedy in remedies {
            scene.follow(&remedy, spoiled.advised);
        }
        let _ = scene.world.run(["sync", "status", "--check"]).exits(0);
        scene.works();
        if let Some(stray) = &scene.stray {
            let state = system::process::observe_process(i64::from(stray.pid));
            assert!(!state.is_alive(), "asked over its own port, it went");
        }
        if !spoiled.refuses_now {
            let mut scene = Scene::coherent();
            scene.spoil(name);
            let _ = scene.world.run(["sync", "now"]).exits(0);
            scene.works();
        }
        if !spoiled.refuses_capture {
            let mut scene = Scene::coherent();
            scene.spoil(name);
            scene.works();
        }
    }
}

#[test]
fn live_daemon_mismatch_is_named_alike_everywhere_and_cured() {
    walk(|name| matches!(name, FailureName::Field(_)));
}

#[test]
fn boundary_failures_are_named_alike_everywhere_and_cured() {
    walk(|name| !matches!(name, FailureName::Field(_) | FailureName::Fault(_)));
}

#[test]
fn each_fault_has_one_name_and_its_remedy_works() {
    walk(|name| matches!(name, FailureName::Fault(_)));
}
