//! Owner records of a reference daemon. Such a daemon has no lock, so any live process with its argv
//! can act as one.

use crate::world::World;
use contract::OwnerRecord;
use serde_json::Value;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

/// The pid of a live process with the argv of a reference daemon. All tests of a binary share it; it ends
/// with that binary.
///
/// # Panics
/// When it does not start.
#[allow(clippy::expect_used, reason = "a test that cannot build its world has to stop")]
pub fn stand_in() -> u32 {
    static PROCESS: OnceLock<Child> = OnceLock::new();
    let process = PROCESS.get_or_init(|| {
        let mut command = Command::new("sh");
        // Without a home directory nothing ties it to a home. It lives as long as its input is open.
        command.args(["-c", "read -r _", "run_sync_daemon"]).env_remove("HOME").stdin(Stdio::piped());
        let child = command.spawn().expect("a process");
        crate::patience::eventually("it is the new program", || {
            system::process::process_argv(i64::from(child.id()))
                .is_some_and(|argv| argv.iter().any(|word| word == "run_sync_daemon"))
        });
        child
    });
    process.id()
}

/// A record that equals the foreground of `world` in all six fields, with this `pid`.
///
/// # Panics
/// When the world's `sync status --json` does not answer.
#[allow(clippy::expect_used, reason = "a test that cannot build its world has to stop")]
pub fn agreeing(world: &World, pid: u32) -> OwnerRecord {
    let status = world.run(["sync", "status", "--json"]).exits(0).json();
    let foreground = &status["foreground"];
    let text = |key: &str| foreground[key].as_str().map(str::to_owned);
    let (principal, team) = match text("team_or_user") {
        Some(both) => {
            let (principal, team) = both.split_once('/').expect("principal and team");
            (Some(principal.to_owned()), Some(team.to_owned()))
        }
        None => (None, None),
    };
    OwnerRecord {
        pid: i64::from(pid),
        port: 9400,
        token: "control-secret".into(),
        package_version: text("package_version").expect("a version"),
        executable_path: text("executable_path").expect("an executable").into(),
        source_checkout_path: text("source_path").expect("a source").into(),
        server_url: text("server_url").unwrap_or_default(),
        auth_principal: principal,
        auth_team: team,
        auth_scope: None,
        queue_db_path: text("queue_db_path").expect("a queue").into(),
        started_at: "2026-05-18T12:00:00+00:00".into(),
        instance: None,
    }
}

/// Writes the owner record file.
pub fn write(world: &World, record: &OwnerRecord) {
    world.write_state("sync/daemon/owner.json", record.render().as_bytes());
}

/// The failing names of a status or refusal document, in canonical order.
pub fn failing_names(document: &Value) -> Vec<String> {
    let mut names: Vec<String> = document["mismatches"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|mismatch| mismatch["field"].as_str().map(str::to_owned))
        .collect();
    if document["orphan_records"].as_array().is_some_and(|orphans| !orphans.is_empty()) {
        names.push("orphan_daemon_record".into());
    }
    let legacy =
        document["legacy_rows_for_scope"].as_u64().or(document["legacy_queue"]["rows_in_scope"].as_u64());
    if legacy.unwrap_or_default() > 0 {
        names.push("legacy_rows_in_scope".into());
    }
    if document["auth_required"] == true && document["auth_present"] == false {
        names.push("auth_absent".into());
    }
    let faults = document["faults"].as_array().into_iter().flatten();
    names.extend(faults.filter_map(|fault| fault["code"].as_str().map(str::to_owned)));
    names
}
