//! Windows. Files in a user's profile are private by their inherited access list, so modes are not
//! managed here.
#![allow(unsafe_code, reason = "host name, processes and file identity are only reachable through C calls")]

use super::{Access, Space};
use crate::file::FileIdentity;
use crate::lock::LockHolder;
use crate::process::ProcessState;
use contract::FileNumbers;
use std::ffi::{OsString, c_void};
use std::fs::{self, File, Metadata, OpenOptions};
use std::io;
use std::mem::MaybeUninit;
use std::os::windows::ffi::OsStringExt;
use std::os::windows::io::AsRawHandle;
use std::path::{Path, PathBuf};
use windows_sys::Wdk::System::Threading::{NtQueryInformationProcess, ProcessCommandLineInformation};
use windows_sys::Win32::Foundation::{
    CloseHandle, ERROR_INVALID_PARAMETER, FILETIME, HANDLE, STILL_ACTIVE, UNICODE_STRING,
};
use windows_sys::Win32::Storage::FileSystem::{BY_HANDLE_FILE_INFORMATION, GetFileInformationByHandle};
use windows_sys::Win32::System::SystemInformation::{ComputerNamePhysicalDnsHostname, GetComputerNameExW};
use windows_sys::Win32::System::Threading::{
    GetExitCodeProcess, GetProcessTimes, OpenProcess, PROCESS_QUERY_LIMITED_INFORMATION,
};

/// The variable that names the user's home directory.
pub const HOME_VARIABLE: &str = "USERPROFILE";
/// Whether the earlier releases kept state in two directories.
pub const SPLIT_STATE: bool = true;
/// Whether a file can be unlinked while it is open, as a lock file must be.
pub(crate) const UNLINKS_OPEN_FILES: bool = false;

/// The DNS host name of the machine, not of the cluster it may serve.
pub(crate) fn hostname() -> String {
    let mut buffer = [0_u16; 256];
    let mut length = 256_u32;
    // SAFETY: the system writes at most `length` units into `buffer` and stores how many.
    let ok =
        unsafe { GetComputerNameExW(ComputerNamePhysicalDnsHostname, buffer.as_mut_ptr(), &raw mut length) };
    let written = if ok == 0 { 0 } else { usize::try_from(length).unwrap_or(0) };
    String::from_utf16_lossy(buffer.get(..written).unwrap_or_default())
}

/// Windows has no user numbers; the earlier releases used 0.
pub(crate) fn uid() -> u32 {
    0
}

/// Read from the environment.
pub fn user_name() -> Option<String> {
    None
}

/// A pipe has no place in the file system here.
pub(crate) fn without_waiting(_options: &mut OpenOptions) {}

/// Opens `path` for reading.
pub(crate) fn open_for_reading(path: &Path) -> io::Result<File> {
    File::open(path)
}

/// Options that create files for their owner alone.
pub fn private_options() -> OpenOptions {
    OpenOptions::new()
}

/// Creates a directory and what is missing above it.
pub(crate) fn create_private_dirs(path: &Path) -> io::Result<()> {
    fs::create_dir_all(path)
}

