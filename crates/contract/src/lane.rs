//! The lanes of a work package: one vocabulary for files, commands and events.
//!
//! Transitions: `event::transition` has the rules of the published contract, the `mission` crate those of a
//! mission's status machine.

use serde::{Deserialize, Serialize};
use std::fmt;

/// State of a work package.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    strum::IntoStaticStr,
    strum::EnumString,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Lane {
    /// Not started.
    Planned,
    /// Assigned.
    Claimed,
    /// Being worked on.
    InProgress,
    /// Waiting for a reviewer.
    ForReview,
    /// Being reviewed.
    InReview,
    /// Reviewed and accepted.
    Approved,
    /// Merged.
    Done,
    /// Cannot continue.
    Blocked,
    /// Will not be done.
    Canceled,
    /// Exists and is not seeded: the state before `planned`. Only logs have it; releases since 3.2.0 write it.
    Genesis,
    /// Has no lane row. Only logs have it; no release writes a move to it.
    Uninitialized,
}

impl Lane {
    /// Every lane of a board, in the order of summaries and boards.
    pub const ALL: [Self; 9] = [
        Self::Planned,
        Self::Claimed,
        Self::InProgress,
        Self::ForReview,
        Self::InReview,
        Self::Approved,
        Self::Done,
        Self::Blocked,
        Self::Canceled,
    ];

    /// The name in files and events.
    pub fn name(self) -> &'static str {
        self.into()
    }

    /// Whether boards, commands and events have it.
    pub const fn is_on_board(self) -> bool {
        !matches!(self, Self::Genesis | Self::Uninitialized)
    }

    /// The lane of exactly this name in a log, which has two more than boards.
    pub fn from_log(name: &str) -> Option<Self> {
        name.parse().ok()
    }

    /// The lane of exactly this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::from_log(name).filter(|lane| lane.is_on_board())
    }

    /// The lane of an event: the alias `doing`, which the published contract allows, is `in_progress`.
    /// Case matters.
    pub fn from_event(name: &str) -> Option<Self> {
        if name == "doing" { Some(Self::InProgress) } else { Self::from_name(name) }
    }

    /// The lane of user input: trimmed, in any case, and `doing` for `in_progress`.
    pub fn from_input(text: &str) -> Option<Self> {
        Self::from_event(&text.trim().to_lowercase())
    }

    /// Whether leaving this lane requires force.
    pub const fn is_terminal(self) -> bool {
        matches!(self, Self::Done | Self::Canceled)
    }

    /// Position on the path to `done`; none for a lane beside it.
    pub const fn progress(self) -> Option<u8> {
        match self {
            Self::Planned => Some(0),
            Self::Claimed => Some(1),
            Self::InProgress => Some(2),
            Self::ForReview => Some(3),
            Self::InReview => Some(4),
            Self::Approved => Some(5),
            Self::Done => Some(6),
            Self::Blocked | Self::Canceled | Self::Genesis | Self::Uninitialized => None,
        }
    }

    /// Whether `to` precedes this lane on the path to `done`.
    pub fn is_backward_to(self, to: Self) -> bool {
        self.progress().zip(to.progress()).is_some_and(|(here, there)| there < here)
    }
}

impl fmt::Display for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::Lane;

    #[test]
    fn doing_is_an_alias_in_input_and_events_not_in_files() {
        assert_eq!(Lane::from_input(" Doing "), Some(Lane::InProgress));
        assert_eq!(Lane::from_input("FOR_REVIEW"), Some(Lane::ForReview));
        assert_eq!(Lane::from_name("doing"), None);
        assert_eq!(Lane::from_input("review"), None);
        assert_eq!(Lane::from_event("doing"), Some(Lane::InProgress));
        assert_eq!(Lane::from_event("Planned"), None);
        for lane in Lane::ALL {
            assert_eq!(serde_json::to_value(lane).unwrap(), lane.name());
            assert_eq!(Lane::from_name(lane.name()), Some(lane));
        }
    }

    #[test]
    fn lanes_before_planned_are_in_logs_only() {
        for lane in [Lane::Genesis, Lane::Uninitialized] {
            assert_eq!(Lane::from_log(lane.name()), Some(lane));
            assert_eq!(serde_json::to_value(lane).unwrap(), lane.name());
            assert!(Lane::from_input(lane.name()).is_none() && Lane::from_event(lane.name()).is_none());
            assert!(!lane.is_on_board() && !Lane::ALL.contains(&lane));
        }
        assert_eq!(Lane::from_log("done"), Some(Lane::Done));
        assert_eq!(Lane::from_log("doing"), None);
    }

    #[test]
    fn blocked_has_no_position_on_the_path() {
        assert!(Lane::Approved.is_backward_to(Lane::Planned));
        assert!(!Lane::Planned.is_backward_to(Lane::Planned));
        assert!(!Lane::Blocked.is_backward_to(Lane::Planned));
    }
}
