//! The session's files: `session.json`, its salt and its lock.
//!
//! Writers, also those of the reference, hold `session.lock` and replace `session.json` by a rename, so a
//! reader needs no lock and sees either the old file or the new one. A reader that sees a new salt with an old
//! file reads again before it reports a fault.

use super::cipher::{Cipher, SALT_BYTES, SealedSession, random};
use super::{Session, SessionError, content};
use crate::config::Config;
use crate::home::Home;
use crate::quarantine;
use crate::session_cache::{Seals, SessionCache};
use contract::Remedy;
use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};
use std::path::Path;
use std::time::Duration;
use system::bounded_read::read_bounded;
use system::lock::{FileLock, LockError};
use system::machine::Machine;
use system::private_file::{self, WriteError};

/// The largest session that is read; a real one has two kilobytes.
const MAX_BYTES: u64 = 1024 * 1024;

/// Longest wait of a writer for another one.
const PATIENCE: Duration = Duration::from_secs(10);

/// Most reads of a file that keeps changing.
const LOOKS: usize = 3;

/// Reason why a session was not written or deleted.
#[derive(Debug, thiserror::Error)]
pub enum SessionWriteError {
    /// Another process is writing it.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// A file cannot be written or removed.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// The stored session cannot be read, or the new one cannot be encrypted.
    #[error("{}: {error}", contract::text::path(.path))]
    Session {
        /// The session file.
        path: std::path::PathBuf,
        /// Error of the session.
        #[source]
        error: SessionError,
    },
}

impl SessionWriteError {
    /// The remedy of a file that cannot be written.
    pub fn remedy(&self) -> Option<Remedy> {
        match self {
            Self::Lock(error) => error.remedy(),
            Self::Write(error) => Some(error.remedy()),
            Self::Session { .. } => None,
        }
    }
}

/// The session of one home, as one machine and user can read it.
#[derive(Clone, Debug)]
pub struct SessionStore {
    home: Home,
    machine: Machine,
}

/// The bytes of `session.json`, a private file.
pub(crate) struct SessionFile {
    bytes: Vec<u8>,
}

impl SessionFile {
    /// SHA-256 of the file, 64 lower-case hex digits. A session cache is bound to it.
    pub(crate) fn digest(&self) -> String {
        HEXLOWER.encode(&Sha256::digest(&self.bytes))
    }
}

impl SessionStore {
    /// The session of `home`, read and written as `machine`.
    pub fn new(home: &Home, machine: Machine) -> Self {
        Self { home: home.clone(), machine }
    }

    /// The stored session, or nothing when there is none. Derives the key; creates and locks nothing.
    ///
    /// # Errors
    /// [`SessionError`] when there is a file and it cannot be read as a session of this machine.
    pub fn read(&self) -> Result<Option<Session>, SessionError> {
        self.read_as(|file| self.decrypt(file))
    }

    /// The result of `understand` for the stored file. After an error a changed file is read again.
    pub(crate) fn read_as<T>(
        &self,
        understand: impl Fn(&SessionFile) -> Result<T, SessionError>,
    ) -> Result<Option<T>, SessionError> {
        let Some(mut file) = self.read_file()? else { return Ok(None) };
        for _ in 1..LOOKS {
            let problem = match understand(&file) {
                Ok(value) => return Ok(Some(value)),
                Err(problem) => problem,
            };
            match self.read_file()? {
                None => return Ok(None),
                Some(again) if again.bytes == file.bytes => return Err(problem),
                Some(again) => file = again,
            }
        }
        understand(&file).map(Some)
    }

    fn read_file(&self) -> Result<Option<SessionFile>, SessionError> {
        match read_bounded(&self.home.session_file(), MAX_BYTES)? {
            None => Ok(None),
            Some(file) if file.shared => Err(SessionError::Shared(file.mode)),
            Some(file) => Ok(Some(SessionFile { bytes: file.bytes })),
        }
    }

    /// Decrypts `file`. Derives the key: tens of milliseconds.
    pub(crate) fn decrypt(&self, file: &SessionFile) -> Result<Session, SessionError> {
        let envelope = SealedSession::parse(&file.bytes)?;
        let salt = self.read_salt()?.ok_or(SessionError::SaltMissing)?;
        let plaintext = Cipher::derive(&self.machine, &salt)?.open(&envelope)?;
        let plaintext =
            plaintext.ok_or_else(|| SessionError::Key(self.machine.hostname.clone(), self.machine.uid))?;
        content::parse(&plaintext)
    }

    /// The digests that a session cache of `file` is bound to. Reads the salt; derives no key.
    pub(crate) fn seals(&self, file: &SessionFile) -> Result<Seals, SessionError> {
        let salt = self.read_salt()?.ok_or(SessionError::SaltMissing)?;
        Ok(self.seals_with(file, &salt))
    }

    fn seals_with(&self, file: &SessionFile, salt: &[u8; SALT_BYTES]) -> Seals {
        let Machine { hostname, uid } = &self.machine;
        let key = Sha256::new().chain_update(format!("{hostname}:{uid}\0")).chain_update(salt).finalize();
        Seals { session_sha256: file.digest(), key_sha256: HEXLOWER.encode(&key) }
    }

