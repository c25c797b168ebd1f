//! The probe of the owner lock: does a daemon of this home live? (contract section 2)
//!
//! The lock file is never unlinked and never written, and a daemon holds an exclusive lock on it for
//! life. The probe opens the existing file read-only, tries a shared lock and closes it again: it creates
//! nothing and changes nothing. While it looks (microseconds), a starter sees the file locked; starters
//! therefore retry for a moment.

use std::fs::TryLockError;
use std::io;
use std::path::Path;

/// What the probe found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LockProbe {
    /// Nobody holds it, or there is no lock file.
    Free,
    /// A daemon holds it.
    Held,
}

/// Whether somebody holds the owner lock at `path`.
///
/// # Errors
/// The file exists and cannot be opened or locked: nobody knows then whether a daemon lives.
pub fn observe_owner_lock(path: &Path) -> io::Result<LockProbe> {
    let file = match crate::platform::open_for_reading(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(LockProbe::Free),
        Err(error) => return Err(error),
    };
    match file.try_lock_shared() {
        Ok(()) => Ok(LockProbe::Free),
        Err(TryLockError::WouldBlock) => Ok(LockProbe::Held),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, File};

    #[test]
    fn a_missing_file_is_free_and_stays_missing() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("daemon").join("owner.lock");
        assert_eq!(observe_owner_lock(&path).expect("a probe"), LockProbe::Free);
        assert!(!path.exists() && !path.parent().is_some_and(Path::exists));
    }

    #[test]
    fn it_is_held_as_long_as_its_holder_lives_and_other_probes_do_not_count() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("owner.lock");
        let holder = File::create(&path).expect("a file");
        let other_probe = File::open(&path).expect("a file");
        other_probe.lock_shared().expect("a shared lock");
        assert_eq!(observe_owner_lock(&path).expect("a probe"), LockProbe::Free);
        drop(other_probe);
        holder.try_lock().expect("the lock");
        assert_eq!(observe_owner_lock(&path).expect("a probe"), LockProbe::Held);
        drop(holder);
        assert_eq!(observe_owner_lock(&path).expect("a probe"), LockProbe::Free);
        assert_eq!(fs::metadata(&path).expect("metadata").len(), 0);
    }
}
