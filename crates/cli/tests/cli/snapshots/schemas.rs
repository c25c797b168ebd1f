//! JSON Schemas of docs/schemas: each verb has one, the documents of all snapshots fit, and a changed document does not.
//! `World::run` compares the documents of all other tests with them.

use super::{fresh, workspace};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use testkit::Run;
use testkit::schemas::{ERROR, Schemas, type_of};

/// Verbs without a document.
const SILENT: [&str; 13] = [
    "completions",
    "help",
    "man",
    "merge-driver-acceptance-matrix",
    "merge-driver-event-log",
    "merge-driver-issue-matrix",
    "merge-driver-meta",
    "merge-driver-review-cycle",
    "merge-driver-status",
    "merge-driver-traces",
    "quickstart",
    "server",
    "sync daemon run",
];

/// Verbs whose success no snapshot shows: they need more than a machine.
const UNSHOWN_VERBS: [&str; 1] = ["server copy"];

/// Keys, and whole objects, that are in no document of a snapshot: warnings, damage, and races.
const ABSENT: &[&str] = &[
    "boards.missions[].lane_source",
    "boards.missions[].warnings",
    "boards.unreadable[]",
    "common#check.warnings",
    "common#computed_lanes.collapse_report.events[]",
    "common#log_repair.coordination",
    "common#log_repair.left[]",
    "common#other_queue.scope_unknown",
    "common#other_queue.state",
    "common#project_store.error",
    "common#waiting_rows",
    "daemon.report.last_drain",
    "daemon.stops[]",
    "decision-closed.warnings",
    "decision-opened.warnings",
    "delivery|0.daemon_delivery",
    "delivery|0.failures[]",
    "delivery|0.server",
    "dependents.warnings",
    "diagnosis.damage",
    "diagnosis.remediation",
    "evidence-captured.warnings",
    "evidence-drafted.warnings",
    "export.damage",
    "export.remediation",
    "history-added.warnings",
    "history-captured|0.refused[]",
    "history-captured|0.warnings",
    "history-captured|1.refused[]",
    "history-captured|1.warnings",
    "lane-moved.coordination_commit",
    "lane-moved.warnings",
    "migration|0.project_stores[].detail",
    "migration|0.project_stores[].remediation_hint",
    "mission-created.warnings",
    "mission-finalized|0.coordination_commit",
    "mission-finalized|0.warnings",
    "mission-finalized|1.warnings",
    "mission-plan.warnings",
    "opt-in|0.not_released",
    "preview.rows[].payload",
    "repair|0.actions[].salvaged",
    "requirements-mapped.warnings",
    "resend.remediation",
    "server-copy",
    "server-sessions-ended|1",
    "subtasks-marked.warnings",
    "task-moved.coordination_commit",
    "task-moved.review_feedback",
    "task-moved.warnings",
    "tasks-board.lane_source",
    "tasks-board.stale_verdicts[]",
    "tasks-board.stalled_wps[]",
    "tasks-board.warnings",
    "work-packages.lane_source",
    "work-packages.warnings",
];

/// The verbs that run in this program.
fn verbs() -> BTreeSet<String> {
    let inventory = fresh().run(["doctor", "paths", "--json"]).exits(0).json();
    let ours = inventory["paths"].as_array().unwrap().iter().filter(|path| path["runs_in"].is_null());
    ours.map(|path| path["verb"].as_str().unwrap().split(" --").next().unwrap().to_owned()).collect()
}

/// A document of a snapshot.
struct Shown {
    line: String,
    document: Value,
    file: String,
}

