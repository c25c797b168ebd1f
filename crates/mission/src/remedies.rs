//! What a person reads beside the sentence of a broken rule: the facts behind it, and what cures it.

use serde_json::{Map, Value};

/// The facts that are worth a line each, with their words. What else a document holds is for scripts.
const LINES: [(&str, &str); 8] = [
    ("unread_files", "not read"),
    ("missing_wp_sections", "without a section in tasks.md"),
    ("extra_wp_sections", "without a file in tasks/"),
    ("missing_requirement_refs_wps", "without requirement_refs"),
    ("unknown_requirement_refs", "unknown to spec.md"),
    ("unmapped_functional_requirements", "covered by no work package"),
    ("ownership_errors", "conflict"),
    ("available_missions", "missions"),
];

/// How many entries of a list are shown.
const SHOWN: usize = 12;

/// The lines behind an error, for people.
pub(crate) fn evidence(facts: &Map<String, Value>) -> Vec<String> {
    let mut lines = Vec::new();
    for (key, words) in LINES {
        match facts.get(key) {
            // Sentences get a line each, names share one.
            Some(Value::Array(entries)) if entries.iter().any(is_sentence) => {
                lines.extend(
                    entries.iter().take(SHOWN).map(|entry| format!("{words}: {}", entry_text(entry))),
                );
                lines.extend(more(entries.len()));
            }
            Some(Value::Array(entries)) if !entries.is_empty() => {
                let names: Vec<_> =
                    entries.iter().take(SHOWN).map(entry_text).chain(more(entries.len())).collect();
                lines.push(format!("{words}: {}", names.join(", ")));
            }
            Some(Value::Object(map)) => lines.extend(map.iter().take(SHOWN).map(|(id, names)| {
                let names: Vec<_> = names.as_array().into_iter().flatten().map(entry_text).collect();
                format!("{words}: {id}: {}", names.join(", "))
            })),
            _ => {}
        }
    }
    lines
}

fn more(count: usize) -> Option<String> {
    (count > SHOWN).then(|| format!("... and {} more", count - SHOWN))
}

fn is_sentence(entry: &Value) -> bool {
    entry.as_str().is_some_and(|text| text.contains(' '))
}

fn entry_text(entry: &Value) -> String {
    entry.as_str().map_or_else(|| entry.to_string(), str::to_owned)
}

/// What cures a broken rule, by its code; none when its sentence says so already.
pub(crate) fn cure(code: &str) -> Option<&'static str> {
    Some(match code {
        "MISSION_FILE_MISSING" => {
            "write the file; `spec-kitty agent mission check-prerequisites --mission MISSION` shows what is there"
        }
        "SPEC_FILE_MISSING" => "write spec.md and commit it, then run setup-plan again",
        "TASKS_COVERAGE_INCOMPLETE" => {
            "write one heading such as `## WP01 - Title` in tasks.md for each file in tasks/"
        }
        "DEPENDENCY_CYCLE" => "remove one dependency of the circle from the file that says it",
        "INVALID_DEPENDENCIES" => {
            "correct the dependencies in tasks.md, wps.yaml or the front matter, whichever says them"
        }
        "DEPENDENCY_DISAGREEMENT" => "make the `dependencies` of the front matter and tasks.md say the same",
        "REQUIREMENT_MAPPING_INVALID" => {
            "name the requirements each work package covers in the `requirement_refs` of its front matter"
        }
        "OWNERSHIP_INVALID" => "correct `owned_files` and `authoritative_surface` in the front matter",
        "LANE_CYCLE" => {
            "remove a dependency between the lanes from tasks.md, or move a work package out of planning"
        }
        "LANE_WITHOUT_OWNER" => "write the work package's file in tasks/",
        "WORK_PACKAGE_NOT_FOUND" => {
            "`spec-kitty agent tasks list --mission MISSION` shows the work packages of a mission"
        }
        "SUBTASK_NOT_FOUND" => {
            "write a row such as `- [ ] T001 ...` into the work package's section of tasks.md"
        }
        "EVIDENCE_DOES_NOT_HOLD" => {
            "`spec-kitty agent evidence capture --mission MISSION` runs the checks again; files of checks that are gone are deleted by hand"
        }
        "DECISION_NOT_FOUND" => "decisions/index.json of the mission lists its decisions",
        "DECISION_ALREADY_CLOSED" => "ask under another --input-key, --step-id or --slot-key",
        "DECISION_TERMINAL_CONFLICT" => {
            "open a new decision with `spec-kitty agent decision open`: what is resolved or canceled stays so"
        }
        "DECISION_MISSING_STEP_OR_SLOT" => {
            "name the place the question came up in with --step-id or --slot-key"
        }
        "MISSION_NOT_FOUND" => {
            "write meta.json with the mission's `mission_id`; `git log -p -- FILE` shows what it held at each commit"
        }
        "STATUS_EVENT_PERSISTENCE_VERIFICATION_FAILED" => {
            "free space where the mission's log is, end the other program that writes it, then repeat the command"
        }
        "ROW_TIME_EXHAUSTED" => "correct the `at` of that row by hand, then repeat the command",
        "LANE_NOT_REACHED" => {
            "another program writes the same log: look at `spec-kitty agent status show --mission MISSION`, then repeat"
        }
        "WORK_PACKAGE_FILES_UNREAD" => {
            "name each file like WP01-title.md and give it the same id as its `work_package_id`, or move it out of tasks/"
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn names_share_a_line_and_sentences_get_their_own() {
        let facts = json!({
            "unmapped_functional_requirements": ["FR-001", "FR-002"],
            "unknown_requirement_refs": { "WP01": ["FR-9"] },
            "ownership_errors": ["WP01 and WP02 overlap", "WP03 owns nothing"],
            "missing_wp_sections": [],
            "requirement_refs_parsed": { "WP01": ["FR-9"] },
        });
        assert_eq!(
            evidence(facts.as_object().unwrap()),
            [
                "unknown to spec.md: WP01: FR-9",
                "covered by no work package: FR-001, FR-002",
                "conflict: WP01 and WP02 overlap",
                "conflict: WP03 owns nothing",
            ]
        );
        let many: Vec<String> = (0..20).map(|n| format!("m{n}")).collect();
        let lines = evidence(json!({ "available_missions": many }).as_object().unwrap());
        assert!(lines[0].ends_with("m11, ... and 8 more"), "{lines:?}");
    }
}
