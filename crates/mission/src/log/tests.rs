use super::*;
use crate::lane::Lane;

const LANE: &str = r#"{"actor": "a", "at": "2026-01-01T00:00:00+00:00", "event_id": "01KRX11MABCDEFGHJKMNPQRSTV", "evidence": null, "execution_mode": "worktree", "force": false, "from_lane": "planned", "mission_slug": "m", "policy_metadata": null, "reason": null, "review_ref": null, "to_lane": "claimed", "wp_id": "WP01"}"#;

fn parse(text: &str) -> Result<Log> {
    Log::parse(Path::new("log"), text.as_bytes())
}

#[test]
fn a_lane_row_renders_back_to_its_bytes() {
    let log = parse(&format!("{LANE}\n\n")).unwrap();
    assert_eq!(log.line_count(), 1);
    assert_eq!(log.rows()[0].render().unwrap(), LANE);
}

#[test]
fn rows_of_other_producers_are_skipped_and_still_counted() {
    let log = parse(&format!(
        "{LANE}\n{}\n{}\n",
        r#"{"event_type": 7}"#, r#"{"event_name": "retrospective.started", "event_id": "x"}"#
    ))
    .unwrap();
    assert_eq!((log.line_count(), log.lane_rows().count(), log.facts().count()), (3, 1, 0));
    assert!(log.contains("x"));
}

#[test]
fn a_wrong_row_is_named_by_its_line() {
    for (wrong, says) in [
        ("{", "is not JSON"),
        ("[]", "is not a JSON object"),
        (&LANE.replace("\"wp_id\"", "\"wp\""), "without the key `wp_id`"),
        (&LANE.replace("claimed", "flying"), "unknown lane `flying`"),
        (&LANE.replace("\"force\": false", "\"force\": 0"), "neither true nor false"),
        (&LANE.replace("\"actor\": \"a\"", "\"actor\": 1"), "`actor` is not a text"),
    ] {
        let message = parse(&format!("{LANE}\n{wrong}\n")).unwrap_err().to_string();
        assert!(message.starts_with("log line 2: ") && message.contains(says), "{message}");
    }
    let message = Log::parse(Path::new("log"), b"\n\xff").unwrap_err().to_string();
    assert!(message.contains("line 2: is not UTF-8"), "{message}");
}

#[test]
fn a_feature_slug_of_an_older_release_counts_as_the_mission_slug() {
    let log = parse(&LANE.replace("mission_slug", "feature_slug")).unwrap();
    assert_eq!(log.lane_rows().next().unwrap().mission_slug, "m");
    assert_eq!(log.lane_rows().next().unwrap().to_lane, Lane::Claimed);
}

#[test]
fn appending_closes_an_open_line_and_never_repeats_an_id() {
    let world = tempfile::tempdir().unwrap();
    std::fs::write(world.path().join(FILE), LANE).unwrap();
    let log = read_log(world.path()).unwrap();
    let mut writing = Writing::new();
    let mut row = log.lane_rows().next().unwrap().clone();
    assert!(log.append(&mut writing, &[Row::Lane(row.clone())]).is_err());
    row.event_id = "01KRX11MABCDEFGHJKMNPQRSTW".into();
    let rows = [Row::Lane(row)];
    log.append(&mut writing, &rows).unwrap();
    writing.keep();
    let read = read_log(world.path()).unwrap();
    assert_eq!((read.line_count(), log.with(&rows).line_count()), (2, 2));
    assert!(read.contains("01KRX11MABCDEFGHJKMNPQRSTW"));
}
