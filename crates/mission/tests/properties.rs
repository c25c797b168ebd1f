//! Arbitrary input: no panic, no loss, and the laws of the reducer.

#![allow(clippy::unwrap_used)]

use contract::json;
use mission::activity::{ActivityEntry, with_entry};
use mission::allocation::{Grouping, compute, surfaces};
use mission::decision::Ledger;
use mission::front_matter::{Scalar, WorkPackage, edit};
use mission::graph::{self, Graph};
use mission::log::{self, LaneRow, Log, Row};
use mission::meta::Meta;
use mission::ownership::{infer_ownership, pattern};
use mission::snapshot::{Snapshot, reduce};
use mission::tasks::{self, Marked, SubtaskState};
use mission::{Dialect, Lane, evidence, placeholder_check, slug, wps};
use proptest::collection::vec;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::path::Path;

/// Text that looks like what the parsers look for, cut and mixed at random.
fn markdown() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("## WP01 - A\n".to_owned()),
        Just("### Work Package 2: B\n".to_owned()),
        Just("**Dependencies**: WP01, WP02\n".to_owned()),
        Just("Depends on WP03,\n WP01".to_owned()),
        Just("- [ ] T001 x\n".to_owned()),
        Just("- ✅ T002 y\n".to_owned()),
        Just("| T003 | [ ] |\n| Status |\n".to_owned()),
        Just("Requirements: FR-001, C-2\n".to_owned()),
        Just("| FR-001 | [Short title] | [NEEDS".to_owned()),
        Just("src/a/ docs/b.md)".to_owned()),
        Just("---\nwork_package_id: WP01\n---\n".to_owned()),
        Just("[NEEDS CLARIFICATION: x] <!-- decision_id: ".to_owned()),
        "\\PC{0,12}",
        any::<String>(),
        Just("\r\n".to_owned()),
        Just("\u{feff}#".to_owned()),
    ];
    vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

fn lane() -> impl Strategy<Value = Lane> {
    (0..Lane::ALL.len()).prop_map(|n| Lane::ALL[n])
}

fn rows() -> impl Strategy<Value = Vec<LaneRow>> {
    let row = (0..6_u8, 0..4_u8, 0..5_u8, lane(), lane(), any::<bool>(), any::<bool>());
    vec(row, 0..30).prop_map(|rows| {
        rows.into_iter()
            .enumerate()
            .map(|(n, (id, wp, at, from_lane, to_lane, force, review))| LaneRow {
                // Some ids repeat, with equal content behind them.
                event_id: format!("01{n:04}{id}"),
                mission_slug: "m".into(),
                mission_id: None,
                wp_id: format!("WP0{wp}"),
                from_lane,
                to_lane,
                at: ["T00:00:00Z", "T02:00:00+02:00", "T00:00:00.5Z", "T00:00:01+00:00", "x"]
                    [usize::from(at)]
                .replace('T', "2026-01-01T"),
                actor: "a".into(),
                force,
                execution_mode: "worktree".into(),
                reason: None,
                reason_source: None,
                review_result: None,
                review_ref: review.then(|| "ref".into()),
                evidence: None,
                policy_metadata: None,
            })
            .collect()
    })
}

