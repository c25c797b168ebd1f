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
            Self::DataDir { .. } => "name a directory that this user may write with --data",
            Self::InUse { .. } => "stop the other server, or name another directory with --data",
            Self::Database { .. } | Self::Store(StoreError::Database(_)) => {
                "free space on the file system of --data; if the directory is damaged, restore it from a backup"
            }
            Self::NewerSchema { .. } => "update spec-kitty to the release that wrote the directory of --data",
            Self::Listen { .. } => "name another port with --listen, or 0 for a free one",
            Self::NotLoopback { .. } => {
                "listen on 127.0.0.1 behind a proxy with TLS, or add --allow-public-address"
            }
            Self::Thread(_) | Self::NoRandomness(_) => {
                "end other processes of this machine, or ask its administrator to raise the limits"
            }
            Self::Store(StoreError::AccountExists) => {
                "`spec-kitty server user list` shows the accounts; `spec-kitty server user secret` issues a new secret"
            }
            Self::Store(StoreError::NoAccount) => "create the account with `spec-kitty server user add`",
            Self::Store(StoreError::NoMembership) => {
                "name one of the account's private teamspaces with --team"
            }
            Self::Store(StoreError::Closed) => "start the server again with `spec-kitty server`",
            Self::Argument { .. } => "correct the argument that the message names; --help describes it",
        };
        Remedy::Advice(text.to_owned())
    }
}
