//! The missions of the current releases, and what 3.2.7 answers for them.

use mission::command::finalize::{FinalizeRequest, Validated, plan, validate};
use mission::command::status::list;
use mission::command::task_board::{STALE_AFTER, TaskBoard, look};
use mission::front_matter::WorkPackage;
use mission::graph::Graph;
use mission::ownership::{Ownership, WorkKind, judge_ownership};
use mission::{Clock, MissionError, Project, tasks, wps};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// One mission with the answers of 3.2.7.
struct Current {
    name: String,
    directory: PathBuf,
    expected: Value,
}

fn current() -> PathBuf {
    super::shared().join("current")
}

/// Every recorded mission, by name.
fn missions() -> Vec<Current> {
    let mut found = Vec::new();
    for repository in std::fs::read_dir(current().join("corpus")).expect("the recorded data") {
        let repository = repository.unwrap().file_name().into_string().unwrap();
        for entry in std::fs::read_dir(current().join("oracle").join(&repository)).unwrap() {
            let path = entry.unwrap().path();
            let mission = path.file_stem().unwrap().to_str().unwrap();
            let directory = current().join("corpus").join(&repository).join(mission);
            let expected = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
            found.push(Current { name: format!("{repository}/{mission}"), directory, expected });
        }
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    assert_eq!(found.len(), 347);
    found
}

impl Current {
    fn text(&self, name: &str) -> Option<String> {
        super::recorded(&self.directory.join(name)).map(|bytes| String::from_utf8(bytes).unwrap())
    }

    fn slug(&self) -> &str {
        self.name.rsplit('/').next().unwrap()
    }

    /// The work package files that can be read, by id.
    fn files(&self) -> BTreeMap<String, WorkPackage> {
        let paths = mission::work_package::read_wp_files(&self.directory).unwrap();
        let read = |path: &PathBuf| {
            let text = super::recorded(path).and_then(|bytes| String::from_utf8(bytes).ok())?;
            WorkPackage::parse(path, text).ok()
        };
        paths.iter().filter_map(read).map(|wp| (wp.id.clone(), wp)).collect()
    }

    /// The set-up of the recording: a repository with the mission and an empty file for each stub.
    fn repository(&self) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        let at = |path: &str| root.path().join(path);
        super::finalize::copy(&self.directory, &at("kitty-specs").join(self.slug()));
        // The data has no directory that is empty, nor the README.md that was in this one.
        if self.expected["finalize"]["klass"] != "no_tasks" {
            std::fs::create_dir_all(at("kitty-specs").join(self.slug()).join("tasks")).unwrap();
        }
        std::fs::create_dir(at(".kittify")).unwrap();
        let branch = self.expected["branch"].as_str().unwrap();
        // The parts of `git init` that git requires: a process for each mission takes minutes.
        for directory in ["objects", "refs"] {
            std::fs::create_dir_all(at(".git").join(directory)).unwrap();
        }
        std::fs::write(at(".git/HEAD"), format!("ref: refs/heads/{branch}\n")).unwrap();
        std::fs::write(at(".git/config"), "[core]\n\trepositoryformatversion = 0\n\tbare = false\n").unwrap();
        for stub in self.expected["stubs"].as_array().unwrap() {
            let stub = stub.as_str().unwrap();
            let is_directory = stub.ends_with(['/', '.']);
            let path = at(stub.trim_end_matches("/."));
            std::fs::create_dir_all(if is_directory { &path } else { path.parent().unwrap() }).unwrap();
            if !path.exists() {
                std::fs::write(&path, "").unwrap();
            }
        }
        root
    }
}

/// Counts of equal and different answers of one kind; each difference by the row of the page that lists it.
#[derive(Default)]
struct Tally {
    total: usize,
    listed: BTreeMap<&'static str, usize>,
    unlisted: Vec<String>,
}

impl Tally {
    /// Counts one answer: equal, or different for a listed reason, or different.
    fn count(&mut self, same: bool, row: Option<&'static str>, difference: impl FnOnce() -> String) {
        self.total += 1;
        match (same, row) {
            (true, _) => {}
            (false, Some(row)) => *self.listed.entry(row).or_default() += 1,
            (false, None) => self.unlisted.push(difference()),
        }
    }

