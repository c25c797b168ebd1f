use super::{cases, deliberate, report};
use mission::log::{LaneRow, Row, each_row};
use mission::transition::{Review, TransitionFacts, is_in_matrix, is_rejection, judge_transition};
use mission::{Dialect, Lane};
use serde_json::Value;

/// The reference judged each row with every flag granted and the review result taken from the evidence.
fn judged(row: &LaneRow) -> bool {
    let review: Option<Review> = row
        .evidence
        .as_ref()
        .and_then(|evidence| serde_json::from_value(evidence.get("review")?.clone()).ok());
    let with = TransitionFacts {
        actor: &row.actor,
        force: row.force,
        reason: row.reason.as_deref(),
        evidence: review.as_ref(),
        review_result: review.as_ref(),
        workspace: Some("somewhere"),
        subtasks_complete: true,
        implementation_evidence: true,
        review_ref: row.review_ref.as_deref(),
        dialect: Dialect::Rc11,
    };
    judge_transition(row.from_lane, row.to_lane, &with).is_ok()
}

#[test]
#[ignore = "needs the recorded data"]
fn every_recorded_lane_change_gets_the_verdict_of_the_reference() {
    let cases = cases("status");
    let (mut total, mut differing, mut rejections) = (0, Vec::new(), 0);
    for case in &cases {
        let mut rows = Vec::new();
        let keep = |row| {
            rows.extend(match row {
                Row::Lane(row) => Some(row),
                _ => None,
            })
        };
        each_row(&case.directory, keep).unwrap();
        let verdicts = case.expected["transitions"].as_array().unwrap();
        assert_eq!(rows.len(), verdicts.len(), "{}", case.mission);
        for verdict in verdicts {
            let cell = |index: usize| &verdict[index];
            let row = rows.iter().find(|row| cell(0) == &Value::from(row.event_id.as_str())).unwrap();
            let in_matrix = is_in_matrix(row.from_lane, row.to_lane);
            // Requirement C-004 refuses what the reference lets pass with a reason or a review.
            if !row.force && is_rejection(row.from_lane, row.to_lane) {
                assert!(!judged(row), "{} {verdict}", case.mission);
                rejections += 1;
                continue;
            }
            total += 1;
            if u64::from(in_matrix) != cell(6).as_u64().unwrap()
                || u64::from(judged(row)) != cell(7).as_u64().unwrap()
            {
                differing.push(format!("{} {verdict}", case.mission));
            }
        }
    }
    deliberate("unforced review rejection", &format!("{rejections} rows"));
    report("transition verdicts", total, &differing);
    assert!(is_in_matrix(Lane::InReview, Lane::Planned));
}
