//! The control file: port of the daemon of this home, and the secret of its run.
//!
//! 0600 JSON, written atomically by the daemon before its owner record, removed only by the run that wrote
//! it. It lets a command reach the holder of the owner lock even when the record is missing.

use super::proof::ControlToken;
use contract::{Fault, FileNumbers, Remedy};
use identity::Home;
use identity::privacy::privacy_fault;
use serde::{Deserialize, Serialize};
use std::io;
use std::path::{Path, PathBuf};
use system::bounded_read::{BoundedReadError, read_bounded};
use system::lock::{LockProbe, observe_lock};
use system::private_file::{self, WriteError};
use zeroize::Zeroizing;

/// Version of the file.
const VERSION: u32 = 1;
const MAX_BYTES: u64 = 4 * 1024;

/// The content of a control file.
#[derive(Clone, Debug)]
pub struct ControlFile {
    /// ULID of the daemon run that wrote it.
    pub instance_id: String,
    /// Its process id; explains, proves nothing.
    pub pid: u32,
    /// Port on 127.0.0.1.
    pub port: u16,
    /// The secret of the run.
    pub token: ControlToken,
    /// The owner lock file of its home; none in files of releases that did not note it.
    pub lock: Option<FileNumbers>,
}

/// Reason why a control file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ControlFileError {
    /// It exists and cannot be read.
    #[error("control file {} {source}", contract::text::path(.path))]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Error of the read.
        source: BoundedReadError,
    },
    /// It is no control file of ours. The content is not repeated: it may hold a secret.
    #[error("control file {} {detail}", contract::text::path(.path))]
    Malformed {
        /// The file.
        path: PathBuf,
        /// The defect.
        detail: &'static str,
    },
    /// It belongs to the daemon of another home, from which this one was copied. No process is asked.
    #[error("control file {} belongs to the daemon of another home", contract::text::path(.path))]
    OtherHome {
        /// The file.
        path: PathBuf,
    },
    /// Several homes share the lock file by hard links, so nothing tells whose daemon this is.
    #[error("owner lock {} has {links} hard links: another home shares it", contract::text::path(.path))]
    SharedLock {
        /// The lock file.
        path: PathBuf,
        /// Its names.
        links: u64,
    },
    /// The lock cannot be probed.
    #[error("owner lock {} cannot be probed: {source}", contract::text::path(.path))]
    Lock {
        /// The lock file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// The state directory is not private: the file may be another user's, and is not obeyed.
    #[error("{}", describe(.0))]
    NotPrivate(Fault),
    /// It could not be written.
    #[error(transparent)]
    Write(#[from] WriteError),
}

impl ControlFileError {
    /// Its remedy.
    pub fn remedy(&self) -> Remedy {
        match self {
            Self::Unreadable { path, .. }
            | Self::Malformed { path, .. }
            | Self::OtherHome { path }
            | Self::Lock { path, .. } => identity::file_remedy::repair(path),
            Self::SharedLock { path, .. } => Remedy::Advice(contract::owner_record::unlink_advice(path)),
            Self::NotPrivate(fault) => fault.remedy.clone(),
            Self::Write(error) => error.remedy(),
        }
    }
}

/// Path and detail of a fault, in one line.
pub fn describe(fault: &Fault) -> String {
    let path = fault.path.as_deref().map(contract::text::path).unwrap_or_default();
    format!("{path} {}", fault.detail).trim_start().to_owned()
}

/// Borrows the token from a buffer that is wiped, so that no copy of it stays behind.
#[derive(Serialize, Deserialize)]
struct OnDisk<'a> {
    version: u32,
    instance_id: String,
    pid: u32,
    port: u16,
    token: &'a str,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    lock_device: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    lock_inode: Option<u64>,
}

impl ControlFile {
    /// Reads `path`; nothing when there is no file.
    ///
    /// # Errors
    /// The file exists and is not a control file of a version we know.
    pub fn read(path: &Path) -> Result<Option<Self>, ControlFileError> {
        let unreadable = |source| ControlFileError::Unreadable { path: path.to_path_buf(), source };
        let malformed = |detail| ControlFileError::Malformed { path: path.to_path_buf(), detail };
        let Some(file) = read_bounded(path, MAX_BYTES).map_err(unreadable)? else { return Ok(None) };
        let bytes = Zeroizing::new(file.bytes);
        let disk: OnDisk<'_> =
            serde_json::from_slice(&bytes).map_err(|_| malformed("is not a valid control file"))?;
        if disk.version != VERSION {
            return Err(malformed("was written by another release; restart the daemon with that one"));
        }
        let token = ControlToken::from_hex(disk.token).ok_or_else(|| malformed("contains no token"))?;
        let numbers = disk.lock_device.zip(disk.lock_inode);
        let lock = numbers.map(|(device, inode)| FileNumbers { device, inode });
        Ok(Some(Self { instance_id: disk.instance_id, pid: disk.pid, port: disk.port, token, lock }))
    }

