use super::{cases, deliberate, report};
use mission::dossier::index::sha256_hex;
use mission::placeholder_check::{plan_is_substantive, spec_is_substantive};
use mission::tasks;
use serde_json::{Map, Value, json};
use std::path::Path;

fn text(path: &Path) -> Option<String> {
    std::fs::read_to_string(path).ok()
}

fn signature(body: &str) -> String {
    format!("{}:{}", &sha256_hex(body.as_bytes())[..16], body.chars().count())
}

#[test]
#[ignore = "needs the recorded data"]
fn sections_dependencies_requirements_match_the_reference() {
    let cases = cases("tasks");
    let (mut total, mut differing, mut anchored) = (0, Vec::new(), 0);
    for case in &cases {
        let Some(tasks_md) = text(&case.directory.join("tasks.md")) else { continue };
        total += 1;
        let shared: Map<_, _> = tasks::work_package_sections(&tasks_md)
            .into_iter()
            .map(|section| (section.wp_id, Value::from(signature(section.body))))
            .collect();
        let requirement: Map<_, _> = tasks::requirement_sections(&tasks_md)
            .into_iter()
            .map(|section| (section.wp_id, Value::from(signature(section.body))))
            .collect();
        let mut same = |what: &str, ours: Value| {
            if ours != case.expected[what] {
                differing.push(format!("{} {what}: {ours} instead of {}", case.mission, case.expected[what]));
            }
        };
        same("sections_shared_parser", Value::Object(shared));
        same("sections_requirement_parser", Value::Object(requirement));
        anchored += usize::from(json!(tasks::dependency_graph(&tasks_md)) != case.expected["dependencies"]);
        same("requirement_refs_tasks_md", json!(tasks::requirement_graph(&tasks_md)));
    }
    report("tasks.md", total, &differing);
    deliberate("dependencies in the text of `tasks.md`", &format!("{anchored} missions"));
}

#[test]
#[ignore = "needs the recorded data"]
fn subtask_rows_are_read_as_the_reference_reads_them() {
    let cases = cases("tasks");
    let (mut total, mut differing) = (0, Vec::new());
    for case in &cases {
        let tasks_md = text(&case.directory.join("tasks.md")).unwrap_or_default();
        for (wp_id, expected) in case.expected["subtasks"].as_object().into_iter().flatten() {
            total += 1;
            let ours = json!({
                "infer_complete": tasks::subtasks_are_complete(&tasks_md, wp_id),
                "unchecked_move_task": tasks::unchecked_subtasks(&tasks_md, wp_id),
            });
            if &ours != expected {
                differing.push(format!("{} {wp_id}: {ours} instead of {expected}", case.mission));
            }
        }
    }
    report("subtasks", total, &differing);
}

#[test]
#[ignore = "needs the recorded data"]
fn specs_and_plans_are_judged_as_the_reference_judges_them() {
    let cases = cases("tasks");
    let (mut total, mut differing, mut cited) = (0, Vec::new(), 0);
    for case in &cases {
        if let Some(spec) = text(&case.directory.join("spec.md")) {
            total += 1;
            let all = tasks::spec_requirements(&spec).declared;
            let functional: Vec<_> = all.iter().filter(|id| tasks::is_functional(id)).cloned().collect();
            let ids = json!({ "all": all, "functional": functional });
            cited += usize::from(case.expected["spec_requirement_ids"] != ids);
            if case.expected["spec_substantive"] != spec_is_substantive(&spec) {
                differing.push(format!("{} spec.md: {}", case.mission, spec_is_substantive(&spec)));
            }
        }
        if let Some(plan) = text(&case.directory.join("plan.md")) {
            total += 1;
            if case.expected["plan_substantive"] != plan_is_substantive(&plan) {
                differing.push(format!("{} plan.md: {}", case.mission, plan_is_substantive(&plan)));
            }
        }
    }
    report("spec.md and plan.md", total, &differing);
    deliberate("a requirement that is only cited", &format!("{cited} missions"));
}
