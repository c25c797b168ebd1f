//! The payload tables, one per event type, grouped by what the events are about.

mod audit;
pub(super) mod build;
mod collaboration;
mod connector;
mod decision;
mod dossier;
mod glossary;
mod mission;
mod retrospective;
mod runtime;
pub(super) mod status;
mod work_package;

use super::shape::ObjectShape;
use crate::json::Node;

/// One event type: its name and its table.
pub(super) type EventSchema = (&'static str, SchemaChoice);

/// Method by which the schema of an event type is chosen.
#[derive(Clone, Copy)]
pub(super) enum SchemaChoice {
    /// One schema.
    One(&'static ObjectShape),
    /// By the payload itself.
    By(fn(&Node<'_>) -> &'static ObjectShape),
}

const FAMILIES: [&[EventSchema]; 12] = [
    status::TYPES,
    work_package::TYPES,
    mission::TYPES,
    build::TYPES,
    dossier::TYPES,
    decision::TYPES,
    runtime::TYPES,
    collaboration::TYPES,
    glossary::TYPES,
    audit::TYPES,
    connector::TYPES,
    retrospective::TYPES,
];

/// The schema of `event_type` for this payload; none for an unknown type.
pub(super) fn shape_of(event_type: &str, payload: &Node<'_>) -> Option<&'static ObjectShape> {
    let (_, table) =
        FAMILIES.iter().flat_map(|family| family.iter()).find(|(name, _)| *name == event_type)?;
    Some(match table {
        SchemaChoice::One(shape) => shape,
        SchemaChoice::By(choose) => choose(payload),
    })
}

/// Every event type.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    FAMILIES.iter().flat_map(|family| family.iter()).map(|(name, _)| *name)
}
