//! The operating system: files, locks and processes, as the other crates need them.
//!
//! | module | owns |
//! |---|---|
//! | [`regular`] | opening files: regular ones only, and without waiting |
//! | [`bounded_read`] | reading files that may be malformed, huge or not files at all |
//! | [`private_file`] | writing files and directories that only their owner may read |
//! | [`shared_file`] | replacing files of a repository, which keep the modes that a umask gives |
//! | [`file`](mod@file) | what identifies a file, its modes and its path as bytes |
//! | [`disk`] | whether something can be written at a place, found without writing |
//! | [`lock`] | advisory file locks with a deadline and a named holder |
//! | [`process`] | whether a process lives, what it is, and ending it |
//! | [`detached`] | what a process does to outlive the one that started it |
//! | [`machine`] | host and user |
//!
//! Invariants: `unsafe` lives in `platform` alone, with a reason on each block; `observe_*` functions create,
//! change and lock nothing; everything read has a size limit. A function exists on every system: what a system
//! cannot do is said in the type, never guessed.

// Files are opened by `regular`, or for the reason beside the call (clippy.toml).
#![cfg_attr(not(test), deny(clippy::disallowed_methods))]

pub mod bounded_read;
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

pub use lock::{FileLock, LockError};
pub use machine::Machine;
