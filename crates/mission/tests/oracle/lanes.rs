use super::{Case, cases, deliberate, report};
use mission::allocation::{AllocationError, Grouping, Header, compute, render, surfaces};
use mission::front_matter::read_work_package;
use mission::graph::Graph;
use mission::ownership::{Ownership, WorkKind};
use serde_json::Value;
use std::collections::BTreeMap;

fn owners(case: &Case) -> BTreeMap<String, Ownership> {
    let arguments = &case.expected["compute_args"];
    let owned = arguments["owned_files"].as_object().unwrap();
    owned
        .iter()
        .map(|(id, files)| {
            let kind = arguments["execution_mode"][id].as_str().unwrap();
            let ownership = Ownership {
                execution_mode: WorkKind::from_name(kind).unwrap(),
                owned_files: serde_json::from_value(files.clone()).unwrap(),
                authoritative_surface: String::new(),
                codebase_wide: false,
            };
            (id.clone(), ownership)
        })
        .collect()
}

/// Runs the recorded inputs of one mode; `cut` drops the activity log, which grew after the lanes were
/// computed.
fn run(case: &Case, mode: &str, graph_key: &str, cut: bool) -> Option<Result<bool, String>> {
    let expected = case.expected.get(mode).filter(|expected| expected.is_object())?;
    let graph: Graph = serde_json::from_value(case.expected[graph_key].clone()).ok()?;
    let bodies = case.expected["inputs"]["wp_files"].as_array()?.iter().filter_map(|path| {
        let name = path.as_str()?.rsplit('/').next()?;
        let wp = read_work_package(&case.directory.join("tasks").join(name)).ok()??;
        let body =
            if cut { wp.body().split("## Activity Log").next().unwrap_or_default() } else { wp.body() };
        Some((wp.id.clone(), surfaces(body)))
    });
    let allocation = compute(Grouping::ByDependencies, &graph, &owners(case), &bodies.collect());
    if expected["computed"] != true {
        let recursion = expected["error"].as_str().unwrap_or_default().contains("recursion");
        return Some(match allocation {
            Err(AllocationError::Cycle(cycle)) => Ok(cycle.len() > 2 && cycle.first() == cycle.last()),
            Err(_) => Ok(!recursion),
            // No tasks.md: the reference computes nothing.
            Ok(allocation) => Ok(!recursion && allocation.lanes.is_empty()),
        });
    }
    let manifest = &expected["manifest"];
    let text = |key: &str| manifest[key].as_str().unwrap_or_default();
    let header = Header {
        mission_slug: text("mission_slug"),
        mission_id: Some(text("mission_id")),
        target_branch: text("target_branch"),
        computed_at: "",
        grouping: Grouping::ByDependencies,
        planning_commit: None,
    };
    Some(allocation.map_err(|error| error.to_string()).map(|allocation| {
        let mut ours: Value = serde_json::from_str(&render(&header, &allocation)).unwrap();
        ours.as_object_mut().unwrap().shift_remove("computed_at");
        let mut wanted = manifest.clone();
        wanted.as_object_mut().unwrap().shift_remove("computed_at");
        ours == wanted
    }))
}

#[test]
#[ignore = "needs the recorded data"]
fn lanes_are_those_of_the_reference_and_a_cycle_is_named() {
    let cases = cases("lanes");
    for (mode, graph, cut) in [
        ("finalize", "deps_tasks", false),
        ("frontmatter", "deps_frontmatter", false),
        ("replay", "deps_tasks", true),
    ] {
        let (mut total, mut differing) = (0, Vec::new());
        for case in &cases {
            match run(case, mode, graph, cut) {
                None => continue,
                Some(Ok(true)) => {}
                Some(other) => differing.push(format!("{}: {other:?}", case.mission)),
            }
            total += 1;
        }
        report(&format!("lanes.json ({mode})"), total, &differing);
    }
    let is_circle = |case: &&Case| {
        let modes = ["finalize", "frontmatter", "replay"].map(|mode| &case.expected[mode]["error"]);
        modes.into_iter().filter_map(Value::as_str).any(|error| error.contains("recursion"))
    };
    let circles = cases.iter().filter(is_circle).count();
    deliberate("lanes that depend on each other", &format!("{circles} missions"));
}
