//! Processes on Unix: handles, signals, process groups and detaching.

use crate::process::{HandleError, Signal};
use contract::FileNumbers;
use rustix::process::Pid;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, FromRawFd as _, OwnedFd, RawFd};
#[cfg(target_os = "linux")]
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

/// Points standard output and error at `file`.
pub fn point_output_at(file: &File) {
    // A daemon that cannot redirect its output still works; what it would print is lost either way.
    let _ = rustix::stdio::dup2_stdout(file);
    let _ = rustix::stdio::dup2_stderr(file);
}

/// Takes standard output for another use.
///
/// # Errors
/// There is no standard output.
pub fn take_output() -> io::Result<File> {
    Ok(io::stdout().as_fd().try_clone_to_owned()?.into())
}

/// Leaves the session and the terminal of the starter.
pub fn leave_session() {
    // Fails only for a process group leader, which has left already.
    let _ = rustix::process::setsid();
}

/// Prepares the start of a detached process: here it leaves the session by itself.
pub fn detach(_command: &mut Command) {}

/// Closes the descriptors above standard error that this process inherited and does not use. A pipe of a shell or of
/// a test runner would otherwise stay open as long as the daemon runs.
#[allow(unsafe_code)]
pub fn close_inherited() {
    let directory = if cfg!(target_os = "linux") { "/proc/self/fd" } else { "/dev/fd" };
    let Ok(entries) = std::fs::read_dir(directory) else { return };
    let descriptors: Vec<RawFd> =
        entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    for descriptor in descriptors.into_iter().filter(|descriptor| *descriptor > 2) {
        // SAFETY: the descriptor is only asked for its flags; one that was closed meanwhile (the listing's
        // own) answers EBADF.
        let borrowed = unsafe { BorrowedFd::borrow_raw(descriptor) };
        let inherited = rustix::io::fcntl_getfd(borrowed)
            .is_ok_and(|flags| !flags.contains(rustix::io::FdFlags::CLOEXEC));
        if inherited {
            // SAFETY: everything that Rust code opens is close-on-exec, so a descriptor without that flag
            // came through exec and has no owner in this process.
            drop(unsafe { OwnedFd::from_raw_fd(descriptor) });
        }
    }
}

/// Calls `act` with the name of each signal that asks this process to end.
///
/// # Errors
/// The handlers or their thread cannot be created.
pub fn watch_signals(act: impl Fn(&'static str) + Send + 'static) -> io::Result<()> {
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
    let mut signals = signal_hook::iterator::Signals::new([SIGTERM, SIGINT, SIGHUP])?;
    std::thread::Builder::new().name("signals".to_owned()).stack_size(64 * 1024).spawn(move || {
        for signal in signals.forever() {
            act(match signal {
                SIGINT => "SIGINT",
                SIGHUP => "SIGHUP",
                _ => "SIGTERM",
            });
        }
    })?;
    Ok(())
}

/// Signals to this process while it waits for a child that works in its place. None of them ends this process. A terminal
/// sends its own to the child as well; all others are sent on.
#[derive(Debug)]
pub struct ChildSignals {
    signals: signal_hook::iterator::Signals,
}

impl ChildSignals {
    /// Takes the signals from now on. A child that is started after this has none of these handlers.
    ///
    /// # Errors
    /// The handlers cannot be had.
    pub fn catch() -> io::Result<Self> {
        use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2};
        let signals = [SIGTERM, SIGHUP, SIGINT, SIGQUIT, SIGUSR1, SIGUSR2];
        Ok(Self { signals: signal_hook::iterator::Signals::new(signals)? })
    }

    /// Waits for the child, and sends on what arrives meanwhile; with `by_terminal` not what the keys of a terminal send.
    ///
    /// # Errors
    /// The child cannot be waited for.
    pub fn wait(self, child: &mut Child, by_terminal: bool) -> io::Result<std::process::ExitStatus> {
        use rustix::process::{Signal as Raw, WaitId, WaitIdOptions};
        use signal_hook::consts::{SIGINT, SIGQUIT};
        let Self { mut signals } = self;
        let (pid, handle) = (Pid::from_child(child), signals.handle());
        let forward = move || {
            let others = |signal: &i32| !by_terminal || ![SIGINT, SIGQUIT].contains(signal);
            for signal in signals.forever().filter(others).filter_map(Raw::from_named_raw) {
                // The child may have ended: an error is ignored.
                let _ = rustix::process::kill_process(pid, signal);
            }
        };
        let forwarder = std::thread::Builder::new().name("signals".to_owned()).spawn(forward)?;
        // Without reaping it: until the forwarder has ended, the pid is the child's.
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        while matches!(rustix::process::waitid(WaitId::Pid(pid), options), Err(rustix::io::Errno::INTR)) {}
        handle.close();
        drop(forwarder.join());
        child.wait()
    }
}

