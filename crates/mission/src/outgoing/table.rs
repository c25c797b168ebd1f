//! Table of local rows and the events that they become.
//!
//! Exhaustive: a new kind of row does not compile until it is decided whether it is sent. The
//! table in `docs/events.md` is compared with this one by a test.

use crate::log::{FactKind, Row};
use contract::event::kind;

/// The event of a local row, or why it is not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Travels {
    /// As an event of this type, with the id of the row.
    As(&'static str),
    /// Not sent; the text is the reason.
    Never(&'static str),
}

/// The event of a fact, or why it is not sent.
pub(crate) const fn fact_travels(fact: FactKind) -> Travels {
    match fact {
        FactKind::MissionCreated => Travels::As(kind::MISSION_CREATED),
        FactKind::SpecifyStarted => Travels::As(kind::SPECIFY_STARTED),
        FactKind::SpecifyCompleted => Travels::As(kind::SPECIFY_COMPLETED),
        FactKind::PlanStarted => Travels::As(kind::PLAN_STARTED),
        FactKind::PlanCompleted => Travels::As(kind::PLAN_COMPLETED),
        FactKind::TasksStarted => Travels::As(kind::TASKS_STARTED),
        FactKind::TasksCompleted => Travels::As(kind::TASKS_COMPLETED),
        FactKind::WPCreated => Travels::As(kind::WP_CREATED),
        FactKind::ReviewerSelfApproval => Travels::Never("the published contract has no type for it"),
        FactKind::DecisionPointOpened | FactKind::DecisionPointResolved => {
            Travels::Never("decisions are local: opening and closing one needs no login and no boundary")
        }
    }
}

/// The event of a row, or why it is not sent.
pub(crate) fn row_travels(row: &Row) -> Travels {
    match row {
        Row::Lane(_) => Travels::As(kind::WP_STATUS_CHANGED),
        Row::Fact(fact) => fact_travels(fact.kind),
        Row::Annotation(row) if row.note().is_some() => Travels::As(kind::HISTORY_ADDED),
        Row::Annotation(_) => Travels::Never("the published contract has no type for it"),
        Row::Other(_) => Travels::Never("the row of another producer is that producer's to send"),
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
            ("lane change".to_owned(), Travels::As(kind::WP_STATUS_CHANGED)),
            ("annotation with a note".to_owned(), Travels::As(kind::HISTORY_ADDED)),
            ("annotation without a note".to_owned(), Travels::Never("")),
        ];
        expected.extend(
            FactKind::VARIANTS.iter().map(|fact| (format!("`{}`", fact.name()), fact_travels(*fact))),
        );
        for (row, travels) in expected {
            let cell = match travels {
                Travels::As(event) => format!("| {row} | `{event}` |"),
                Travels::Never(_) => format!("| {row} | not sent |"),
            };
            assert!(docs.contains(&cell), "docs/events.md lacks: {cell}");
        }
    }
}