    /// Prints the counts and compares them with the page; an unlisted difference fails.
    fn report(&self, kind: &str) {
        let differing = self.listed.values().sum::<usize>() + self.unlisted.len();
        println!("{kind}: {} of {} agree with 3.2.7", self.total - differing, self.total);
        for (row, count) in &self.listed {
            println!("  differs as listed: {row}: {count}");
        }
        let shown: Vec<_> = self.unlisted.iter().take(40).map(String::as_str).collect();
        assert!(
            shown.is_empty(),
            "{kind}: {} unlisted differences:\n{}",
            self.unlisted.len(),
            shown.join("\n")
        );
        for (row, count) in &self.listed {
            let page = super::page();
            let line = page.lines().find(|line| line.starts_with(&format!("| {row}")));
            let line = line.unwrap_or_else(|| panic!("docs/compatibility.md has no row `{row}`"));
            let stated = format!("{kind}: {count}");
            assert!(line.contains(&stated), "`{row}` needs `{stated}`, the page has: {line}");
        }
        let stated = format!("{kind} {} of {}", self.total - differing, self.total);
        assert!(super::page().contains(&stated), "docs/compatibility.md does not contain `{stated}`");
    }
}

fn graph_of(value: &Value) -> Graph {
    serde_json::from_value(value.clone()).unwrap_or_default()
}

#[test]
#[ignore = "needs the recorded data"]
fn dependencies_are_read_as_3_2_7_reads_them() {
    let mut tally = Tally::default();
    for case in missions() {
        let expected = &case.expected["dependencies"];
        let tasks_md = case.text("tasks.md");
        let said = tasks_md.as_deref().map(tasks::dependency_graph).unwrap_or_default();
        let wanted = graph_of(&expected["tasks_md"]);
        let more = said.iter().all(|(id, on)| wanted[id].iter().all(|known| on.contains(known)));
        let colon = tasks_md.as_deref().is_some_and(|text| text.contains("Depends on:"));
        let row = (more && colon).then_some("`Depends on: WP01`");
        tally
            .count(said == wanted, row, || format!("{} tasks.md: {said:?} instead of {wanted:?}", case.name));
        let files = case.files();
        let front: Graph = files.iter().map(|(id, wp)| (id.clone(), wp.dependencies.clone())).collect();
        let wanted = graph_of(&expected["front_matter"]);
        let unread = case.expected["unreadable_wp_files"].as_object().is_some_and(|files| !files.is_empty());
        let row = unread.then_some("unknown keys of a front matter");
        tally.count(front == wanted, row, || {
            format!("{} front matter: {front:?} instead of {wanted:?}", case.name)
        });
    }
    tally.report("dependencies");
}

#[test]
#[ignore = "needs the recorded data"]
fn requirements_are_declared_as_for_3_2_7() {
    let mut tally = Tally::default();
    for case in missions() {
        let expected = &case.expected["requirements"];
        let found = case.text("spec.md").map(|spec| tasks::spec_requirements(&spec)).unwrap_or_default();
        let functional: Vec<_> = found.declared.iter().filter(|id| tasks::is_functional(id)).collect();
        let bare: BTreeSet<_> = found.bare.iter().map(|(_, id)| id).collect();
        let ours = json!({ "all": found.declared, "functional": functional, "bare_prose": bare });
        tally.count(ours == *expected || case.text("spec.md").is_none(), None, || {
            format!("{}: {ours} instead of {expected}", case.name)
        });
    }
    tally.report("requirements");
}

#[test]
#[ignore = "needs the recorded data"]
fn requirement_references_are_those_of_3_2_7() {
    let mut tally = Tally::default();
    for case in missions() {
        let Some(expected) = case.expected.get("requirement_refs") else { continue };
        let stated = match case.directory.join(wps::FILE).exists() {
            true => BTreeMap::new(),
            false => case.text("tasks.md").as_deref().map(tasks::requirement_graph).unwrap_or_default(),
        };
        let files = case.files();
        // The recording has the sections without a file, too, where they name some.
        let unfiled: Vec<_> = stated
            .iter()
            .filter(|(id, refs)| !files.contains_key(*id) && !refs.is_empty())
            .map(|(id, refs)| (id.clone(), refs.iter().cloned().collect()))
            .collect();
        let refs: BTreeMap<_, _> = files
            .into_iter()
            .map(|(id, wp)| {
                let own = tasks::references(&wp.requirement_refs.join("\n"));
                let refs = if own.is_empty() { stated.get(&id).cloned().unwrap_or_default() } else { own };
                // The recording sorts them.
                (id, refs.into_iter().collect::<BTreeSet<_>>())
            })
            .chain(unfiled)
            .collect();
        tally.count(json!(refs) == *expected, None, || {
            format!("{}: {refs:?} instead of {expected}", case.name)
        });
    }
    tally.report("requirement_refs");
}

