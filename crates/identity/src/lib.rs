//! Who am I: home, config, session, scope, foreground process, project and git facts.
//!
//! Reads the machine and answers as plain values; judging them is `gate`'s business. Nothing here
//! prints, and nothing here opens a network connection or starts a process.
//!
//! | module | owns |
//! |---|---|
//! | [`environment`] | one snapshot of the environment variables |
//! | [`home`] | the state directory and the path of every file in it |
//! | [`config`] | `config.toml`: reading, consent, editing |
//! | [`machine`] | host name and user id, which the session key is made of |
//! | [`secret`] | text that is never shown and is wiped when dropped |
//! | [`session`] | the encrypted session file |
//! | [`session_cache`] | the identity card beside the session |
//! | [`token`] | the CI token |
//! | [`credentials`] | the credentials file of old releases |
//! | [`switch`] | the hosted-sync switch: variable, configuration, default |
//! | [`login`] | all of these as one [`Login`]: scope, authentication, faults |
//! | [`destination`] | where requests of a login may go |
//! | [`foreground`] | the six facts of the running process |
//! | [`project`] | project root and project identity |
//! | [`git`] | git facts, without a subprocess |
//! | [`process`] | whether a process lives, and what it is |
//! | [`clock`] | the Lamport clock of this home |
//! | [`lock`] | advisory file locks with a deadline and a named holder |
//! | [`privacy`] | whether the state directory is this user's own |
//! | [`disk`] | whether something can be written, found without writing |
//! | [`quarantine`] | moving files aside |
//! | [`private_file`] | writing files that only their owner may read |
//! | [`bounded_read`] | reading files that may be malformed, huge or not files at all |
//! | [`regular`] | opening files: regular ones only, and without waiting |
//! | [`paths`] | canonical and lexically cleaned paths |
//!
//! Invariants: `read_*` and `observe_*` functions create, change and lock nothing; everything read
//! from outside has a size limit; `unsafe` lives in `platform` alone.

// Files are opened by `identity::regular`, or for the reason beside the call (clippy.toml).
#![cfg_attr(not(test), deny(clippy::disallowed_methods))]

pub mod bounded_read;
pub mod clock;
pub mod config;
pub mod credentials;
pub mod destination;
pub mod disk;
pub mod environment;
pub mod foreground;
pub mod git;
pub mod home;
pub mod lock;
pub mod login;
pub mod machine;
pub mod paths;
mod platform;
pub mod privacy;
pub mod private_file;
pub mod process;
pub mod project;
pub mod quarantine;
pub mod regular;
pub mod secret;
pub mod session;
pub mod session_cache;
pub mod state_file;
pub mod switch;
pub mod token;

pub use config::{BackgroundDaemon, Config, ConfigEdit, ConfigEditError, Consent};
pub use destination::{Destination, judge_destination};
pub use environment::Environment;
pub use foreground::{BuildInfo, observe_foreground};
pub use git::GitFacts;
pub use home::{Home, HomeError, HomeSource};
pub use lock::{FileLock, LockError};
pub use login::{AuthAbsence, Login, LoginSource, read_any_login, read_login};
pub use machine::Machine;
pub use privacy::{Privacy, observe_privacy};
pub use project::{ProjectError, ProjectIdentity, locate_project_root};
pub use secret::Secret;
pub use session::{Session, SessionError, SessionStore};
pub use session_cache::{CardUse, refresh_card};
pub use state_file::{StateFile, StateKind, observe_state_file};
pub use switch::read_switch;
