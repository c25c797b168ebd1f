//! Cost of missions, whole process: a long log, many work packages, many missions; against a process
//! that does nothing.
//!
//! `cargo bench -p spec-kitty --bench missions`
#![allow(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a benchmark prints, and stops when it cannot run"
)]

use benches::{ProcessCost, Timings, bare_process, process_cost};
use std::fmt::Write as _;
use std::process::Stdio;
use std::time::Duration;
use testkit::World;
use testkit::mission::{Mission, SPEC, work_package};

/// Events of the long log.
const EVENTS: usize = 100_000;
/// Work packages of the large mission: more than the largest of the reference's own 155 missions has.
const WORK_PACKAGES: usize = 16;
/// Missions of the large project, each with as many work packages and rows as those of the reference have on average.
const MISSIONS: usize = 500;
/// One mission of these keeps its rows on a coordination branch that nothing has checked out.
const EACH_COORDINATED: usize = 5;
const PACKAGES_EACH: usize = 6;
const ROWS_EACH: usize = 33;
const RUNS: usize = 60;
/// How often the processor time of a command is taken.
const COST_RUNS: usize = 15;
/// Time between two moves: a log that was written within the last 50 ms is read once more under its lock.
const PAUSE: Duration = Duration::from_millis(100);

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

    emits(&world, &long);

    large_mission(&world);
    measure(
        &world,
        &format!("finalize-tasks --validate-only, {WORK_PACKAGES} work packages"),
        &["agent", "mission", "finalize-tasks", "--validate-only", "--mission", "large", "--json"],
    );

    // The long log would be most of the overview.
    std::fs::remove_dir_all(&long.path).expect("the long log");
    let coordinated = many_missions(&world);
    measure(
        &world,
        "agent status show, a mission with a coordination branch",
        &["agent", "status", "show", "--mission", &coordinated, "--json"],
    );
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

/// Moves of one work package behind a long log, with nothing to capture.
fn emits(world: &World, mission: &Mission) {
    let (mut command, mut yardstick) =
        (Timings::of(format!("agent status emit, {EVENTS} events")), Timings::of("bare process"));
    let emit = |to: &str| {
        let mut process = world.command();
        let argv =
            ["agent", "status", "emit", "WP01", "--to", to, "--actor", "dev", "--force", "--reason", "round"];
        process.args(argv).args(["--mission", &mission.slug, "--local-only"]);
        process.stdout(Stdio::null()).stderr(Stdio::null());
        process
    };
    for run in 0..RUNS {
        std::thread::sleep(PAUSE);
        let mut process = emit(["blocked", "in_progress"][run % 2]);
        let code = command.time(|| process.status().expect("the binary").code());
        assert_eq!(code, Some(0), "emit fails");
        yardstick.time(bare_process);
    }
    println!("{}", command.line(&yardstick));
    for (pause, name) in [(PAUSE, ""), (Duration::ZERO, ", right after another")] {
        let of = |run: usize| {
            std::thread::sleep(pause);
            process_cost(emit(["blocked", "in_progress"][run % 2]))
        };
        let mut costs: Vec<ProcessCost> = (0..COST_RUNS).map(of).collect();
        costs.sort_by_key(|cost| cost.cpu);
        let cpu = costs[COST_RUNS / 2].cpu.as_millis();
        let peak = costs.iter().map(|cost| cost.peak_kib).max().unwrap_or_default() as f64 / 1024.0;
        println!(
            "agent status emit, {EVENTS} events{name}: {cpu} ms of CPU (median), {peak:.1} MiB at its peak"
        );
    }
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

/// Fills up to the number of missions. Gives one with a coordination branch.
fn many_missions(world: &World) -> String {
    let directory = world.work().join("kitty-specs");
    let mut last = String::new();
    // A root commit for each branch, all read by one process.
    let mut branches = String::new();
    for n in 1..MISSIONS {
        let slug = format!("mission-{n:03}-01KRX{n:03}");
        let path = directory.join(&slug);
        std::fs::create_dir_all(path.join("tasks")).expect("a mission");
        let is_coordinated = n % EACH_COORDINATED == 1;
        let branch = format!("kitty/mission-{slug}");
        let named =
            if is_coordinated { format!(", \"coordination_branch\": \"{branch}\"") } else { String::new() };
        let meta = format!(
            "{{\"created_at\": \"2026-05-01T00:00:00+00:00\", \"friendly_name\": \"Mission {n}\", \"mission_id\": \
             \"01KRX{n:021}\", \"mission_number\": {n}, \"mission_slug\": \"{slug}\", \"mission_type\": \"software-dev\", \
             \"slug\": \"{slug}\", \"target_branch\": \"main\"{named}}}\n"
        );
        let mut files = vec![("meta.json".to_owned(), meta)];
        let rows = log(&slug, ROWS_EACH, PACKAGES_EACH);
        if is_coordinated {
            let _ = write!(
                branches,
                "commit refs/heads/{branch}\ncommitter dev <dev@example.com> 1780000000 +0000\ndata 1\nx\nM 100644 inline \
                 kitty-specs/{slug}/status.events.jsonl\ndata {}\n{rows}\n",
                rows.len()
            );
            last.clone_from(&slug);
        } else {
            files.push(("status.events.jsonl".to_owned(), rows));
        }
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
    let input = world.work().with_file_name("branches");
    std::fs::write(&input, branches).expect("the branches");
    let import = format!("git fast-import --quiet < '{}'", input.display());
    let _ = world.run_program("sh", ["-c", &import]).exits(0);
    last
}
