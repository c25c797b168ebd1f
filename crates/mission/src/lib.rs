//! What makes the facts: mission files, and the commands on them.
//!
//! A mission is a directory `kitty-specs/<mission>/` of Markdown and JSON files in a git repository.
//! Each command is planned first (`plan_*`: reads and validates everything, writes nothing) and then
//! applied; what it did is one serialisable value that the command line renders as text or JSON.
//! This crate never prints.
//!
//! | module | owns |
//! |---|---|
//! | [`clock`] | instants and identifiers |
//! | [`document`] | reading files bounded; writing them atomically, and undoing it |
//! | [`json`] | the JSON dialects of mission files |
//! | [`slug`] | names of missions |
//! | [`meta`] | `meta.json` |
//! | [`substance`] | whether `spec.md` and `plan.md` say anything |
//! | [`lane`], [`transition`] | the lanes, and which changes are allowed |
//! | [`log`] | `status.events.jsonl` |
//! | [`dossier`] | artifacts, and which of them travel |
//! | [`tasks`] | `tasks.md` |
//! | [`snapshot`] | the reducer and `status.json` |

pub mod clock;
pub mod document;
pub mod dossier;
pub mod error;
pub mod json;
pub mod lane;
pub mod log;
pub mod meta;
mod platform;
pub mod slug;
pub mod snapshot;
pub mod substance;
pub mod tasks;
pub mod transition;

pub use clock::{Clock, Moment};
pub use error::{MissionError, Result};
pub use lane::Lane;
