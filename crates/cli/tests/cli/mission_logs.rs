//! The log of a mission as other writers leave it: clocks that are ahead, offsets, damage.
#![cfg(unix)]

use crate::worlds::{offline, sample};
use serde_json::{Value, json};
use std::path::Path;
use testkit::mission::Mission;
use testkit::{Run, World};

/// A project in which hosted sync is off, and a mission with two work packages.
fn world() -> (World, Mission) {
    let world = offline();
    let mission = sample(&world);
    (world, mission)
}

/// A lane row of WP01.
fn row(id: u32, at: &str, from: &str, to: &str) -> String {
    json!({
        "actor": "claude", "at": at, "event_id": format!("01KZ{id:022}"), "evidence": null,
        "execution_mode": "worktree", "force": false, "from_lane": from, "mission_slug": "m",
        "policy_metadata": null, "reason": null, "review_ref": null, "to_lane": to, "wp_id": "WP01",
    })
    .to_string()
}

fn write_log(mission: &Mission, rows: &[String]) {
    mission.write("status.events.jsonl", &format!("{}\n", rows.join("\n")));
}

#[track_caller]
fn board(world: &World, mission: &str) -> Value {
    let shown = world.run(["agent", "status", "show", "--mission", mission, "--json"]).exits(0);
    shown.json()["missions"][0].clone()
}

#[track_caller]
fn lane(world: &World, mission: &str) -> String {
    let board = board(world, mission);
    let cards = board["work_packages"].as_array().unwrap();
    cards.iter().find(|card| card["work_package_id"] == "WP01").unwrap()["lane"].as_str().unwrap().to_owned()
}

fn emit(world: &World, mission: &str, to: &str) -> Run {
    let argv = ["agent", "status", "emit", "WP01", "--to", to, "--actor", "me"];
    world.run(argv.into_iter().chain(["--mission", mission, "--json", "--local-only"]))
}

fn log(mission: &Mission) -> String {
    mission.read("status.events.jsonl")
}

#[test]
fn row_of_a_clock_ahead_still_lets_the_board_move() {
    let soon = jiff::Timestamp::now() + jiff::SignedDuration::from_mins(30);
    for at in
        [soon.to_string(), "2091-06-01T10:00:00+00:00".to_owned(), "2091-06-01T10:00:00.5-08:00".to_owned()]
    {
        let (world, mission) = world();
        write_log(&mission, &[row(1, &at, "planned", "claimed")]);
        let run = emit(&world, &mission.slug, "in_progress").exits(0);
        assert_eq!(lane(&world, &mission.slug), "in_progress");
        let document = run.json();
        assert_eq!((&document["changed"], &document["to_lane"]), (&json!(true), &json!("in_progress")));
        let named = format!("row 01KZ{:022} of WP01", 1);
        let warning = document["warnings"][0].as_str().unwrap();
        assert!(warning.contains(&named) && run.stderr.contains(warning), "{run:?}");
        let moved =
            ["agent", "tasks", "move-task", "WP01", "--to", "for_review", "--force", "--note", "n", "--json"];
        let moved = world.run(moved.into_iter().chain(["--mission", &mission.slug, "--local-only"])).exits(0);
        assert_eq!(
            (&moved.json()["new_lane"], lane(&world, &mission.slug).as_str()),
            (&json!("for_review"), "for_review")
        );
        let times: Vec<String> = log(&mission)
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap()["at"].as_str().unwrap().to_owned())
            .collect();
        assert!(times.windows(2).all(|pair| pair[0] < pair[1]), "text rises: {times:?}");
    }
}

#[test]
fn annotation_ahead_is_before_the_new_row_too() {
    let (world, mission) = world();
    let note = json!({
        "kind": "annotation", "wp_id": "WP01", "at": "2091-01-01T00:00:00Z", "event_id": "01KZN", "actor": "x",
    });
    write_log(&mission, &[row(1, "2026-01-01T00:00:00Z", "planned", "claimed"), note.to_string()]);
    emit(&world, &mission.slug, "in_progress").exits(0);
    let last: Value = serde_json::from_str(log(&mission).lines().last().unwrap()).unwrap();
    assert_eq!(
        (&last["at"], &last["to_lane"]),
        (&json!("2091-01-01T00:00:01.000000+00:00"), &json!("in_progress"))
    );
}

