//! Every verb that the inventory calls producing, against everything that has to stop it. A new one is
//! not forgotten: the verbs are those of `doctor paths`, and one without an entry here fails the test.

use crate::worlds::with_listener;
use contract::OwnerRecord;
use contract::owner_record::OwnerInstance;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use testkit::World;
use testkit::listener::CountingListener;
use testkit::mission::{Mission, TASKS};
use testkit::owner::{agreeing, failing_names, stand_in, write};
use testkit::reference_queue::ReferenceQueue;
use testkit::tree::{Tree, difference, snapshot};
use testkit::world::TEAM;

/// A world whose server counts connections, with missions in which every verb has something to do.
struct Scene {
    world: World,
    server: CountingListener,
    /// Has a specification, a plan and work packages, none of them final.
    first: Mission,
    /// The same, for the aliases.
    second: Mission,
    /// Its work packages are final.
    running: Mission,
}

impl Scene {
    fn new() -> Self {
        let (world, server) = with_listener();
        let [first, second, running] =
            ["first", "second", "running"].map(|name| Mission::create(&world, name));
        for mission in [&first, &second, &running] {
            mission.specified(&world);
        }
        for mission in [&first, &second, &running] {
            mission.planned().with_tasks();
        }
        let finalize = ["tasks", "--mission", "running", "--local-only"];
        let _ = world.run(finalize).exits(0);
        // Housekeeping of a command that may write, which makes the next gate cheap.
        let _ = world.run(["agent", "mission", "create", "zeroth"]).exits(0);
        Self { world, server, first, second, running }
    }

    /// Home and repository.
    fn everything(&self) -> Tree {
        snapshot(self.world.user_home().parent().unwrap())
    }

    /// A call of `verb` that does something on a coherent host.
    fn argv(&self, verb: &str) -> Vec<String> {
        let (first, second, running) = (&self.first.slug, &self.second.slug, &self.running.slug);
        let options: &[&str] = match verb {
            "agent mission create" => &["another"],
            "specify" => &["one-more"],
            "agent mission setup-plan" | "agent mission finalize-tasks" => &["--mission", first],
            "plan" | "tasks" => &["--mission", second],
            "agent status emit" => &["WP01", "--to", "claimed", "--actor", "dev", "--mission", running],
            "agent tasks move-task" => &["WP02", "--to", "doing", "--mission", running],
            "agent tasks map-requirements" => &["--wp", "WP01", "--tracker-ref", "T-1", "--mission", running],
            "agent tasks mark-status" => &["T001", "--status", "done", "--mission", running],
            "agent tasks add-history" => &["WP01", "--note", "hello", "--mission", running],
            "sync capture" => &["--history", running, "--yes"],
            unknown => panic!("`{unknown}` is producing: add its command line here"),
        };
        verb.split(' ').chain(options.iter().copied()).map(str::to_owned).collect()
    }

    /// A call of a verb of class local, which needs `evidence.yaml` in `running`.
    fn local_argv(&self, verb: &str) -> Vec<String> {
        let open = |key: &str| {
            let question = ["--flow", "plan", "--step-id", "s", "--input-key", key, "--question", "q"];
            let argv = ["agent", "decision", "open", "--mission", &self.running.slug];
            argv.into_iter().chain(question).map(str::to_owned).collect::<Vec<_>>()
        };
        let opened = |key: &str| {
            let run = self.world.run(open(key)).exits(0).json();
            run["decision_id"].as_str().unwrap().to_owned()
        };
        let mission = ["--mission", &self.running.slug].map(str::to_owned).to_vec();
        let options = match verb {
            "init" => Vec::new(),
            "agent decision open" => return open("open"),
            "agent decision resolve" => {
                [vec![opened(verb)], ["--final-answer", "yes"].map(str::to_owned).to_vec(), mission].concat()
            }
            "agent decision defer" | "agent decision cancel" => {
                [vec![opened(verb)], ["--rationale", "later"].map(str::to_owned).to_vec(), mission].concat()
            }
            "agent evidence capture"
            | "agent evidence draft"
            | "agent status materialize"
            | "agent mission finalize-tasks --validate-only"
            | "tasks --validate-only" => mission,
            unknown => panic!("`{unknown}` is local: add its command line here"),
        };
        verb.split(' ').map(str::to_owned).chain(options).collect()
    }

