//! `agent status ...`.

pub(crate) mod emit;
pub(crate) mod materialize;
pub(crate) mod show;
