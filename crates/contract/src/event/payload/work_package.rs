//! Work packages below their lane: creation, assignment, history, errors, dependencies.

use super::{EventSchema, SchemaChoice};
use crate::event::shape::{ObjectShape, Shape, closed, may, need, some};

static CREATED: ObjectShape = closed(&[
    need("mission_slug", Shape::Text),
    may("mission_number", &Shape::Whole(1)),
    need("wp_id", Shape::Text),
    need("wp_title", Shape::Text),
    may("wp_path", &Shape::Text),
    some("depends_on", Shape::List(&Shape::AnyText, 0)),
    need("actor", Shape::Text),
    may("created_at", &Shape::Instant),
]);

static ASSIGNED: ObjectShape = closed(&[
    need("wp_id", Shape::Text),
    need("agent_id", Shape::Text),
    need("phase", Shape::Text),
    some("retry_count", Shape::Whole(0)),
]);

static HISTORY: ObjectShape = closed(&[
    need("wp_id", Shape::Text),
    need("entry_type", Shape::Text),
    need("entry_content", Shape::Text),
    need("author", Shape::Text),
]);

static ERROR: ObjectShape = closed(&[
    need("error_type", Shape::Text),
    need("error_message", Shape::Text),
    may("wp_id", &Shape::Text),
    may("stack_trace", &Shape::AnyText),
    may("agent_id", &Shape::Text),
]);

static DEPENDENCY: ObjectShape = closed(&[
    need("wp_id", Shape::Text),
    need("dependency_wp_id", Shape::Text),
    need("resolution_type", Shape::Text),
]);

pub(super) const TYPES: &[EventSchema] = &[
    ("WPCreated", SchemaChoice::One(&CREATED)),
    ("WPAssigned", SchemaChoice::One(&ASSIGNED)),
    ("HistoryAdded", SchemaChoice::One(&HISTORY)),
    ("ErrorLogged", SchemaChoice::One(&ERROR)),
    ("DependencyResolved", SchemaChoice::One(&DEPENDENCY)),
];
