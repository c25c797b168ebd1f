use super::*;
use crate::lane::Lane;

const LANE: &str = r#"{"actor": "a", "at": "2026-01-01T00:00:00+00:00", "event_id": "01KRX11MABCDEFGHJKMNPQRSTV", "evidence": null, "execution_mode": "worktree", "force": false, "from_lane": "planned", "mission_slug": "m", "policy_metadata": null, "reason": null, "review_ref": null, "to_lane": "claimed", "wp_id": "WP01"}"#;

const ANNOTATION: &str = r#"{"actor": {"tool": "claude"}, "at": "2026-01-01T00:00:01+00:00", "delta": {"note": "n"}, "event_id": "01KZ0000000000000000000001", "kind": "annotation", "wp_id": "WP01"}"#;

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
fn lane_row_renders_back_to_its_bytes() {
    let log = parse(&format!("{LANE}\n\n"));
    assert_eq!(log.line_count(), 1);
    let row = LaneRow::read_quickly(LANE).unwrap();
    assert_eq!(Row::Lane(row).render().unwrap(), LANE);
}

#[test]
fn rows_that_move_nothing_are_skipped_and_still_counted() {
    let log = parse(&format!(
        "{LANE}\n{}\n",
        [
            r#"{"event_type": 7}"#,
            r#"{"event_name": "retrospective.started", "event_id": "x"}"#,
            ANNOTATION,
            r#"{"type": "RetrospectiveCaptured", "event_id": "z"}"#
        ]
        .join("\n")
    ));
    assert_eq!((log.line_count(), log.moves().len(), log.facts().count()), (5, 1, 0));
    assert!(["x", "01KZ0000000000000000000001", "z"].into_iter().all(|id| log.contains(id)));
    assert!(log.damage().is_empty() && log.warnings("m").is_empty() && log.annotations().len() == 1);
}

#[test]
fn unreadable_line_is_named_and_the_others_are_read() {
    for (wrong, expected, repairable) in [
        ("{", "is not JSON", true),
        ("<<<<<<< HEAD", "is a conflict marker", true),
        ("=======", "is a conflict marker", true),
        ("\0\0\0", "holds NUL bytes", true),
        (&LANE.replace("\"wp_id\"", "\"wp\""), "without the key `wp_id`", false),
        (&LANE.replace("claimed", "flying"), "unknown lane `flying`", false),
        (&LANE.replace("\"force\": false, ", ""), "without the key `force`", false),
        (&LANE.replace("\"reason\": null", "\"reason\": 1"), "`reason` is not a text", false),
        (
            &LANE.replace("\"reason\"", "\"review_result\": {\"reviewer\": \"r\"}, \"reason\""),
            "has no text `verdict`",
            false,
        ),
    ] {
        let log = parse(&format!("{LANE}\n{wrong}\n"));
        let [damage] = log.damage() else { panic!("{wrong}: {:?}", log.damage()) };
        assert!(damage.line == 2 && damage.problem.contains(expected), "{damage:?}");
        assert_eq!((damage.repairable, log.moves().len()), (repairable, 1), "{wrong}");
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
        let ids: Vec<_> = log.moves().iter().map(|row| &*row.event_id).collect();
        assert_eq!(ids, ["01KRX11MABCDEFGHJKMNPQRSTW"], "{line:?}");
        assert_eq!(log.damage().len(), 1);
    }
    assert_eq!(parse(&format!("{LANE}{other}")).moves().len(), 2);
}

#[test]
fn byte_order_mark_is_skipped() {
    let log = parse(&format!("\u{feff}{LANE}\r\n"));
    assert!(log.damage().is_empty() && log.moves().len() == 1);
}

#[test]
fn feature_slug_of_an_older_release_counts_as_the_mission_slug() {
    let log = parse(&LANE.replace("mission_slug", "feature_slug"));
    assert_eq!((&*log.moves()[0].mission_slug, log.moves()[0].to), ("m", Lane::Claimed));
}

#[test]
fn appending_closes_an_open_line_and_never_repeats_an_id() {
    let world = tempfile::tempdir().unwrap();
    std::fs::write(world.path().join(FILE), LANE).unwrap();
    let log = read_log(world.path()).unwrap();
    let mut writing = Writing::new();
    let mut row = LaneRow::read_quickly(LANE).unwrap();
    assert!(log.append(&mut writing, &[Row::Lane(row.clone())]).is_err());
    row.event_id = "01KRX11MABCDEFGHJKMNPQRSTW".into();
    let rows = [Row::Lane(row)];
    log.append(&mut writing, &rows).unwrap();
    writing.keep().unwrap();
    assert!(log.is_all_before(&rows));
    let read = read_log(world.path()).unwrap();
    assert_eq!(read.line_count(), 2);
    // Another program has written.
    std::fs::write(log.path(), format!("{}\n", std::fs::read_to_string(log.path()).unwrap())).unwrap();
    assert!(!log.is_all_before(&rows));
    assert!(read.contains("01KRX11MABCDEFGHJKMNPQRSTW"));
}

