//! File modes, owners, host and user on Unix.

use super::{Access, Space};
use crate::file::FileIdentity;
use crate::lock::LockHolder;
use crate::process::ProcessState;
use contract::FileNumbers;
use std::fs::{self, File, Metadata, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// The variable that names the user's home directory.
pub const HOME_VARIABLE: &str = "HOME";
/// Whether the earlier releases kept state in two directories.
pub const SPLIT_STATE: bool = false;
/// Whether a file can be unlinked while it is open, as a lock file must be.
pub(crate) const UNLINKS_OPEN_FILES: bool = true;

const STICKY: u32 = 0o1000;

/// The host name, as the system reports it.
pub(crate) fn hostname() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// The real user id.
pub(crate) fn uid() -> u32 {
    rustix::process::getuid().as_raw()
}

/// The login name of the real user, from the local account table.
pub fn user_name() -> Option<String> {
    const TABLE_LIMIT: u64 = 4 * 1024 * 1024;
    let table = crate::bounded_read::read_bounded(Path::new("/etc/passwd"), TABLE_LIMIT).ok()??;
    let uid = uid().to_string();
    let text = String::from_utf8_lossy(&table.bytes).into_owned();
    text.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next().filter(|name| !name.is_empty())?;
        (fields.nth(1) == Some(uid.as_str())).then(|| name.to_owned())
    })
}

/// Opens `path` for reading; a pipe without a writer does not block.
pub(crate) fn open_for_reading(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    without_waiting(options.read(true));
    // The caller checks the opened file.
    #[allow(clippy::disallowed_methods)]
    options.open(path)
}

/// Opening a pipe with these options does not wait for its other end.
pub(crate) fn without_waiting(options: &mut OpenOptions) {
    options.custom_flags(NON_BLOCKING);
}

/// Opens `path` for reading unless it is a symbolic link.
#[allow(clippy::disallowed_methods, reason = "the caller checks the opened file")]
pub(crate) fn open_unlinked_for_reading(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).custom_flags(NON_BLOCKING | NO_FOLLOW).open(path)
}

// The flags are small positive numbers on every Unix.
const NON_BLOCKING: i32 = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
const NO_FOLLOW: i32 = rustix::fs::OFlags::NOFOLLOW.bits().cast_signed();

/// Options that create files for their owner alone, and that follow no symbolic link at their path.
pub fn private_options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.mode(0o600).custom_flags(NON_BLOCKING | NO_FOLLOW);
    options
}

/// Device and inode of an open file, and its number of hard links.
pub(crate) fn file_numbers(file: &File) -> io::Result<(Option<FileNumbers>, u64)> {
    let metadata = file.metadata()?;
    let numbers = FileNumbers { device: metadata.dev(), inode: metadata.ino() };
    Ok((Some(numbers), metadata.nlink()))
}

