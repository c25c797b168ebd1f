//! docs/server.md, followed by an administrator and the owner of the first machine, on both stores. `systemctl` runs the
//! command of the unit; the proxy is left out.

use super::newcomer::{Newcomer, root};
use std::fs;
use std::net::TcpListener;
use std::process::Command;
use testkit::transcript::{TranscriptStep, steps};

const PAGE: &str = "docs/server.md";
const EMAIL: &str = "ada@example.org";
/// The heading of the part that needs PostgreSQL.
const POSTGRES: &str = "\n## Two processes on PostgreSQL\n";

#[test]
fn server_page_can_be_followed_to_a_restored_server() {
    let page = fs::read_to_string(root().join(PAGE)).unwrap();
    let (first, _) = page.split_once(POSTGRES).unwrap();
    let mut administrator = administrator();
    let steps = steps(first);
    assert!(steps.len() >= 30, "{} steps", steps.len());
    steps.iter().for_each(|step| follow(&mut administrator, step));
}

#[test]
#[ignore = "needs PostgreSQL"]
fn server_page_can_be_followed_to_two_processes_on_postgres() {
    let page = fs::read_to_string(root().join(PAGE)).unwrap();
    let mut administrator = administrator();
    let (first, second) = page.split_once(POSTGRES).unwrap();
    steps(first).iter().for_each(|step| follow(&mut administrator, step));
    let cluster = std::env::var("SPEC_KITTY_TEST_DATABASE_URL").expect("`.ci/postgres start` sets it");
    let name = format!("page_{}", std::process::id());
    let mut create = Command::new("psql");
    create.args([&cluster, "--quiet", "--command", &format!("CREATE DATABASE {name}")]);
    assert!(create.status().expect("psql").success());
    let (server, _) = cluster.rsplit_once('/').unwrap();
    let file = administrator.here("/etc/spec-kitty/database");
    fs::write(file, format!("{server}/{name}\n")).unwrap();
    let steps = steps(second);
    assert!(steps.iter().filter(|step| step.command.ends_with(" &")).count() == 2, "two processes");
    steps.iter().for_each(|step| follow(&mut administrator, step));
}

/// An administrator with the directories of the page in place of those of the system.
fn administrator() -> Newcomer {
    let mut administrator = Newcomer::new(PAGE, EMAIL);
    let port = || TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let public = administrator.here("http://127.0.0.1:8470").replace("127.0.0.1", "localhost");
    administrator.place("https://sync.example.org", &public);
    administrator.place("127.0.0.1:8471", &format!("127.0.0.1:{}", port()));
    for (directory, is_made) in
        [("/var/lib/spec-kitty", false), ("/var/backups/spec-kitty", true), ("/etc/spec-kitty", true)]
    {
        let here = administrator.user_home().join(directory.trim_start_matches('/').replace('/', "-"));
        if is_made {
            fs::create_dir(&here).unwrap();
        }
        administrator.place(directory, here.to_str().unwrap());
    }
    administrator
}

fn follow(administrator: &mut Newcomer, step: &TranscriptStep) {
    match step.command.as_str() {
        "systemctl enable --now spec-kitty-server" | "systemctl start spec-kitty-server" => {
            let line = administrator.start_server(&command_of_the_unit(administrator));
            assert!(line.starts_with("listening on http://127.0.0.1:"), "{line}");
        }
        "systemctl stop spec-kitty-server" => administrator.stop_server(),
        _ => administrator.follow(step),
    }
}

/// The command of the systemd unit, on a port of this test.
fn command_of_the_unit(administrator: &Newcomer) -> String {
    let unit = fs::read_to_string(root().join("contrib/systemd/spec-kitty-server.service")).unwrap();
    let command = unit.lines().find_map(|line| line.strip_prefix("ExecStart=/usr/local/bin/")).unwrap();
    let environment = fs::read_to_string(administrator.here("/etc/spec-kitty/server.env")).unwrap();
    let options = environment.strip_prefix("SPEC_KITTY_SERVER_OPTIONS=").unwrap().replace("\\\n", " ");
    let command = command.replace("$SPEC_KITTY_SERVER_OPTIONS", options.trim());
    administrator.here(&format!("{command} --listen 127.0.0.1:8470 --quiet"))
}
