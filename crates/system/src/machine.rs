//! Host and user.

use crate::platform;
pub use crate::platform::{HOME_VARIABLE, SPLIT_STATE, effective_uid, user_name};

/// The input of the session key: sessions are encrypted for one machine and one user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Machine {
    /// The host name as the system reports it, unchanged.
    pub hostname: String,
    /// The real user id; 0 on Windows.
    pub uid: u32,
}

impl Machine {
    /// The machine and user of this process.
    pub fn observe() -> Self {
        Self { hostname: platform::hostname(), uid: platform::uid() }
    }
}
