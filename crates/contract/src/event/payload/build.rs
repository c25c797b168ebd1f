//! Builds: registration and heartbeat of a checkout. Identity is in the envelope, git facts are here.

use super::{EventSchema, SchemaChoice};
use crate::event::shape::{Key, ObjectShape, Shape, closed, may};

pub(in crate::event) static REGISTERED_KEYS: &[Key] =
    &[may("repo_slug", &Shape::Text), may("git_branch", &Shape::Text), may("head_commit_sha", &Shape::Text)];

pub(in crate::event) static HEARTBEAT_KEYS: &[Key] = &[
    may("repo_slug", &Shape::Text),
    may("git_branch", &Shape::Text),
    may("head_commit_sha", &Shape::Text),
    may("remote_head", &Shape::Text),
    may("ahead_of_remote", &Shape::Whole(0)),
    may("behind_remote", &Shape::Whole(0)),
    may("recent_commits", &Shape::List(&Shape::AnyText, 0)),
];

static REGISTERED: ObjectShape = closed(REGISTERED_KEYS);
static HEARTBEAT: ObjectShape = closed(HEARTBEAT_KEYS);

pub(super) const TYPES: &[EventSchema] =
    &[("BuildRegistered", SchemaChoice::One(&REGISTERED)), ("BuildHeartbeat", SchemaChoice::One(&HEARTBEAT))];