/// A process that cannot be mistaken for a later one of the same pid: on Linux a pidfd, elsewhere the pid,
/// used at once after its start time was compared.
#[derive(Debug)]
pub struct ProcessHandle {
    pid: Pid,
    #[cfg(target_os = "linux")]
    descriptor: OwnedFd,
}

impl ProcessHandle {
    /// Opens a handle to the process that has `pid` now.
    ///
    /// # Errors
    /// There is no such process, or the system refuses.
    pub fn open(pid: u32) -> Result<Self, HandleError> {
        let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).ok_or(HandleError::Gone)?;
        #[cfg(target_os = "linux")]
        {
            let flags = rustix::process::PidfdFlags::empty();
            let descriptor = rustix::process::pidfd_open(pid, flags).map_err(gone_or_io)?;
            Ok(Self { pid, descriptor })
        }
        #[cfg(not(target_os = "linux"))]
        {
            rustix::process::test_kill_process(pid).map_err(gone_or_io)?;
            Ok(Self { pid })
        }
    }

    /// Sends `signal`. Only `daemon::holder` calls this, for a process that it has proven to hold the owner lock;
    /// a test over the sources keeps it so.
    ///
    /// # Errors
    /// The process is gone, or the system refuses.
    pub fn signal(&self, signal: Signal) -> Result<(), HandleError> {
        let signal = match signal {
            Signal::Terminate => rustix::process::Signal::TERM,
            Signal::Kill => rustix::process::Signal::KILL,
        };
        #[cfg(target_os = "linux")]
        let sent = rustix::process::pidfd_send_signal(&self.descriptor, signal);
        #[cfg(not(target_os = "linux"))]
        let sent = rustix::process::kill_process(self.pid, signal);
        sent.map_err(gone_or_io)
    }

    /// Waits at most `patience` for it to end; true when it has.
    pub fn wait(&self, patience: Duration) -> bool {
        let deadline = Instant::now() + patience;
        loop {
            if !crate::process::observe_process(i64::from(self.pid.as_raw_nonzero().get())).is_alive() {
                return true;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            if self.sleep(left) {
                return true;
            }
        }
    }

    /// Sleeps until it ends (true) or for at most `patience`.
    #[cfg(target_os = "linux")]
    fn sleep(&self, patience: Duration) -> bool {
        use rustix::event::{PollFd, PollFlags, Timespec, poll};
        let timeout = Timespec::try_from(patience).ok();
        let mut descriptors = [PollFd::new(&self.descriptor, PollFlags::IN)];
        matches!(poll(&mut descriptors, timeout.as_ref()), Ok(ready) if ready > 0)
    }

    #[cfg(not(target_os = "linux"))]
    fn sleep(&self, patience: Duration) -> bool {
        std::thread::sleep(patience.min(Duration::from_millis(20)));
        false
    }
}

fn gone_or_io(error: rustix::io::Errno) -> HandleError {
    if error == rustix::io::Errno::SRCH { HandleError::Gone } else { HandleError::Io(error.into()) }
}

/// Whether `pid` is suspended (SIGSTOP, a debugger); none where the system does not report it.
#[cfg(target_os = "linux")]
#[allow(clippy::disallowed_methods, reason = "a file of the kernel")]
pub fn is_suspended(pid: u32) -> Option<bool> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may hold anything; the state is the first word after the last one.
    let state = stat.rsplit_once(')')?.1.trim_start().chars().next()?;
    Some(matches!(state, 'T' | 't'))
}

/// Whether `pid` is suspended; not available on this system.
#[cfg(not(target_os = "linux"))]
pub fn is_suspended(_pid: u32) -> Option<bool> {
    None
}

