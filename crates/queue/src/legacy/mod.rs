//! The legacy queue DB: what shapes it has had, whose its rows are, what identifies them.
//!
//! Owns reading. Claims, copies and deletions are [`crate::cure::migrate`]'s.

mod open;
mod scan;
mod shape;

pub(crate) use open::{LegacyDb, data_version, fingerprint};
pub(crate) use scan::{Judge, LegacyKey, scan, text_of};
pub(crate) use shape::{LegacyTable, Shape, are_claims};