#[test]
#[ignore = "needs the recorded data"]
fn ownership_is_judged_as_3_2_7_judges_it() {
    let mut tally = Tally::default();
    for case in missions() {
        let expected = &case.expected["ownership"];
        if expected.get("errors").is_none() {
            continue;
        }
        let files = case.files();
        let owners: BTreeMap<String, Ownership> = files
            .iter()
            .filter(|(_, wp)| !wp.owned_files.is_empty())
            .filter_map(|(id, wp)| {
                let owner = Ownership {
                    execution_mode: WorkKind::from_name(wp.execution_mode.as_deref()?)?,
                    owned_files: wp.owned_files.clone(),
                    authoritative_surface: wp.authoritative_surface.clone().unwrap_or_default(),
                    codebase_wide: wp.scope.as_deref() == Some("codebase-wide"),
                };
                Some((id.clone(), owner))
            })
            .collect();
        // As in the recording: the front matter as it is written.
        let written = files.iter().map(|(id, wp)| (id.clone(), wp.dependencies.clone())).collect();
        let claims = judge_ownership(&owners, &written);
        let all_pairs = judge_ownership(&owners, &Graph::new()).errors.len();
        let wide: Vec<_> = owners.iter().filter(|(_, owner)| owner.codebase_wide).map(|(id, _)| id).collect();
        let ours = json!({
            "declared": owners.keys().collect::<Vec<_>>(),
            "codebase_wide": wide,
            "errors": sorted(&claims.errors),
            "warnings": sorted(&claims.warnings),
            "errors_without_sequential_rule": all_pairs,
        });
        let mut wanted = expected.clone();
        for key in ["errors", "warnings"] {
            let lines: Vec<String> = serde_json::from_value(wanted[key].take()).unwrap();
            wanted[key] = json!(sorted(&lines));
        }
        let differing = || -> Vec<_> {
            let keys = ["declared", "codebase_wide", "errors", "warnings", "errors_without_sequential_rule"];
            keys.into_iter()
                .filter(|key| ours[key] != wanted[key])
                .map(|key| json!([key, ours[key], wanted[key]]))
                .collect()
        };
        let unread = case.expected["unreadable_wp_files"].as_object().is_some_and(|files| !files.is_empty());
        let row = unread.then_some("unknown keys of a front matter");
        tally.count(ours == wanted, row, || format!("{}: {:?}", case.name, differing()));
    }
    tally.report("ownership");
}

fn sorted(lines: &[String]) -> Vec<String> {
    let mut lines = lines.to_vec();
    lines.sort_unstable();
    lines
}

/// Our code for a class of 3.2.7.
fn code_of(class: &str) -> &str {
    match class {
        "requirement_mapping" => "REQUIREMENT_MAPPING_INVALID",
        "ownership_mission_files" => "INVALID_WP_OWNED_FILES_KITTY_SPECS",
        "coverage" => "TASKS_COVERAGE_INCOMPLETE",
        "lane_cycle" => "LANE_DEPENDENCY_CYCLE",
        "no_tasks" | "no_spec" => "MISSION_FILE_MISSING",
        "ownership" => "OWNERSHIP_INVALID",
        "bad_front_matter" => "MALFORMED_FILE",
        other => other,
    }
}

/// The facts of an outcome that both name.
fn facts(value: &Value, keys: &[&str]) -> Map<String, Value> {
    keys.iter().filter_map(|&key| Some((key.to_owned(), value.get(key)?.clone()))).collect()
}

const ERROR_FACTS: [&str; 11] = [
    "missing_wp_sections",
    "extra_wp_sections",
    "missing_requirement_refs_wps",
    "unknown_requirement_refs",
    "unmapped_functional_requirements",
    "bare_prose_requirement_ids",
    "dependencies_parsed",
    "requirement_refs_parsed",
    "invalid_owned_files",
    "cycle_path",
    "ownership_errors",
];

