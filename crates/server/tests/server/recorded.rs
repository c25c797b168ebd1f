//! Requests that the reference client really sent, replayed byte for byte but for their token.

use super::client::raw;
use super::world::World;
use contract::wire::endpoint;
use serde_json::Value;
use std::path::PathBuf;

const RECORDED_TEAM: &str = "pt-7f3a";

fn recordings() -> Vec<PathBuf> {
    let cases = std::fs::read_dir(testkit::shared().join("golden/wire")).expect("the recorded data");
    let mut files: Vec<PathBuf> = cases
        .flatten()
        .filter_map(|case| std::fs::read_dir(case.path()).ok())
        .flat_map(|files| files.flatten().map(|file| file.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "raw"))
        .collect();
    files.sort();
    files
}

/// The recorded request with the test's token, with the header that ends the connection.
fn with_token(recorded: &[u8], token: &str) -> Vec<u8> {
    let end = recorded.windows(4).position(|window| window == b"\r\n\r\n").expect("a head");
    let head = String::from_utf8_lossy(&recorded[..end]).into_owned();
    let lines: Vec<String> = head
        .split("\r\n")
        .map(|line| match line.split_once(": ") {
            Some(("Authorization", _)) => format!("Authorization: Bearer {token}"),
            Some(("Connection", _)) => "Connection: close".to_owned(),
            _ => line.to_owned(),
        })
        .collect();
    [lines.join("\r\n").as_bytes(), &recorded[end..]].concat()
}

#[test]
#[ignore = "needs the recorded data"]
fn recorded_batches_are_accepted_once() {
    let files = recordings();
    let world = World::new();
    world.admin().create_account("ada@example.com", Some("Ada"), Some(RECORDED_TEAM)).unwrap();
    let token = world.token_of("ada@example.com", RECORDED_TEAM);
    let (mut batches, mut stored, mut known, mut foreign) = (0, 0, 0, 0);
    for file in files {
        let recorded = std::fs::read(&file).unwrap();
        if !recorded.starts_with(format!("POST {}", endpoint::EVENTS_BATCH).as_bytes()) {
            continue;
        }
        let answer = raw(world.address(), &with_token(&recorded, &token)).expect("an answer");
        let sent = std::fs::read_to_string(file.with_extension("body")).unwrap_or_default();
        let sent: Value = serde_json::from_str(&sent).unwrap_or_default();
        let Some(events) = sent["events"].as_array().filter(|events| !events.is_empty()) else {
            assert_eq!(answer.status, 400, "{}", file.display());
            continue;
        };
        batches += 1;
        assert_eq!(answer.status, 200, "{}: {}", file.display(), answer.text());
        let results = answer.json()["results"].as_array().unwrap().clone();
        assert_eq!(results.len(), events.len());
        for (event, result) in events.iter().zip(&results) {
            assert_eq!(event["event_id"], result["event_id"], "{}", file.display());
            let team = event["team_slug"].as_str().unwrap_or_default();
            if !team.is_empty() && team != RECORDED_TEAM {
                // Sent by the reference to its own team all the same: never stored.
                assert_eq!((&result["status"], &result["path"]), (&"rejected".into(), &"team_slug".into()));
                foreign += 1;
                continue;
            }
            match result["status"].as_str() {
                Some("success") => stored += 1,
                Some("duplicate") => known += 1,
                other => panic!("{}: {other:?} {result}", file.display()),
            }
        }
    }
    assert!(batches > 0 && stored > 0 && foreign > 0);
    let held = world.get(&token, &format!("{}?limit=1", endpoint::INSPECT_EVENTS)).json();
    assert_eq!(held["total"], stored);
    println!("{batches} recorded batches: {stored} events stored, {known} held before");
}

#[test]
#[ignore = "needs the recorded data"]
fn recorded_bodies_are_stored_after_their_index() {
    let files = recordings();
    let world = World::new();
    world.admin().create_account("ada@example.com", Some("Ada"), Some(RECORDED_TEAM)).unwrap();
    let token = world.token_of("ada@example.com", RECORDED_TEAM);
    let is_post = |bytes: &[u8], path: &str| bytes.starts_with(format!("POST {path}").as_bytes());
    for file in &files {
        let recorded = std::fs::read(file).unwrap();
        if is_post(&recorded, endpoint::EVENTS_BATCH) {
            raw(world.address(), &with_token(&recorded, &token));
        }
    }
    let (mut stored, mut waiting, mut replayed) = (0, 0, 0);
    for file in &files {
        let recorded = std::fs::read(file).unwrap();
        if !is_post(&recorded, endpoint::PUSH_CONTENT) {
            continue;
        }
        replayed += 1;
        let answer = raw(world.address(), &with_token(&recorded, &token)).expect("an answer");
        match answer.status {
            200 | 201 => stored += 1,
            404 => waiting += 1,
            other => panic!("{}: {other} {}", file.display(), answer.text()),
        }
    }
    assert!(stored > 0, "{replayed} bodies replayed");
    println!(
        "{replayed} recorded bodies: {stored} stored or held, {waiting} whose index event was not recorded"
    );
}

#[test]
#[ignore = "needs the recorded data"]
fn other_recorded_requests_are_answered() {
    let files = recordings();
    let world = World::new();
    world.admin().create_account("ada@example.com", Some("Ada"), Some(RECORDED_TEAM)).unwrap();
    let token = world.token_of("ada@example.com", RECORDED_TEAM);
    let mut replayed = 0;
    for file in files {
        let recorded = std::fs::read(&file).unwrap();
        let line = String::from_utf8_lossy(&recorded).lines().next().unwrap_or_default().to_owned();
        let expected: &[u16] = match line.split(' ').nth(1).and_then(|path| path.split('?').next()) {
            Some(endpoint::SYNC_HEALTH | endpoint::ME | endpoint::SESSION_STATUS) => &[200],
            Some(endpoint::WS_TOKEN) => &[403],
            Some(endpoint::OAUTH_TOKEN) => &[400],
            Some(endpoint::OAUTH_REVOKE) => &[200],
            _ => continue,
        };
        replayed += 1;
        let answer = raw(world.address(), &with_token(&recorded, &token)).expect("an answer");
        assert!(expected.contains(&answer.status), "{}: {} {}", file.display(), answer.status, answer.text());
        assert!(answer.json().is_object());
    }
    assert!(replayed > 0);
    println!("{replayed} other recorded requests answered");
}
