//! `agent ...`: missions.

pub(crate) mod decision;
pub(crate) mod evidence;
pub(crate) mod mission;
pub(crate) mod status;
pub(crate) mod tasks;
