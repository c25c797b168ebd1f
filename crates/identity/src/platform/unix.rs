//! Linux, macOS and the other Unix systems.

use crate::process::ProcessState;
use std::ffi::OsString;
use std::fs::{File, Metadata, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

/// The variable that names the user's home directory.
pub(crate) const HOME_VARIABLE: &str = "HOME";
/// Whether the earlier releases kept state in two directories.
pub(crate) const SPLIT_STATE: bool = false;

/// The host name.
pub(crate) fn hostname() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// The real user id.
pub(crate) fn uid() -> u32 {
    rustix::process::getuid().as_raw()
}

/// Opens `path` for reading; a pipe without a writer does not block.
pub(crate) fn open_for_reading(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).custom_flags(rustix::fs::OFlags::NONBLOCK.bits() as i32).open(path)
}

/// The permission bits of a file.
pub(crate) fn permission_bits(metadata: &Metadata) -> u32 {
    metadata.mode() & 0o777
}

pub(crate) fn process_state(_pid: u32) -> ProcessState {
    todo!()
}
pub(crate) fn boot_id() -> Option<String> {
    todo!()
}
pub(crate) fn process_argv(_pid: u32) -> Option<Vec<OsString>> {
    todo!()
}