/// A canonical path without the verbatim prefix, where the drive and the length allow.
pub fn plain_path(path: PathBuf) -> PathBuf {
    const LONGEST_PLAIN: usize = 259;
    let plain = path.to_str().and_then(|text| text.strip_prefix(r"\\?\"));
    let drive = |plain: &&str| plain.as_bytes().get(1) == Some(&b':') && plain.len() <= LONGEST_PLAIN;
    plain.filter(drive).map(PathBuf::from).unwrap_or(path)
}

/// No modes here.
pub(crate) fn permission_bits(_metadata: &Metadata) -> u32 {
    0
}

/// No modes here.
pub(crate) fn restrict_owned(_path: &Path, _metadata: &Metadata) -> io::Result<()> {
    Ok(())
}

/// No modes here.
pub fn copy_mode(_file: &File, _metadata: &Metadata) -> io::Result<()> {
    Ok(())
}

/// A rename is durable with the file system's own journal.
pub fn sync_directory(_directory: &Path) -> io::Result<()> {
    Ok(())
}

/// Whether `path` still names the open `file`.
pub(crate) fn names_open_file(path: &Path, file: &File) -> io::Result<bool> {
    let named = match File::open(path) {
        Ok(named) => named,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    };
    Ok(volume_and_index(&named)? == volume_and_index(file)?)
}

fn volume_and_index(file: &File) -> io::Result<(u32, u32, u32)> {
    let info = file_information(file)?;
    Ok((info.dwVolumeSerialNumber, info.nFileIndexHigh, info.nFileIndexLow))
}

/// Volume and index of an open file, and its number of hard links.
pub(crate) fn file_numbers(file: &File) -> io::Result<(Option<FileNumbers>, u64)> {
    let info = file_information(file)?;
    let inode = (u64::from(info.nFileIndexHigh) << 32) | u64::from(info.nFileIndexLow);
    let numbers = FileNumbers { device: u64::from(info.dwVolumeSerialNumber), inode };
    Ok((Some(numbers), u64::from(info.nNumberOfLinks)))
}

/// Opens `path` for reading unless it is a symbolic link.
pub(crate) fn open_unlinked_for_reading(path: &Path) -> io::Result<File> {
    if path.symlink_metadata()?.is_symlink() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    File::open(path)
}

fn file_information(file: &File) -> io::Result<BY_HANDLE_FILE_INFORMATION> {
    let mut info = MaybeUninit::<BY_HANDLE_FILE_INFORMATION>::zeroed();
    // SAFETY: the handle is open for as long as `file` lives, and the system fills the structure.
    if unsafe { GetFileInformationByHandle(file.as_raw_handle(), info.as_mut_ptr()) } == 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: zeroed before the call and filled by it; every bit pattern is a valid value.
    Ok(unsafe { info.assume_init() })
}

/// Not available on this system.
pub(crate) fn boot_id() -> Option<String> {
    None
}

/// State and creation time (100 ns since 1601, which no two processes of one pid share).
pub(crate) fn process_state(pid: u32) -> ProcessState {
    let process = match Process::open(pid) {
        Ok(process) => process,
        Err(error) if error.raw_os_error() == i32::try_from(ERROR_INVALID_PARAMETER).ok() => {
            return ProcessState::Gone;
        }
        Err(_) => return ProcessState::Alive { start_ticks: None },
    };
    let mut code = 0_u32;
    // SAFETY: the handle is open, and the system writes one number.
    let answered = unsafe { GetExitCodeProcess(process.0, &raw mut code) } != 0;
    if answered && i32::try_from(code).ok() != Some(STILL_ACTIVE) {
        return ProcessState::Gone;
    }
    let mut times = [FILETIME { dwLowDateTime: 0, dwHighDateTime: 0 }; 4];
    let [creation, exit, kernel, user] = &mut times;
    // SAFETY: the handle is open, and the system writes four times.
    let answered = unsafe { GetProcessTimes(process.0, creation, exit, kernel, user) } != 0;
    let start = (u64::from(times[0].dwHighDateTime) << 32) | u64::from(times[0].dwLowDateTime);
    ProcessState::Alive { start_ticks: answered.then_some(start) }
}

/// The whole command line as one argument: Windows leaves splitting to each program.
pub(crate) fn process_argv(pid: u32) -> Option<Vec<OsString>> {
    let process = Process::open(pid).ok()?;
    // A command line has at most 32,767 units; the header of the answer precedes them. Units of eight
    // bytes keep the header aligned.
    let mut buffer = vec![0_u64; 16 * 1024];
    let size = u32::try_from(buffer.len() * 8).ok()?;
    // SAFETY: the handle is open, and the system writes at most `size` bytes into `buffer`.
    let status = unsafe {
        NtQueryInformationProcess(
            process.0,
            ProcessCommandLineInformation,
            buffer.as_mut_ptr().cast::<c_void>(),
            size,
            std::ptr::null_mut(),
        )
    };
    if status < 0 {
        return None;
    }
    // SAFETY: after success the buffer starts with this header, and is aligned for it.
    let header = unsafe { buffer.as_ptr().cast::<UNICODE_STRING>().read() };
    if header.Buffer.is_null() {
        return None;
    }
    // SAFETY: the header points to `Length` bytes inside the buffer, which still lives.
    let units = unsafe { std::slice::from_raw_parts(header.Buffer, usize::from(header.Length) / 2) };
    Some(vec![OsString::from_wide(units)])
}

/// Not available on this system.
pub(crate) fn start_environment(_pid: u32, _variable: &str) -> Option<OsString> {
    None
}

struct Process(HANDLE);

impl Process {
    fn open(pid: u32) -> io::Result<Self> {
        // SAFETY: takes numbers only.
        let handle = unsafe { OpenProcess(PROCESS_QUERY_LIMITED_INFORMATION, 0, pid) };
        if handle.is_null() { Err(io::Error::last_os_error()) } else { Ok(Self(handle)) }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // SAFETY: the handle was opened by `open` and is closed once.
        unsafe { CloseHandle(self.0) };
    }
}

/// Owners are no numbers here.
pub fn effective_uid() -> Option<u32> {
    None
}

/// Owners are no numbers here.
pub fn owner(_metadata: &Metadata) -> Option<u32> {
    None
}

/// The profile directory is private to its user here.
pub fn is_world_writable(_metadata: &Metadata) -> bool {
    false
}

/// The profile directory is private to its user here.
pub fn restrict_directory(_path: &Path, _metadata: &Metadata) -> io::Result<()> {
    Ok(())
}

/// Every owner is known here.
pub fn is_unmapped_owner(_uid: u32) -> bool {
    false
}

/// There are no modes here.
pub fn has_fixed_modes(_path: &Path) -> bool {
    false
}

/// No effect: Windows has no root user.
pub(crate) fn give_to_directory_owner(_path: &Path) {}

/// Not available on this system.
pub(crate) fn device(_path: &Path) -> u64 {
    0
}

/// Without writing, only the read-only attribute is known.
pub(crate) fn observe_access(path: &Path) -> Access {
    match fs::metadata(path) {
        Ok(metadata) if metadata.is_file() && metadata.permissions().readonly() => Access::Denied { mode: 0 },
        _ => Access::Allowed,
    }
}

/// Not available on this system.
pub(crate) fn observe_space(_path: &Path) -> Option<Space> {
    None
}

/// The identity of a file.
pub fn file_identity(metadata: &Metadata) -> FileIdentity {
    FileIdentity { place: (0, 0), size: metadata.len(), modified: metadata.modified().ok() }
}

/// No modes here.
pub fn mode(_metadata: &Metadata) -> Option<u32> {
    None
}

/// Unknown here: the error of the write reports it.
pub fn is_mounted_read_only(_path: &Path) -> bool {
    false
}

/// The profile directory is private to its user here.
///
/// # Errors
/// None.
pub fn restrict_any_owner(_path: &Path) -> io::Result<()> {
    Ok(())
}

/// No modes here.
///
/// # Errors
/// None.
pub fn set_owner_only(_path: &Path) -> io::Result<()> {
    Ok(())
}

/// No modes here.
pub fn shared_mode(_path: &Path) -> Option<u32> {
    None
}

/// A path as text, for storage.
pub fn path_bytes(path: &Path) -> Vec<u8> {
    path.to_string_lossy().into_owned().into_bytes()
}

/// The inverse of [`path_bytes`].
pub fn path_from_bytes(bytes: Vec<u8>) -> PathBuf {
    String::from_utf8_lossy(&bytes).into_owned().into()
}

/// The first bytes of a regular file.
///
/// # Errors
/// As [`crate::regular::open`], and errors of reading.
pub fn read_start(path: &Path, _metadata: &Metadata, buffer: &mut [u8]) -> io::Result<usize> {
    use std::io::Read as _;
    crate::regular::open(path)?.read(buffer)
}

/// Not available on this system.
pub fn observe_posix_holder(_path: &Path) -> Option<LockHolder> {
    None
}
