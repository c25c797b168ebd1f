//! Missions of the current releases, and what 3.2.7 computed from them. Each difference has a row in the table of
//! its test, with the line of the rule that decides.

use super::{deliberate, report, shared};
use mission::decision::{Ledger, render_page, verify_markers};
use mission::log::{Log, view_log};
use mission::meta::read_meta;
use mission::snapshot::{Snapshot, reduce, render_status, status_document};
use mission::transition::{Review, TransitionFacts, judge_transition};
use mission::{Dialect, Lane};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

struct Case {
    name: String,
    directory: PathBuf,
    expected: Value,
}

/// Every mission of the current corpus. A link in it names a file of the older corpus, so the mission is copied.
fn cases(world: &Path) -> Vec<Case> {
    let current = shared().join("current");
    let mut cases = Vec::new();
    for repository in ["bake-tracker", "crest-synth", "fogreach", "spec-kitty", "spec-kitty-events"] {
        for entry in std::fs::read_dir(current.join("oracle").join(repository)).expect("the recorded data") {
            let path = entry.unwrap().path();
            let mission = path.file_stem().unwrap().to_str().unwrap().to_owned();
            let name = format!("{repository}/{mission}");
            let directory = world.join(repository).join(&mission);
            std::fs::create_dir_all(&directory).unwrap();
            for file in [mission::log::FILE, mission::meta::FILE, mission::snapshot::FILE] {
                let from = current.join("corpus").join(&name).join(file);
                if from.exists() {
                    std::fs::copy(&from, directory.join(file)).unwrap();
                }
            }
            let expected = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
            cases.push(Case { name, directory, expected });
        }
    }
    cases.sort_by(|a, b| a.name.cmp(&b.name));
    cases
}

fn lanes(board: &Snapshot) -> Value {
    let moved = board.work_packages.iter().filter(|(_, state)| state.last_event_id.is_some());
    Value::Object(moved.map(|(id, state)| (id.clone(), json!(state.lane))).collect())
}

fn status(board: &Snapshot, directory: &Path) -> String {
    let meta = read_meta(directory).unwrap();
    render_status(&status_document(board, meta.as_ref()).unwrap())
}

#[test]
#[ignore = "needs the recorded data"]
fn logs_lanes_and_status_of_current_missions_are_those_of_3_2_7() {
    let world = tempfile::tempdir().unwrap();
    let cases = cases(world.path());
    let [mut logs, mut boards, mut documents] = [const { Vec::<String>::new() }; 3];
    let (mut kept_earlier, mut untyped) = (0, 0);
    for case in &cases {
        let log = view_log(&case.directory).unwrap();
        let is_readable = log.damage().is_empty() && log.warnings("m").is_empty();
        let recorded = &case.expected["log"];
        if is_readable != recorded["readable"].as_bool().unwrap()
            || log.line_count() as u64 != recorded["rows"].as_u64().unwrap_or_default()
        {
            logs.push(format!("{}: {} rows, {:?}", case.name, log.line_count(), log.warnings("m")));
        }
        let meta = read_meta(&case.directory).unwrap();
        let dialect = Dialect::of(meta.as_ref(), &log);
        let board = reduce(&[&log], dialect);
        if lanes(&board) != case.expected["lanes"] {
            boards.push(format!("{}: {}", case.name, lanes(&board)));
        }
        let sha256 = |text: &str| mission::dossier::index::sha256_hex(text.as_bytes());
        let wanted = case.expected["status"]["sha256"].as_str().unwrap();
        if sha256(&status(&board, &case.directory)) != wanted {
            let earlier_key = "\"mission_type\": \"software-dev\"";
            let as_current = status(&reduce(&[&log], Dialect::Current), &case.directory);
            if dialect == Dialect::Rc11 && sha256(&as_current) == wanted {
                kept_earlier += 1;
            } else if sha256(&as_current.replace(earlier_key, "\"mission_type\": \"\"")) == wanted {
                untyped += 1;
            } else {
                documents.push(case.name.clone());
            }
        }
    }
    report("current logs", cases.len(), &logs);
    report("lanes of current missions", cases.len(), &boards);
    deliberate(
        "`status.json` of a mission that only earlier releases wrote",
        &format!("{kept_earlier} missions"),
    );
    deliberate(
        "`mission_type` of a `meta.json` that has the older key `mission`",
        &format!("{untyped} missions"),
    );
    report("status.json of current missions", cases.len(), &documents);
}

/// The text of a file of the corpus; a link that git stored as text names a file of the older corpus.
fn text(path: &Path) -> Option<String> {
    let text = std::fs::read_to_string(path).ok()?;
    let is_link = text.starts_with("../") && text.lines().count() == 1;
    if is_link { std::fs::read_to_string(path.parent()?.join(text.trim())).ok() } else { Some(text) }
}

