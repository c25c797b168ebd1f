//! The state directory, resolved once per process, and the paths of all files in it.
//!
//! The layout is that of contract section 1. Creates nothing; only [`Home::ambiguity`] reads the disk.
//!
//! A home has three directories. On Linux and macOS they are the same one; on Windows earlier releases used
//! the profile and LocalAppData, and their state is read there. With `SPEC_KITTY_HOME` all three are that
//! directory, on every system.
//!
//! | directory | holds |
//! |---|---|
//! | root | queues, config, session, clock, credentials |
//! | sync root | the `daemon` directory: owner record, owner lock, control file, log |
//! | daemon root | the state file of the reference's daemon |

use crate::environment::{Environment, names};
use crate::paths;
use contract::{Fault, FaultCode, Remedy, Scope};
use std::path::{Path, PathBuf};

/// Source of the state directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HomeSource {
    /// `SPEC_KITTY_HOME` names the state directory itself.
    SpecKittyHome,
    /// `.spec-kitty` in the user's home directory.
    UserHome,
}

impl HomeSource {
    /// Its environment variable.
    pub const fn variable(self) -> &'static str {
        match self {
            Self::SpecKittyHome => names::SPEC_KITTY_HOME,
            Self::UserHome => system::machine::HOME_VARIABLE,
        }
    }
}

/// Reason why there is no state directory.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HomeError {
    /// Neither variable is set, or both are empty.
    #[error(
        "no state directory: neither {} nor {} is set",
        system::machine::HOME_VARIABLE,
        names::SPEC_KITTY_HOME
    )]
    Unset,
    /// A relative path would name another directory in every working directory.
    #[error("{variable} must be an absolute path, but is `{}`", contract::text::path(.value))]
    NotAbsolute {
        /// The variable.
        variable: &'static str,
        /// Its value.
        value: PathBuf,
    },
}

/// The state directory of one user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Home {
    root: PathBuf,
    sync_root: PathBuf,
    daemon_root: PathBuf,
    refresh_lock: PathBuf,
    source: HomeSource,
    /// `.spec-kitty` of the user's home directory, when `SPEC_KITTY_HOME` overrides it.
    overridden: Option<PathBuf>,
}

impl Home {
    /// The home of `environment`. Pure: no directory needs to exist.
    pub fn resolve(environment: &Environment) -> Result<Self, HomeError> {
        let user_home = absolute(environment, system::machine::HOME_VARIABLE);
        if let Some(root) = absolute(environment, names::SPEC_KITTY_HOME).transpose()? {
            let overridden = user_home.and_then(Result::ok).map(|home| home.join(STATE_DIRECTORY));
            return Ok(Self { overridden, ..Self::in_one_directory(root, HomeSource::SpecKittyHome) });
        }
        let user_home = user_home.unwrap_or(Err(HomeError::Unset))?;
        let root = user_home.join(STATE_DIRECTORY);
        let home = Self::in_one_directory(root, HomeSource::UserHome);
        if !system::machine::SPLIT_STATE {
            return Ok(home);
        }
        let local = environment
            .non_empty("LOCALAPPDATA")
            .map_or_else(|| user_home.join("AppData").join("Local"), PathBuf::from)
            .join("spec-kitty");
        Ok(Self {
            sync_root: local.join("sync"),
            daemon_root: local.join("daemon"),
            refresh_lock: local.join("auth").join("refresh.lock"),
            ..home
        })
    }

    fn in_one_directory(root: PathBuf, source: HomeSource) -> Self {
        Self {
            sync_root: root.join("sync"),
            daemon_root: root.clone(),
            refresh_lock: root.join("auth").join("refresh.lock"),
            root,
            source,
            overridden: None,
        }
    }

    /// The state directory.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Its source.
    pub fn source(&self) -> HomeSource {
        self.source
    }

    /// The legacy queue DB: active only while there is no scope.
    pub fn legacy_queue(&self) -> PathBuf {
        self.root.join("queue.db")
    }

    /// The scoped queue DB of `scope`.
    pub fn scoped_queue(&self, scope: &Scope) -> PathBuf {
        self.queues_dir().join(scope.queue_file_name())
    }

    /// The directory of all scoped queue DBs.
    pub fn queues_dir(&self) -> PathBuf {
        self.root.join("queues")
    }

    /// The directory of the stores that releases 3.2.0 to 3.2.7 keep for each project.
    pub fn projects_dir(&self) -> PathBuf {
        self.root.join("projects")
    }

    /// `config.toml`.
    pub fn config_file(&self) -> PathBuf {
        self.root.join("config.toml")
    }

    /// Held while `config.toml` is edited.
    pub(crate) fn config_lock(&self) -> PathBuf {
        self.root.join("config.lock")
    }