    /// Every verb refuses under exactly these names, and nothing happens.
    #[track_caller]
    fn refuses(&self, names: &[&str]) {
        let before = self.everything();
        for verb in producing_verbs(&self.world) {
            let argv = self.argv(&verb);
            let text = self.world.run(&argv).exits(2);
            assert_eq!(text.stdout, "", "{verb}");
            assert!(names.iter().all(|name| text.stderr.contains(name)), "{verb}: {}", text.stderr);
            let json = self.world.run(argv.iter().map(String::as_str).chain(["--json"])).exits(2);
            let document = json.json();
            assert_eq!(failing_names(&document["preflight"]), names, "{verb}: {document:#}");
            assert_eq!((&document["result"], &document["exit_code"]), (&"refused".into(), &2.into()));
            assert_eq!(json.stderr.lines().count(), 1, "{verb}: {}", json.stderr);
            assert!(names.iter().all(|name| json.stderr.contains(name)), "{verb}: {}", json.stderr);
            assert_eq!(difference(&before, &self.everything()), Vec::<String>::new(), "{verb}: {names:?}");
        }
        assert_eq!(self.server.connections(), 0);
    }

    /// Keeps the state root aside, lets `arrange` spoil it, and puts it back after `check`.
    fn spoiled(&mut self, arrange: impl FnOnce(&mut World), check: impl FnOnce(&Self)) {
        let kept = self.world.user_home().join("kept");
        testkit::tree::copy(&self.world.root(), &kept).unwrap();
        arrange(&mut self.world);
        check(self);
        std::fs::remove_dir_all(self.world.root()).unwrap();
        std::fs::rename(&kept, self.world.root()).unwrap();
    }
}

/// The verbs of class producing.
fn producing_verbs(world: &World) -> Vec<String> {
    verbs_of_class(world, "producing")
}

/// The verbs of a class, as the program itself lists them.
fn verbs_of_class(world: &World, class: &str) -> Vec<String> {
    let inventory = world.run(["doctor", "paths", "--json"]).exits(0).json();
    let verbs: Vec<String> = inventory["paths"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|path| path["class"] == class && path["runs_in"].is_null())
        .map(|path| path["verb"].as_str().unwrap().to_owned())
        .collect();
    assert!(verbs.len() >= 10, "{verbs:?}");
    verbs
}

#[test]
fn no_verb_gets_past_an_incoherent_host() {
    let mut scene = Scene::new();
    type Change = fn(&mut OwnerRecord);
    let fields: [(&str, Change); 6] = [
        ("daemon_package_version", |record| record.package_version = "3.2.0rc10".into()),
        ("daemon_executable_path", |record| record.executable_path = "/".into()),
        ("daemon_source_path", |record| record.source_checkout_path = "/other".into()),
        ("daemon_server_url", |record| record.server_url = "https://other.invalid".into()),
        ("daemon_team_or_user", |record| record.auth_team = Some("other".into())),
        ("daemon_queue_db_path", |record| {
            record.queue_db_path = record.queue_db_path.with_file_name("other.db")
        }),
    ];
    for (field, change) in fields {
        let mut record = agreeing(&scene.world, stand_in());
        change(&mut record);
        scene.spoiled(|world| write(world, &record), |scene| scene.refuses(&[field]));
    }
    let orphan = OwnerRecord { pid: 4_194_304_000, ..agreeing(&scene.world, 1) };
    scene.spoiled(|world| write(world, &orphan), |scene| scene.refuses(&["orphan_daemon_record"]));
}

#[test]
fn every_verb_refuses_beside_unreadable_files_and_legacy_rows() {
    let mut scene = Scene::new();
    let legacy = |world: &mut World| {
        ReferenceQueue::create(&world.root().join("queue.db"))
            .event("01KRX0000000000000000000A1", Some(TEAM));
    };
    scene.spoiled(legacy, |scene| scene.refuses(&["legacy_rows_in_scope"]));
    let faults: [(&[&str], &str); 5] = [
        (&["owner_record_unreadable"], "sync/daemon/owner.json"),
        (&["legacy_queue_unreadable"], "queue.db"),
        (&["active_queue_unreadable"], "queues"),
        (&["auth_absent", "session_unreadable"], "auth/session.json"),
        (&["config_unreadable"], "config.toml"),
    ];
    for (names, file) in faults {
        let spoil = |world: &mut World| {
            let path: PathBuf = match file {
                "queues" => only_queue(world),
                file => world.root().join(file),
            };
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "neither a record nor a database").unwrap();
        };
        scene.spoiled(spoil, |scene| scene.refuses(names));
    }
}