#[test]
fn last_instant_of_the_calendar_refuses_and_names_the_row() {
    for at in ["9999-12-31T23:59:59.999999+00:00", "10000-01-01T00:00:00+00:00"] {
        let (world, mission) = world();
        write_log(&mission, &[row(1, at, "planned", "claimed")]);
        let before = log(&mission);
        let run = emit(&world, &mission.slug, "in_progress").exits(1);
        let document = run.json();
        assert_eq!(document["error_code"], "ROW_TIME_EXHAUSTED");
        assert!(document["error"].as_str().unwrap().contains(at) && run.stderr.contains(at), "{run:?}");
        assert_eq!(log(&mission), before);
    }
}

#[test]
fn offsets_and_rows_of_one_second_follow_instants_and_chain() {
    let (world, mission) = world();
    for rows in [
        [
            row(1, "2026-06-01T10:00:00+00:00", "planned", "claimed"),
            row(2, "2026-06-01T12:01:00+02:00", "claimed", "in_progress"),
            row(3, "2026-06-01T02:02:00-08:00", "in_progress", "for_review"),
        ],
        [
            row(9, "2026-06-01T10:00:00Z", "planned", "claimed"),
            row(3, "2026-06-01T10:00:00+00:00", "claimed", "in_progress"),
            row(1, "2026-06-01T12:00:00+02:00", "in_progress", "for_review"),
        ],
    ] {
        write_log(&mission, &rows);
        assert_eq!(lane(&world, &mission.slug), "for_review");
    }
}