    /// The directory of session, salt and cache.
    pub fn auth_dir(&self) -> PathBuf {
        self.root.join("auth")
    }

    /// The encrypted session.
    pub fn session_file(&self) -> PathBuf {
        self.auth_dir().join("session.json")
    }

    /// The salt of the session key.
    pub fn session_salt(&self) -> PathBuf {
        self.auth_dir().join("session.salt")
    }

    /// Held while the session is written or deleted; shared with the reference.
    pub fn session_lock(&self) -> PathBuf {
        self.auth_dir().join("session.lock")
    }

    /// The reference's summary of the session, which we only ever delete.
    pub fn session_hot_path(&self) -> PathBuf {
        self.auth_dir().join("session.hot-path.json")
    }

    /// The session cache.
    pub fn session_cache_file(&self) -> PathBuf {
        self.auth_dir().join("identity.card.json")
    }

    /// Held while the token is refreshed; shared with the reference.
    pub fn refresh_lock(&self) -> PathBuf {
        self.refresh_lock.clone()
    }

    /// The credentials file of old releases.
    pub fn credentials_file(&self) -> PathBuf {
        self.root.join("credentials")
    }

    /// The Lamport clock.
    pub fn clock_file(&self) -> PathBuf {
        self.root.join("clock.json")
    }

    /// Held while a clock value is drawn; its content bounds every value drawn.
    pub fn clock_lock(&self) -> PathBuf {
        self.root.join("clock.lock")
    }

    /// The directory of our daemon's files.
    pub fn daemon_dir(&self) -> PathBuf {
        self.sync_root.join("daemon")
    }

    /// The daemon owner record.
    pub fn owner_record(&self) -> PathBuf {
        self.daemon_dir().join("owner.json")
    }

    /// The owner lock: held by the daemon while it runs, never written, never unlinked.
    pub fn owner_lock(&self) -> PathBuf {
        self.daemon_dir().join("owner.lock")
    }

    /// Port, instance and control token of the daemon.
    pub fn control_file(&self) -> PathBuf {
        self.daemon_dir().join("control.json")
    }

    /// The log of our daemon.
    pub fn daemon_log(&self) -> PathBuf {
        self.daemon_dir().join("daemon.log")
    }

    /// The state file of the reference's daemon.
    pub fn state_file(&self) -> PathBuf {
        self.daemon_root.join("sync-daemon")
    }

    /// Held by the one drain of `scope`.
    pub fn drain_lock(&self, scope: &Scope) -> PathBuf {
        self.queues_dir().join(scope.queue_file_name()).with_extension("drain.lock")
    }

    /// The fault `home_ambiguous`: `SPEC_KITTY_HOME` names a place that holds none of our state while
    /// `~/.spec-kitty` holds some. Reads at most a dozen directory entries, and none when the variable
    /// is not set.
    pub fn ambiguity(&self) -> Option<Fault> {
        let overridden = self.overridden.as_deref()?;
        let same_place = paths::canonical_or_clean(overridden) == paths::canonical_or_clean(&self.root);
        if same_place || holds_state(&self.root) || !holds_state(overridden) {
            return None;
        }
        let old = contract::text::path(overridden);
        Some(Fault::new(
            FaultCode::HomeAmbiguous,
            &self.root,
            format!("holds no state, but {} names it and {old} holds some", names::SPEC_KITTY_HOME),
            Remedy::Advice(format!(
                "unset {}, or move {old} to {}",
                names::SPEC_KITTY_HOME,
                contract::text::path(&self.root)
            )),
        ))
    }
}

const STATE_DIRECTORY: &str = ".spec-kitty";

/// Entries of a state directory of this program or of the reference. Runtime assets, which the reference kept
/// under the same variable, are not among them.
const STATE: [&str; 8] = [
    "config.toml",
    "queue.db",
    "queues",
    "auth/session.json",
    "credentials",
    "clock.json",
    "sync/daemon/owner.json",
    "sync-daemon",
];

fn holds_state(root: &Path) -> bool {
    STATE.iter().any(|name| {
        let path = name.split('/').fold(root.to_path_buf(), |path, part| path.join(part));
        // A command may have created the directory of the queues without storing a row.
        path.symlink_metadata().is_ok_and(|found| !found.is_dir() || !is_empty(&path))
    })
}

/// A directory that cannot be listed is not empty.
fn is_empty(directory: &Path) -> bool {
    std::fs::read_dir(directory).is_ok_and(|mut entries| entries.next().is_none())
}

