//! What missions cost, whole process: a long log, many work packages, many missions; against a process
//! that does nothing.
//!
//! `cargo bench -p spec-kitty --bench missions`
#![allow(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a benchmark prints, and stops when it cannot run"
)]

use benches::{Timings, bare_process};
use std::fmt::Write as _;
use std::path::Path;
use std::process::Stdio;
use testkit::World;
use testkit::mission::{Mission, SPEC, work_package};

/// Events of the long log.
const EVENTS: usize = 100_000;
/// Work packages of the large mission: more than the largest of the reference's own 155 missions has.
const WORK_PACKAGES: usize = 16;
/// Missions of the large project, each with as many work packages and rows as theirs have on average.
const MISSIONS: usize = 155;
const PACKAGES_EACH: usize = 6;
const ROWS_EACH: usize = 33;
const RUNS: usize = 60;

fn main() {
    let world = World::new(env!("CARGO_BIN_EXE_spec-kitty"));
    world.init_project();

    let long = Mission::create(&world, "long-log");
    long.write("status.events.jsonl", &log(&long.slug, EVENTS, 40));
    measure(
        &world,
        &format!("agent status materialize, {EVENTS} events"),
        &["agent", "status", "materialize", "--mission", "long-log", "--json"],
    );

    large_mission(&world);
    measure(
        &world,
        &format!("finalize-tasks --validate-only, {WORK_PACKAGES} work packages"),
        &["agent", "mission", "finalize-tasks", "--validate-only", "--mission", "large", "--json"],
    );

    // The long log would be most of the overview.
    std::fs::remove_dir_all(&long.path).expect("the long log");
    many_missions(&world.work().join("kitty-specs"));
    for form in [&["agent", "status", "show"][..], &["agent", "status", "show", "--json"]] {
        measure(&world, &format!("{}, {MISSIONS} missions", form.join(" ")), form);
    }
}

/// The command against a process that does nothing, alternating.
fn measure(world: &World, name: &str, argv: &[&str]) {
    let (mut command, mut yardstick) = (Timings::of(name), Timings::of("bare process"));
    for _ in 0..RUNS {
        let mut process = world.command();
        process.args(argv).stdout(Stdio::null()).stderr(Stdio::null());
        let code = command.time(|| process.status().expect("the binary").code());
        assert_eq!(code, Some(0), "{name} fails");
        yardstick.time(bare_process);
    }
    println!("{}", command.line(&yardstick));
}

/// Lane rows of a log: the same moves again and again.
fn log(slug: &str, rows: usize, packages: usize) -> String {
    const ROUND: [&str; 7] =
        ["planned", "claimed", "in_progress", "for_review", "in_review", "approved", "planned"];
    let mut text = String::with_capacity(rows * 420);
    for row in 0..rows {
        let (wp, step) = (row % packages + 1, row / packages % 6);
        let _ = writeln!(
            text,
            "{{\"actor\": \"dev\", \"at\": \"2026-05-{:02}T{:02}:{:02}:{:02}.{:06}+00:00\", \"event_id\": \"01KRX{row:021}\", \
             \"evidence\": null, \"execution_mode\": \"worktree\", \"force\": true, \"from_lane\": \"{}\", \
             \"mission_id\": \"01KRX000000000000000000000\", \"mission_slug\": \"{slug}\", \"policy_metadata\": null, \
             \"reason\": \"round and round\", \"review_ref\": null, \"to_lane\": \"{}\", \"wp_id\": \"WP{wp:02}\"}}",
            row / 86_400 + 1,
            row / 3600 % 24,
            row / 60 % 60,
            row % 60,
            row,
            ROUND[step],
            ROUND[step + 1],
        );
    }
    text
}

/// A mission whose work packages each depend on the one before, with long texts.
fn large_mission(world: &World) {
    let mission = Mission::create(world, "large");
    mission.write("spec.md", SPEC);
    let mut tasks = String::from("# Tasks\n");
    for n in 1..=WORK_PACKAGES {
        let after = if n == 1 { "none".to_owned() } else { format!("WP{:02}", n - 1) };
        let _ = writeln!(tasks, "\n## WP{n:02} - Part {n}\n\n**Dependencies**: {after}\n");
        for subtask in 0..8 {
            let _ = writeln!(tasks, "- [ ] T{:03} step {subtask} of part {n}", n * 8 + subtask);
        }
        let head = work_package(
            &format!("WP{n:02}"),
            &format!("Part {n}"),
            if n % 2 == 0 { "FR-001" } else { "FR-002" },
            &format!("src/part{n:02}/**"),
        );
        let body = "A paragraph about the dashboard, the api and what the layout is for.\n".repeat(200);
        mission.write(&format!("tasks/WP{n:02}-part-{n}.md"), &format!("{head}\n{body}"));
    }
    mission.write("tasks.md", &tasks);
    mission.write("status.events.jsonl", &log(&mission.slug, 100, WORK_PACKAGES));
}

/// Fills up to the number of missions.
fn many_missions(directory: &Path) {
    for n in 1..MISSIONS {
        let slug = format!("mission-{n:03}-01KRX{n:03}");
        let path = directory.join(&slug);
        std::fs::create_dir_all(path.join("tasks")).expect("a mission");
        let meta = format!(
            "{{\"created_at\": \"2026-05-01T00:00:00+00:00\", \"friendly_name\": \"Mission {n}\", \"mission_id\": \
             \"01KRX{n:021}\", \"mission_number\": {n}, \"mission_slug\": \"{slug}\", \"mission_type\": \"software-dev\", \
             \"slug\": \"{slug}\", \"target_branch\": \"main\"}}\n"
        );
        let mut files = vec![("meta.json".to_owned(), meta)];
        files.push(("status.events.jsonl".to_owned(), log(&slug, ROWS_EACH, PACKAGES_EACH)));
        for wp in 1..=PACKAGES_EACH {
            let (id, title) = (format!("WP{wp:02}"), format!("Part {wp} of mission {n}"));
            let text = work_package(&id, &title, "FR-001", &format!("src/part{wp}/**"));
            files.push((
                format!("tasks/{id}-part.md"),
                format!("{text}\n{}", "A line of the body.\n".repeat(300)),
            ));
        }
        for (name, text) in files {
            std::fs::write(path.join(name), text).expect("a document");
        }
    }
}