/// Whether `pid` holds an exclusive lock on the file `numbers`; none where the system does not report it. The
/// file is recognised by its descriptor: on some file systems the lock table has another device number.
#[cfg(target_os = "linux")]
#[allow(clippy::disallowed_methods, reason = "a file of the kernel")]
pub fn holds_lock(pid: u32, numbers: FileNumbers) -> Option<bool> {
    let entries = std::fs::read_dir(format!("/proc/{pid}/fd")).ok()?;
    let mut unread = false;
    for entry in entries {
        let entry = entry.ok()?;
        // Followed, the link leads to the open file itself, wherever its name went.
        let Ok(metadata) = std::fs::metadata(entry.path()) else { continue };
        if (metadata.dev(), metadata.ino()) != (numbers.device, numbers.inode) {
            continue;
        }
        let descriptor = entry.file_name();
        match std::fs::read_to_string(
            Path::new("/proc").join(pid.to_string()).join("fdinfo").join(descriptor),
        ) {
            Ok(text) if text.lines().any(shows_exclusive_flock) => return Some(true),
            Ok(_) => {}
            Err(_) => unread = true,
        }
    }
    (!unread).then_some(false)
}

/// `lock:  1: FLOCK  ADVISORY  WRITE 4711 08:01:131 0 EOF`. A probe has a READ lock for a moment.
#[cfg(target_os = "linux")]
fn shows_exclusive_flock(line: &str) -> bool {
    let mut words = line.split_whitespace();
    words.next() == Some("lock:") && words.nth(1) == Some("FLOCK") && words.nth(1) == Some("WRITE")
}

/// Whether `pid` holds a lock; not available on this system.
#[cfg(not(target_os = "linux"))]
pub fn holds_lock(_pid: u32, _numbers: FileNumbers) -> Option<bool> {
    None
}

/// The other processes of this user; empty where the system does not report them.
#[cfg(target_os = "linux")]
pub fn list_own_processes() -> Vec<u32> {
    let own = rustix::process::getuid().as_raw();
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    entries
        .flatten()
        .filter_map(|entry| Some((entry.file_name().to_str()?.parse::<u32>().ok()?, entry.metadata().ok()?)))
        .filter(|(pid, metadata)| metadata.uid() == own && *pid != std::process::id())
        .map(|(pid, _)| pid)
        .collect()
}

/// The processes of this user; not available without a helper process.
#[cfg(not(target_os = "linux"))]
pub fn list_own_processes() -> Vec<u32> {
    Vec::new()
}

/// Whether `pid` has a former file of `path` open; false where the system does not report it. A process that
/// only probes the lock has the present file open.
#[cfg(target_os = "linux")]
pub fn has_former_file_open(pid: u32, path: &Path) -> bool {
    let Ok(entries) = std::fs::read_dir(format!("/proc/{pid}/fd")) else { return false };
    let place = |path: &Path| std::fs::metadata(path).ok().map(|data| (data.dev(), data.ino()));
    let mut deleted = path.as_os_str().to_owned();
    deleted.push(" (deleted)");
    entries.flatten().any(|entry| {
        std::fs::read_link(entry.path())
            .is_ok_and(|target| target == path || target.as_os_str() == deleted)
            // Followed, the link leads to the open file itself, wherever its name went.
            && place(&entry.path()).is_some_and(|open| place(path) != Some(open))
    })
}

/// Whether `pid` has a former `path` open; not available on this system.
#[cfg(not(target_os = "linux"))]
pub fn has_former_file_open(_pid: u32, _path: &Path) -> bool {
    false
}

/// The command that ends `pid`.
pub fn end_command(pid: u32) -> String {
    format!("kill {pid}")
}

/// Releases the resident pages of this program's code. An idle daemon needs a fraction of the code that a
/// drain used. The pages are clean and stay in the page cache, so a later access maps them again.
#[cfg(target_os = "linux")]
#[allow(unsafe_code)]
#[allow(clippy::disallowed_methods, reason = "a file of the kernel")]
pub fn release_code() {
    use rustix::mm::{Advice, madvise};
    let Ok(maps) = std::fs::read_to_string("/proc/self/maps") else { return };
    let Ok(program) = std::fs::read_link("/proc/self/exe") else { return };
    for range in code_ranges(&maps, &program) {
        let start = std::ptr::with_exposed_provenance_mut(range.start);
        // SAFETY: the range is a mapping of this process that is private, executable and not writable, so
        // its pages hold the bytes of the file and nothing else. Dropping them is invisible: the next
        // access reads the same bytes from the file that the mapping keeps open.
        let _ = unsafe { madvise(start, range.len(), Advice::LinuxDontNeed) };
    }
}

/// Releases the resident pages of this program's code; not available on this system.
#[cfg(not(target_os = "linux"))]
pub fn release_code() {}