/// Holds the owner lock as a daemon does.
fn hold_owner_lock(world: &World) -> std::fs::File {
    world.write_state("sync/daemon/owner.lock", b"");
    let lock = std::fs::File::open(world.root().join("sync/daemon/owner.lock")).unwrap();
    lock.lock().unwrap();
    lock
}

#[test]
fn verbs_refuse_a_mismatched_daemon_or_queue() {
    let mut scene = Scene::new();
    let lock = std::cell::RefCell::new(None);
    let silent = |world: &mut World| *lock.borrow_mut() = Some(hold_owner_lock(world));
    scene.spoiled(silent, |scene| scene.refuses(&["owner_record_stale"]));

    let record = agreeing(&scene.world, stand_in());
    let other_queue = |world: &mut World| {
        *lock.borrow_mut() = Some(hold_owner_lock(world));
        let instance = OwnerInstance {
            record_version: 1,
            instance_id: "01KRX0000000000000000000D1".into(),
            boot_id: None,
            process_start_ticks: None,
            queue_id: Some("01KRX0000000000000000000Q9".into()),
            lock: None,
        };
        write(world, &OwnerRecord { instance: Some(instance), ..record });
    };
    scene.spoiled(other_queue, |scene| scene.refuses(&["queue_identity_changed"]));
    // Closing would leave the lock to a child that another test is starting, until its exec.
    lock.take().unwrap().unlock().unwrap();

    let newer = |world: &mut World| {
        let queue = rusqlite::Connection::open(only_queue(world)).unwrap();
        let changed = queue.execute("UPDATE meta SET value = 99 WHERE key = 'schema_version'", []).unwrap();
        assert_eq!(changed, 1);
    };
    scene.spoiled(newer, |scene| scene.refuses(&["queue_schema_newer"]));
}

/// A process whose arguments name the reference's daemon. Ends with the test.
#[cfg(target_os = "linux")]
struct Stray(std::process::Child);