/// The gist of a passed validation: everything but sentences.
fn gist(value: &Value) -> Value {
    let changes: Map<String, Value> = value["would_modify"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|entry| {
            let mut changes = entry["changes"].clone();
            changes.as_object_mut().unwrap().shift_remove("branch_strategy");
            (entry["wp_id"].as_str().unwrap().to_owned(), changes)
        })
        .filter(|(_, changes)| changes.as_object().is_some_and(|changes| !changes.is_empty()))
        .collect();
    let lanes = &value["validation"]["lanes_preview"];
    let lanes = facts(lanes, &["computed", "count", "lane_ids", "planning_artifact_wps", "collapse_report"]);
    json!({
        "wp_count": value["wp_count"],
        "changes": changes,
        "preserve": value["would_preserve"],
        "lanes": if lanes["computed"] == true { Value::Object(lanes) } else { json!("none") },
    })
}

/// Whether both agree, and if not the row with the reason, and the difference.
type Compared = (bool, Option<&'static str>, String);

fn compare(case: &Current, result: &Result<Validated, MissionError>) -> Compared {
    let expected = &case.expected["finalize"];
    let class = expected["klass"].as_str().unwrap();
    let extra_keys = || {
        let files = case.expected["unreadable_wp_files"].as_object().unwrap();
        files.values().all(|error| error.as_str().unwrap().contains("Extra inputs are not permitted"))
    };
    let listed = match class {
        "bad_front_matter" if extra_keys() => Some("unknown keys of a front matter"),
        "coordination" => Some("a named coordination branch that is missing"),
        "other" => Some("PR-bound metadata"),
        _ => None,
    };
    match result {
        Ok(judged) if class == "ok" => {
            let (ours, theirs) = (gist(&serde_json::to_value(judged).unwrap()), gist(&expected["json"]));
            let row = match (without(&ours, "requirement_refs"), without(&theirs, "requirement_refs")) {
                (a, b) if a == b => Some("`requirement_refs` of a front matter"),
                (a, b) if without(&a, "authoritative_surface") == b => Some("no `authoritative_surface`"),
                _ => None,
            };
            let keys = ["wp_count", "changes", "preserve", "lanes"].into_iter();
            let differing = keys.filter(|key| ours[key] != theirs[key]);
            let differing: Vec<_> =
                differing.map(|key| format!("{key}: {}\n  instead of {}", ours[key], theirs[key])).collect();
            (ours == theirs, row, differing.join("\n"))
        }
        Ok(_) => {
            let errors = expected["json"]["ownership_errors"].as_array();
            let surfaces =
                errors.is_some_and(|all| all.iter().all(|error| is_about_a_surface(error.as_str().unwrap())));
            let row = surfaces.then_some("no `authoritative_surface`").or(listed);
            (false, row, format!("ok instead of {class}: {}", expected["json"]))
        }
        Err(error) => {
            let ours = facts(&Value::Object(error.facts()), &ERROR_FACTS);
            let theirs = facts(&expected["json"], &ERROR_FACTS);
            let same_class = error.code().name() == code_of(class);
            let differing: Vec<_> =
                theirs.iter().filter(|(key, wanted)| ours.get(*key) != Some(wanted)).collect();
            let surfaces = same_class
                && differing.iter().all(|(key, wanted)| {
                    *key == "ownership_errors"
                        && wanted.as_array().unwrap().iter().all(|wanted| {
                            is_about_a_surface(wanted.as_str().unwrap())
                                || ours["ownership_errors"].as_array().unwrap().contains(wanted)
                        })
                });
            let row = surfaces.then_some("no `authoritative_surface`").or(listed);
            let twice = error.to_string().contains("is a second section of");
            let row = row.or(twice.then_some("a second section of a work package"));
            let shown: Vec<_> = differing.iter().map(|(key, wanted)| (key, ours.get(*key), wanted)).collect();
            (same_class && differing.is_empty(), row, format!("{error} instead of {class}: {shown:?}"))
        }
    }
}

fn is_about_a_surface(error: &str) -> bool {
    error.contains(": authoritative_surface ")
}

/// A gist without the changes of one key.
fn without(gist: &Value, key: &str) -> Value {
    let mut gist = gist.clone();
    let changes = gist["changes"].as_object_mut().unwrap();
    for wp in changes.values_mut() {
        wp.as_object_mut().unwrap().shift_remove(key);
    }
    changes.retain(|_, wp| wp.as_object().is_some_and(|wp| !wp.is_empty()));
    gist
}

#[test]
#[ignore = "needs the recorded data"]
fn finalizing_is_judged_as_3_2_7_judges_it() {
    let mut tally = Tally::default();
    for case in missions() {
        let root = case.repository();
        // The lanes of 3.2.7 are those that it would compute now; ours of begun work stay as they are.
        let lanes = root.path().join("kitty-specs").join(case.slug()).join("lanes.json");
        if lanes.exists() {
            std::fs::remove_file(lanes).unwrap();
        }
        let project = Project::read(&root.path().canonicalize().unwrap()).unwrap();
        let result = validate(
            &project,
            &FinalizeRequest { mission: Some(case.slug().to_owned()), ..Default::default() },
        );
        let (same, row, difference) = compare(&case, &result);
        tally.count(same, row, || format!("{}: {difference}", case.name));
    }
    tally.report("finalize");
}

#[test]
#[ignore = "needs the recorded data"]
fn work_packages_are_listed_as_3_2_7_lists_them() {
    let mut tally = Tally::default();
    for case in missions() {
        let root = case.repository();
        let project = Project::read(&root.path().canonicalize().unwrap()).unwrap();
        let ours = list(&project, Some(case.slug()), None).map(|found| {
            let entries = found.tasks.iter().map(|task| {
                let file = Path::new(&task.path).file_name().unwrap().to_str().unwrap();
                json!({ "id": task.work_package_id, "title": task.title, "lane": task.lane, "file": file })
            });
            entries.collect::<Vec<_>>()
        });
        let expected = &case.expected["tasks"];
        let same = match &ours {
            Ok(entries) => expected["list"] == json!(entries),
            Err(_) => expected["rc"] != 0,
        };
        let without = |key: &str, entries: &[Value]| -> Vec<Value> {
            let mut entries = entries.to_vec();
            entries.iter_mut().for_each(|entry| drop(entry.as_object_mut().unwrap().shift_remove(key)));
            entries
        };
        let row = ours.as_ref().ok().and_then(|entries| {
            let Some(theirs) = expected["list"].as_array() else {
                let coordination = case.expected["finalize"]["klass"] == "coordination";
                return coordination.then_some("a named coordination branch that is missing");
            };
            let named = theirs.iter().all(|entry| entry["id"].as_str().unwrap().starts_with("WP"));
            match without("title", entries) == without("title", theirs) {
                true => Some("title of a work package in `tasks list`"),
                false if !named => Some("a `work_package_id` that is none"),
                false => None,
            }
        });
        tally.count(same, row, || format!("{}: {ours:?}\n    instead of {expected}", case.name));
    }
    tally.report("tasks");
}

/// Part of a 3.2.7 board that is compared: lanes and progress.
fn of_board(board: &TaskBoard) -> Value {
    let lanes: Map<_, _> = board.work_packages.iter().map(|wp| (wp.id.clone(), json!(wp.lane))).collect();
    json!({
        "by_lane": board.by_lane,
        "done_percentage": board.done_percentage,
        "lanes": lanes,
        "weighted_percentage": board.weighted_percentage,
    })
}

#[test]
#[ignore = "needs the recorded data"]
fn boards_of_work_packages_are_those_of_3_2_7() {
    let mut tally = Tally::default();
    for case in missions() {
        let root = case.repository();
        let project = Project::read(&root.path().canonicalize().unwrap()).unwrap();
        let ours = look(&project, Some(case.slug()), STALE_AFTER, &Clock::system());
        let expected = &case.expected["board"];
        let board = ours.as_ref().ok().map(of_board);
        let same = match &board {
            // A mission without work packages is a sentence there, not a document.
            Some(ours) if expected["lanes"].is_null() => expected["rc"] == 0 && ours["lanes"] == json!({}),
            Some(ours) => ["by_lane", "done_percentage", "lanes", "weighted_percentage"].iter().all(|key| {
                // A whole number has no decimals there.
                let number = |value: &Value| value[*key].as_f64();
                ours[*key] == expected[*key] || (number(ours).is_some() && number(ours) == number(expected))
            }),
            None => expected["rc"] != 0,
        };
        let lanes = expected["lanes"].as_object();
        let row = match &ours {
            _ if case.expected["finalize"]["klass"] == "coordination" => {
                Some("a named coordination branch that is missing")
            }
            Ok(_) if expected["error"].as_str().is_some_and(|text| text.contains("lanes.json")) => {
                Some("`lanes.json` without `mission_slug`")
            }
            Ok(board) if !board.lane_source.is_log() => Some("a 1.x or 2.x mission, which has no log"),
            _ if lanes.is_some_and(|lanes| lanes.keys().any(|id| !id.starts_with("WP"))) => {
                Some("a `work_package_id` that is none")
            }
            _ => {
                // The lane before `planned` is on no board.
                let planned = json!(expected).to_string().replace("\"genesis\"", "\"planned\"");
                let theirs: Value = serde_json::from_str(&planned).unwrap();
                let lanes = board.as_ref().map(|ours| &ours["lanes"]);
                (lanes == Some(&theirs["lanes"])).then_some("a work package without a lane row, on the board")
            }
        };
        tally.count(same, row, || format!("{}: {board:?}\n    instead of {expected}", case.name));
    }
    tally.report("boards");
}

/// The recorded case of this name as a repository, and its mission.
fn recorded_case(name: &str) -> (tempfile::TempDir, Project) {
    let root = tempfile::tempdir().unwrap();
    super::finalize::copy(&super::shared().join("cases").join(name), root.path());
    testkit::world::git(root.path(), &["init", "-q", "-b", "main"]);
    let project = Project::read(&root.path().canonicalize().unwrap()).unwrap();
    (root, project)
}

#[test]
#[ignore = "needs the recorded data"]
fn recorded_cases_end_as_in_their_readme() {
    let chain = json!({ "WP01": [], "WP02": ["WP01"], "WP03": ["WP02"] });
    let none = json!({ "WP01": [], "WP02": [], "WP03": [] });
    let request = FinalizeRequest { mission: Some("sample-01KZ0000".into()), ..Default::default() };
    for (name, dependencies) in [
        ("dependencies-depends-on-colon", &chain),
        ("dependencies-explicit-none-in-front-matter", &none),
        (
            "dependencies-front-matter-says-more",
            &json!({ "WP01": [], "WP02": ["WP01"], "WP03": ["WP01", "WP02"] }),
        ),
        ("dependencies-in-a-code-block", &chain),
        ("dependencies-none-with-a-note", &none),
        ("dependencies-own-file-linked", &chain),
        ("dependencies-parallel-note", &json!({ "WP01": [], "WP02": ["WP01"], "WP03": ["WP01"] })),
        ("ownership-file-name-glob", &Value::Null),
        ("ownership-sequential", &Value::Null),
        ("requirement-cited", &Value::Null),
    ] {
        let (_root, project) = recorded_case(name);
        let plan =
            plan(&project, &request, &Clock::system()).unwrap_or_else(|error| panic!("{name}: {error}"));
        let outcome = plan.outcome();
        assert!(
            dependencies.is_null() || json!(outcome.dependencies_parsed) == *dependencies,
            "{name}: {outcome:?}"
        );
        let judged = validate(&project, &request).unwrap();
        let changes = |key: &str| judged.would_modify.iter().find_map(|wp| wp.changes.get(key)).cloned();
        match name {
            "dependencies-explicit-none-in-front-matter" => assert_eq!(changes("dependencies"), None),
            "ownership-file-name-glob" => {
                assert_eq!(changes("authoritative_surface"), Some(json!("src/part2/")))
            }
            "ownership-sequential" => {
                assert!(
                    outcome.ownership_warnings.iter().any(|line| line.contains("share files")),
                    "{outcome:?}"
                );
                assert_eq!(outcome.lanes.workspaces[0].wp_ids[..2], ["WP01", "WP02"]);
            }
            _ => {}
        }
    }
    let (_root, project) = recorded_case("work-package-id-not-wp");
    let error = validate(&project, &request).unwrap_err();
    assert_eq!(error.code().name(), "MALFORMED_FILE", "{error}");
    let listed = list(&project, request.mission.as_deref(), None).unwrap();
    let ids: Vec<_> = listed.tasks.iter().map(|task| task.work_package_id.as_str()).collect();
    assert_eq!((ids, listed.warnings.len()), (vec!["WP01", "WP02", "WP03"], 3), "{listed:?}");
}