/// A log with one damaged line, and whether the rows beside it are two or three.
fn damaged() -> [(&'static str, Vec<u8>); 5] {
    let [one, two] = [
        row(1, "2026-06-01T10:00:00Z", "planned", "claimed"),
        row(2, "2026-06-01T10:01:00Z", "claimed", "in_progress"),
    ];
    let join = |parts: &[&[u8]]| parts.concat();
    [
        ("torn", join(&[one.as_bytes(), b"\n", two.as_bytes(), b"\n", &one.as_bytes()[..40]])),
        (
            "conflict marker",
            join(&[one.as_bytes(), b"\n<<<<<<< HEAD\n=======\n", two.as_bytes(), b"\n>>>>>>> other\n"]),
        ),
        ("NUL", join(&[one.as_bytes(), b"\n\0\0\0\0\n", two.as_bytes(), b"\n"])),
        ("NUL before a row", join(&[one.as_bytes(), b"\n\0\0\0\0", two.as_bytes(), b"\n"])),
        ("bad byte", join(&[one.as_bytes(), b"\n{\"actor\": \"\xff\"}\n", two.as_bytes(), b"\n"])),
    ]
}

#[test]
fn damaged_log_is_shown_refuses_writing_and_is_repaired() {
    for (name, bytes) in damaged() {
        let (world, mission) = world();
        let path = mission.path.join("status.events.jsonl");
        std::fs::write(&path, &bytes).unwrap();
        let show = world.run(["agent", "status", "show", "--mission", &mission.slug]).exits(0);
        let remedy = format!("spec-kitty doctor repair --mission {}", mission.slug);
        assert!(
            show.stderr.contains("status.events.jsonl line ") && show.stderr.contains(&remedy),
            "{name}: {show:?}"
        );
        let shown = board(&world, &mission.slug);
        assert!(shown["warnings"].to_string().contains("status.events.jsonl line "), "{name}: {shown:#}");
        let lines = shown["warnings"].as_array().unwrap().iter().map(|line| line.as_str().unwrap());
        let mut lines = lines.filter(|line| line.contains("status.events.jsonl line "));
        assert!(lines.all(|line| line.contains(&remedy)), "{name}: each line has its remedy: {shown:#}");
        assert_eq!(lane(&world, &mission.slug), "in_progress", "{name}");
        let listed = world.run(["agent", "tasks", "list", "--mission", &mission.slug, "--json"]).exits(0);
        assert!(listed.json()["warnings"].to_string().contains("status.events.jsonl line "), "{listed:?}");
        let checked = ["agent", "mission", "check-prerequisites", "--mission", &mission.slug, "--json"];
        let checked = world.run(checked).exits(0).json();
        assert!(checked["warnings"].to_string().contains(&remedy), "{name}: {checked:#}");

        for argv in [
            &["agent", "status", "emit", "WP01", "--to", "blocked", "--actor", "me"][..],
            &["agent", "tasks", "move-task", "WP01", "--to", "blocked"],
            &["agent", "tasks", "mark-status", "T001", "--status", "done"],
            &["agent", "tasks", "add-history", "WP01", "--note", "n"],
            &["agent", "mission", "finalize-tasks"],
            &["agent", "mission", "setup-plan"],
            &[
                "agent",
                "decision",
                "open",
                "--flow",
                "plan",
                "--step-id",
                "s",
                "--input-key",
                "k",
                "--question",
                "?",
            ],
        ] {
            let run = world.run(argv.iter().copied().chain(["--mission", &mission.slug, "--json"])).exits(1);
            assert_eq!(run.json()["error_code"], "LOG_DAMAGED", "{name} {argv:?}: {run:?}");
            assert!(run.stdout.contains(&remedy), "{name} {argv:?}: {run:?}");
            assert_eq!(std::fs::read(&path).unwrap(), bytes, "{name} {argv:?}");
        }

        let text =
            world.run(["agent", "tasks", "add-history", "WP01", "--note", "n", "--mission", &mission.slug]);
        assert!(text.stderr.contains(&remedy), "{name}: {text:?}");

        let repaired = world.run(["doctor", "repair", "--mission", &mission.slug, "--json"]).exits(0).json();
        assert_eq!((&repaired["result"], &repaired["kept"]), (&json!("repaired"), &json!(2)), "{name}");
        let aside = std::fs::read(repaired["moved_to"].as_str().unwrap()).unwrap();
        let after = std::fs::read(&path).unwrap();
        for line in bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            let kept = after.windows(line.len()).any(|part| part == line);
            assert!(kept || aside.windows(line.len()).any(|part| part == line), "{name}: a line is lost");
        }
        emit(&world, &mission.slug, "blocked").exits(0);
        assert_eq!(lane(&world, &mission.slug), "blocked", "{name}");
        let again = world.run(["doctor", "repair", "--mission", &mission.slug]).exits(0);
        assert!(again.stdout.contains("nothing to repair"), "{again:?}");
    }
}

