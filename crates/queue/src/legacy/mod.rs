//! The legacy queue DB: its historic shapes, the owners of its rows and their keys. Only reads;
//! [`crate::cure::migrate`] claims, copies and deletes.

mod open;
mod scan;
mod shape;

pub(crate) use open::{LegacyDb, data_version, fingerprint};
pub(crate) use scan::{LegacyKey, OwnerFinder, scan, text_of};
pub(crate) use shape::{FileShape, LegacyTable, are_claims};
