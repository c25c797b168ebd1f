//! `sync ...`.

pub(crate) mod capture;
pub(crate) mod daemon;
pub(crate) mod diagnose;
pub(crate) mod doctor;
pub(crate) mod export;
pub(crate) mod gc;
pub(crate) mod migrate;
pub(crate) mod now;
pub(crate) mod opt_in;
pub(crate) mod parked;
pub(crate) mod preview;
pub(crate) mod project_choice;
pub(crate) mod resend;
pub(crate) mod scoped;
pub(crate) mod setup;
pub(crate) mod status;
