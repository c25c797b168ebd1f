//! Why a server does not start, or an administrator's command does not work. Each error names the
//! file or address and what helps.

use crate::secret::NoRandomness;
use crate::store::StoreError;
use contract::Remedy;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

/// See the module.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The data directory or a file in it cannot be created or tightened.
    #[error("the data directory {path} is not usable: {source}", path = .path.display())]
    DataDir {
        /// The directory as it was given.
        path: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
    /// Another server process uses the data directory.
    #[error("another server uses the data directory {path}", path = .path.display())]
    InUse {
        /// The directory as it was given.
        path: PathBuf,
    },
    /// The database does not open or answer.
    #[error("the database {path} failed: {detail}", path = .path.display())]
    Database {
        /// The file.
        path: PathBuf,
        /// What SQLite says.
        detail: String,
    },
    /// The database was written by a newer release.
    #[error("the database {path} has schema {found}; this release knows up to {known}", path = .path.display())]
    NewerSchema {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: i64,
        /// Ours.
        known: i64,
    },
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// As it was asked for.
        address: SocketAddr,
        /// What the operating system says.
        source: io::Error,
    },
    /// The address is reachable from outside and nobody said that this is meant.
    #[error("{address} is not a loopback address")]
    NotLoopback {
        /// As it was asked for.
        address: SocketAddr,
    },
    /// A thread or the runtime could not start.
    #[error("the server's threads could not start: {0}")]
    Thread(io::Error),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// No random bytes.
    #[error(transparent)]
    NoRandomness(#[from] NoRandomness),
    /// An argument of an administrator's command.
    #[error("{argument} {problem}")]
    Argument {
        /// Which one.
        argument: &'static str,
        /// What is wrong with it.
        problem: &'static str,
    },
}

impl ServerError {
    /// What helps.
    pub fn remedy(&self) -> Remedy {
        let text = match self {
            Self::DataDir { .. } => "choose a data directory that this user may write",
            Self::InUse { .. } => "stop the other server, or choose another data directory",
            Self::Database { .. } | Self::Store(StoreError::Database(_)) => {
                "check the disk and its free space; restore the data directory from a backup if it is damaged"
            }
            Self::NewerSchema { .. } => "update this program",
            Self::Listen { .. } => "choose another port, or 0 for a free one",
            Self::NotLoopback { .. } => {
                "put a TLS proxy in front and listen on loopback, or allow the address explicitly"
            }
            Self::Thread(_) | Self::NoRandomness(_) => "free system resources and try again",
            Self::Store(StoreError::AccountExists) => {
                "list the accounts; a new approval secret can be issued"
            }
            Self::Store(StoreError::NoAccount) => "create the account first",
            Self::Store(StoreError::NoMembership) => "name one of the account's private teamspaces",
            Self::Store(StoreError::Closed) => "start the server again",
            Self::Argument { .. } => "correct the argument",
        };
        Remedy::Advice(text.to_owned())
    }
}
