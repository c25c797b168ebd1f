//! What differs between operating systems, and nothing else: the one module where `unsafe` is allowed.
//!
//! Every function exists for every system; what a system cannot do is said in the type, never guessed.

#[cfg(unix)]
mod unix;
#[cfg(unix)]
pub(crate) use unix::*;
#[cfg(windows)]
mod windows;
#[cfg(windows)]
pub(crate) use windows::*;

/// Tells one file from another one at the same path: a replacement changes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FileIdentity {
    /// Device and inode where the system has them, else zeros.
    pub(crate) place: (u64, u64),
    /// Size in bytes.
    pub(crate) size: u64,
    /// Last modification, as far as the system tells.
    pub(crate) modified: Option<std::time::SystemTime>,
}

/// A signal that ends a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Signal {
    /// The process may finish what it does.
    Terminate,
    /// The process ends at once.
    Kill,
}

/// Why a process cannot be signalled or waited for.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HandleError {
    /// It is gone.
    #[error("the process is gone")]
    Gone,
    /// This system offers no way that cannot hit a stranger.
    #[error("this system offers no safe way to signal a process")]
    #[cfg_attr(unix, expect(dead_code, reason = "only systems without signals give this answer"))]
    Unsupported,
    /// The system refused.
    #[error(transparent)]
    Io(#[from] std::io::Error),
}
