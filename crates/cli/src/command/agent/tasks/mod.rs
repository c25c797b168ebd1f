//! `agent tasks ...`.

pub(crate) mod add_history;
pub(crate) mod list;
pub(crate) mod mark_status;
pub(crate) mod move_task;