/// What the repair names is run: the row of the last commit, and the file that is made from the log.
#[test]
fn row_of_a_damaged_line_is_named_with_the_commit_that_has_it() {
    let (world, mission) = world();
    write_log(
        &mission,
        &[
            row(1, "2026-06-01T10:00:00Z", "planned", "claimed"),
            row(2, "2026-06-01T10:01:00Z", "claimed", "in_progress"),
        ],
    );
    let slug = &*mission.slug;
    world.run(["agent", "status", "materialize", "--mission", slug]).exits(0);
    world.run_program("git", ["add", "-A"]).exits(0);
    world.run_program("git", ["commit", "-qm", "rows"]).exits(0);
    let commit = world.run_program("git", ["rev-parse", "HEAD"]).exits(0).stdout.trim().to_owned();
    let whole = log(&mission);
    mission.write("status.events.jsonl", &whole[..whole.trim_end().len() - 30]);

    let doctor = world.run(["sync", "doctor", "--offline"]).exits(1);
    let remedy = format!("spec-kitty doctor repair --mission {slug}");
    assert!(doctor.stdout.contains("log_damaged: ") && doctor.stdout.contains(&remedy), "{}", doctor.stdout);
    let repair = world.run(["doctor", "repair", "--mission", slug]).exits(0).stdout.clone();
    assert!(repair.contains(&format!("commit {commit} has 1 row that the log lacks:")), "{repair}");
    let line_after = |words: &str| {
        let line =
            repair.lines().find_map(|line| line.split_once(words)).unwrap_or_else(|| panic!("{repair}"));
        line.1.to_owned()
    };
    let materialize = line_after("then, as status.json differs from the log: spec-kitty ");
    let shown = world.run_program("sh", ["-c", &line_after("  show: ")]).exits(0).stdout.clone();
    assert_eq!(shown.trim_end(), whole.lines().last().unwrap());
    world.run_program("sh", ["-c", &line_after("  restore: ")]).exits(0);
    world.run(materialize.split(' ')).exits(0);
    assert_eq!((log(&mission), lane(&world, slug).as_str()), (whole, "in_progress"));
    world.run(["agent", "status", "validate", "--mission", slug]).exits(0);
    let doctor = world.run(["sync", "doctor", "--offline"]);
    assert!(doctor.stdout.contains("ok       missions      1 log was read to the end"), "{}", doctor.stdout);
    let again = world.run(["doctor", "repair", "--mission", slug]).exits(0);
    assert!(again.stdout.ends_with("nothing to repair\n"), "{}", again.stdout);
}

/// The line is larger than the log may be, and than the memory that the commands get.
#[test]
#[cfg(target_os = "linux")]
fn row_larger_than_the_memory_is_named_and_hides_no_other() {
    use std::io::{Seek, SeekFrom, Write};
    const HOLE: u64 = 600 << 20;
    let (world, mission) = world();
    let path = mission.path.join("status.events.jsonl");
    let rows = [
        row(1, "2026-06-01T10:00:00Z", "planned", "claimed"),
        row(2, "2026-06-01T10:01:00Z", "claimed", "in_progress"),
    ];
    let mut file = std::fs::File::create(&path).unwrap();
    write!(file, "{}\n{{\"actor\": \"", rows[0]).unwrap();
    file.seek(SeekFrom::Current(HOLE as i64)).unwrap();
    writeln!(file, "\"}}\n{}", rows[1]).unwrap();
    drop(file);
    let before = std::fs::metadata(&path).unwrap();
    let limited = |argv: &str, exit: i32| {
        let script = format!(
            "ulimit -v 400000; exec '{}' {argv} --mission '{}' --json",
            world.binary().display(),
            mission.slug
        );
        world.run_program("sh", ["-c", &script]).exits(exit)
    };
    let problem = "status.events.jsonl line 2: is longer than the 1048576 bytes a row may have";
    for (argv, exit) in [
        ("agent status show", 0),
        ("agent tasks list", 0),
        ("agent tasks status", 0),
        ("agent status materialize", 1),
        ("agent status emit WP01 --to blocked --actor me --local-only", 1),
    ] {
        let run = limited(argv, exit);
        let told = format!("{}{}", run.stdout, run.stderr);
        assert!(told.contains(problem) && told.contains("doctor repair"), "{argv}: {run:?}");
    }
    assert_eq!(lane(&world, &mission.slug), "in_progress");
    let after = std::fs::metadata(&path).unwrap();
    assert_eq!((after.len(), after.modified().unwrap()), (before.len(), before.modified().unwrap()));

    let repaired = limited("doctor repair", 0).json();
    assert_eq!((&repaired["kept"], &repaired["moved"][0]["line"]), (&json!(2), &json!(2)), "{repaired:#}");
    assert_eq!(log(&mission), format!("{}\n{}\n", rows[0], rows[1]));
    let aside = std::fs::metadata(repaired["moved_to"].as_str().unwrap()).unwrap();
    assert_eq!(aside.len(), before.len() - log(&mission).len() as u64);
    emit(&world, &mission.slug, "blocked").exits(0);
}

