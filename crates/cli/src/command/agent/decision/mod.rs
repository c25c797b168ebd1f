//! `agent decision ...`.

pub(crate) mod close;
pub(crate) mod error;
pub(crate) mod open;
pub(crate) mod verify;
