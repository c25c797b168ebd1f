//! Lane transitions that the published contract allows.
//!
//! They decide whether an event is valid. The status machine of a mission, in the `mission` crate, also
//! demands evidence, subtasks and ownership.

use crate::Lane;

/// A lane transition in an event.
#[derive(Clone, Copy, Debug)]
pub struct Move<'a> {
    /// None for the first event of a work package.
    pub from: Option<Lane>,
    /// The new lane.
    pub to: Lane,
    /// Whether the matrix is overridden.
    pub force: bool,
    /// Its reason; blank counts as absent.
    pub reason: Option<&'a str>,
    /// The review that sent it back; blank counts as absent.
    pub review_ref: Option<&'a str>,
}

/// The violations in the contract's wording; empty when the transition is allowed.
///
/// Consumers look for `force=True` and `review-rejection` in these texts, so both stay.
pub(crate) fn violations(step: &Move<'_>) -> Vec<String> {
    let mut out = Vec::new();
    let leaves_terminal = step.from.is_some_and(Lane::is_terminal);
    if leaves_terminal && !step.force {
        out.push(format!("{} is terminal: leaving it requires force=True", name_of(step.from)));
    }
    if is_review_rejection(step) && !step.force {
        out.push(format!("review-rejection {} -> {} requires force=True", name_of(step.from), step.to));
    }
    if !step.force && !in_matrix(step.from, step.to) {
        out.push(format!("the transition {} -> {} is not allowed", name_of(step.from), step.to));
    }
    let sent_back = matches!(step.from, Some(Lane::ForReview | Lane::InReview | Lane::Approved))
        && matches!(step.to, Lane::InProgress | Lane::Planned);
    if sent_back && !(step.force && is_review_rejection(step)) && is_blank(step.review_ref) {
        out.push(format!("{} -> {} requires review_ref", name_of(step.from), step.to));
    }
    if step.from == Some(Lane::InProgress) && step.to == Lane::Planned && is_blank(step.reason) {
        out.push("in_progress -> planned requires reason".to_owned());
    }
    out
}

/// A deliberate step back to `planned`, which must be forced.
fn is_review_rejection(step: &Move<'_>) -> bool {
    step.to == Lane::Planned
        && matches!(step.from, Some(Lane::InProgress | Lane::ForReview | Lane::InReview | Lane::Approved))
}

fn in_matrix(from: Option<Lane>, to: Lane) -> bool {
    use Lane::{Approved, Blocked, Canceled, Claimed, Done, ForReview, InProgress, InReview, Planned};
    let Some(from) = from else { return to == Planned };
    match to {
        Blocked | Canceled => !from.is_terminal(),
        Planned => matches!(from, InProgress | ForReview | InReview | Approved),
        Claimed => from == Planned,
        InProgress => matches!(from, Claimed | ForReview | InReview | Approved | Blocked),
        ForReview => matches!(from, InProgress | InReview),
        InReview => from == ForReview,
        Approved => matches!(from, InProgress | ForReview | InReview),
        Done => matches!(from, ForReview | InReview | Approved),
        // No event names them.
        Lane::Genesis | Lane::Uninitialized => false,
    }
}

fn name_of(lane: Option<Lane>) -> &'static str {
    lane.map_or("none", Lane::name)
}

fn is_blank(text: Option<&str>) -> bool {
    text.is_none_or(|text| text.trim().is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(from: Option<Lane>, to: Lane) -> Move<'static> {
        Move { from, to, force: false, reason: None, review_ref: None }
    }

    #[test]
    fn forward_transition_needs_no_field() {
        let way =
            [Lane::Planned, Lane::Claimed, Lane::InProgress, Lane::ForReview, Lane::InReview, Lane::Approved];
        for pair in way.windows(2) {
            assert!(violations(&plain(Some(pair[0]), pair[1])).is_empty(), "{pair:?}");
        }
        assert!(violations(&plain(None, Lane::Planned)).is_empty());
        assert!(!violations(&plain(None, Lane::Claimed)).is_empty());
    }

    #[test]
    fn step_back_to_planned_requires_force() {
        for from in [Lane::InProgress, Lane::ForReview, Lane::InReview, Lane::Approved] {
            let step =
                Move { reason: Some("because"), review_ref: Some("r"), ..plain(Some(from), Lane::Planned) };
            let text = violations(&step).join("; ");
            assert!(text.contains("force=True") && text.contains("review-rejection"), "{text}");
            assert!(violations(&Move { force: true, ..step }).is_empty());
        }
    }

    #[test]
    fn force_does_not_excuse_a_missing_review_reference() {
        let step = Move { force: true, reason: Some("x"), ..plain(Some(Lane::InReview), Lane::InProgress) };
        assert_eq!(violations(&step), ["in_review -> in_progress requires review_ref"]);
    }

    #[test]
    fn terminal_lanes_are_left_by_force_only() {
        for from in [Lane::Done, Lane::Canceled] {
            for to in Lane::ALL {
                assert!(!violations(&plain(Some(from), to)).is_empty(), "{from} -> {to}");
            }
        }
    }
}