/// The mappings of `program` that contain only code.
#[cfg(target_os = "linux")]
fn code_ranges(maps: &str, program: &Path) -> Vec<std::ops::Range<usize>> {
    let range = |line: &str| {
        let mut words = line.splitn(6, ' ');
        let (range, access) = (words.next()?, words.next()?);
        let file = words.nth(3)?.trim_start();
        let (start, end) = range.split_once('-')?;
        let address = |hex| usize::from_str_radix(hex, 16).ok();
        let range = address(start)?..address(end)?;
        (access == "r-xp" && Path::new(file) == program).then_some(range)
    };
    maps.lines().filter_map(range).collect()
}

/// A command line for the system's shell.
pub fn shell(command: &str) -> Command {
    let mut shell = Command::new("/bin/sh");
    shell.arg("-c").arg(command);
    shell
}

/// Starts `command` in its own process group, so that the whole group can be ended.
pub fn own_group(command: &mut Command) {
    std::os::unix::process::CommandExt::process_group(command, 0);
}

/// Ends a child and its process group, and waits for the child. It may have ended already.
pub fn end_group(child: &mut Child) {
    if let Some(group) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
        // The group was created for this child. A group without processes is no error.
        let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
    }
    let _ = child.wait();
}

/// Ends this process without any of its cleanup running.
#[cfg(feature = "faults")]
pub fn die() -> ! {
    let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
    std::process::abort()
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn flock_line_of_a_writer_is_recognised() {
        assert!(shows_exclusive_flock("lock:\t1: FLOCK  ADVISORY  WRITE 4711 08:01:131 0 EOF"));
        for line in [
            "lock:\t1: FLOCK  ADVISORY  READ 4711 08:01:131 0 EOF",
            "lock:\t1: POSIX  ADVISORY  WRITE 4711 08:01:131 0 EOF",
            "pos:\t0",
            "",
        ] {
            assert!(!shows_exclusive_flock(line), "{line}");
        }
    }

    #[test]
    fn only_code_of_the_program_itself_is_released() {
        let maps = "\
55d0c0000000-55d0c0020000 r--p 00000000 fd:01 123                        /opt/my tools/spec-kitty
55d0c0020000-55d0c0a80000 r-xp 00020000 fd:01 123                        /opt/my tools/spec-kitty
55d0c0a80000-55d0c0ab0000 r--p 00a80000 fd:01 123                        /opt/my tools/spec-kitty
55d0c0ab0000-55d0c0ac0000 rw-p 00ab0000 fd:01 123                        /opt/my tools/spec-kitty
55d0c1000000-55d0c1021000 rw-p 00000000 00:00 0                          [heap]
7f0000000000-7f0000100000 r-xp 00000000 fd:01 456                        /usr/lib/libc.so.6
7f0000200000-7f0000201000 r-xp 00000000 00:00 0
nonsense
";
        let ranges = code_ranges(maps, Path::new("/opt/my tools/spec-kitty"));
        let found: Vec<_> = ranges.iter().map(|range| (range.start, range.end)).collect();
        assert_eq!(found, [(0x55d0_c002_0000, 0x55d0_c0a8_0000)]);
    }

    /// Resident KiB of the code of this very program.
    fn resident() -> u64 {
        let program = std::fs::read_link("/proc/self/exe").expect("a program");
        let smaps = std::fs::read_to_string("/proc/self/smaps").expect("smaps");
        let mut inside = false;
        let mut sum = 0;
        for line in smaps.lines() {
            if line.split(' ').next().is_some_and(|word| word.contains('-')) {
                inside = !code_ranges(line, &program).is_empty();
            } else if let Some(rest) = line.strip_prefix("Rss:").filter(|_| inside) {
                sum += rest.trim().trim_end_matches(" kB").parse::<u64>().expect("a size");
            }
        }
        sum
    }

    #[test]
    fn released_code_is_mapped_again_when_called() {
        // Other tests of this binary would call code meanwhile.
        const ALONE: &str = "SPEC_KITTY_TEST_ALONE";
        if std::env::var_os(ALONE).is_none() {
            let name = "platform::unix_process::tests::released_code_is_mapped_again_when_called";
            let mut alone = Command::new(std::env::current_exe().expect("this binary"));
            let output = alone.args([name, "--exact"]).env(ALONE, "1").output().expect("it runs");
            let text = String::from_utf8_lossy(&output.stdout);
            assert!(output.status.success() && text.contains("1 passed"), "{text}");
            return;
        }
        let sentence = || {
            serde_json::json!({ "sum": [1, 2, 3], "at": jiff::Timestamp::UNIX_EPOCH.to_string() }).to_string()
        };
        let before = (sentence(), resident());
        release_code();
        let after = resident();
        assert!(after < before.1, "{after} of {} KiB", before.1);
        assert_eq!(sentence(), before.0);
    }
}
