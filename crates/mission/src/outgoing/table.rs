//! Table of local rows and the events that they become.
//!
//! Exhaustive: a new kind of row does not compile until it is decided whether it is sent. The
//! table in `docs/events.md` is compared with this one by a test.

use crate::log::{FactKind, Row};
use contract::event::kind;

/// The event of a local row, or why it is not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventMapping {
    /// As an event of this type, with the id of the row.
    SentAs(&'static str),
    /// Not sent; the text is the reason.
    NotSent(&'static str),
}

/// The event of a fact, or why it is not sent.
pub(crate) const fn event_of_fact(fact: FactKind) -> EventMapping {
    match fact {
        FactKind::MissionCreated => EventMapping::SentAs(kind::MISSION_CREATED),
        FactKind::SpecifyStarted => EventMapping::SentAs(kind::SPECIFY_STARTED),
        FactKind::SpecifyCompleted => EventMapping::SentAs(kind::SPECIFY_COMPLETED),
        FactKind::PlanStarted => EventMapping::SentAs(kind::PLAN_STARTED),
        FactKind::PlanCompleted => EventMapping::SentAs(kind::PLAN_COMPLETED),
        FactKind::TasksStarted => EventMapping::SentAs(kind::TASKS_STARTED),
        FactKind::TasksCompleted => EventMapping::SentAs(kind::TASKS_COMPLETED),
        FactKind::WPCreated => EventMapping::SentAs(kind::WP_CREATED),
        FactKind::ReviewerSelfApproval => EventMapping::NotSent("the published contract has no type for it"),
        FactKind::DecisionPointOpened | FactKind::DecisionPointResolved => EventMapping::NotSent(
            "decisions are local: opening and closing one needs no login and no boundary",
        ),
    }
}

/// The event of a row, or why it is not sent.
pub(crate) fn event_of_row(row: &Row) -> EventMapping {
    match row {
        Row::Lane(_) => EventMapping::SentAs(kind::WP_STATUS_CHANGED),
        Row::Fact(fact) => event_of_fact(fact.kind),
        Row::Annotation(row) if row.note().is_some() => EventMapping::SentAs(kind::HISTORY_ADDED),
        Row::Annotation(_) => EventMapping::NotSent("the published contract has no type for it"),
        Row::Other(_) => EventMapping::NotSent("the row of another producer is that producer's to send"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use strum::VariantArray as _;

    #[test]
    fn table_in_the_docs_is_this_one() {
        let docs =
            std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/events.md")).unwrap();
        let mut expected = vec![
            ("lane change".to_owned(), EventMapping::SentAs(kind::WP_STATUS_CHANGED)),
            ("annotation with a note".to_owned(), EventMapping::SentAs(kind::HISTORY_ADDED)),
            ("annotation without a note".to_owned(), EventMapping::NotSent("")),
        ];
        expected.extend(
            FactKind::VARIANTS.iter().map(|fact| (format!("`{}`", fact.name()), event_of_fact(*fact))),
        );
        for (row, mapping) in expected {
            let cell = match mapping {
                EventMapping::SentAs(event) => format!("| {row} | `{event}` |"),
                EventMapping::NotSent(_) => format!("| {row} | not sent |"),
            };
            assert!(docs.contains(&cell), "docs/events.md lacks: {cell}");
        }
    }
}
