//! Calls that agents make of the reference, replayed: each ends as recorded, and its document has what
//! the recorded one has. What differs on purpose is listed, each with its reason; a listed difference
//! that is none any more fails, too.
//!
//! The recording lies beside the project and is no part of it.

use crate::worlds::fresh;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use testkit::World;

const SPEC: &str = "# S\n\n## Functional Requirements\n\n| ID | Title | Description |\n|---|---|---|\n\
    | FR-001 | Do it | The system does it. |\n| FR-002 | More | The system does more. |\n";
const PLAN: &str =
    "# P\n\n## Technical Context\n\n**Language/Version**: Rust 1.80\n**Primary Dependencies**: serde\n";
const TASKS: &str = "# T\n\n## WP01 - First\n\n- [ ] T001 a (WP01)\n\n**Dependencies**: none\n\n\
    ## WP02 - Second\n\n- [ ] T002 b (WP02)\n\n**Dependencies**: WP01\n";

/// Calls that end otherwise on purpose: how, and why.
const OTHER_EXIT: [(&str, i32, &str); 3] = [
    ("setup-plan again (unchanged plan)", 0, "running it again succeeds"),
    ("decision resolve after defer", 0, "a deferred decision can be resolved"),
    ("decision bad mission", 1, "a handle that names nothing is no wrong usage"),
];

/// Keys that differ on purpose.
const OTHER_VALUE: [(&str, &str); 19] = [
    ("spec_kitty_version", "ours"),
    ("branch_strategy_summary", "a sentence"),
    ("error", "a sentence"),
    ("remediation", "a list"),
    ("example_command", "the remedy names what to add"),
    ("next_step", "a sentence"),
    ("blocked_reason", "a sentence"),
    ("message", "a sentence"),
    ("spec_substantive", "the template is empty until it is filled in"),
    ("files_committed", "no snapshot file; nothing on the second run"),
    ("commit_created", "nothing to commit on the second run"),
    ("commit_hash", "nothing to commit on the second run"),
    ("modified_wps", "by file name"),
    ("unchanged_wps", "by file name"),
    ("would_modify", "by file name"),
    ("ownership_warnings", "a path of a new file is not a glob"),
    ("lanes", "a dependency joins no lanes"),
    ("lanes_preview", "a dependency joins no lanes"),
    ("event_lamport", "one row more: the deferred decision was resolved"),
];

/// The one call that has no counterpart here.
const ABSENT: &str = "map-requirements";

struct Replay {
    world: World,
    mission: String,
    /// The recording's placeholders, and their values here.
    names: BTreeMap<String, String>,
}

impl Replay {
    fn path(&self) -> std::path::PathBuf {
        self.world.work().join("kitty-specs").join(&self.mission)
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path().join(name), text).unwrap();
    }

    /// Edit that a person made before the call.
    fn edit(&self, tag: &str) {
        let spec = format!("kitty-specs/{}/spec.md", self.mission);
        match tag {
            "setup-plan spec uncommitted" => self.write("spec.md", SPEC),
            "setup-plan spec staged only" => drop(self.world.git(["add", &spec])),
            "setup-plan scaffold" => drop(self.world.git(["commit", "--quiet", "-m", "spec"])),
            "setup-plan commit" => self.write("plan.md", PLAN),
            "check-prerequisites include-tasks 2" => {
                self.write("tasks.md", TASKS);
                for (id, title, refs, file) in
                    [("WP01", "First", "FR-001", "src/a.py"), ("WP02", "Second", "FR-002", "src/b.py")]
                {
                    let subtask = id.replace("WP", "T0");
                    let text = format!(
                        "---\nwork_package_id: {id}\ntitle: {title}\nrequirement_refs: [{refs}]\nsubtasks: [{subtask}]\n\
                         execution_mode: code_change\nowned_files: [{file}]\nauthoritative_surface: {file}\n---\n\nBody src/ work.\n"
                    );
                    self.write(&format!("tasks/{id}-x.md"), &text);
                }
            }
            "move-task planned rejection" => {
                std::fs::write(self.world.work().join("fb.md"), "**Issue**: no\n").unwrap();
            }
            "decision verify unknown marker" => {
                let marker =
                    |id: &str| format!("[NEEDS CLARIFICATION: x] <!-- decision_id: {} -->\n", self.names[id]);
                self.write("plan.md", &format!("{PLAN}\n{}{}", marker("<ULID10>"), marker("<ULID12>")));
            }
            _ => {}
        }
    }

    /// The recorded arguments, with the names of here.
    fn argv(&self, step: &Value) -> Vec<String> {
        let words = step["args"].as_array().unwrap().iter().filter_map(Value::as_str);
        let real = |word: &str| {
            self.names.iter().fold(word.to_owned(), |text, (page, real)| text.replace(page, real))
        };
        words.map(|word| if word == "01M817Z6" { self.names["<MID8>"].clone() } else { real(word) }).collect()
    }

    /// A text of this run with the names of the recording.
    fn normal(&self, text: &str) -> String {
        let work = self.world.work().to_str().unwrap();
        let mut text = text.replace(work, "<REPO>");
        if let Some(mid8) = self.names.get("<MID8>") {
            // The whole name: an id drawn in the same moment begins with the same letters.
            text = text.replace(&self.mission, &self.mission.replace(mid8, "<MID8>"));
        }
        placeholders(&text)
    }

    /// Learns the names that the recording gives to what this document names.
    fn learn(&mut self, tag: &str, document: &Value) {
        let text = |key: &str| document[key].as_str().unwrap_or_default().to_owned();
        match tag {
            "create" => {
                self.mission = text("mission_slug");
                self.names.insert("<MID8>".into(), text("mission_id")[..8].to_owned());
            }
            "decision open" => drop(self.names.insert("<ULID10>".into(), text("decision_id"))),
            "decision open 2" => drop(self.names.insert("<ULID14>".into(), text("decision_id"))),
            "decision open 3" => drop(self.names.insert("<ULID15>".into(), text("decision_id"))),
            _ => {}
        }
    }
}