#[cfg(target_os = "linux")]
impl Drop for Stray {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[cfg(target_os = "linux")]
#[test]
fn every_verb_refuses_beside_a_daemon_without_its_record() {
    let mut scene = Scene::new();
    let mut command = std::process::Command::new("sh");
    command.args(["-c", "read line", "run_sync_daemon"]).stdin(std::process::Stdio::piped());
    let stray = Stray(command.spawn().unwrap());
    let record = agreeing(&scene.world, stand_in());
    let arrange = |world: &mut World| {
        write(world, &record);
        let state = format!("http://127.0.0.1:9400\n9400\ntoken\n{}\n", stray.0.id());
        world.write_state("sync-daemon", state.as_bytes());
    };
    scene.spoiled(arrange, |scene| scene.refuses(&["stray_daemon"]));
}

#[test]
fn no_verb_gets_past_a_variable_that_names_another_home() {
    let mut scene = Scene::new();
    let empty = scene.world.user_home().join("empty");
    std::fs::create_dir(&empty).unwrap();
    scene.world.set("SPEC_KITTY_HOME", empty.to_str().unwrap());
    scene.refuses(&["auth_absent", "home_ambiguous"]);
}

/// The one queue DB of the world's scope.
fn only_queue(world: &World) -> PathBuf {
    let queues: Vec<_> = std::fs::read_dir(world.root().join("queues")).unwrap().flatten().collect();
    let mut queues = queues
        .iter()
        .map(std::fs::DirEntry::path)
        .filter(|path| path.extension().is_some_and(|end| end == "db"));
    let queue = queues.next().unwrap();
    assert_eq!(queues.next(), None, "one scope, one queue");
    queue
}

#[test]
fn verbs_without_login_write_nothing() {
    let mut scene = Scene::new();
    let log_out = |world: &mut World| std::fs::remove_dir_all(world.root().join("auth")).unwrap();
    scene.spoiled(log_out, |scene| {
        scene.refuses(&["auth_absent"]);
        for verb in producing_verbs(&scene.world) {
            let document = scene.world.run(scene.argv(&verb).iter().map(String::as_str).chain(["--json"]));
            let document = document.exits(2).json();
            assert_eq!(document["error_code"], "SAAS_SYNC_UNAUTHENTICATED", "{verb}");
            assert!(document["remediation"].to_string().contains("spec-kitty auth login"), "{verb}");
        }
    });
    for switch in ["true", "YES", " on "] {
        scene.world.set("SPEC_KITTY_ENABLE_SAAS_SYNC", switch);
        scene.spoiled(log_out, |scene| scene.refuses(&["auth_absent"]));
    }
}

/// On a coherent host each of those very calls works and captures, and only into the scoped queue DB.
#[test]
fn every_verb_captures_on_a_coherent_host_and_only_into_its_queue() {
    let scene = Scene::new();
    for verb in producing_verbs(&scene.world) {
        let argv = scene.argv(&verb);
        let done = scene.world.run(argv.iter().map(String::as_str).chain(["--json"])).exits(0);
        let capture = &done.json()["capture"];
        assert_eq!(capture["state"], "captured", "{verb}: {capture}");
        assert!(capture["events"].as_u64().unwrap() > 0, "{verb}: {capture}");
        assert!(done.stderr.contains("captured "), "{verb}: {}", done.stderr);
    }
    only_queue(&scene.world);
    assert!(!scene.world.root().join("queue.db").exists());
    assert_eq!(scene.server.connections(), 0, "capturing sends nothing");
}

/// The keys of each payload in docs/events.md, and those of the objects in it. `the same` are those of the row before.
fn keys_of_the_page() -> BTreeMap<String, BTreeSet<String>> {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/events.md")).unwrap();
    let (_, section) = page.split_once("\n## Payloads\n").unwrap();
    let names = |cell: &str| cell.split('`').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>();
    let (mut events, mut keys) = (BTreeMap::new(), BTreeSet::new());
    for line in section.lines().take_while(|line| !line.starts_with("## ")) {
        if let Some((named, cell)) = line.strip_prefix("| ").and_then(|line| line.split_once(" | ")) {
            if !cell.starts_with("the same") {
                keys.clear();
            }
            keys.extend(names(cell));
            events.extend(names(named).into_iter().map(|event| (event, keys.clone())));
        }
    }
    events
}

#[test]
fn events_have_the_keys_of_the_page_and_name_no_place() {
    let scene = Scene::new();
    let mut typed = BTreeSet::new();
    let evidence =
        r#"{"review": {"reviewer": "rev", "verdict": "approved", "reference": "pr/1"}, "private": 1}"#;
    let mut calls: Vec<Vec<String>> =
        producing_verbs(&scene.world).iter().map(|verb| scene.argv(verb)).collect();
    let done =
        ["agent", "status", "emit", "WP01", "--to", "done", "--actor", "dev", "--force", "--reason", "old"];
    let with = ["--evidence-json", evidence, "--mission", &scene.running.slug];
    calls.push(done.iter().chain(&with).map(|word| (*word).to_owned()).collect());
    for argv in calls {
        let _ = scene.world.run(&argv).exits(0);
        typed.extend(argv.iter().flat_map(|word| words(word)).map(str::to_owned).collect::<Vec<_>>());
    }
    let queue = rusqlite::Connection::open(only_queue(&scene.world)).unwrap();
    let mut rows = queue.prepare("SELECT data FROM queue").unwrap();
    let rows = rows.query_map([], |row| row.get::<_, String>(0)).unwrap();
    let place = scene.world.user_home().parent().unwrap().to_str().unwrap().to_owned();
    let host = system::Machine::observe().hostname;
    let mut sent: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for text in rows.map(Result::unwrap) {
        assert!(!text.contains(&place), "{text}");
        // A word of a call may be the name of the machine that runs the test.
        assert!(typed.contains(&host) || words(&text).all(|word| word != host), "{text}");
        let event: Value = serde_json::from_str(&text).unwrap();
        let payload = event["payload"].as_object().unwrap();
        let inner = payload.values().filter_map(Value::as_object).flat_map(|object| object.keys());
        let keys = sent.entry(event["event_type"].as_str().unwrap().to_owned()).or_default();
        keys.extend(payload.keys().chain(inner).cloned());
    }
    assert_eq!(sent, keys_of_the_page());
}

/// The parts of a text that may be the name of a host.
fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !(c.is_alphanumeric() || "-.".contains(c)))
}