/// The documents of all snapshots.
fn documents() -> Vec<Shown> {
    let schemas = Schemas::published();
    let mut found = Vec::new();
    for folder in std::fs::read_dir(workspace().join("crates/cli/tests/cli/snapshots")).unwrap().flatten() {
        for file in std::fs::read_dir(folder.path()).into_iter().flatten().flatten() {
            let text = std::fs::read_to_string(file.path()).unwrap();
            // Texts that the snapshots have in place of a number.
            let text = text.replace("\": NUMBER", "\": 0").replace("\": UNIX_TIME_", "\": 0");
            for run in text.split("\n$ spec-kitty ").skip(1) {
                let (line, printed) = run.split_once('\n').unwrap();
                if !line.contains("--json") {
                    continue;
                }
                let printed = printed.split("\n--- ").next().unwrap();
                let document = serde_json::from_str(printed).unwrap_or_else(|why| panic!("{line}: {why}"));
                let file = schemas.file_of(line, &document).unwrap_or_else(|| panic!("{line}: no schema"));
                found.push(Shown { line: line.to_owned(), file: file.to_owned(), document });
            }
        }
    }
    found
}

#[test]
fn every_verb_has_one_schema_or_no_document() {
    let described = Schemas::published().verbs().chain(SILENT).map(str::to_owned);
    assert_eq!(described.collect::<BTreeSet<_>>(), verbs());
    for verb in SILENT {
        let run = fresh().run(verb.split(' ').chain(["--json"]));
        assert_ne!(run.code, Some(0), "{verb}");
        let error = run.json();
        assert_eq!(error["error_code"], "USAGE", "{verb}: {error:#}");
    }
}

