//! `agent evidence ...`.

pub(crate) mod capture;
pub(crate) mod draft;
pub(crate) mod verify;