/// Asked to stay local, or with the switch off, they need no login and leave no row. No local verb sends anything, with
/// a login neither.
#[test]
fn local_verb_needs_no_login_and_queues_nothing() {
    for (variable, extra, has_login) in
        [("1", &["--local-only"][..], false), ("0", &[], false), ("1", &["--local-only"], true)]
    {
        let mut scene = Scene::new();
        let check = "{id: holds, issue: 1, work_package: WP01, command: 'true', sources: ['kitty-specs/**']}";
        scene.running.write("evidence.yaml", &format!("checks:\n- {check}\n"));
        scene.world.write_state("sync/daemon/owner.json", b"{");
        scene.world.set("SPEC_KITTY_ENABLE_SAAS_SYNC", variable);
        if !has_login {
            std::fs::remove_dir_all(scene.world.root().join("auth")).unwrap();
        }
        let home = snapshot(scene.world.user_home());
        for verb in producing_verbs(&scene.world) {
            // History is for the queue alone: it has no local half.
            if verb == "sync capture" {
                continue;
            }
            let argv = scene.argv(&verb);
            let words = argv.iter().map(String::as_str).chain(extra.iter().copied()).chain(["--json"]);
            let done = scene.world.run(words).exits(0).json();
            assert_eq!(done["capture"]["state"], "local", "{verb}: {done}");
        }
        for verb in verbs_of_class(&scene.world, "local") {
            if !verb.ends_with("--local-only") {
                let _ = scene.world.run(scene.local_argv(&verb)).exits(0);
            }
        }
        assert_eq!(difference(&home, &snapshot(scene.world.user_home())), Vec::<String>::new());
        assert_eq!(scene.server.connections(), 0);
    }
}

/// The failure is named, and neither home nor repository changes.
#[test]
fn verb_that_fails_leaves_repository_and_home_as_they_were() {
    let scene = Scene::new();
    let (first, running) = (&scene.first, scene.running.slug.as_str());
    let circle = TASKS.replace("**Dependencies**: none", "**Dependencies**: WP02");
    first.write("tasks.md", &circle);
    let before = scene.everything();
    let emit = |to: &'static str| vec!["agent", "status", "emit", "WP01", "--to", to, "--actor", "dev"];
    let with = |mut argv: Vec<&'static str>, more: &[&'static str]| {
        argv.extend(more);
        argv
    };
    let calls: Vec<(Vec<&str>, &str)> = vec![
        (vec!["agent", "mission", "create", "Not-Kebab"], "INVALID_ARGUMENT"),
        (vec!["agent", "mission", "setup-plan", "--mission", "unknown"], "PLAN_CONTEXT_UNRESOLVED"),
        (vec!["agent", "mission", "finalize-tasks", "--mission", "first"], "DEPENDENCY_CYCLE"),
        (vec!["tasks", "--mission", "zeroth"], "REQUIREMENT_MAPPING_INVALID"),
        (with(emit("done"), &["--mission", "running"]), "ILLEGAL_TRANSITION"),
        (with(emit("done"), &["--force", "--mission", "running"]), "ILLEGAL_TRANSITION"),
        (
            vec!["agent", "tasks", "move-task", "WP01", "--to", "planned", "--mission", running],
            "INVALID_ARGUMENT",
        ),
        (
            vec!["agent", "tasks", "move-task", "WP09", "--to", "doing", "--mission", running],
            "WORK_PACKAGE_NOT_FOUND",
        ),
        (
            vec!["agent", "tasks", "move-task", "WP01", "--to", "done", "--mission", running],
            "SUBTASKS_UNCHECKED",
        ),
        (
            vec!["agent", "tasks", "mark-status", "T999", "--status", "done", "--mission", running],
            "SUBTASK_NOT_FOUND",
        ),
        (
            vec!["agent", "tasks", "add-history", "WP01", "--note", " ", "--mission", running],
            "INVALID_ARGUMENT",
        ),
    ];
    for (argv, code) in calls {
        let document = scene.world.run(argv.iter().copied().chain(["--json"])).exits(1).json();
        assert_eq!(document["error_code"], code, "{argv:?}: {document:#}");
        assert_eq!(document["result"], "error");
        let text = scene.world.run(&argv).exits(1);
        assert!(text.stderr.starts_with("error: ") && text.stdout.is_empty(), "{argv:?}: {text:?}");
        assert_eq!(difference(&before, &scene.everything()), Vec::<String>::new(), "{argv:?}");
    }
}