#[test]
fn documents_of_snapshots_are_as_their_schemas() {
    let schemas = Schemas::published();
    let mut verbs: BTreeSet<&str> = schemas.verbs().collect();
    let mut differences = Vec::new();
    for Shown { line, document, file } in documents() {
        differences.extend(schemas.judge(&file, &document).err().map(|why| format!("{line}: {why}")));
        if file != ERROR {
            verbs.remove(schemas.verb_of(&line).unwrap());
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
    assert_eq!(Vec::from_iter(verbs), UNSHOWN_VERBS, "a snapshot shows each verb");
}

/// A key that a schema invents, or that it makes optional without need, is found here.
#[test]
fn snapshots_have_each_key_and_lack_each_optional_key() {
    let schemas = Schemas::published();
    let (mut present, mut needless) = (BTreeSet::new(), schemas.places());
    for Shown { document, file, .. } in documents() {
        for property in schemas.properties(&file, &document) {
            if property.is_present {
                present.insert(property.place.clone());
            }
            if property.is_required || !property.is_present {
                needless.remove(&property.place);
            }
        }
    }
    let absent = schemas.places().into_iter().filter(|place| !present.contains(place));
    // An object that no snapshot has is one place.
    let shown_objects: BTreeSet<&str> = present.iter().map(|place| object_of(place)).collect();
    let absent = absent.map(|place| match object_of(&place) {
        object if shown_objects.contains(object) => place,
        object => object.to_owned(),
    });
    let absent: BTreeSet<String> = absent.collect();
    let is_inner = |place: &str| {
        let mut ends = place.match_indices(['.', '[', '|']).map(|(end, _)| &place[..end]);
        ends.any(|outer| absent.contains(outer))
    };
    let outermost: Vec<&str> = absent.iter().map(String::as_str).filter(|place| !is_inner(place)).collect();
    assert_eq!(lines(&outermost), lines(ABSENT), "a snapshot has each key");
    let needless: Vec<&String> = present.intersection(&needless).collect();
    assert!(needless.is_empty(), "a key that is always there is required: {needless:#?}");
}

/// The object of a property.
fn object_of(place: &str) -> &str {
    place.rsplit_once('.').unwrap().0
}

fn lines(places: &[&str]) -> String {
    places.join("\n")
}

/// Each property of each schema, changed in a document of a snapshot: its name, its type, and that it is there.
#[test]
fn changed_documents_differ_from_their_schemas() {
    let schemas = Schemas::published();
    let others = [json!({ "x": 1 }), json!([[]]), json!("x"), json!(1.5), json!(true), Value::Null];
    let (mut done, mut missed) = (BTreeSet::new(), Vec::new());
    for Shown { document, file, line } in documents() {
        for property in schemas.properties(&file, &document) {
            let is_new = property.is_present && done.insert((property.place.clone(), property.is_required));
            if !is_new {
                continue;
            }
            let key = property.key;
            let changed = |change: &dyn Fn(&mut serde_json::Map<String, Value>)| {
                let mut changed = document.clone();
                change(changed.pointer_mut(&property.object).unwrap().as_object_mut().unwrap());
                schemas.judge(&file, &changed).is_ok()
            };
            let mut check = |what: &str, is_accepted: bool| {
                if is_accepted {
                    missed.push(format!("{} {what}: {line}", property.place));
                }
            };
            if property.is_required {
                check("removed", changed(&|object| drop(object.remove(key))));
            }
            // An error may have any other key, at its root.
            let is_open = file == ERROR && property.object.is_empty();
            if property.is_required || !is_open {
                let renamed = |object: &mut serde_json::Map<String, Value>| {
                    let value = object.remove(key).unwrap();
                    object.insert(format!("{key}_renamed"), value);
                };
                check("renamed", changed(&renamed));
            }
            for other in others.iter().filter(|other| !property.types.contains(type_of(other))) {
                let retyped = |object: &mut serde_json::Map<String, Value>| {
                    drop(object.insert(key.to_owned(), other.clone()))
                };
                check(type_of(other), changed(&retyped));
            }
        }
    }
    assert!(missed.is_empty(), "accepted although changed:\n{}", missed.join("\n"));
    assert!(done.len() > 900, "{} properties", done.len());
}

/// A value that a schema leaves open fits any document.
#[test]
fn schemas_give_each_value_a_type() {
    let mut open = Vec::new();
    for (file, schema) in Schemas::published().files() {
        match schema.get("$defs") {
            Some(parts) => {
                let parts = parts.as_object().unwrap();
                parts.iter().for_each(|(name, part)| note_open(part, &format!("{file}#{name}"), &mut open));
            }
            None => note_open(schema, file, &mut open),
        }
    }
    // The value of a setting, columns of a table, and front matter: whatever they are.
    assert_eq!(
        open,
        ["common#setting_value", "mission-finalized|1.would_modify[].changes", "parked-row.columns"]
    );
}

fn note_open(schema: &Value, at: &str, open: &mut Vec<String>) {
    let types = match &schema["type"] {
        Value::String(name) => vec![name.as_str()],
        names => names.as_array().into_iter().flatten().filter_map(Value::as_str).collect(),
    };
    let has = |key: &str| schema.get(key).is_some();
    let is_typed = types == ["null"] || types.iter().filter(|name| **name != "null").count() == 1;
    let is_described =
        !types.contains(&"object") || has("properties") || schema["additionalProperties"].is_object();
    if !(is_typed && is_described || ["$ref", "anyOf", "const", "enum"].into_iter().any(has)) {
        open.push(at.to_owned());
    }
    for (key, part) in schema["properties"].as_object().into_iter().flatten() {
        note_open(part, &format!("{at}.{key}"), open);
    }
    for (index, choice) in schema["anyOf"].as_array().into_iter().flatten().enumerate() {
        note_open(choice, &format!("{at}|{index}"), open);
    }
    if types.contains(&"array") {
        note_open(&schema["items"], &format!("{at}[]"), open);
    }
    if schema["additionalProperties"].is_object() {
        note_open(&schema["additionalProperties"], &format!("{at}.*"), open);
    }
}

/// `World::run` compares what it gets.
#[test]
#[should_panic(expected = "docs/schemas differs from what `auth whoami --json` printed")]
fn document_of_a_run_without_a_key_is_found() {
    let arguments = ["auth", "whoami", "--json"].map(str::to_owned);
    Schemas::published().assert_printed(&arguments, &printed(r#"{"result": "ok", "authenticated": true}"#));
}

/// `--json` is exactly one document.
#[test]
#[should_panic(expected = "not one JSON document")]
fn second_document_of_a_run_is_found() {
    let arguments = ["auth", "whoami", "--json"].map(str::to_owned);
    Schemas::published().assert_printed(&arguments, &printed("{}\n{}"));
}

fn printed(stdout: &str) -> Run {
    Run { code: Some(0), stdout: stdout.to_owned(), stderr: String::new() }
}
