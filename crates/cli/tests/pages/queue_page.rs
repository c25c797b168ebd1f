//! `docs/queue.md` shows what the program prints: its examples are run, one after the other, on one
//! machine. `SPEC_KITTY_UPDATE_DOCS=1` writes what they print into the page.
#![cfg(unix)]

use contract::Scope;
use rusqlite::Connection;
use std::path::{Path, PathBuf};
use testkit::World;
use testkit::reference_queue::{PROJECT, ReferenceQueue};
use testkit::world::{SERVER, TEAM, USER, session};

fn page() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap().join("docs").join("queue.md")
}

/// The machine of the page: the queue of an account at a server that no longer exists, and a legacy queue DB. That
/// holds rows of ours, one of another team, and one that is no event.
fn machine() -> World {
    let world = World::named(env!("CARGO_BIN_EXE_spec-kitty"), "dev");
    world.log_in().init_project();
    let old = Scope::new("https://gone.invalid", USER, TEAM);
    ReferenceQueue::create(&world.home().scoped_queue(&old)).event("01KRX0000000000000000000B1", Some(TEAM));
    let legacy = ReferenceQueue::create(&world.root().join("queue.db"));
    legacy.event("01KRX0000000000000000000A0", None).event("01KRX0000000000000000000A1", Some(TEAM));
    legacy.event("01KRX0000000000000000000A2", Some("team-other")).body("spec.md", "# Widgets\n");
    let db = Connection::open(legacy.path()).unwrap();
    db.execute("UPDATE queue SET data = '{\"event_id\": \"01KR' WHERE event_id LIKE '%A0'", []).unwrap();
    world.write_session(&session(SERVER, USER, TEAM));
    world
}

/// The arguments of an example, as a shell reads them: words, some of them quoted.
fn words(command: &str) -> Vec<String> {
    let mut words = Vec::new();
    for (number, part) in command.split('"').enumerate() {
        match number % 2 {
            0 => words.extend(part.split_whitespace().map(str::to_owned)),
            _ => words.push(part.to_owned()),
        }
    }
    words
}

/// Replaces texts that differ from run to run, or from machine to machine, by one spelling.
fn normal(text: &str) -> String {
    let is_word = |c: char| c.is_ascii_alphanumeric() || "-:.".contains(c);
    let mut out = String::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let end = if is_word(c) { rest.find(|c| !is_word(c)).unwrap_or(rest.len()) } else { c.len_utf8() };
        let (word, later) = rest.split_at(end);
        let bare = word.trim_end_matches([':', '.']);
        out.push_str(&normal_word(bare));
        out.push_str(&word[bare.len()..]);
        rest = later;
    }
    out
}

fn normal_word(word: &str) -> String {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let ulid = |text: &str| text.len() == 26 && text.starts_with("01") && !text.starts_with("01KRX");
    let (head, tail) = word.rsplit_once('-').unwrap_or(("", word));
    match word {
        _ if ulid(word) => "<ULID>".to_owned(),
        _ if word.len() >= 20 && word.starts_with("20") && word.contains('T') => "<MOMENT>".to_owned(),
        _ if tail.len() == 8 && tail.starts_with("01") => format!("{head}-<MID8>"),
        _ if word.len() == 36 && word.split('-').count() == 5 && word != PROJECT => "<UUID>".to_owned(),
        // Sizes hold lengths of moments and names.
        _ if word.len() >= 3 && digits(word) => "<NUMBER>".to_owned(),
        _ => word.to_owned(),
    }
}

/// Runs one example; what a person would see of it.
fn run(world: &World, line: &str, slugs: &[(&str, String)]) -> String {
    let (command, code) = line.split_once("   # exit ").unwrap_or((line, "0"));
    let mut argv = words(&with_slugs(command, slugs));
    assert_eq!(argv.remove(0), "spec-kitty", "{line}");
    let done = world.run(argv).exits(code.parse().unwrap());
    let base = world.user_home().parent().unwrap().to_str().unwrap();
    (done.stdout + &done.stderr)
        .replace(&format!("{base}/dev"), "/home/dev")
        .replace(&format!("{base}/work"), "/home/dev/project")
}

