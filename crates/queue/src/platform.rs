//! What differs between operating systems: file identity, permissions, positional reads, path bytes, and
//! who holds a lock. Nothing here knows about queues.

use crate::error::LockHolder;
use std::fs::Metadata;
use std::io;
use std::path::{Path, PathBuf};

/// Identifies a file on its device; zero where the system does not tell without opening it.
#[cfg(unix)]
pub(crate) fn file_id(metadata: &Metadata) -> (u64, u64) {
    use std::os::unix::fs::MetadataExt as _;
    (metadata.dev(), metadata.ino())
}

#[cfg(not(unix))]
pub(crate) fn file_id(_: &Metadata) -> (u64, u64) {
    (0, 0)
}

/// Permission bits.
#[cfg(unix)]
pub(crate) fn mode(metadata: &Metadata) -> Option<u32> {
    use std::os::unix::fs::MetadataExt as _;
    Some(metadata.mode() & 0o7777)
}

#[cfg(not(unix))]
pub(crate) fn mode(_: &Metadata) -> Option<u32> {
    None
}

/// Whether nothing can be written where `path` lies.
#[cfg(unix)]
pub(crate) fn is_mounted_read_only(path: &Path) -> bool {
    rustix::fs::statvfs(path).is_ok_and(|fs| fs.f_flag.contains(rustix::fs::StatVfsMountFlags::RDONLY))
}

/// The errors themselves tell there.
#[cfg(not(unix))]
pub(crate) fn is_mounted_read_only(_: &Path) -> bool {
    false
}

/// Takes the permissions of group and others away, if they have any. Only ever narrows.
#[cfg(unix)]
pub(crate) fn make_private(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = fs_err::metadata(path)?.permissions().mode() & 0o7777;
    if mode & 0o077 == 0 {
        return Ok(());
    }
    fs_err::set_permissions(path, std::fs::Permissions::from_mode(mode & 0o700))
}

/// The profile directory is private to its user there.
#[cfg(not(unix))]
pub(crate) fn make_private(_: &Path) -> io::Result<()> {
    Ok(())
}

/// Creates a directory and its missing parents, all 0700.
pub(crate) fn create_private_dir(path: &Path) -> io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::DirBuilderExt as _;
        builder.mode(0o700);
    }
    let missing: Vec<&Path> = path.ancestors().take_while(|above| !above.exists()).collect();
    builder.create(path)?;
    missing.into_iter().rev().for_each(give_to_directory_owner);
    Ok(())
}

/// Gives `path`, which this process has created, to the owner of its directory when this process is root
/// and the directory is another user's (contract section 1). SQLite does the same for its side files.
#[cfg(unix)]
fn give_to_directory_owner(path: &Path) {
    use rustix::fs::{AtFlags, CWD, Gid, Uid, chownat};
    use std::os::unix::fs::MetadataExt as _;
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let Some(Ok(directory)) = path.parent().map(std::fs::metadata) else { return };
    if directory.uid() != 0 {
        let (user, group) = (Uid::from_raw(directory.uid()), Gid::from_raw(directory.gid()));
        // What fails changes nothing that this command needs.
        let _ = chownat(CWD, path, Some(user), Some(group), AtFlags::SYMLINK_NOFOLLOW);
    }
}

#[cfg(not(unix))]
fn give_to_directory_owner(_: &Path) {}

/// Opens a regular file for reading, without waiting for the other end of a pipe. Looked at through the
/// descriptor, so that nothing changes between the look and the read. (`identity::regular` does the same
/// for the crates that may know it.)
pub(crate) fn open_regular(path: &Path) -> io::Result<std::fs::File> {
    open_regular_with(std::fs::OpenOptions::new().read(true), path)
}

/// The same with other options.
#[allow(clippy::disallowed_methods, reason = "this is the one place that opens, and it looks")]
pub(crate) fn open_regular_with(
    options: &mut std::fs::OpenOptions,
    path: &Path,
) -> io::Result<std::fs::File> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.custom_flags(rustix::fs::OFlags::NONBLOCK.bits().cast_signed());
    }
    let irregular = || io::Error::new(io::ErrorKind::InvalidInput, "is not a regular file");
    match options.open(path) {
        Ok(file) if file.metadata()?.is_file() => Ok(file),
        Ok(_) => Err(irregular()),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Err(error),
        Err(error) => match std::fs::metadata(path) {
            Ok(facts) if !facts.is_file() => Err(irregular()),
            _ => Err(error),
        },
    }
}