#[test]
fn damaged_line_is_named_with_the_byte_at_which_it_breaks() {
    let (world, mission) = world();
    mission.write("status.events.jsonl", "{\"actor\": \"cla");
    let problem = "line 1: is not JSON at byte 14: EOF while parsing a string";
    let warnings = board(&world, &mission.slug)["warnings"].to_string();
    assert!(warnings.contains(&format!("{problem}; `spec-kitty doctor repair")), "{warnings}");
}

#[test]
fn move_to_an_unknown_lane_stops_writing_and_stays() {
    let (world, mission) = world();
    let newer = row(1, "2026-06-01T09:00:00Z", "planned", "paused");
    write_log(&mission, &[newer, row(2, "2026-06-01T10:00:00Z", "planned", "claimed")]);
    let before = log(&mission);
    assert_eq!(lane(&world, &mission.slug), "claimed");
    let repair = world.run(["doctor", "repair", "--mission", &mission.slug, "--json"]).exits(1).json();
    assert_eq!((&repair["result"], &repair["left"][0]["line"]), (&json!("nothing_repaired"), &json!(1)));
    let refused = emit(&world, &mission.slug, "in_progress").exits(1);
    assert!(refused.stdout.contains("newer release"), "{refused:?}");
    assert_eq!(log(&mission), before);

    mission.write("status.events.jsonl", &format!("{before}junk\n"));
    let refused = emit(&world, &mission.slug, "in_progress").exits(1).json();
    assert!(refused["error"].as_str().unwrap().ends_with("(1 more line cannot be read)"), "{refused:#}");
    let remedies = refused["remediation"].to_string();
    assert!(remedies.contains("doctor repair --mission") && remedies.contains("newer release"), "{remedies}");
    let repair = world.run(["doctor", "repair", "--mission", &mission.slug, "--json"]).exits(1).json();
    assert_eq!((&repair["result"], &repair["left"][0]["line"]), (&json!("repaired"), &json!(1)));
    assert_eq!(log(&mission), before);
}

#[test]
fn row_of_an_unknown_kind_is_warned_of_and_stops_nothing() {
    let (world, mission) = world();
    let newer = json!({ "kind": "future", "event_id": "x" }).to_string();
    write_log(&mission, &[row(1, "2026-06-01T09:00:00Z", "genesis", "planned"), newer]);
    let before = log(&mission);
    let shown = world.run(["agent", "status", "show", "--mission", &mission.slug]).exits(0);
    assert!(shown.stderr.contains("line 2 has the kind `future`: written by a newer version"), "{shown:?}");
    emit(&world, &mission.slug, "claimed").exits(0);
    assert!(log(&mission).starts_with(&before));
    let repair = world.run(["doctor", "repair", "--mission", &mission.slug, "--json"]).exits(0).json();
    assert_eq!(repair["result"], "nothing_to_repair");
}

#[test]
fn blank_note_of_a_move_is_no_note() {
    let (world, mission) = world();
    write_log(&mission, &[row(1, "2026-06-01T10:00:00Z", "planned", "claimed")]);
    let moved = ["agent", "tasks", "move-task", "WP01", "--to", "in_progress", "--note", " ", "--mission"];
    world.run(moved.into_iter().chain([&*mission.slug, "--local-only"])).exits(0);
    let last: Value = serde_json::from_str(log(&mission).lines().last().unwrap()).unwrap();
    assert_eq!(last["reason"], "move-task: claimed -> in_progress");
    let file = mission.read("tasks/WP01-count-down.md");
    assert!(file.contains("Moved to in_progress"), "{file}");
}

#[test]
fn byte_order_mark_of_a_log_means_nothing() {
    let (world, mission) = world();
    let bytes = format!("\u{feff}{}\n", row(1, "2026-06-01T10:00:00Z", "planned", "claimed"));
    mission.write("status.events.jsonl", &bytes);
    assert_eq!(lane(&world, &mission.slug), "claimed");
    assert_eq!(board(&world, &mission.slug)["warnings"], Value::Null);
    emit(&world, &mission.slug, "in_progress").exits(0);
    assert!(log(&mission).starts_with(&bytes));
}

