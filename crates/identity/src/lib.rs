//! Identity of this machine: home, config, session, scope, foreground process, project and git facts.
//!
//! Reads the machine and returns plain values, which `gate` judges. Prints nothing, opens no network
//! connection and starts no process.
//!
//! | module | owns |
//! |---|---|
//! | [`environment`] | one snapshot of the environment variables |
//! | [`home`] | the state directory and the path of every file in it |
//! | [`config`] | `config.toml`: reading, consent, editing |
//! | [`secret`] | text that is never shown and is wiped when dropped |
//! | [`session`] | the encrypted session file |
//! | [`session_cache`] | the session cache beside the session |
//! | [`ci_token`] | the CI token |
//! | [`credentials`] | the credentials file of old releases |
//! | [`switch`] | the hosted-sync switch: variable, configuration, default |
//! | [`login`] | all of these as one [`Login`]: scope, authentication, faults |
//! | [`token_host`] | destination of a login's requests |
//! | [`foreground`] | the foreground identity of this process |
//! | [`project`] | project root and project identity |
//! | [`git`] | git facts, without a subprocess |
//! | [`lamport`] | the Lamport clock of this home |
//! | [`privacy`] | whether the state directory is this user's own |
//! | [`file_remedy`] | the remedy of an unusable file, given what its file system takes |
//! | [`quarantine`] | moving files aside |
//! | [`paths`] | canonical and lexically cleaned paths |
//!
//! Invariants: `read_*` and `observe_*` functions create, change and lock nothing; everything read
//! from outside has a size limit.

// Files are opened by `system::regular`, or for the reason beside the call (clippy.toml).
#![cfg_attr(not(test), deny(clippy::disallowed_methods))]

pub mod ci_token;
pub mod config;
pub mod credentials;
pub mod environment;
pub mod file_remedy;
pub mod foreground;
pub mod git;
pub mod home;
pub mod lamport;
pub mod login;
pub mod paths;
pub mod privacy;
pub mod project;
pub mod quarantine;
pub mod secret;
pub mod session;
pub mod session_cache;
pub mod state_file;
pub mod switch;
pub mod token_host;

pub use config::{BackgroundDaemon, Config, ConfigEdit, ConfigEditError, ConfigReader, Consent};
pub use environment::Environment;
pub use foreground::{BuildInfo, observe_foreground};
pub use git::GitFacts;
pub use home::{Home, HomeError, HomeSource};
pub use login::{AuthAbsence, Login, LoginSource, read_any_login, read_login};
pub use privacy::{Privacy, observe_privacy};
pub use project::{ProjectError, ProjectIdentity, locate_project_root};
pub use secret::Secret;
pub use session::{Session, SessionError, SessionStore};
pub use session_cache::{SessionCacheUse, refresh_session_cache};
pub use state_file::{StateFile, StateKind, observe_state_file};
pub use switch::{judge_switch, read_switch};
pub use token_host::{Destination, judge_destination};