#[test]
fn row_of_a_newer_release_is_kept_and_warned_of_once() {
    for (row, expected) in [
        (
            r#"{"kind": "future", "event_id": "x", "from_lane": "planned", "to_lane": "done"}"#,
            "has the kind `future`",
        ),
        (r#"{"type": "SomethingNew", "event_id": "x"}"#, "has the type `SomethingNew`"),
        (r#"{"event_name": "other.thing"}"#, "has the event name `other.thing`"),
        (r#"{"hello": "world"}"#, "names no kind"),
        ("[1, 2]", "is not a JSON object"),
        (&ANNOTATION.replace("\"note\": \"n\"", "\"note\": 1"), "annotation: `delta.note`"),
    ] {
        let log = parse(&format!("{LANE}\n{row}\n{row}\n"));
        assert!(log.damage().is_empty(), "{row}");
        let [warning] = &log.warnings("m")[..] else { panic!("{row}: {:?}", log.warnings("m")) };
        let told = ["line 2 ", expected, "written by a newer version", "(1 more such row)"];
        assert!(told.iter().all(|part| warning.contains(part)), "{warning}");
    }
}

#[test]
fn repeated_annotation_counts_once_and_repeated_move_too() {
    let log = parse(&format!("{LANE}\n{ANNOTATION}\n{LANE}\n{ANNOTATION}\n"));
    assert_eq!((log.moves().len(), log.annotations().len(), log.line_count()), (1, 1, 4));
    assert!(log.warnings("m")[0].contains("line 4 repeats annotation 01KZ0000000000000000000001"));
}

#[test]
fn rows_of_later_releases_are_read_unchanged() {
    let row = LANE
        .replace(
            "\"actor\": \"a\"",
            "\"actor\": {\"model\": null, \"role\": \"reviewer\", \"tool\": \"claude\"}",
        )
        .replace("\"force\": false", "\"force\": \"yes\", \"kind\": null")
        .replace("\"from_lane\": \"planned\"", "\"from_lane\": \"genesis\"")
        .replace("\"mission_slug\": \"m\", ", "");
    let log = parse(&row);
    let [row] = log.moves() else { panic!("{:?}", log.damage()) };
    assert_eq!((&*row.actor, row.force, row.from, &*row.mission_slug), ("claude", true, Lane::Genesis, ""));
    assert!(log.is_current() && !parse(LANE).is_current());
}

#[test]
fn numbers_of_the_reference_that_json_has_not_are_read() {
    let row = LANE
        .replace("\"force\": false", "\"force\": NaN")
        .replace("\"reason\": null", "\"reason\": \"a \\\" NaN\", \"x\": [-Infinity, Infinity]");
    let log = parse(&row);
    assert!(log.damage().is_empty() && log.moves()[0].force, "{:?}", log.damage());
    assert_eq!(parse(&LANE.replace("false", "NaNs")).damage().len(), 1);
}

#[test]
fn line_longer_than_a_row_is_damage_and_the_next_is_read() {
    let long = format!("{{\"a\": \"{}\"}}", "x".repeat(MAX_ROW));
    let log = parse(&format!("{long}\n{LANE}\n{long}"));
    let problems: Vec<_> = log.damage().iter().map(|damage| (damage.line, damage.repairable)).collect();
    assert_eq!((problems, log.moves().len()), (vec![(1, true), (3, true)], 1));
    assert!(log.damage()[0].problem.contains("is longer than"));
    let whole = format!("\u{feff}{}{LANE}", " ".repeat(MAX_ROW - LANE.len()));
    assert!(parse(&whole).damage().is_empty() && parse(&whole).moves().len() == 1);
}

#[test]
fn rows_are_bounded_and_lines_too_long_for_a_row_do_not_count() {
    use std::io::{BufReader, Read};
    let numbers = |source: &mut dyn Read| {
        let mut numbers = Vec::new();
        each_line(BufReader::new(source), |line| numbers.push(line.number)).map(|()| numbers)
    };
    let mut long = std::io::repeat(b'x').take(MAX_BYTES + 1).chain(&b"\nx\n"[..]);
    assert_eq!(numbers(&mut long).unwrap(), [1, 2]);
    let row = [vec![b'x'; MAX_ROW - 1], b"\n".to_vec()].concat();
    let count = MAX_BYTES / row.len() as u64;
    let mut rows: Box<dyn Read> = Box::new(std::io::empty());
    for _ in 0..count {
        rows = Box::new(rows.chain(&row[..]));
    }
    assert_eq!(numbers(&mut rows.chain(&b"x"[..])).unwrap_err().kind(), ErrorKind::FileTooLarge);
}
