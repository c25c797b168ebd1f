//! `doctor ...`.

pub(crate) mod orphan_daemons;
pub(crate) mod paths;
pub(crate) mod repair;
pub(crate) mod restart_daemon;