    /// The control file of the daemon that holds the lock of `home`: the only way to an address that may be
    /// asked. Nothing while the lock is free, whatever file is there: it is a leftover or a copy.
    ///
    /// # Errors
    /// The lock or the file cannot be used, or belongs to another home, or the home is not private.
    pub(crate) fn of_holder(home: &Home) -> Result<Option<Self>, ControlFileError> {
        if let Some(fault) = privacy_fault(home) {
            return Err(ControlFileError::NotPrivate(fault));
        }
        let path = home.owner_lock();
        let lock = match observe_lock(&path) {
            Ok(Some(lock)) if lock.links > 1 => {
                return Err(ControlFileError::SharedLock { path, links: lock.links });
            }
            Ok(Some(lock)) if lock.state == LockProbe::Held => lock,
            Ok(Some(_) | None) => return Ok(None),
            Err(source) => return Err(ControlFileError::Lock { path, source }),
        };
        let path = home.control_file();
        match Self::read(&path)? {
            Some(control) if control.lock.is_some() && control.lock != lock.numbers => {
                Err(ControlFileError::OtherHome { path })
            }
            control => Ok(control),
        }
    }

    /// Writes the file: private, atomic, durable.
    ///
    /// # Errors
    /// The file could not be written.
    pub fn write(&self, path: &Path) -> Result<(), ControlFileError> {
        let token = self.token.hex();
        let disk = OnDisk {
            version: VERSION,
            instance_id: self.instance_id.clone(),
            pid: self.pid,
            port: self.port,
            token: token.as_str(),
            lock_device: self.lock.map(|lock| lock.device),
            lock_inode: self.lock.map(|lock| lock.inode),
        };
        // Strings and numbers always serialise.
        let mut bytes = Zeroizing::new(serde_json::to_vec(&disk).unwrap_or_default());
        bytes.push(b'\n');
        Ok(private_file::write_private(path, &bytes)?)
    }

    /// Removes the file if it is still the one of `instance_id`; true when it is gone or was never ours.
    pub(crate) fn remove_own(path: &Path, instance_id: &str) -> bool {
        match Self::read(path) {
            Ok(None) => true,
            Ok(Some(file)) if file.instance_id == instance_id => fs_err::remove_file(path).is_ok(),
            Ok(Some(_)) | Err(_) => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example() -> ControlFile {
        let token = ControlToken::generate().expect("random");
        let lock = Some(FileNumbers { device: 1, inode: 2 });
        ControlFile { instance_id: "01KONE".into(), pid: 7, port: 50_000, token, lock }
    }

    #[test]
    fn written_file_reads_back_and_is_readable_by_its_owner_only() {
        let home = tempfile::tempdir().expect("a directory");
        let path = home.path().join("daemon").join("control.json");
        assert!(ControlFile::read(&path).expect("no file").is_none());
        let written = example();
        written.write(&path).expect("written");
        let read = ControlFile::read(&path).expect("readable").expect("present");
        assert_eq!((read.port, read.pid, read.instance_id.as_str()), (50_000, 7, "01KONE"));
        assert_eq!(read.lock, written.lock);
        assert_eq!(read.token.hex(), written.token.hex());
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let mode = std::fs::metadata(&path).expect("metadata").permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
    }

    #[test]
    fn run_removes_its_own_file_and_no_other() {
        let home = tempfile::tempdir().expect("a directory");
        let path = home.path().join("control.json");
        example().write(&path).expect("written");
        assert!(ControlFile::remove_own(&path, "01KTWO"));
        assert!(path.exists());
        assert!(ControlFile::remove_own(&path, "01KONE"));
        assert!(!path.exists());
    }

    #[test]
    fn invalid_control_file_is_an_error_that_repeats_nothing_of_it() {
        let home = tempfile::tempdir().expect("a directory");
        let path = home.path().join("control.json");
        let hex = example().token.hex();
        let cases = [
            String::new(),
            "{".repeat(3_000),
            "[]".to_owned(),
            "x".repeat(5_000),
            format!(r#"{{"version":1,"instance_id":"a","pid":1,"port":99999,"token":"{}"}}"#, *hex),
            format!(r#"{{"version":2,"instance_id":"a","pid":1,"port":9,"token":"{}"}}"#, *hex),
            format!(r#"{{"version":1,"instance_id":"a","pid":1,"port":9,"token":"{}"}}"#, &hex[1..]),
        ];
        for content in cases {
            std::fs::write(&path, &content).expect("written");
            let message = ControlFile::read(&path).expect_err("malformed").to_string();
            assert!(message.contains("control.json") && !message.contains(&hex[1..]), "{message}");
        }
        assert!(ControlFile::remove_own(&path, "01KONE"), "not ours: left alone");
        assert!(path.exists());
    }
}
