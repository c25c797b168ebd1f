//! Rules of lane changes: the allowed pairs, and what each requires.
//!
//! Pure. Force allows any pair, given an actor and a reason, but for the lanes that no board has. The rule of force
//! (requirement C-004) in an rc11 mission: a review rejection is never allowed without `force` and a reason. It is a
//! move to `planned` from `in_progress`, `for_review`, `in_review` or `approved`, or to `in_progress` from the last
//! two. In a current mission it needs what 3.2.7 asks: a reason, or the review.

use crate::dialect::Dialect;
use crate::lane::Lane;
use serde::{Deserialize, Serialize};

/// Reason why a lane change was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No such lane.
    #[error(
        "Unknown lane `{0}`: use one of planned, claimed, in_progress, for_review, in_review, approved, done, blocked, canceled"
    )]
    UnknownLane(String),
    /// The pair is not in the matrix.
    #[error("Illegal transition: {from} -> {to}")]
    Pair {
        /// From.
        from: Lane,
        /// To.
        to: Lane,
    },
    /// Force without an actor or a reason.
    #[error("Force transitions require actor and reason")]
    ForceNeedsReason,
    /// A review rejection without force.
    #[error(
        "Transition {from} -> {to} is of the review-rejection family: it needs force=True and a reason (--force --reason TEXT)"
    )]
    RejectionNeedsForce {
        /// From.
        from: Lane,
        /// To.
        to: Lane,
    },
    /// A guard of the pair does not hold.
    #[error("Transition {from} -> {to} requires {needs}")]
    Guard {
        /// From.
        from: Lane,
        /// To.
        to: Lane,
        /// The missing part.
        needs: &'static str,
    },
}

impl Refusal {
    pub(crate) const fn remedy(&self) -> &'static str {
        match self {
            Self::UnknownLane(_) => {
                "pass one of these lanes; `spec-kitty agent status show` shows where each work package is"
            }
            Self::Pair { .. } => {
                "move it by the lanes between (`agent tasks move-task` does), or pass --force with a reason"
            }
            Self::ForceNeedsReason => "give both: --actor NAME --reason TEXT",
            Self::RejectionNeedsForce { .. } => {
                "pass --force with --reason, or use `spec-kitty agent tasks move-task`, which keeps the review"
            }
            Self::Guard { .. } => "give what is missing, or pass --force with a reason",
        }
    }
}

/// The verdict that `approved` and `done` need.
pub(crate) const APPROVED: &str = "approved";

/// Conclusion of a reviewer: the evidence of `approved` and `done`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Review {
    /// The reviewer.
    pub reviewer: String,
    /// Conclusion, for example `approved`.
    pub verdict: String,
    /// Reference to the review.
    pub reference: String,
}

impl Review {
    /// Whether it approves.
    pub fn approves(&self) -> bool {
        self.is_complete() && self.verdict.trim() == APPROVED
    }

    /// Whether all three parts have a text.
    pub(crate) fn is_complete(&self) -> bool {
        [&self.reviewer, &self.verdict, &self.reference].into_iter().all(|part| !part.trim().is_empty())
    }
}

/// Facts about a lane change that the guards examine.
#[derive(Clone, Copy, Debug, Default)]
pub struct TransitionFacts<'a> {
    /// Actor of the move.
    pub actor: &'a str,
    /// Whether the move is forced.
    pub force: bool,
    /// Reason.
    pub reason: Option<&'a str>,
    /// The evidence of an approval.
    pub evidence: Option<&'a Review>,
    /// Conclusion of the review, for a move out of `in_review`.
    pub review_result: Option<&'a Review>,
    /// Place of the work.
    pub workspace: Option<&'a str>,
    /// Whether no subtask is left unchecked.
    pub subtasks_complete: bool,
    /// Whether there is a trace of the implementation.
    pub implementation_evidence: bool,
    /// Reference to the review.
    pub review_ref: Option<&'a str>,
    /// Dialect of the mission.
    pub dialect: Dialect,
}

/// Requirement of an allowed pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Guard {
    None,
    Actor,
    Workspace,
    WorkComplete,
    Evidence,
    Reason,
    ReviewRef,
    ReviewResult,
    /// The same, and it approves.
    Approval,
}

