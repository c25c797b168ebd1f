//! docs/missions.md is a transcript: its commands are run, and what it shows is what they print.
#![cfg(unix)]

use std::path::Path;
use testkit::transcript::{run, steps};
use testkit::{Server, World};

#[test]
fn page_about_missions_is_what_happens() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/missions.md");
    let page = std::fs::read_to_string(page).unwrap();
    let steps = steps(&page);
    assert!(steps.len() >= 25, "{} commands", steps.len());

    let binary = Path::new(env!("CARGO_BIN_EXE_spec-kitty"));
    let mut world = World::new(binary);
    let server = Server::start(&world, "ada@example.org");
    server.welcome(&mut world);
    world.init_project();
    let path = std::env::var("PATH").unwrap_or_default();
    world.set("PATH", &format!("{}:{path}", binary.parent().unwrap().display()));
    let (work, url) = (world.work().display().to_string(), server.url());
    run(&world, &steps, &[(&work, "/home/ada/tea"), (&url, "https://sync.example.org")]);

    let status = world.run(["sync", "status", "--json"]).exits(0).json();
    assert_eq!(status["active_queue"]["event_count"], 0, "everything arrived");
    assert!(server.event_ids().len() > 30);
}

/// The prerequisites on the page are those that the commands require.
#[test]
fn missions_page_lists_repository_requirements() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/missions.md");
    let page = std::fs::read_to_string(page).unwrap();
    let before = page.split("```console").next().unwrap();
    assert!(before.contains("`spec-kitty init`"), "{before}");

    let world = World::new(env!("CARGO_BIN_EXE_spec-kitty"));
    world.git(["init", "--quiet"]);
    let list = ["agent", "status", "show"];
    let refused = world.run(list).exits(1);
    assert!(refused.stderr.contains(".kittify"), "{refused:?}");
    world.run(["init"]).exits(0);
    world.run(list).exits(0);
}

/// Every mission verb of the inventory appears on the page.
#[test]
fn page_about_missions_uses_every_mission_verb() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/missions.md");
    let commands: Vec<String> =
        steps(&std::fs::read_to_string(page).unwrap()).into_iter().map(|step| step.command).collect();
    let world = World::new(env!("CARGO_BIN_EXE_spec-kitty"));
    let inventory = world.run(["doctor", "paths", "--json"]).exits(0).json();
    let ours = inventory["paths"].as_array().unwrap().iter().filter(|path| path["runs_in"].is_null());
    let verbs = ours.filter_map(|path| path["verb"].as_str());
    let mut seen = 0;
    for verb in verbs.filter(|verb| verb.starts_with("agent ") && !verb.contains("--")) {
        let alias = match verb {
            "agent mission create" => "specify",
            "agent mission setup-plan" => "plan",
            "agent mission finalize-tasks" => "tasks",
            other => other,
        };
        let used = commands
            .iter()
            .any(|command| [verb, alias].iter().any(|verb| command.contains(&format!("spec-kitty {verb} "))));
        assert!(used, "docs/missions.md never runs `spec-kitty {verb}`");
        seen += 1;
    }
    assert!(seen >= 18, "{seen}");
}