/// Creates an empty file, 0600. An existing one is left alone.
#[allow(clippy::disallowed_methods, reason = "a new file: what is there is not opened")]
pub(crate) fn create_private_file(path: &Path) -> io::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600);
    }
    match options.open(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
        Ok(_) => {
            give_to_directory_owner(path);
            Ok(())
        }
    }
}

/// Makes a rename or a creation in `dir` survive a power failure.
#[allow(clippy::disallowed_methods, reason = "a directory, which is only flushed")]
pub(crate) fn sync_dir(dir: &Path) -> io::Result<()> {
    if cfg!(unix) { std::fs::File::open(dir)?.sync_all() } else { Ok(()) }
}

/// The bytes of a path, for storage.
#[cfg(unix)]
pub(crate) fn path_bytes(path: &Path) -> Vec<u8> {
    use std::os::unix::ffi::OsStrExt as _;
    path.as_os_str().as_bytes().to_vec()
}

#[cfg(not(unix))]
pub(crate) fn path_bytes(path: &Path) -> Vec<u8> {
    path.to_string_lossy().into_owned().into_bytes()
}

/// The inverse of [`path_bytes`].
#[cfg(unix)]
pub(crate) fn path_from_bytes(bytes: Vec<u8>) -> PathBuf {
    use std::os::unix::ffi::OsStringExt as _;
    std::ffi::OsString::from_vec(bytes).into()
}

#[cfg(not(unix))]
pub(crate) fn path_from_bytes(bytes: Vec<u8>) -> PathBuf {
    String::from_utf8_lossy(&bytes).into_owned().into()
}

/// The first bytes of a regular file.
///
/// On Unix the handle is never closed: closing *any* handle of a file drops every lock that the process
/// holds on it, and another thread of this process may be in the middle of a transaction. There is one
/// handle per database file, and the kernel cannot give its number to another file while it is open.
#[cfg(unix)]
pub(crate) fn read_start(path: &Path, metadata: &Metadata, buffer: &mut [u8]) -> io::Result<usize> {
    use std::collections::BTreeMap;
    use std::os::unix::fs::FileExt as _;
    use std::sync::{Mutex, PoisonError};
    static HANDLES: Mutex<BTreeMap<(u64, u64), std::fs::File>> = Mutex::new(BTreeMap::new());

    let mut handles = HANDLES.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(file) = handles.get(&file_id(metadata)) {
        return file.read_at(buffer, 0);
    }
    let file = open_regular(path)?;
    let read = file.read_at(buffer, 0);
    // The path may have been replaced since `metadata` was taken: file it under what was opened.
    handles.insert(file_id(&file.metadata()?), file);
    read
}

#[cfg(not(unix))]
pub(crate) fn read_start(path: &Path, _: &Metadata, buffer: &mut [u8]) -> io::Result<usize> {
    use std::io::Read as _;
    open_regular(path)?.read(buffer)
}

/// The process that keeps `path` locked, writers before readers; never this process unless it is the
/// only one.
#[cfg(target_os = "linux")]
#[allow(clippy::disallowed_methods, reason = "a file of the kernel")]
pub(crate) fn lock_holder(path: &Path) -> Option<LockHolder> {
    let wanted = std::fs::metadata(path).ok().map(|metadata| file_id(&metadata).1)?;
    let locks = std::fs::read_to_string("/proc/locks").ok()?;
    let mut holders: Vec<(bool, bool, u32)> = locks
        .lines()
        .filter_map(|line| {
            // `1: POSIX  ADVISORY  WRITE 1234 fd:01:5678 1073741824 1073742335`; `->` marks a waiter.
            let fields: Vec<&str> = line.split_whitespace().collect();
            let [_, class, _, access, pid, file, ..] = fields[..] else { return None };
            let inode: u64 = file.rsplit(':').next()?.parse().ok()?;
            let pid: u32 = pid.parse().ok().filter(|pid| *pid > 0)?;
            let held = matches!(class, "POSIX" | "OFDLCK") && inode == wanted;
            held.then_some((pid == std::process::id(), access != "WRITE", pid))
        })
        .collect();
    holders.sort_unstable();
    let (_, _, pid) = *holders.first()?;
    let command = std::fs::read_to_string(format!("/proc/{pid}/comm"))
        .ok()
        .map(|name| name.trim_end().to_owned())
        .filter(|name| !name.is_empty());
    Some(LockHolder { pid, command })
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn lock_holder(_: &Path) -> Option<LockHolder> {
    None
}

/// Ends this process without any of its cleanup running.
#[cfg(feature = "faults")]
pub(crate) fn die() -> ! {
    #[cfg(unix)]
    let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
    std::process::abort()
}
