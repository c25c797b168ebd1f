//! docs/guide.md: its commands are run after a login, and what it shows is what they print.
#![cfg(unix)]

use identity::Secret;
use identity::session::Session;
use std::path::Path;
use testkit::transcript::{run, steps};
use testkit::world::session;
use testkit::{Server, World};

#[test]
fn guide_shows_what_its_commands_print() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/guide.md");
    let steps = steps(&std::fs::read_to_string(page).unwrap());
    assert!(steps.len() >= 8, "{} commands", steps.len());

    let binary = Path::new(env!("CARGO_BIN_EXE_spec-kitty"));
    let mut world = World::new(binary);
    let server = Server::start(&world, "ada@example.org");
    // The login that `auth login` of the page makes.
    world.write_config(&format!("[sync]\nserver_url = \"{}\"\n", server.url()));
    let token = Secret::new(server.token.clone());
    let login = session(&server.url(), "ada@example.org", &server.team);
    world.write_session(&Session { access_token: token, ..login });
    world.unset("SPEC_KITTY_ENABLE_SAAS_SYNC");
    for git in ["init --quiet", "config user.name Ada", "config user.email ada@example.org"] {
        world.git(git.split(' '));
    }
    let path = std::env::var("PATH").unwrap_or_default();
    world.set("PATH", &format!("{}:{path}", binary.parent().unwrap().display()));
    let (work, home, url) =
        (world.work().display().to_string(), world.root().display().to_string(), server.url());
    let shown = [
        (work.as_str(), "/home/ada/tea"),
        (home.as_str(), "/home/ada/.spec-kitty"),
        (url.as_str(), "http://127.0.0.1:8470"),
        (server.team.as_str(), "pt-01m81hw9"),
        ("2099-06-01T00:00:00Z", "2027-02-23T22:41:50Z"),
    ];
    run(&world, &steps, &shown);
    assert!(server.event_ids().len() >= 7, "the mission arrived");
}
