//! What differs between operating systems: replacing a file and the mode it gets, shells and process
//! groups.

use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::process::{Child, Command};

/// Writes `bytes` to a temporary file beside `path`, flushes it and renames it over `path`. An
/// existing file keeps its mode; a new one gets what the user's umask allows, because these files
/// are committed and shared.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let directory = path.parent().unwrap_or(Path::new("."));
    let mode =
        fs::symlink_metadata(path).ok().filter(std::fs::Metadata::is_file).map(|file| file.permissions());
    let mut file = temporary_in(directory)?;
    if let Some(mode) = mode {
        file.as_file().set_permissions(mode)?;
    }
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    sync_directory(directory)
}

/// A temporary file beside what it will replace, with the mode that the user's umask allows: it is going
/// to be committed.
pub(crate) fn temporary_in(directory: &Path) -> io::Result<tempfile::NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(".spec-kitty-").suffix(".tmp");
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    builder.tempfile_in(directory)
}

/// Makes a rename or a creation in `directory` durable, where the system can.
#[cfg(unix)]
#[allow(clippy::disallowed_methods, reason = "a directory, which is only flushed")]
pub(crate) fn sync_directory(directory: &Path) -> io::Result<()> {
    fs::File::open(directory)?.sync_all()
}

/// Windows has no handle on a directory that can be flushed; NTFS journals the rename.
#[cfg(not(unix))]
pub(crate) fn sync_directory(_directory: &Path) -> io::Result<()> {
    Ok(())
}

/// A command line for the system's shell.
#[cfg(unix)]
pub(crate) fn shell(command: &str) -> Command {
    let mut shell = Command::new("/bin/sh");
    shell.arg("-c").arg(command);
    shell
}

/// A command line for the system's shell.
#[cfg(not(unix))]
pub(crate) fn shell(command: &str) -> Command {
    let mut shell = Command::new("cmd");
    shell.arg("/C").arg(command);
    shell
}

/// Gives what will be started a process group of its own, so that all of it can be ended.
#[cfg(unix)]
pub(crate) fn own_group(command: &mut Command) {
    std::os::unix::process::CommandExt::process_group(command, 0);
}

/// Without process groups, what the shell starts may outlive it.
#[cfg(not(unix))]
pub(crate) fn own_group(_command: &mut Command) {}

/// Ends a child and its process group, and waits for the child. Ended already is fine.
#[cfg(unix)]
pub(crate) fn end_group(child: &mut Child) {
    if let Some(group) = i32::try_from(child.id()).ok().and_then(rustix::process::Pid::from_raw) {
        // The group is ours alone: it was made for this child. Nobody left in it is no error.
        let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
    }
    let _ = child.wait();
}

/// Ends a child and waits for it. Ended already is fine.
#[cfg(not(unix))]
pub(crate) fn end_group(child: &mut Child) {
    let _ = child.kill();
    let _ = child.wait();
}
