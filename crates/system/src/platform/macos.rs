//! Processes on macOS, from libproc and sysctl.
#![allow(unsafe_code, reason = "the kernel's process tables are only reachable through C calls")]

use super::unix::exists;
use crate::process::ProcessState;
use std::ffi::{CStr, OsString, c_int, c_void};
use std::mem::{self, MaybeUninit};
use std::os::unix::ffi::OsStringExt;
use std::ptr;

const ARGUMENTS_LIMIT: usize = 128 * 1024;

/// The kernel's id of this boot session.
pub(crate) fn boot_id() -> Option<String> {
    let mut buffer = [0_u8; 64];
    let mut size = buffer.len();
    // SAFETY: the name is a C string, and the kernel writes at most `size` bytes into `buffer`.
    let status = unsafe {
        libc::sysctlbyname(
            c"kern.bootsessionuuid".as_ptr(),
            buffer.as_mut_ptr().cast::<c_void>(),
            &raw mut size,
            ptr::null_mut(),
            0,
        )
    };
    let id = CStr::from_bytes_until_nul(&buffer).ok()?.to_str().ok()?;
    (status == 0 && !id.is_empty()).then(|| id.to_owned())
}

/// State and start time (microseconds since the epoch) from the process table.
pub(crate) fn process_state(pid: u32) -> ProcessState {
    let Ok(raw) = c_int::try_from(pid) else { return ProcessState::Gone };
    let mut info = MaybeUninit::<libc::proc_bsdinfo>::zeroed();
    let size = mem::size_of::<libc::proc_bsdinfo>();
    // The argument 1 asks for zombies too.
    // SAFETY: the kernel writes at most `size` bytes, which is what `info` holds.
    let written = unsafe {
        libc::proc_pidinfo(
            raw,
            libc::PROC_PIDTBSDINFO,
            1,
            info.as_mut_ptr().cast::<c_void>(),
            c_int::try_from(size).unwrap_or(0),
        )
    };
    if usize::try_from(written).ok() != Some(size) {
        return exists(pid);
    }
    // SAFETY: zeroed before the call and wholly written by it; every bit pattern is a valid value.
    let info = unsafe { info.assume_init() };
    if info.pbi_status == libc::SZOMB {
        return ProcessState::Zombie;
    }
    let start = info.pbi_start_tvsec.saturating_mul(1_000_000).saturating_add(info.pbi_start_tvusec);
    ProcessState::Alive { start_ticks: Some(start) }
}

/// The arguments, from the copy that the kernel keeps at the top of the process's stack: a count, the
/// executable, padding, then the arguments.
pub(crate) fn process_argv(pid: u32) -> Option<Vec<OsString>> {
    let mut name = [libc::CTL_KERN, libc::KERN_PROCARGS2, c_int::try_from(pid).ok()?];
    let mut buffer = vec![0_u8; ARGUMENTS_LIMIT];
    let mut size = buffer.len();
    // SAFETY: `name` has the three numbers that its length states, and the kernel writes at most `size`
    // bytes into `buffer`.
    let status = unsafe {
        libc::sysctl(
            name.as_mut_ptr(),
            3,
            buffer.as_mut_ptr().cast::<c_void>(),
            &raw mut size,
            ptr::null_mut(),
            0,
        )
    };
    if status != 0 {
        return None;
    }
    parse_arguments(buffer.get(..size)?)
}

/// Not available on this system.
pub(crate) fn start_environment(_pid: u32, _variable: &str) -> Option<OsString> {
    None
}

fn parse_arguments(bytes: &[u8]) -> Option<Vec<OsString>> {
    let (count, rest) = bytes.split_first_chunk::<4>()?;
    let count = usize::try_from(i32::from_ne_bytes(*count)).ok()?;
    let executable_end = rest.iter().position(|byte| *byte == 0)?;
    let rest = rest.get(executable_end..)?;
    let start = rest.iter().position(|byte| *byte != 0)?;
    let words = rest.get(start..)?.split(|byte| *byte == 0);
    Some(words.take(count).map(|word| OsString::from_vec(word.to_vec())).collect())
}

/// Every owner is known here.
pub fn is_unmapped_owner(_uid: u32) -> bool {
    false
}

/// Not available on this system.
pub fn has_fixed_modes(_path: &std::path::Path) -> bool {
    false
}
