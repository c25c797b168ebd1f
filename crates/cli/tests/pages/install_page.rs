//! docs/install.md: its commands are run by a user with a login and a project, and what it shows is what they print.
#![cfg(unix)]

use std::path::Path;
use testkit::browser;
use testkit::transcript::{run, steps};
use testkit::{Server, World};

#[test]
fn install_page_leaves_nothing_behind() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/install.md");
    let steps = steps(&std::fs::read_to_string(page).unwrap());
    assert!(steps.len() >= 9, "{} commands", steps.len());

    let binary = Path::new(env!("CARGO_BIN_EXE_spec-kitty"));
    let mut world = World::new(binary);
    let path = std::env::var("PATH").unwrap_or_default();
    world.set("PATH", &format!("{}:{path}", binary.parent().unwrap().display()));
    let server = Server::start(&world, "ada@example.org");
    world.init_project();
    let login = ["auth", "login", "--server", &server.url()].map(str::to_owned);
    browser::log_in(&mut world, &server, "ada@example.org", &login);
    world.run(["init"]).exits(0);
    world.run(["agent", "mission", "create", "tea-timer"]).exits(0);
    run(&world, &steps, &[]);
    assert!(!server.event_ids().is_empty(), "what waited was delivered");
    assert!(!world.root().exists());
    let left = world.git(["config", "--local", "--list"]);
    assert!(!left.contains("spec-kitty"), "{left}");
}
