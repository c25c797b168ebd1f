use super::*;
use crate::lane::Lane;

const LANE: &str = r#"{"actor": "a", "at": "2026-01-01T00:00:00+00:00", "event_id": "01KRX11MABCDEFGHJKMNPQRSTV", "evidence": null, "execution_mode": "worktree", "force": false, "from_lane": "planned", "mission_slug": "m", "policy_metadata": null, "reason": null, "review_ref": null, "to_lane": "claimed", "wp_id": "WP01"}"#;

fn parse(text: &str) -> Log {
    Log::parse(Path::new("log"), text.as_bytes())
}

/// A row of WP01 with this id and time.
pub(super) fn lane_row(event_id: &str, at: &str) -> LaneRow {
    let mut row = LaneRow::read_quickly(LANE).unwrap();
    (row.event_id, row.at) = (event_id.into(), at.into());
    row
}

#[test]
fn a_lane_row_renders_back_to_its_bytes() {
    let log = parse(&format!("{LANE}\n\n"));
    assert_eq!(log.line_count(), 1);
    assert_eq!(log.rows()[0].render().unwrap(), LANE);
}

#[test]
fn rows_of_other_producers_are_skipped_and_still_counted() {
    let log = parse(&format!(
        "{LANE}\n{}\n",
        [
            r#"{"event_type": 7}"#,
            r#"{"event_name": "retrospective.started", "event_id": "x"}"#,
            r#"{"kind": "annotation", "wp_id": "WP01", "at": "2026-01-01T00:00:01+00:00", "event_id": "y"}"#,
            r#"{"type": "RetrospectiveCaptured", "event_id": "z"}"#
        ]
        .join("\n")
    ));
    assert_eq!((log.line_count(), log.lane_rows().count(), log.facts().count()), (5, 1, 0));
    assert!(["x", "y", "z"].into_iter().all(|id| log.contains(id)) && log.damage().is_empty());
}

#[test]
fn unreadable_line_is_named_and_the_others_are_read() {
    for (wrong, says, repairable) in [
        ("{", "is not JSON", true),
        ("[]", "is not a JSON object", true),
        ("<<<<<<< HEAD", "is a conflict marker", true),
        ("=======", "is a conflict marker", true),
        ("\0\0\0", "holds NUL bytes", true),
        (&LANE.replace("\"wp_id\"", "\"wp\""), "without the key `wp_id`", false),
        (&LANE.replace("claimed", "flying"), "unknown lane `flying`", false),
        (&LANE.replace("\"force\": false", "\"force\": 0"), "neither true nor false", false),
        (&LANE.replace("\"actor\": \"a\"", "\"actor\": 1"), "`actor` is not a text", false),
    ] {
        let log = parse(&format!("{LANE}\n{wrong}\n{LANE}\n"));
        let [damage] = log.damage() else { panic!("{wrong}: {:?}", log.damage()) };
        assert!(damage.line == 2 && damage.problem.contains(says), "{damage:?}");
        assert_eq!((damage.repairable, log.lane_rows().count()), (repairable, 2), "{wrong}");
    }
    let log = Log::parse(Path::new("log"), b"\n\xff");
    assert!(log.damage()[0].line == 2 && log.damage()[0].problem.contains("is not UTF-8 at byte 0"));
}

#[test]
fn rows_glued_to_a_torn_line_are_read() {
    let other = LANE.replace("STV", "STW");
    for line in [
        format!("{}{other}", &LANE[..60]),
        format!("\0\0{other}\0"),
        format!("{{\"evidence\": {{\"review\": 1}}{other}"),
    ] {
        let log = parse(&line);
        let ids: Vec<_> = log.lane_rows().map(|row| row.event_id.as_str()).collect();
        assert_eq!(ids, ["01KRX11MABCDEFGHJKMNPQRSTW"], "{line:?}");
        assert_eq!(log.damage().len(), 1);
    }
    assert_eq!(parse(&format!("{LANE}{other}")).lane_rows().count(), 2);
}

#[test]
fn byte_order_mark_is_skipped() {
    let log = parse(&format!("\u{feff}{LANE}\r\n"));
    assert!(log.damage().is_empty() && log.lane_rows().count() == 1);
}

#[test]
fn a_feature_slug_of_an_older_release_counts_as_the_mission_slug() {
    let log = parse(&LANE.replace("mission_slug", "feature_slug"));
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