fn absolute(environment: &Environment, variable: &'static str) -> Option<Result<PathBuf, HomeError>> {
    let value = PathBuf::from(environment.non_empty(variable)?);
    Some(if value.is_absolute() { Ok(value) } else { Err(HomeError::NotAbsolute { variable, value }) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn resolve(pairs: &[(&str, &Path)]) -> Result<Home, HomeError> {
        Home::resolve(&Environment::from_pairs(pairs.iter().copied()))
    }

    fn user_home() -> tempfile::TempDir {
        tempfile::tempdir().expect("a directory")
    }

    #[test]
    fn user_home_is_the_source_of_the_state_root() {
        let user = user_home();
        let home = resolve(&[(system::machine::HOME_VARIABLE, user.path())]).expect("a home");
        assert_eq!(home.root(), user.path().join(".spec-kitty"));
        assert_eq!(home.source().variable(), system::machine::HOME_VARIABLE);
        assert_eq!(home.ambiguity(), None);
        assert!(!home.root().exists(), "resolving creates nothing");
    }

    #[test]
    fn own_variable_replaces_all_of_it() {
        let (user, own) = (user_home(), user_home());
        let pairs = [(system::machine::HOME_VARIABLE, user.path()), ("SPEC_KITTY_HOME", own.path())];
        let home = resolve(&pairs).expect("a home");
        assert_eq!((home.root(), home.source()), (own.path(), HomeSource::SpecKittyHome));
        let scope = Scope::new("https://example.invalid", "dev@example.com", "team-priv-01");
        for path in [
            home.legacy_queue(),
            home.scoped_queue(&scope),
            home.drain_lock(&scope),
            home.config_file(),
            home.config_lock(),
            home.session_file(),
            home.session_salt(),
            home.session_lock(),
            home.session_hot_path(),
            home.session_cache_file(),
            home.refresh_lock(),
            home.credentials_file(),
            home.clock_file(),
            home.clock_lock(),
            home.owner_record(),
            home.owner_lock(),
            home.control_file(),
            home.daemon_log(),
            home.state_file(),
        ] {
            assert!(path.starts_with(own.path()) && path != own.path(), "{}", path.display());
        }
        assert!(home.drain_lock(&scope).ends_with("queues/queue-19633c16212dbbbb.drain.lock"));
    }

    #[test]
    fn without_a_variable_there_is_none_and_the_message_names_both() {
        for pairs in
            [&[][..], &[(system::machine::HOME_VARIABLE, Path::new("")), ("SPEC_KITTY_HOME", Path::new(""))]]
        {
            let message = resolve(pairs).expect_err("no home").to_string();
            assert!(
                message.contains(system::machine::HOME_VARIABLE) && message.contains("SPEC_KITTY_HOME"),
                "{message}"
            );
        }
        let own = user_home();
        assert!(resolve(&[("SPEC_KITTY_HOME", own.path())]).is_ok(), "one of them is enough");
    }

    #[test]
    fn relative_home_is_refused() {
        let message =
            resolve(&[("SPEC_KITTY_HOME", Path::new("state\n"))]).expect_err("relative").to_string();
        assert!(message.contains("SPEC_KITTY_HOME") && message.contains("state\\n"), "{message}");
        assert!(resolve(&[(system::machine::HOME_VARIABLE, Path::new("me"))]).is_err());
    }

    #[test]
    fn empty_override_beside_a_home_with_state_is_ambiguous() {
        let (user, own) = (user_home(), user_home());
        let pairs = [(system::machine::HOME_VARIABLE, user.path()), ("SPEC_KITTY_HOME", own.path())];
        let home = resolve(&pairs).expect("a home");
        assert_eq!(home.ambiguity(), None, "two empty places");

        let old = user.path().join(".spec-kitty");
        fs::create_dir_all(&old).expect("a directory");
        fs::write(old.join("queue.db"), "").expect("state");
        fs::write(own.path().join("runtime-asset"), "").expect("no state of ours");
        let fault = home.ambiguity().expect("a fault");
        assert_eq!((fault.code, fault.path.as_deref()), (FaultCode::HomeAmbiguous, Some(own.path())));
        assert!(fault.remedy.hint().contains("unset SPEC_KITTY_HOME, or move"), "{}", fault.remedy.hint());

        fs::create_dir(own.path().join("queues")).expect("a directory");
        assert!(home.ambiguity().is_some(), "an empty directory is no state");
        fs::write(own.path().join("config.toml"), "").expect("state");
        assert_eq!(home.ambiguity(), None, "both hold state: the variable was meant");
    }

    #[test]
    fn override_that_names_the_usual_place_is_not_ambiguous() {
        let user = user_home();
        let root = user.path().join(".spec-kitty");
        fs::create_dir_all(&root).expect("a directory");
        let pairs = [(system::machine::HOME_VARIABLE, user.path()), ("SPEC_KITTY_HOME", root.as_path())];
        assert_eq!(resolve(&pairs).expect("a home").ambiguity(), None);
    }
}
