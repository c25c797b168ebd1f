//! Processes on Linux, read from `/proc`.

use super::unix::exists;
use crate::process::ProcessState;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::ffi::OsStringExt;
use std::path::Path;

/// The kernel's id of this boot.
pub(crate) fn boot_id() -> Option<String> {
    let id = read("/proc/sys/kernel/random/boot_id", 64).ok()?;
    let id = String::from_utf8(id).ok()?.trim().to_owned();
    (!id.is_empty()).then_some(id)
}

/// State and start time from `/proc/<pid>/stat`. Where that is hidden or not mounted, the kernel still
/// returns whether the pid exists.
pub(crate) fn process_state(pid: u32) -> ProcessState {
    // The name is at most 64 bytes, the fifty numbers at most 20 digits each.
    match read(&format!("/proc/{pid}/stat"), 2048) {
        Ok(stat) => parse_stat(&stat).unwrap_or(ProcessState::Alive { start_ticks: None }),
        Err(_) => exists(pid),
    }
}

/// The arguments in `/proc/<pid>/cmdline`, the first 128 KiB of them.
pub(crate) fn process_argv(pid: u32) -> Option<Vec<OsString>> {
    let bytes = read(&format!("/proc/{pid}/cmdline"), 128 * 1024).ok()?;
    let bytes = bytes.strip_suffix(b"\0").unwrap_or(&bytes);
    if bytes.is_empty() {
        return None;
    }
    Some(bytes.split(|byte| *byte == 0).map(|word| OsString::from_vec(word.to_vec())).collect())
}

/// The value of `variable` in `/proc/<pid>/environ`.
pub(crate) fn start_environment(pid: u32, variable: &str) -> Option<OsString> {
    let bytes = read(&format!("/proc/{pid}/environ"), 1024 * 1024).ok()?;
    bytes.split(|byte| *byte == 0).find_map(|pair| {
        let value = pair.strip_prefix(variable.as_bytes())?.strip_prefix(b"=")?;
        Some(OsString::from_vec(value.to_vec()))
    })
}

#[allow(clippy::disallowed_methods, reason = "a file of the kernel")]
fn read(path: &str, limit: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(512);
    File::open(path)?.take(limit).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The third field is the state, the twenty-second the start time. The second, the name, may hold
/// spaces and parentheses, so counting starts after the last `)`.
fn parse_stat(stat: &[u8]) -> Option<ProcessState> {
    let name_end = stat.iter().rposition(|byte| *byte == b')')?;
    let rest = std::str::from_utf8(stat.get(name_end + 1..)?).ok()?;
    let mut fields = rest.split_ascii_whitespace();
    match fields.next()? {
        "Z" | "X" | "x" => Some(ProcessState::Zombie),
        _ => Some(ProcessState::Alive { start_ticks: fields.nth(18)?.parse().ok() }),
    }
}

/// Whether `uid` is the id of owners that this user namespace does not map.
pub fn is_unmapped_owner(uid: u32) -> bool {
    let number = |path: &str| String::from_utf8(read(path, 4096).ok()?).ok();
    let overflow = number("/proc/sys/kernel/overflowuid").and_then(|text| text.trim().parse().ok());
    if uid != overflow.unwrap_or(65_534_u32) {
        return false;
    }
    // A mapped number is a user like any other.
    let map = number("/proc/self/uid_map").unwrap_or_default();
    !map.lines().any(|line| {
        let mut fields = line.split_ascii_whitespace().map(str::parse::<u64>);
        let (Some(Ok(first)), Some(Ok(_)), Some(Ok(count))) = (fields.next(), fields.next(), fields.next())
        else {
            return false;
        };
        (first..first.saturating_add(count)).contains(&u64::from(uid))
    })
}

/// Whether the file system of `path` shows owners and modes that were never set: those of Windows, and those
/// that a server or a user-space program makes up.
pub fn has_fixed_modes(path: &Path) -> bool {
    // From `linux/magic.h` and the file systems' own headers.
    const FIXED: [u64; 11] = [
        0x0102_1997, // 9p, also drvfs of WSL 2
        0x5346_4846, // drvfs of WSL 1
        0xff53_4d42, // CIFS
        0xfe53_4d42, // SMB 2
        0x517b,      // SMB
        0x4d44,      // FAT
        0x2011_bab0, // exFAT
        0x5346_544e, // NTFS
        0x7366_746e, // NTFS 3
        0x6573_5546, // FUSE
        0x786f_4256, // VirtualBox
    ];
    rustix::fs::statfs(path).is_ok_and(|fs| FIXED.contains(&u64::from(fs.f_type.cast_unsigned() as u32)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TAIL: &str = "S 1 2 3 0 -1 4194560 1 0 0 0 5 6 7 8 20 0 1 0 987654 1000 2 3";

    #[test]
    fn name_of_a_process_cannot_forge_its_state() {
        let stat = format!("42 (evil) Z 1 2) {TAIL}");
        assert_eq!(parse_stat(stat.as_bytes()), Some(ProcessState::Alive { start_ticks: Some(987_654) }));
    }

    #[test]
    fn zombie_is_a_zombie_whatever_its_ticks() {
        let stat = format!("42 (sh) {}", TAIL.replacen('S', "Z", 1));
        assert_eq!(parse_stat(stat.as_bytes()), Some(ProcessState::Zombie));
    }

    #[test]
    fn truncated_line_gives_no_value() {
        for stat in ["", "42", "42 (sh)", "42 (sh) S 1 2"] {
            assert_eq!(parse_stat(stat.as_bytes()), None, "{stat}");
        }
    }

    #[test]
    fn name_that_is_not_utf8_does_not_hide_the_process() {
        let mut stat = b"42 (\xff\xfe) ".to_vec();
        stat.extend_from_slice(TAIL.as_bytes());
        assert!(parse_stat(&stat).is_some_and(ProcessState::is_alive));
    }
}