/// Creates a directory, and what is missing above it, for the owner alone.
pub(crate) fn create_private_dirs(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// A canonical path without a verbatim prefix, which Unix does not have.
pub fn plain_path(path: PathBuf) -> PathBuf {
    path
}

/// The permission bits of a file.
pub(crate) fn permission_bits(metadata: &Metadata) -> u32 {
    metadata.mode() & 0o777
}

/// Removes the permissions of group and others from `path`, whose metadata is `metadata`. Files of other users
/// and shared directories are unchanged.
pub(crate) fn restrict_owned(path: &Path, metadata: &Metadata) -> io::Result<()> {
    let mode = metadata.mode();
    let ours = metadata.uid() == rustix::process::geteuid().as_raw();
    if mode & 0o077 == 0 || mode & STICKY != 0 || !ours {
        return Ok(());
    }
    fs::set_permissions(path, Permissions::from_mode(mode & 0o7700))
}

/// Gives `file` the permission bits of `metadata`.
pub fn copy_mode(file: &File, metadata: &Metadata) -> io::Result<()> {
    file.set_permissions(Permissions::from_mode(metadata.mode() & 0o777))
}

/// Makes a rename inside `directory` durable.
#[allow(clippy::disallowed_methods, reason = "a directory, which is only flushed")]
pub fn sync_directory(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

/// Whether `path` still names the open `file`.
pub(crate) fn names_open_file(path: &Path, file: &File) -> io::Result<bool> {
    let open = file.metadata()?;
    match fs::metadata(path) {
        Ok(named) => Ok(named.dev() == open.dev() && named.ino() == open.ino()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Whether `pid` exists at all, by asking the kernel whether it could be signalled; nothing is sent.
pub(super) fn exists(pid: u32) -> ProcessState {
    let pid = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw);
    match pid.map(rustix::process::test_kill_process) {
        None | Some(Err(rustix::io::Errno::SRCH)) => ProcessState::Gone,
        // Refused because another user owns it: then it exists.
        Some(Ok(()) | Err(_)) => ProcessState::Alive { start_ticks: None },
    }
}

/// The effective user id.
pub fn effective_uid() -> Option<u32> {
    Some(rustix::process::geteuid().as_raw())
}

/// The owner of a file.
pub fn owner(metadata: &Metadata) -> Option<u32> {
    Some(metadata.uid())
}

/// Whether every user may write.
pub fn is_world_writable(metadata: &Metadata) -> bool {
    metadata.mode() & 0o002 != 0
}

/// Removes the permissions of group and others from a directory of this user, also with the sticky bit.
pub fn restrict_directory(path: &Path, metadata: &Metadata) -> io::Result<()> {
    let mode = metadata.mode();
    let user = rustix::process::geteuid().as_raw();
    if mode & 0o077 == 0 || (metadata.uid() != user && user != 0) {
        return Ok(());
    }
    fs::set_permissions(path, Permissions::from_mode(mode & 0o6700))
}

/// Changes the owner of `path`, created by this process, to that of its directory when this process is root
/// and the directory is another user's. Errors are ignored: no command depends on it.
pub(crate) fn give_to_directory_owner(path: &Path) {
    use rustix::fs::{AtFlags, CWD, Gid, Uid, chownat};
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let Some(Ok(directory)) = path.parent().map(fs::metadata) else { return };
    if directory.uid() == 0 {
        return;
    }
    let (user, group) = (Uid::from_raw(directory.uid()), Gid::from_raw(directory.gid()));
    let _ = chownat(CWD, path, Some(user), Some(group), AtFlags::SYMLINK_NOFOLLOW);
}

/// The device of `path`; zero when it cannot be read.
pub(crate) fn device(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |metadata| metadata.dev())
}

/// Asks whether this user may write `path`, or in it when it is a directory.
pub(crate) fn observe_access(path: &Path) -> Access {
    use rustix::fs::{Access as Right, AtFlags, CWD, accessat};
    let metadata = fs::metadata(path);
    let is_directory = metadata.as_ref().is_ok_and(Metadata::is_dir);
    let right = if is_directory { Right::WRITE_OK | Right::EXEC_OK } else { Right::WRITE_OK };
    match accessat(CWD, path, right, AtFlags::EACCESS) {
        Err(rustix::io::Errno::ROFS) => Access::ReadOnly,
        Err(rustix::io::Errno::ACCESS | rustix::io::Errno::PERM) => {
            Access::Denied { mode: metadata.map_or(0, |metadata| metadata.mode() & 0o7777) }
        }
        // Any other error is about the call, not about the location.
        Ok(()) | Err(_) => Access::Allowed,
    }
}

/// The free space of the file system of `path`.
pub(crate) fn observe_space(path: &Path) -> Option<Space> {
    let fs = rustix::fs::statvfs(path).ok()?;
    let root = rustix::process::geteuid().is_root();
    let block = if fs.f_frsize > 0 { fs.f_frsize } else { fs.f_bsize };
    let free = if root { fs.f_bfree } else { fs.f_bavail };
    // Some virtual file systems have no size at all.
    (fs.f_blocks > 0).then(|| Space {
        free: free.saturating_mul(block),
        size: fs.f_blocks.saturating_mul(block),
        free_inodes: if root { fs.f_ffree } else { fs.f_favail },
        inodes: fs.f_files,
    })
}

/// The identity of a file.
pub fn file_identity(metadata: &Metadata) -> FileIdentity {
    FileIdentity {
        place: (metadata.dev(), metadata.ino()),
        size: metadata.len(),
        modified: metadata.modified().ok(),
    }
}

/// The permission bits with the special ones; none where modes do not exist.
pub fn mode(metadata: &Metadata) -> Option<u32> {
    Some(metadata.mode() & 0o7777)
}

/// Whether the file system of `path` is mounted read-only.
pub fn is_mounted_read_only(path: &Path) -> bool {
    rustix::fs::statvfs(path).is_ok_and(|fs| fs.f_flag.contains(rustix::fs::StatVfsMountFlags::RDONLY))
}

/// Removes the permissions of group and others, whichever user owns the file. Never adds any.
///
/// # Errors
/// The file is absent, or another user's.
pub fn restrict_any_owner(path: &Path) -> io::Result<()> {
    let mode = fs::metadata(path)?.mode() & 0o7777;
    if mode & 0o077 == 0 {
        return Ok(());
    }
    fs::set_permissions(path, Permissions::from_mode(mode & 0o700))
}

/// Gives read and write access to `path` to its owner only.
///
/// # Errors
/// The file is absent, or another user's.
pub fn set_owner_only(path: &Path) -> io::Result<()> {
    fs::set_permissions(path, Permissions::from_mode(if path.is_dir() { 0o700 } else { 0o600 }))
}

/// The mode of a file that others may read; none when only its owner may, or when there is none.
pub fn shared_mode(path: &Path) -> Option<u32> {
    let mode = path.metadata().ok()?.mode() & 0o7777;
    (mode & 0o044 != 0).then_some(mode)
}

/// The bytes of a path, for storage.
pub fn path_bytes(path: &Path) -> Vec<u8> {
    use std::os::unix::ffi::OsStrExt as _;
    path.as_os_str().as_bytes().to_vec()
}

/// The inverse of [`path_bytes`].
pub fn path_from_bytes(bytes: Vec<u8>) -> PathBuf {
    use std::os::unix::ffi::OsStringExt as _;
    std::ffi::OsString::from_vec(bytes).into()
}

/// The first bytes of a regular file, whose metadata the caller read before.
///
/// The handle is never closed. Closing *any* handle of a file drops every POSIX lock of the process on it, and
/// another thread may be in the middle of a transaction. There is one handle per database file, and the kernel cannot
/// give its number to another file while it is open.
///
/// # Errors
/// As [`crate::regular::open`], and errors of reading.
pub fn read_start(path: &Path, metadata: &Metadata, buffer: &mut [u8]) -> io::Result<usize> {
    use std::collections::BTreeMap;
    use std::os::unix::fs::FileExt as _;
    use std::sync::{Mutex, PoisonError};
    static HANDLES: Mutex<BTreeMap<(u64, u64), File>> = Mutex::new(BTreeMap::new());

    let mut handles = HANDLES.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(file) = handles.get(&file_identity(metadata).place) {
        return file.read_at(buffer, 0);
    }
    let file = crate::regular::open(path)?;
    let read = file.read_at(buffer, 0);
    // The path may have been replaced since `metadata` was read: the key is the opened file.
    handles.insert(file_identity(&file.metadata()?).place, file);
    read
}

/// Reads of `/proc/locks` in search of a holder. The kernel hands the table out by pages and counts the entries again
/// for each, so an entry is skipped when one before it is released meanwhile.
#[cfg(target_os = "linux")]
const LOCK_TABLE_READS: usize = 8;

/// The process that keeps a POSIX lock on `path`, writers before readers; this process only when it is the only
/// one. For a lock that is known to be held.
#[cfg(target_os = "linux")]
#[allow(clippy::disallowed_methods, reason = "files of the kernel")]
pub fn observe_posix_holder(path: &Path) -> Option<LockHolder> {
    let inode = fs::metadata(path).ok()?.ino();
    let tables = (0..LOCK_TABLE_READS).map_while(|_| fs::read_to_string("/proc/locks").ok());
    let pid = posix_holder(inode, tables)?;
    let command = fs::read_to_string(format!("/proc/{pid}/comm"))
        .ok()
        .map(|name| name.trim_end().to_owned())
        .filter(|name| !name.is_empty());
    Some(LockHolder { pid, command })
}

/// The best holder of all `tables`, none of which may be complete; those behind a writer of another process are not
/// read.
#[cfg(target_os = "linux")]
fn posix_holder(inode: u64, tables: impl Iterator<Item = String>) -> Option<u32> {
    // `1: POSIX  ADVISORY  WRITE 1234 fd:01:5678 1073741824 1073742335`; `->` marks a waiter.
    let holder = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let [_, class, _, access, pid, file, ..] = fields[..] else { return None };
        let locked: u64 = file.rsplit(':').next()?.parse().ok()?;
        let pid: u32 = pid.parse().ok().filter(|pid| *pid > 0)?;
        let held = matches!(class, "POSIX" | "OFDLCK") && locked == inode;
        held.then_some((pid == std::process::id(), access != "WRITE", pid))
    };
    let mut best = None;
    for table in tables {
        best = best.into_iter().chain(table.lines().filter_map(holder)).min();
        if matches!(best, Some((false, false, _))) {
            break;
        }
    }
    best.map(|(.., pid)| pid)
}

/// Not available on this system.
#[cfg(not(target_os = "linux"))]
pub fn observe_posix_holder(_path: &Path) -> Option<LockHolder> {
    None
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn holder_is_found_in_any_of_several_incomplete_tables() {
        let own = std::process::id();
        let reader = "1: POSIX  ADVISORY  READ 70 fd:01:9 1073741826 1073742335\n".to_owned();
        let writer = "2: POSIX  ADVISORY  WRITE 80 fd:01:9 1073741825 1073741825\n".to_owned();
        let ours = format!("3: OFDLCK ADVISORY  WRITE {own} fd:01:9 0 0\n");
        let others =
            "4: -> POSIX  ADVISORY  WRITE 60 fd:01:9 0 0\n5: FLOCK  ADVISORY  WRITE 61 fd:01:9 0 0\n\
                      6: POSIX  ADVISORY  WRITE 62 fd:01:99 0 0\n7: POSIX\n"
                .to_owned();
        for (tables, holder) in [
            (vec![], None),
            (vec![&others, &others], None),
            (vec![&others, &writer], Some(80)),
            (vec![&reader, &others, &writer], Some(80)),
            (vec![&reader, &others], Some(70)),
            (vec![&ours, &others, &reader], Some(70)),
            (vec![&others, &ours], Some(own)),
        ] {
            assert_eq!(posix_holder(9, tables.iter().map(|table| (*table).clone())), holder, "{tables:?}");
        }
        assert_eq!(
            posix_holder(9, [writer].into_iter().chain(std::iter::repeat_with(|| panic!("read on")))),
            Some(80)
        );
    }
}
