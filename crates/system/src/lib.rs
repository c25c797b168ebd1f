//! The operating system: files, locks and processes, as the other crates need them.
//!
//! | module | owns |
//! |---|---|
//! | [`clock`] | the wall clock, and the random part of delays |
//! | [`regular`] | opening files: regular ones only, and without waiting |
//! | [`bounded_read`] | bounded reads of regular files |
//! | [`private_file`] | writing files and directories that only their owner may read |
//! | [`shared_file`] | replacing files of a repository, with the modes of the umask |
//! | [`file`](mod@file) | identity and modes of a file, and its path as bytes |
//! | [`disk`] | checks whether a location is writable, without writing |
//! | [`lock`] | advisory file locks with a deadline and a named holder |
//! | [`process`] | state, arguments and termination of processes |
//! | [`detached`] | detaching a process from its starter |
//! | `sqlite_files` | test support: operations of SQLite that an observer may refuse |
//! | [`machine`] | host and user |
//!
//! Invariants: `unsafe` is in `platform` alone, with a reason on each block; `observe_*` functions create,
//! change and lock nothing; everything read has a size limit. Every function exists on every system; its type
//! shows what a system cannot report.

// Files are opened by `regular`, or for the reason beside the call (clippy.toml).
#![cfg_attr(not(test), deny(clippy::disallowed_methods))]

pub mod bounded_read;
pub mod clock;
pub mod detached;
pub mod disk;
pub mod file;
pub mod lock;
pub mod machine;
mod platform;
pub mod private_file;
pub mod process;
pub mod regular;
pub mod shared_file;
#[cfg(all(unix, feature = "simulation"))]
pub mod sqlite_files;

pub use lock::{FileLock, LockError};
pub use machine::Machine;
