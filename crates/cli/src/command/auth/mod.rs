//! `auth ...`.

pub(crate) mod doctor;
pub(crate) mod login;
pub(crate) mod status;
