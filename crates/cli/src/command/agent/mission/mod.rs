//! `agent mission ...`.

pub(crate) mod check_prerequisites;
pub(crate) mod create;
pub(crate) mod finalize_tasks;
pub(crate) mod setup_plan;