/// The guard of a pair; none when the pair is not in the matrix.
const fn guard(from: Lane, to: Lane) -> Option<Guard> {
    use Lane::{
        Approved, Blocked, Canceled, Claimed, Done, ForReview, Genesis, InProgress, InReview, Planned,
    };
    Some(match (from, to) {
        (Planned, Claimed) | (ForReview, InReview) => Guard::Actor,
        (Claimed, InProgress) => Guard::Workspace,
        (InProgress, ForReview) => Guard::WorkComplete,
        (InProgress, Approved) | (Approved, Done) => Guard::Evidence,
        (InProgress, Planned) => Guard::Reason,
        (Approved, Planned | InProgress) => Guard::ReviewRef,
        (InReview, Approved | Done) => Guard::Approval,
        (InReview, Planned | InProgress | Blocked | Canceled) => Guard::ReviewResult,
        (Genesis, Planned | Canceled)
        | (Planned | Claimed | InProgress | ForReview | Approved, Blocked | Canceled)
        | (Blocked, InProgress | Canceled) => Guard::None,
        _ => return None,
    })
}

/// Whether the pair can happen without force at all.
pub const fn is_in_matrix(from: Lane, to: Lane) -> bool {
    guard(from, to).is_some()
}

/// Whether the pair is a review rejection.
pub const fn is_rejection(from: Lane, to: Lane) -> bool {
    match to {
        Lane::Planned => {
            matches!(from, Lane::InProgress | Lane::ForReview | Lane::InReview | Lane::Approved)
        }
        Lane::InProgress => matches!(from, Lane::InReview | Lane::Approved),
        _ => false,
    }
}

/// Judges one lane change.
pub fn judge_transition(from: Lane, to: Lane, with: &TransitionFacts<'_>) -> Result<(), Refusal> {
    if !to.is_on_board() {
        return Err(Refusal::Pair { from, to });
    }
    if with.force {
        let named = has_text(Some(with.actor)) && has_text(with.reason);
        return if named { Ok(()) } else { Err(Refusal::ForceNeedsReason) };
    }
    if is_rejection(from, to) && with.dialect == Dialect::Rc11 {
        return Err(Refusal::RejectionNeedsForce { from, to });
    }
    match missing(guard(from, to).ok_or(Refusal::Pair { from, to })?, with) {
        None => Ok(()),
        Some(needs) => Err(Refusal::Guard { from, to, needs }),
    }
}

fn has_text(text: Option<&str>) -> bool {
    text.is_some_and(|text| !text.trim().is_empty())
}