/// Verbs on missions that only look, as the inventory lists them, and the one that only judges.
#[test]
fn verb_that_only_looks_changes_nothing_on_any_host() {
    let scene = Scene::new();
    let check = "{id: holds, issue: 1, work_package: WP01, command: 'true', sources: ['kitty-specs/**']}";
    scene.running.write("evidence.yaml", &format!("checks:\n- {check}\n"));
    let capture = ["agent", "evidence", "capture", "--mission", "running"];
    let _ = scene.world.run(capture).exits(0);
    scene.world.write_state("sync/daemon/owner.json", b"{");
    let before = scene.everything();
    let inventory = scene.world.run(["doctor", "paths", "--json"]).exits(0).json();
    let verbs: Vec<&str> = inventory["paths"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|path| path["class"] == "read-only" && path["runs_in"].is_null())
        .filter_map(|path| path["verb"].as_str().filter(|verb| verb.starts_with("agent ")))
        .chain(["agent mission finalize-tasks --validate-only", "tasks --validate-only"])
        .collect();
    assert!(verbs.len() >= 7, "{verbs:?}");
    for verb in verbs {
        let missions = match verb {
            // It is asked before there is a mission.
            "agent mission branch-context" => vec![None],
            _ => vec![Some("running"), Some("unknown"), None],
        };
        for mission in missions {
            let handle = mission.into_iter().flat_map(|mission| ["--mission", mission]);
            for form in [&[][..], &["--json"]] {
                let subject = match verb {
                    "agent tasks list-dependents" => &["WP01"][..],
                    "agent context resolve" => &["--action", "status"],
                    _ => &[],
                };
                let argv = verb
                    .split(' ')
                    .chain(subject.iter().copied())
                    .chain(handle.clone())
                    .chain(form.iter().copied());
                let run = scene.world.run(argv);
                assert!(matches!(run.code, Some(0 | 1)), "{verb}: {run:?}");
                assert_eq!(difference(&before, &scene.everything()), Vec::<String>::new(), "{verb}");
                if mission == Some("running") {
                    assert_eq!(run.code, Some(0), "{verb}: {run:?}");
                }
            }
        }
    }
    assert_eq!(scene.server.connections(), 0);
}

/// A commit that a hook refuses happens after the rows were prepared and the files written: all of
/// it is undone.
#[cfg(unix)]
#[test]
fn refused_commit_undoes_the_verb() {
    use std::os::unix::fs::PermissionsExt as _;
    let scene = Scene::new();
    let hook = scene.world.work().join(".git/hooks/pre-commit");
    std::fs::create_dir_all(hook.parent().unwrap()).unwrap();
    std::fs::write(&hook, "#!/bin/sh\necho no commits on Fridays >&2\necho ask Ada >&2\nexit 1\n").unwrap();
    std::fs::set_permissions(&hook, std::fs::Permissions::from_mode(0o755)).unwrap();
    let documents = || {
        let tree = snapshot(&scene.world.work().join("kitty-specs"));
        // Undoing writes a file again: what it holds is what counts.
        tree.into_iter().map(|(path, entry)| (path, entry.kind, entry.contents)).collect::<Vec<_>>()
    };
    let queue = |key: &str| scene.world.run(["sync", "status", "--json"]).exits(0).json()[key].clone();
    let before = (documents(), queue("active_queue"));
    let verbs = ["agent mission create", "agent mission setup-plan", "tasks", "agent tasks move-task"];
    for verb in verbs {
        let argv = scene.argv(verb);
        let failed = scene.world.run(argv.iter().map(String::as_str).chain(["--json"])).exits(1).json();
        assert_eq!(failed["error_code"], "GIT_COMMIT_FAILED", "{verb}: {failed:#}");
        assert!(failed["error"].as_str().unwrap().contains("no commits on Fridays"), "{verb}: {failed:#}");
        assert!(documents() == before.0, "{verb} left a document changed");
        assert_eq!(queue("active_queue"), before.1, "{verb}");
        // A row that was never written is no fact: neither unfinished nor parked, and never delivered later.
        for key in ["prepared", "parked"] {
            assert_eq!(
                (&queue(key)["events"], &queue(key)["bodies"]),
                (&0.into(), &0.into()),
                "{verb}: {key}"
            );
        }
    }
    let text = scene.world.run(scene.argv("agent tasks move-task")).exits(1).stderr;
    assert!(text.contains(": no commits on Fridays\n  ask Ada\n"), "line by line: {text}");
    std::fs::remove_file(&hook).unwrap();
    for verb in verbs {
        scene.world.run(scene.argv(verb)).exits(0);
    }
    assert_eq!(queue("parked")["events"], 0, "nothing of the failed commands is left");
}