#[test]
#[ignore = "needs the recorded data"]
fn decisions_of_current_missions_are_those_of_3_2_7() {
    let world = tempfile::tempdir().unwrap();
    let corpus = shared().join("current/corpus");
    let [mut ledgers, mut pages, mut verdicts] = [const { Vec::<String>::new() }; 3];
    let (mut ledger_count, mut page_count, mut verdict_count) = (0, 0, 0);
    let (mut by_hand, mut reworded) = (0, 0);
    for case in cases(world.path()) {
        let directory = corpus.join(&case.name);
        let index = directory.join("decisions/index.json");
        let stored = text(&index);
        let ledger = match &stored {
            Some(stored) => Ledger::parse(&index, stored).unwrap(),
            None => Ledger::parse(&index, r#"{"version": 1, "mission_id": "", "entries": []}"#).unwrap(),
        };
        if let Some(stored) = &stored {
            ledger_count += 1;
            let value = |text: &str| serde_json::from_str::<Value>(text).unwrap();
            let ours = ledger.render();
            match (ours == *stored, value(&ours) == value(stored)) {
                (true, _) => {}
                (false, true) => by_hand += 1,
                (false, false) => ledgers.push(case.name.clone()),
            }
        }
        for entry in &ledger.entries {
            let Some(stored) = text(&ledger.page_path(&entry.decision_id)) else { continue };
            page_count += 1;
            // All but the reason, which people reword.
            let facts = |text: &str| {
                let (before, rest) = text.split_once("## Rationale").unwrap();
                format!("{before}{}", rest.split_once("## Change log").unwrap().1)
            };
            let page = render_page(entry);
            match (page == stored, facts(&page) == facts(&stored)) {
                (true, _) => {}
                (false, true) => reworded += 1,
                (false, false) => pages.push(format!("{} {}", case.name, entry.decision_id)),
            }
        }
        let wanted = &case.expected["decisions"]["json"];
        if wanted.is_object() {
            verdict_count += 1;
            let read = |name: &str| text(&directory.join(name)).unwrap_or_default();
            let ours =
                verify_markers(&ledger, &[("spec.md", &read("spec.md")), ("plan.md", &read("plan.md"))]);
            if json!(ours) != *wanted {
                verdicts.push(format!("{}: {} instead of {wanted}", case.name, json!(ours)));
            }
        }
    }
    deliberate("a ledger with letters that are not ASCII", &format!("{by_hand} mission"));
    deliberate("a decision page whose rationale was edited by hand", &format!("{reworded} pages"));
    report("ledgers of current missions", ledger_count, &ledgers);
    report("pages of current decisions", page_count, &pages);
    report("verdicts on current decisions", verdict_count, &verdicts);
}

/// Logs of which this program makes more than 3.2.7 does.
const MORE_IS_READ: &str = "`want_lanes`";
/// Section 16: the row of an annotation that is there twice counts once.
const COUNTS_ONCE: &str = "annotation_duplicate_id";

#[test]
#[ignore = "needs the recorded data"]
fn small_logs_are_reduced_as_recorded() {
    let path = shared().join("current/oracle/cases/reducer-cases.json");
    let recorded: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let cases = recorded["cases"].as_array().unwrap();
    let (mut differing, mut wanted_more, mut once) = (Vec::new(), 0, 0);
    for case in cases {
        let name = case["name"].as_str().unwrap();
        let log = Log::parse(Path::new("log"), case["log"].as_str().unwrap().as_bytes());
        let board = reduce(&[&log], Dialect::Current);
        let ours = status_document(&board, None).unwrap();
        let agrees = if case["want_lanes"].is_object() {
            wanted_more += 1;
            lanes(&board) == case["want_lanes"] && log.damage().is_empty()
        } else if case["error"].is_string() {
            !log.damage().is_empty()
        } else if name == COUNTS_ONCE {
            once += 1;
            log.warnings("m").len() == 1 && ours["work_packages"]["WP01"]["notes"] == json!(["x"])
        } else {
            log.damage().is_empty() && ours == case["status"]
        };
        if !agrees {
            differing.push(format!("{name}: {ours} {:?} instead of {}", log.warnings("m"), case["status"]));
        }
    }
    deliberate("a row or an actor object that 3.2.7 refuses", &format!("{wanted_more} small logs"));
    deliberate("an annotation that is there twice", &format!("{once} small log"));
    println!("{MORE_IS_READ}: {wanted_more}");
    report("small logs", cases.len(), &differing);
}

/// The judgement of a recorded context; nothing for a lane that no mission has.
fn judged(from: &str, to: &str, context: &Map<String, Value>) -> Option<bool> {
    let lane = |name: &str| Lane::from_log(name).or_else(|| Lane::from_input(name));
    let text = |key: &str| context.get(key).and_then(Value::as_str);
    let flag = |key: &str| context.get(key).and_then(Value::as_bool).unwrap_or_default();
    let review = |value: &Value| serde_json::from_value::<Review>(value.clone()).ok();
    let evidence = context.get("evidence").and_then(|evidence| review(&evidence["review"]));
    let result = context.get("review_result").and_then(review);
    let with = TransitionFacts {
        actor: text("actor").unwrap_or_default(),
        force: flag("force"),
        reason: text("reason"),
        evidence: evidence.as_ref(),
        review_result: result.as_ref(),
        workspace: text("workspace_context"),
        subtasks_complete: flag("subtasks_complete"),
        implementation_evidence: flag("implementation_evidence_present"),
        review_ref: text("review_ref"),
        dialect: Dialect::Current,
    };
    Some(judge_transition(lane(from)?, lane(to)?, &with).is_ok())
}

#[test]
#[ignore = "needs the recorded data"]
fn verdicts_on_moves_of_a_current_mission_are_those_of_3_2_7() {
    let path = shared().join("current/oracle/cases/transitions.json");
    let recorded: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let (mut differing, mut forced) = (Vec::new(), 0);
    let rows = recorded["rows"].as_array().unwrap();
    for row in rows {
        let cell = |index: usize| row[index].as_str().unwrap();
        let context = recorded["contexts"][cell(2)].as_object().unwrap();
        let ours = judged(cell(0), cell(1), context).unwrap_or_default();
        let theirs = row[3].as_bool().unwrap();
        if ours != theirs && cell(1) == "uninitialized" && context.contains_key("force") {
            forced += 1;
        } else if ours != theirs {
            differing.push(format!("{row}: {ours}"));
        }
    }
    deliberate("force to `uninitialized`", &format!("{forced} verdicts"));
    report("verdicts on moves", rows.len(), &differing);
}

/// The lane of WP01 that the README of each small input names.
const SMALL_INPUTS: [(&str, Lane); 8] = [
    ("log-at-with-offset-east", Lane::ForReview),
    ("log-bom", Lane::ForReview),
    ("log-newer-actor-object", Lane::ForReview),
    ("log-newer-annotation-row", Lane::InProgress),
    ("log-newer-genesis-lane", Lane::InProgress),
    ("log-newer-retrospective-type-row", Lane::InProgress),
    ("log-same-second", Lane::ForReview),
    ("log-torn-last-line", Lane::ForReview),
];

#[test]
#[ignore = "needs the recorded data"]
fn small_inputs_give_the_lane_of_their_readme() {
    let mut differing = Vec::new();
    for (name, lane) in SMALL_INPUTS {
        let directory = shared().join("cases").join(name).join("kitty-specs/sample-01KZ0000");
        let log = view_log(&directory).unwrap();
        let meta = read_meta(&directory).unwrap();
        let board = reduce(&[&log], Dialect::of(meta.as_ref(), &log));
        let warns = !log.warnings("m").is_empty();
        if board.lane("WP01") != lane || warns != (name == "log-torn-last-line") {
            differing.push(format!("{name}: {} {:?}", board.lane("WP01"), log.warnings("m")));
        }
    }
    report("small inputs of logs", SMALL_INPUTS.len(), &differing);
}

/// Boards that the reference read from the repositories that it wrote itself, in both topologies.
#[test]
#[ignore = "needs the recorded data"]
fn boards_of_the_recorded_repositories_are_those_of_3_2_7() {
    let fixtures = shared().join("current/fixtures");
    let mut differing = Vec::new();
    for (name, place) in [("single-branch", "primary"), ("coord", "coordination")] {
        let missions = fixtures.join(name).join(place).join("kitty-specs");
        let directory = std::fs::read_dir(missions).unwrap().next().unwrap().unwrap().path();
        let log = view_log(&directory).unwrap();
        let board = reduce(&[&log], Dialect::of(None, &log));
        let stored: Value =
            serde_json::from_slice(&std::fs::read(directory.join(mission::snapshot::FILE)).unwrap()).unwrap();
        let ours = status_document(&board, None).unwrap();
        let same = ["work_packages", "summary", "event_count", "last_event_id", "materialized_at"];
        let differs: BTreeMap<_, _> = same
            .into_iter()
            .filter(|key| ours[key] != stored[key])
            .map(|key| (key, ours[key].clone()))
            .collect();
        if !differs.is_empty() {
            differing.push(format!("{name}: {differs:?}"));
        }
    }
    report("repositories that 3.2.7 wrote", 2, &differing);
}
