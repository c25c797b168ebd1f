//! Errors of starting a server and of the administrator's commands. Each names the file or address
//! concerned, and a remedy.

use crate::secret::NoRandomness;
use crate::store::StoreError;
use contract::Remedy;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

/// Failure of starting a server or of an administrator's command.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The data directory or a file in it cannot be created or made private.
    #[error("the data directory {path} is not usable: {1}", path = .0.display())]
    DataDir(PathBuf, #[source] io::Error),
    /// No server has stored anything where a store is looked for: the file that is absent.
    #[error("no server has stored anything here: {path} does not exist", path = .0.display())]
    NoData(PathBuf),
    /// The backup of a restore is absent.
    #[error("the backup {path} does not exist", path = .0.display())]
    NoBackup(PathBuf),
    /// Another server process has locked the data directory.
    #[error("another server uses the data directory {path}", path = .0.display())]
    InUse(PathBuf),
    /// SQLite cannot open or read the file.
    #[error("the database {path} failed: {1}", path = .0.display())]
    Database(PathBuf, String),
    /// A PostgreSQL database cannot be reached or migrated.
    #[error("the database {0} is not usable: {1}")]
    Postgres(String, String),
    /// The destination of a copy has rows: its name, and a table with rows.
    #[error("the database {0} is not empty: table {1} has rows")]
    NotEmpty(String, String),
    /// Neither an option nor the environment names a store.
    #[error("no data directory and no database is named")]
    NoStore,
    /// The address of a database cannot be used: its place, and the problem.
    #[error("{0}: {1}")]
    DatabaseAddress(String, String),
    /// The address of a database on the command line has a password.
    #[error("the address on the command line has a password, which other users of this machine can read")]
    VisiblePassword,
    /// The file of a new backup exists.
    #[error("{path} exists", path = .0.display())]
    BackupExists(PathBuf),
    /// The directory of a restore has a database.
    #[error("the database {path} exists", path = .0.display())]
    StoreExists(PathBuf),
    /// The database does not hold what a server stored.
    #[error("{path} is damaged: {1}", path = .0.display())]
    Damaged(PathBuf, String),
    /// The backup of a restore does not hold what a server stored.
    #[error("the backup {path} is damaged: {1}", path = .0.display())]
    DamagedBackup(PathBuf, String),
    /// The file of a restore is something else.
    #[error("{path} is not a backup of this server", path = .0.display())]
    NotBackup(PathBuf),
    /// The database was written by a newer release.
    #[error("the database {database} has schema {found}; this release supports up to {known}")]
    NewerSchema {
        /// The file, or the name and host.
        database: String,
        /// Schema version of the file.
        found: i64,
        /// Newest schema version of this release.
        known: i64,
    },
    /// A certificate or key cannot be used: its file, and the problem.
    #[error("{path} cannot be used for TLS: {1}", path = .0.display())]
    Certificate(PathBuf, String),
    /// Others may read, or the group may write, the private key: its file and mode.
    #[error("the private key {path} has mode {1:04o}: at most its group may read it, and only its owner may write it", path = .0.display())]
    VisibleKey(PathBuf, u32),
    /// The address cannot be bound.
    #[error("cannot listen on {0}: {1}")]
    Listen(SocketAddr, #[source] io::Error),
    /// Other machines reach the address, and the configuration does not allow that.
    #[error("{0} is not a loopback address")]
    NotLoopback(SocketAddr),
    /// A thread or the runtime could not start.
    #[error("the server's threads could not start: {0}")]
    Thread(io::Error),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The operating system failed to provide random bytes.
    #[error(transparent)]
    NoRandomness(#[from] NoRandomness),
    /// An argument of an administrator's command is not valid: its name, and the rule.
    #[error("{0} {1}")]
    Argument(&'static str, &'static str),
}

impl ServerError {
    /// The remedy that the command line prints.
    pub fn remedy(&self) -> Remedy {
        let text = match self {
            Self::NoData(_) => {
                "with --data, name the directory of an existing server; `spec-kitty server` creates one"
            }
            Self::NoBackup(_) | Self::NotBackup(_) => {
                "with --from, name a file that `spec-kitty server backup` wrote"
            }
            Self::DataDir(..) => "with --data, name a directory that this user may write",
            Self::InUse(_) => "stop the other server, or name another directory with --data",
            Self::Database(..) | Self::Store(StoreError::Database(_)) => {
                "ask the administrator of the disk or database for space; if the database is damaged, restore it from a backup"
            }
            Self::Postgres(..) => {
                "check that PostgreSQL runs there, and that its user may connect and create tables; \
                 `psql` with the same address shows more"
            }
            Self::NotEmpty(..) => "name an empty database, as `createdb` makes it",
            Self::NoStore => {
                "name a directory with --data, or a PostgreSQL database with --database-url, --database-url-file \
                 or SPEC_KITTY_DATABASE_URL"
            }
            Self::DatabaseAddress(..) => {
                "write an address such as `postgres://user@host:5432/database` in the place that the message names"
            }
            Self::VisiblePassword => {
                "write the address into a file that only this user may read, and name it with --database-url-file"
            }
            Self::NewerSchema { .. } => "update spec-kitty to the release that wrote the database",
            Self::BackupExists(_) => "with --to, name a file that does not exist",
            Self::StoreExists(_) => "add --replace, which keeps the present database beside the restored one",
            Self::Damaged(database, _) => {
                let directory = database.parent().unwrap_or(database);
                return Remedy::Advice(crate::backup::restore_advice(directory));
            }
            Self::DamagedBackup(..) => "with --from, name an older backup",
            Self::Listen(..) => "name another port with --listen, or 0 for a free one",
            Self::NotLoopback(_) => {
                "add --tls-cert and --tls-key, or listen on 127.0.0.1 behind a proxy with TLS, or add --allow-public-address"
            }
            Self::Certificate(..) => {
                "name PEM files of a certificate chain with --tls-cert, and of its private key with --tls-key"
            }
            Self::VisibleKey(path, _) => {
                return Remedy::Advice(format!("chmod o-rwx,g-w {}", crate::backup::argument(path)));
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
            Self::Store(StoreError::NoTeam) => "`spec-kitty server team list` shows the teams",
            Self::Store(StoreError::TeamExists) => {
                "`spec-kitty server team add-member` adds members to it; otherwise choose another id"
            }
            Self::Store(StoreError::LastMember(_)) => {
                "first add a member with `spec-kitty server team add-member`; `server user remove` also has --to-team and --delete-data"
            }
            Self::Store(StoreError::NoHeirs) => {
                "first add a member to that team with `spec-kitty server team add-member`"
            }
            Self::Store(StoreError::TeamInUse) => "run `spec-kitty server user remove` again",
            Self::Store(StoreError::Closed) => "start the server again with `spec-kitty server`",
            Self::Argument(..) => "correct the argument that the message names; --help describes it",
        };
        Remedy::Advice(text.to_owned())
    }
}