/// Part that a guard requires and the facts lack.
fn missing(guard: Guard, with: &TransitionFacts<'_>) -> Option<&'static str> {
    let lacks = |holds: bool, needs: &'static str| (!holds).then_some(needs);
    match guard {
        Guard::None => None,
        Guard::Actor => lacks(has_text(Some(with.actor)), "an actor"),
        Guard::Workspace => lacks(has_text(with.workspace), "a workspace context"),
        Guard::WorkComplete if !with.subtasks_complete => Some("every subtask done (or --subtasks-complete)"),
        Guard::WorkComplete => lacks(
            with.implementation_evidence,
            "implementation evidence: an earlier lane event of this work package (or --implementation-evidence-present)",
        ),
        Guard::Evidence => lacks(
            with.evidence.is_some_and(Review::approves),
            "evidence with review.reviewer, review.reference and the review.verdict `approved`",
        ),
        Guard::Reason => lacks(has_text(with.reason), "a reason"),
        Guard::ReviewRef => lacks(has_text(with.review_ref), "a review reference (--review-ref)"),
        Guard::ReviewResult => review_result(with, false),
        Guard::Approval => review_result(with, true),
    }
}

/// Part that the review of a move out of `in_review` lacks. Reference and evidence, where given, are of that review.
fn review_result(with: &TransitionFacts<'_>, approves: bool) -> Option<&'static str> {
    let Some(result) = with.review_result.filter(|result| result.is_complete()) else {
        return Some("review_result: a reviewer, a verdict and a reference (structured review outcome)");
    };
    if approves && !result.approves() {
        return Some("a review with the verdict `approved`");
    }
    if with.review_ref.is_some_and(|reference| has_text(Some(reference)) && reference != result.reference) {
        return Some("a review reference (--review-ref) that is the reference of the review");
    }
    (with.evidence.is_some_and(|evidence| evidence != result)).then_some("evidence of the same review")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn review() -> Review {
        Review { reviewer: "r".into(), verdict: "approved".into(), reference: "pr/1".into() }
    }

    #[test]
    fn rejection_is_refused_without_force_whatever_it_brings() {
        let review = review();
        let with = TransitionFacts {
            actor: "a",
            reason: Some("why"),
            evidence: Some(&review),
            review_result: Some(&review),
            ..TransitionFacts::default()
        };
        let reviewed = [Lane::InReview, Lane::Approved].map(|from| (from, Lane::InProgress));
        let planned = [Lane::InProgress, Lane::ForReview, Lane::InReview, Lane::Approved];
        for (from, to) in planned.map(|from| (from, Lane::Planned)).into_iter().chain(reviewed) {
            let refusal = judge_transition(from, to, &with).unwrap_err();
            let text = refusal.to_string();
            assert!(text.contains("force=True") && text.contains("review-rejection"), "{text}");
            judge_transition(from, to, &TransitionFacts { force: true, ..with }).unwrap();
        }
    }

    #[test]
    fn force_opens_every_pair_and_needs_an_actor_and_a_reason() {
        for from in Lane::ALL {
            for to in Lane::ALL {
                let forced =
                    TransitionFacts { actor: "a", force: true, reason: Some("r"), ..Default::default() };
                judge_transition(from, to, &forced).unwrap();
                for lacking in [
                    TransitionFacts { actor: " ", ..forced },
                    TransitionFacts { reason: None, ..forced },
                    TransitionFacts { reason: Some("\t"), ..forced },
                ] {
                    assert_eq!(judge_transition(from, to, &lacking), Err(Refusal::ForceNeedsReason));
                }
            }
        }
    }

    #[test]
    fn terminal_lanes_and_standing_still_take_force() {
        let with = TransitionFacts { actor: "a", ..Default::default() };
        for lane in Lane::ALL {
            assert!(judge_transition(lane, lane, &with).is_err(), "{lane}");
            for terminal in [Lane::Done, Lane::Canceled] {
                assert!(!is_in_matrix(terminal, lane), "{terminal} -> {lane}");
            }
        }
    }

    #[test]
    fn every_guard_names_what_it_misses() {
        let bare = TransitionFacts { actor: "a", ..Default::default() };
        for (from, to, word) in [
            (Lane::Claimed, Lane::InProgress, "workspace"),
            (Lane::InProgress, Lane::ForReview, "subtask"),
            (Lane::InProgress, Lane::Approved, "evidence"),
            (Lane::InReview, Lane::Done, "review_result"),
        ] {
            let text = judge_transition(from, to, &bare).unwrap_err().to_string();
            assert!(text.contains(word), "{text}");
        }
        judge_transition(Lane::ForReview, Lane::InReview, &bare).unwrap();
        let current = TransitionFacts { dialect: Dialect::Current, ..bare };
        for (from, to, word) in [
            (Lane::InProgress, Lane::Planned, "a reason"),
            (Lane::Approved, Lane::Planned, "--review-ref"),
            (Lane::InReview, Lane::Planned, "review_result"),
        ] {
            let text = judge_transition(from, to, &current).unwrap_err().to_string();
            assert!(text.contains(word), "{text}");
        }
    }

    #[test]
    fn approval_needs_the_verdict_and_one_review() {
        let review = |reviewer: &str, verdict: &str| Review {
            reviewer: reviewer.into(),
            verdict: verdict.into(),
            reference: "r".into(),
        };
        let (good, other, bad) =
            (review("a", "approved"), review("b", "approved"), review("a", "changes_requested"));
        let with = TransitionFacts {
            actor: "a",
            review_result: Some(&good),
            evidence: Some(&good),
            review_ref: Some("r"),
            dialect: Dialect::Current,
            ..Default::default()
        };
        judge_transition(Lane::InReview, Lane::Approved, &with).unwrap();
        for wrong in [
            TransitionFacts { evidence: Some(&other), ..with },
            TransitionFacts { review_ref: Some("s"), ..with },
            TransitionFacts { review_result: Some(&bad), evidence: None, ..with },
        ] {
            assert!(judge_transition(Lane::InReview, Lane::Approved, &wrong).is_err());
        }
        let rejected = TransitionFacts { review_result: Some(&bad), evidence: None, ..with };
        judge_transition(Lane::InReview, Lane::Planned, &rejected).unwrap();
        let by_evidence = TransitionFacts { evidence: Some(&bad), ..with };
        assert!(judge_transition(Lane::InProgress, Lane::Approved, &by_evidence).is_err());
    }

    #[test]
    fn force_never_leads_to_a_lane_that_no_board_has() {
        let with = TransitionFacts { actor: "a", force: true, reason: Some("r"), ..Default::default() };
        for to in [Lane::Genesis, Lane::Uninitialized] {
            assert!(judge_transition(Lane::Planned, to, &with).is_err());
        }
        judge_transition(Lane::Genesis, Lane::Done, &with).unwrap();
    }
}
