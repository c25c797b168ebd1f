//! docs/daemon.md, followed by a newcomer: each command of its `console` blocks is typed in order, and what
//! the program prints is what the page shows. Ids, process ids, ports and times may differ; one that the
//! page shows twice has to be the same thing twice.

use super::newcomer::{Newcomer, root};
use std::fs;
use std::process::Command;
use testkit::transcript::steps;

#[test]
fn daemon_page_can_be_followed_from_nothing_to_nothing() {
    let page = fs::read_to_string(root().join("docs/daemon.md")).unwrap();
    let steps = steps(&page);
    assert!(steps.len() >= 25, "{} steps", steps.len());
    let mut newcomer = Newcomer::new("docs/daemon.md", "you@example.com");
    for step in &steps {
        newcomer.follow(step);
    }
    for verb in ["start", "status", "stop"] {
        assert!(steps.iter().any(|step| step.command == format!("spec-kitty sync daemon {verb}")), "{verb}");
    }
}

#[test]
#[ignore = "needs systemd-analyze"]
fn systemd_unit_is_valid() {
    verify_units(&["spec-kitty.service"], &["--user"]);
}

#[test]
#[ignore = "needs systemd-analyze"]
fn systemd_units_of_the_server_are_valid_and_hardened() {
    let backup = ["spec-kitty-server-backup.service", "spec-kitty-server-backup.timer"];
    verify_units(&["spec-kitty-server.service", backup[0], backup[1]], &[]);
    let unit = root().join("contrib/systemd/spec-kitty-server.service");
    let mut rate = Command::new("systemd-analyze");
    // In tenths; the page shows it.
    rate.args(["security", "--offline=true", "--no-pager", "--threshold=12"]).arg(&unit);
    let output = rate.output().expect("systemd-analyze");
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success() && printed.contains(": 1.2 OK"), "{printed}");
}

/// Checks units of `contrib`, with the program that is tested in place of the installed one.
fn verify_units(names: &[&str], options: &[&str]) {
    let program = env!("CARGO_BIN_EXE_spec-kitty");
    let directory = tempfile::tempdir().unwrap();
    let mut verify = Command::new("systemd-analyze");
    verify.args(options).arg("verify").env("XDG_RUNTIME_DIR", directory.path());
    for name in names {
        let unit = fs::read_to_string(root().join("contrib/systemd").join(name)).unwrap();
        let installed = ["%h/.cargo/bin/spec-kitty", "/usr/local/bin/spec-kitty"];
        let unit = installed.iter().fold(unit, |unit, installed| unit.replace(installed, program));
        fs::write(directory.path().join(name), unit).unwrap();
        verify.arg(directory.path().join(name));
    }
    let output = verify.output().expect("systemd-analyze");
    let printed = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && !names.iter().any(|name| printed.contains(name)), "{printed}");
}

#[test]
fn service_manager_files_run_the_daemon() {
    let unit = fs::read_to_string(root().join("contrib/systemd/spec-kitty.service")).unwrap();
    assert!(unit.contains("\nExecStart=%h/.cargo/bin/spec-kitty sync daemon run\n"));
    // They run it again within half a minute.
    assert!(unit.contains("\nRestart=on-failure\nRestartSec=30\n"));
    let plist = fs::read_to_string(root().join("contrib/launchd/spec-kitty.plist")).unwrap();
    assert!(plist.contains("<key>ThrottleInterval</key>\n  <integer>30</integer>\n"));
    let mut open = Vec::new();
    for tag in plist.split('<').skip(1).map(|rest| rest.split('>').next().unwrap()) {
        if tag.starts_with(['?', '!']) || tag.ends_with('/') {
            continue;
        }
        match tag.strip_prefix('/') {
            Some(name) => assert_eq!(open.pop(), Some(name.to_owned())),
            None => open.push(tag.split(' ').next().unwrap().to_owned()),
        }
    }
    assert!(open.is_empty(), "{open:?}");
    let words: Vec<&str> =
        plist.split("<string>").skip(1).filter_map(|rest| rest.split('<').next()).collect();
    assert_eq!(words[1..5], ["/usr/local/bin/spec-kitty", "sync", "daemon", "run"]);
}