/// Advice that throws away work that no commit holds. A message that needs one of these words is listed here with its reason.
const DISCARDING: [&str; 9] = [
    "git checkout --",
    "git restore",
    "git reset",
    "git stash drop",
    "git stash clear",
    "git clean",
    "--abort",
    "git branch -D",
    "rm -rf",
];

#[test]
fn no_text_advises_to_discard_uncommitted_work() {
    fn scan(directory: &Path, found: &mut Vec<String>) {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() {
                if !matches!(name.as_str(), "target" | "tests" | "benches" | "kitty-specs")
                    && !name.starts_with('.')
                {
                    scan(&path, found);
                }
            } else if name.ends_with(".rs") || name.ends_with(".md") {
                let text = std::fs::read_to_string(&path).unwrap();
                let lines = text
                    .lines()
                    .enumerate()
                    .filter(|(_, line)| DISCARDING.iter().any(|words| line.contains(words)));
                found
                    .extend(lines.map(|(number, line)| format!("{}:{}: {line}", path.display(), number + 1)));
            }
        }
    }
    let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."));
    let mut found = Vec::new();
    scan(root, &mut found);
    assert!(found.is_empty(), "{}", found.join("\n"));
}

/// A copy of a recorded case in a repository of its own.
fn case(name: &str) -> World {
    let directory = testkit::shared().join("cases").join(name);
    let world = offline();
    testkit::tree::copy(&directory, world.work()).unwrap();
    for argv in [&["add", "--all"][..], &["commit", "--quiet", "-m", "case"]] {
        world.git(argv);
    }
    world
}

#[test]
#[ignore = "needs the recorded data"]
fn recorded_cases_of_logs_give_their_results() {
    const MISSION: &str = "sample-01KZ0000";
    for (name, expected) in [
        ("log-at-with-offset-east", "for_review"),
        ("log-same-second", "for_review"),
        ("log-bom", "for_review"),
        ("log-torn-last-line", "for_review"),
        ("work-package-id-not-wp", "for_review"),
        ("log-newer-annotation-row", "in_progress"),
        ("log-newer-retrospective-type-row", "in_progress"),
    ] {
        let world = case(name);
        assert_eq!(lane(&world, MISSION), expected, "{name}");
    }
    let world = case("log-row-of-a-clock-ahead");
    emit(&world, MISSION, "in_progress").exits(0);
    assert_eq!(lane(&world, MISSION), "in_progress");
    let world = case("log-torn-last-line");
    let refused = emit(&world, MISSION, "blocked").exits(1);
    assert!(refused.stdout.contains("doctor repair --mission sample-01KZ0000"), "{refused:?}");
    assert!(!refused.stdout.contains("git checkout"), "{refused:?}");
    let world = case("work-package-id-not-wp");
    let board = board(&world, MISSION);
    let ids: Vec<_> =
        board["work_packages"].as_array().unwrap().iter().map(|wp| wp["work_package_id"].clone()).collect();
    assert_eq!(json!(ids), json!(["WP01", "WP02", "WP03"]));
    assert_eq!(board["warnings"].as_array().unwrap().len(), 3, "{board:#}");
    let listed = world.run(["agent", "tasks", "list", "--mission", MISSION, "--json"]).exits(0).json();
    assert_eq!((&listed["count"], listed["warnings"].as_array().unwrap().len()), (&json!(3), 3));
    let moved =
        ["agent", "tasks", "move-task", "WP01", "--to", "blocked", "--mission", MISSION, "--local-only"];
    world.run(moved).exits(0);
    let refused = world.run(["agent", "mission", "finalize-tasks", "--mission", MISSION, "--json"]).exits(1);
    assert!(refused.stdout.contains("work_package_id"), "{refused:?}");
}
