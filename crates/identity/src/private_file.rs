//! stub
#![allow(missing_docs, unused_variables, clippy::todo)]
use std::path::{Path, PathBuf};
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} {}: {source}", contract::text::path(.path))]
pub struct WriteError {
    pub action: &'static str,
    pub path: PathBuf,
    #[source]
    pub source: std::io::Error,
}
/// Atomic: temp in the same directory, fsync, rename, directory fsync; 0600; creates the directory 0700.
pub fn write_private(path: &Path, bytes: &[u8]) -> Result<(), WriteError> {
    todo!()
}
pub fn create_private_dir(path: &Path) -> Result<(), WriteError> {
    todo!()
}
/// Removes group and other bits of an existing file.
pub fn tighten(path: &Path) -> Result<(), WriteError> {
    todo!()
}