/// The example with the missions of this machine.
fn with_slugs(line: &str, slugs: &[(&str, String)]) -> String {
    let words = line.split(' ').map(|word| {
        let slug = slugs.iter().find(|(name, _)| word.starts_with(&format!("{name}-01")));
        slug.map_or_else(|| word.to_owned(), |(_, slug)| slug.clone())
    });
    words.collect::<Vec<_>>().join(" ")
}

/// The mission directory that begins with `name`.
fn slug(world: &World, name: &str) -> Option<String> {
    let entries = std::fs::read_dir(world.work().join("kitty-specs")).ok()?.flatten();
    let mut names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    names.find(|found| found.starts_with(&format!("{name}-")))
}

#[test]
fn every_example_of_the_page_prints_what_the_page_shows() {
    let world = machine();
    let text = std::fs::read_to_string(page()).unwrap();
    let mut shown = String::new();
    let mut printed = String::new();
    let mut updated = String::new();
    let mut inside = false;
    for line in text.lines() {
        if line == "```console" || line == "```" {
            inside = line == "```console";
        }
        match line.strip_prefix("$ ").filter(|_| inside) {
            Some(example) => {
                let slugs: Vec<_> = ["widgets", "gadgets"]
                    .into_iter()
                    .filter_map(|name| Some((name, slug(&world, name)?)))
                    .collect();
                let output = run(&world, example, &slugs);
                printed.push_str(&format!("{line}\n{output}"));
                shown.push_str(&format!("{line}\n"));
                updated.push_str(&format!("{}\n{output}", with_slugs(line, &slugs)));
            }
            None if inside && line != "```console" => shown.push_str(&format!("{line}\n")),
            None => updated.push_str(&format!("{line}\n")),
        }
    }
    if std::env::var_os("SPEC_KITTY_UPDATE_DOCS").is_some() {
        std::fs::write(page(), updated).unwrap();
        return;
    }
    let (shown, printed) = (normal(&shown), normal(&printed));
    for (shown, printed) in shown.lines().zip(printed.lines()) {
        assert_eq!(shown, printed);
    }
    assert_eq!(shown.lines().count(), printed.lines().count());
}

/// The config.toml on the page equals what an opt-in after an opt-out writes, with the documented meaning.
#[test]
fn decision_file_of_the_page_is_read_as_documented() {
    let text = std::fs::read_to_string(page()).unwrap();
    let shown = text.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let world = testkit::host::logged_in(env!("CARGO_BIN_EXE_spec-kitty"));
    let start = || match identity::Config::read(&world.home()).unwrap().consent(Some(PROJECT), None, None) {
        contract::Consent::OptedIn(start) => start,
        other => panic!("{other:?}"),
    };
    // Only a project that is known can be decided about.
    ReferenceQueue::create(&world.root().join("queue.db")).event("01KRX0000000000000000000A1", None);
    let before = jiff::Timestamp::now();
    world.run(["sync", "opt-out", "--project", PROJECT]).exits(0);
    world.run(["sync", "opt-in", "--project", PROJECT, "--yes"]).exits(0);
    let written = start();
    assert!(written.foreign > before && written.captured == written.foreign, "{written:?}");

    world.write_config(shown);
    let read = start();
    assert_eq!(read.foreign, read.captured);
    assert_eq!(read.foreign.to_string(), "2026-11-25T23:34:54.218735Z");
}

#[test]
fn page_knows_every_table_of_the_file() {
    let world = testkit::host::logged_in(env!("CARGO_BIN_EXE_spec-kitty"));
    world.run(["agent", "mission", "create", "widgets"]).exits(0);
    let db = Connection::open(world.home().scoped_queue(&world.scope())).unwrap();
    let mut select = db
        .prepare("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite%'")
        .unwrap();
    let text = std::fs::read_to_string(page()).unwrap();
    for name in select.query_map([], |row| row.get::<_, String>(0)).unwrap() {
        let name = name.unwrap();
        assert!(text.contains(&format!("`{name}`")), "{name}");
    }
}