    fn read_salt(&self) -> Result<Option<[u8; SALT_BYTES]>, SessionError> {
        let salt = read_bounded(&self.home.session_salt(), 4096).map_err(SessionError::Salt)?;
        salt.map(|file| {
            let length = file.bytes.len();
            file.bytes.try_into().map_err(|_| SessionError::SaltLength(length))
        })
        .transpose()
    }

    /// Stores `session` and its session cache, replacing the stored ones.
    ///
    /// # Errors
    /// [`SessionWriteError`]; the stored session is then untouched.
    pub fn write(&self, session: &Session) -> Result<(), SessionWriteError> {
        let _lock = self.lock()?;
        self.write_locked(session)
    }

    /// Stores `session` if the stored one satisfies `expected`; returns whether it did. No process can change
    /// the stored session between the question and the write.
    ///
    /// # Errors
    /// [`SessionWriteError`], also when the stored session cannot be read.
    pub fn replace_if(
        &self,
        session: &Session,
        expected: impl FnOnce(Option<&Session>) -> bool,
    ) -> Result<bool, SessionWriteError> {
        let _lock = self.lock()?;
        let stored = self.read().map_err(|error| self.failed(error))?;
        let wanted = expected(stored.as_ref());
        if wanted {
            self.write_locked(session)?;
        }
        Ok(wanted)
    }

    /// Writes the result of `change` for the stored session, if any, and returns it. No other process writes in
    /// between.
    ///
    /// # Errors
    /// [`SessionWriteError`], also when the stored session cannot be read.
    pub fn update(
        &self,
        change: impl FnOnce(&Session) -> Option<Session>,
    ) -> Result<Option<Session>, SessionWriteError> {
        let _lock = self.lock()?;
        let stored = self.read().map_err(|error| self.failed(error))?;
        let changed = stored.as_ref().and_then(change);
        if let Some(session) = &changed {
            self.write_locked(session)?;
        }
        Ok(changed)
    }

    /// Deletes the session, its salt, its cache and the reference's summary of it.
    ///
    /// # Errors
    /// [`SessionWriteError`].
    pub fn delete(&self) -> Result<(), SessionWriteError> {
        let _lock = self.lock()?;
        self.delete_locked()
    }

    /// Deletes the session if the stored one satisfies `expected`; returns whether it did.
    ///
    /// # Errors
    /// [`SessionWriteError`], also when the stored session cannot be read.
    pub fn delete_if(&self, expected: impl FnOnce(&Session) -> bool) -> Result<bool, SessionWriteError> {
        let _lock = self.lock()?;
        let stored = self.read().map_err(|error| self.failed(error))?;
        let wanted = stored.as_ref().is_some_and(expected);
        if wanted {
            self.delete_locked()?;
        }
        Ok(wanted)
    }

    fn failed(&self, error: SessionError) -> SessionWriteError {
        SessionWriteError::Session { path: self.home.session_file(), error }
    }

    fn lock(&self) -> Result<FileLock, LockError> {
        let mut lock = FileLock::acquire(&self.home.session_lock(), PATIENCE, "the session")?;
        lock.unlink_on_release();
        Ok(lock)
    }

    fn write_locked(&self, session: &Session) -> Result<(), SessionWriteError> {
        let salt = self.load_salt()?;
        let seal = || Cipher::derive(&self.machine, &salt)?.seal(content::render(session).as_bytes());
        let file = SessionFile { bytes: seal().map_err(|error| self.failed(error))?.render().into_bytes() };
        let path = self.home.session_file();
        move_obstacle_aside(&path)?;
        private_file::write_private(&path, &file.bytes)?;
        // The summary is valid only for the inode and time of the replaced file, so an error here is harmless.
        let _ = private_file::remove_file(&self.home.session_hot_path());
        // Without a cache the next command derives the key.
        let server = Config::read(&self.home).ok().and_then(|config| config.server_url);
        let server = server.map(|server| contract::server_url::shown(&server).into_owned());
        let cache = SessionCache::of(session, self.seals_with(&file, &salt), server);
        let _ = cache.keeping_issuer(&self.home).write(&self.home);
        Ok(())
    }

    /// The salt, created if there is none. An invalid one is replaced: the session encrypted with it is lost, and
    /// is being replaced too.
    fn load_salt(&self) -> Result<[u8; SALT_BYTES], SessionWriteError> {
        let path = self.home.session_salt();
        if let Ok(Some(salt)) = self.read_salt() {
            private_file::restrict_if_present(&path)?;
            return Ok(salt);
        }
        let salt = random().map_err(|error| self.failed(SessionError::Random(error)))?;
        move_obstacle_aside(&path)?;
        private_file::write_private(&path, &salt)?;
        Ok(salt)
    }

    fn delete_locked(&self) -> Result<(), SessionWriteError> {
        for path in [
            self.home.session_file(),
            self.home.session_salt(),
            self.home.session_hot_path(),
            self.home.session_cache_file(),
        ] {
            private_file::remove_file(&path)?;
        }
        Ok(())
    }
}

/// A directory in place of the file would make the rename fail, and so the login that is the remedy of an
/// unreadable session. It is moved aside.
fn move_obstacle_aside(path: &Path) -> Result<(), WriteError> {
    if path.symlink_metadata().is_ok_and(|metadata| metadata.is_dir()) {
        quarantine::move_aside(path)?;
    }
    Ok(())
}