fn board<'a>(rows: impl Iterator<Item = &'a LaneRow>) -> Snapshot {
    let rows: Vec<Row> = rows.cloned().map(Row::Lane).collect();
    reduce(&[&Log::of(Path::new("f"), &rows)], Dialect::Rc11)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn no_text_makes_a_parser_of_documents_panic(text in markdown()) {
        tasks::dependency_graph(&text);
        tasks::requirement_graph(&text);
        tasks::spec_requirements(&text);
        for id in ["WP01", "WP02", "", "é"] {
            tasks::unchecked_subtasks(&text, id);
            tasks::subtasks_are_complete(&text, id);
            tasks::owner_of_subtask(&text, id);
        }
        placeholder_check::spec_is_substantive(&text);
        placeholder_check::plan_is_substantive(&text);
        infer_ownership(&text, "m");
        surfaces(&text);
        slug::is_kebab(&text);
        slug::human(&text);
        slug::leading_number(&text);
        let _ = WorkPackage::parse(Path::new("f"), text.clone());
        let _ = wps::parse(Path::new("f"), &text);
        let _ = evidence::plan::parse(Path::new("f"), &text);
        let _ = Ledger::parse(Path::new("f"), &text);
        let _ = Meta::parse(Path::new("f"), &text);
    }

    #[test]
    fn no_bytes_make_the_log_panic(bytes in vec(any::<u8>(), 0..400)) {
        let _ = Log::parse(Path::new("f"), &bytes);
    }

    #[test]
    fn marking_and_marking_back_ends_where_it_began(text in markdown(), id in "T00[1-3]") {
        if let Marked::Changed(done) = tasks::mark_subtask(&text, &id, SubtaskState::Done) {
            prop_assert_eq!(tasks::mark_subtask(&done, &id, SubtaskState::Done), Marked::Already);
            let Marked::Changed(pending) = tasks::mark_subtask(&done, &id, SubtaskState::Pending) else { panic!() };
            prop_assert!(!pending.contains('✅') || text.contains('✅'));
        }
        let entry = ActivityEntry { at: "T", actor: "a", shell_pid: None, note: "n" };
        let noted = with_entry(&text, &entry);
        let end = if text.contains("\r\n") { "\r\n" } else { "\n" };
        let line = ["- T – a – n", end].concat();
        prop_assert!(noted.contains(&line));
    }

    #[test]
    fn front_matter_edit_reads_back_and_keeps_the_rest(
        value in "\\PC{0,30}", items in vec("\\PC{0,12}", 0..4), body in markdown(), note in "[a-z ]{0,10}"
    ) {
        let file = format!("---\nwork_package_id: WP01\n# {note}\nother: {{a: [1, 2]}}\ntitle: old\n---\n{body}");
        let wp = WorkPackage::parse(Path::new("f"), file).unwrap();
        let changes = [("title", Scalar::Text(value.clone())), ("dependencies", Scalar::List(items.clone()))];
        let text = edit(&wp, &changes).unwrap();
        let again = WorkPackage::parse(Path::new("f"), text.clone()).unwrap();
        prop_assert_eq!(again.get("title").unwrap(), &serde_json::Value::from(value));
        prop_assert_eq!(again.get("dependencies").unwrap(), &serde_json::Value::from(items));
        prop_assert_eq!(again.get("other"), wp.get("other"));
        prop_assert_eq!(again.body(), wp.body());
        let note = format!("# {note}\n");
        prop_assert!(text.contains(&note));
        prop_assert_eq!(edit(&again, &changes).unwrap(), text);
    }

    #[test]
    fn reducing_does_not_depend_on_the_order_or_on_repetition(rows in rows(), seed in any::<u64>()) {
        let once = board(rows.iter());
        let mut mixed: Vec<_> = rows.iter().chain(rows.iter().take(5)).collect();
        let length = mixed.len();
        for n in 1..length {
            mixed.swap(n, (seed as usize).wrapping_mul(n * 2 + 1) % (n + 1));
        }
        prop_assert_eq!(&board(mixed.into_iter()), &once);
        prop_assert_eq!(once.event_count, rows.len());
        let total: usize = once.summary().iter().map(|(_, count)| count).sum();
        prop_assert_eq!(total, once.work_packages.len());
    }

    #[test]
    fn log_of_rows_reads_back(rows in rows()) {
        let world = tempfile::tempdir().unwrap();
        let log = Log::parse(&world.path().join(log::FILE), b"");
        let wanted: Vec<_> = rows.into_iter().map(Row::Lane).collect();
        std::fs::write(log.path(), log.plan_append(&wanted).unwrap()).unwrap();
        let mut read = Vec::new();
        log::each_row(world.path(), |row| read.push(row)).unwrap();
        prop_assert_eq!(&read, &wanted);
        let read = log::read_log(world.path()).unwrap();
        let board = |log: &Log| reduce(&[log], Dialect::Current);
        prop_assert_eq!(board(&read), board(&Log::of(log.path(), &wanted)));
    }

    #[test]
    fn every_work_package_is_in_exactly_one_lane(edges in vec((0..8_u8, 0..8_u8), 0..14), planning in 0..8_u8) {
        let id = |n: u8| format!("WP{n:02}");
        let mut graph: Graph = (0..8).map(|n| (id(n), Vec::new())).collect();
        for (a, b) in edges.iter().filter(|(a, b)| a != b) {
            // Forward edges only: a graph with a cycle is refused earlier.
            graph.get_mut(&id(*a.max(b))).unwrap().push(id(*a.min(b)));
        }
        let owners: BTreeMap<_, _> = (0..8_u8)
            .map(|n| {
                let text = if n == planning { "kitty-specs/m/spec.md".to_owned() } else { format!("src/{n}/x.rs") };
                (id(n), infer_ownership(&text, "m").0)
            })
            .collect();
        match compute(Grouping::ByFiles, &graph, &owners, &BTreeMap::new()) {
            Ok(allocation) => {
                let mut seen: Vec<_> = allocation.lanes.iter().flat_map(|lane| lane.wp_ids.clone()).collect();
                seen.sort_unstable();
                prop_assert_eq!(seen, graph.keys().cloned().collect::<Vec<_>>());
                for lane in &allocation.lanes {
                    prop_assert!(!lane.depends_on_lanes.contains(&lane.lane_id));
                }
            }
            Err(error) => prop_assert!(error.to_string().contains("lane-planning"), "{}", error),
        }
        prop_assert!(graph::cycles(&graph).is_empty());
    }

    #[test]
    fn patterns_match_themselves_and_overlap_both_ways(a in "[a-z/*?.]{0,12}", b in "[a-z/*?.]{0,12}") {
        prop_assert!(pattern::overlap(&a, &a));
        prop_assert_eq!(pattern::overlap(&a, &b), pattern::overlap(&b, &a));
        prop_assert!(pattern::matches(&a, "*"));
        let _ = pattern::quoted(&a);
    }

    #[test]
    fn json_lines_are_ascii_and_read_back(text in any::<String>(), number in any::<i64>()) {
        let value = serde_json::json!({ "b": text, "a": [number, null], "é": {} });
        let line = json::sorted_line(&value);
        prop_assert!(line.is_ascii());
        prop_assert_eq!(serde_json::from_str::<serde_json::Value>(&line).unwrap(), value.clone());
        prop_assert_eq!(serde_json::from_str::<serde_json::Value>(&json::sorted_document(&value)).unwrap(), value);
    }
}

#[test]
fn hostile_document_of_megabytes_is_read_at_once() {
    for unit in [
        "[",
        "<!--",
        "```\n",
        "Depends on WP01,\n",
        "| Dependencies: WP01 and ",
        "[NEEDS CLARIFICATION:",
        "depend on WP01,",
        "- [ ] ",
        "## WP01\n",
        "src/",
        "| T001 ",
        "#### ",
        "Dependencies:",
    ] {
        let text = unit.repeat(2_000_000 / unit.len()) + "]";
        placeholder_check::spec_is_substantive(&format!("- FR-001: {text}"));
        tasks::dependency_graph(&text);
        tasks::unread_dependencies(&text);
        tasks::spec_requirements(&format!("# Requirements\n{text}"));
        tasks::requirement_graph(&text);
        tasks::unchecked_subtasks(&text, "WP01");
        tasks::mark_subtask(&text, "T001", SubtaskState::Done);
        tasks::mark_table_row(&text, "T001", SubtaskState::Done);
        infer_ownership(&text, "m");
        let ledger =
            Ledger::parse(Path::new("f"), r#"{"version": 1, "mission_id": "m", "entries": []}"#).unwrap();
        mission::decision::verify_markers(&ledger, &[("spec.md", &text)]);
    }
}