/// Identifiers, times and commits as the recording writes them, without their numbers.
fn placeholders(text: &str) -> String {
    let mut out = String::new();
    for word in text.split_inclusive(|c: char| !c.is_ascii_alphanumeric() && !"<>".contains(c)) {
        let (body, end) = match word.char_indices().next_back() {
            Some((at, c)) if !c.is_ascii_alphanumeric() && c != '>' => word.split_at(at),
            _ => (word, ""),
        };
        let ulid = body.len() == 26 && body.starts_with("01");
        let hash = body.len() == 40 && body.bytes().all(|b| b.is_ascii_hexdigit());
        let numbered = body.starts_with("<ULID") && body.ends_with('>');
        out.push_str(if ulid || numbered {
            "<ULID>"
        } else if hash {
            "<SHA40>"
        } else {
            body
        });
        out.push_str(end);
    }
    out
}

/// Keys of the recorded document that ours lacks or changes.
fn differences(
    replay: &Replay,
    recorded: &Value,
    ours: &Value,
    path: &str,
    found: &mut Vec<(String, String)>,
) {
    let differs = |found: &mut Vec<(String, String)>| {
        found.push((path.to_owned(), format!("{ours} instead of {recorded}")));
    };
    match (recorded, ours) {
        (Value::Object(theirs), Value::Object(here)) => {
            for (key, value) in theirs {
                let mut below = Vec::new();
                differences(replay, value, here.get(key).unwrap_or(&Value::Null), key, &mut below);
                let listed = OTHER_VALUE.iter().any(|(known, _)| known == key);
                match below.pop() {
                    Some((_, difference)) if listed => found.push((key.clone(), difference)),
                    last => found.extend(below.into_iter().chain(last)),
                }
            }
        }
        (Value::Array(theirs), Value::Array(here)) if theirs.len() == here.len() => {
            for (value, other) in theirs.iter().zip(here) {
                differences(replay, value, other, path, found);
            }
        }
        (Value::String(theirs), Value::String(here)) => {
            let time = theirs == "<TS>" && here.contains('T');
            if !time && placeholders(theirs) != replay.normal(here) {
                differs(found);
            }
        }
        (theirs, here) if theirs != here => differs(found),
        _ => {}
    }
}

#[test]
#[ignore = "needs the recorded data"]
fn recorded_calls_match_exit_code_and_document() {
    let shared = testkit::shared();
    let recording = std::fs::read_to_string(shared.join("oracle/gates/golden-a.json")).unwrap();
    let recording: Vec<Value> = serde_json::from_str(&recording).unwrap();
    let mut world = fresh();
    world.set("SPEC_KITTY_ENABLE_SAAS_SYNC", "0").init_project();
    let mut replay = Replay {
        world,
        mission: String::new(),
        names: BTreeMap::from([("<ULID12>".to_owned(), "01KRX000000000000000000012".to_owned())]),
    };
    let (mut alike, mut exits, mut values, mut wrong) = (0, BTreeSet::new(), BTreeSet::new(), Vec::new());
    let calls: Vec<&Value> =
        recording.iter().filter(|step| step["args"].is_array() && step["tag"] != ABSENT).collect();
    for step in &calls {
        let tag = step["tag"].as_str().unwrap();
        replay.edit(tag);
        let run = replay.world.run(replay.argv(step));
        let expected = i32::try_from(step["rc"].as_i64().unwrap()).unwrap();
        let other = OTHER_EXIT.iter().find(|(known, ..)| *known == tag);
        if run.code != Some(other.map_or(expected, |(_, exit, _)| *exit)) {
            wrong.push(format!(
                "{tag}: exit {:?} instead of {expected}: {}{}",
                run.code, run.stdout, run.stderr
            ));
            continue;
        }
        exits.extend(other.map(|(tag, ..)| *tag));
        let document = run.json();
        replay.learn(tag, &document);
        let recorded = step["stdout"].as_str().unwrap().lines().last().unwrap_or("{}");
        let recorded: Value = serde_json::from_str(recorded).unwrap();
        // The reference prints that it minted an id before it looks at anything.
        if recorded["phase"] != "minted" && other.is_none() {
            let mut found = Vec::new();
            differences(&replay, &recorded, &document, "", &mut found);
            found.retain(|(key, _)| {
                let known = OTHER_VALUE.iter().find(|(known, _)| known == key);
                values.extend(known.map(|(key, _)| *key));
                known.is_none()
            });
            if !found.is_empty() {
                wrong.push(format!("{tag}: {found:#?}"));
                continue;
            }
        }
        alike += 1;
    }
    println!("recorded calls: {alike} of {} agree", calls.len());
    println!("differs on purpose: how {} recorded calls end", exits.len());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let listed: BTreeSet<&str> = OTHER_EXIT.iter().map(|(tag, ..)| *tag).collect();
    assert_eq!(exits, listed, "a listed difference is none any more");
    let listed: BTreeSet<&str> = OTHER_VALUE.iter().map(|(key, _)| *key).collect();
    assert_eq!(values, listed, "a listed difference is none any more");
}
