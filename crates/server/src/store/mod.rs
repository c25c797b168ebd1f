//! Durable state of the server, and the guarantees of every store.
//!
//! A store is durable: when the future of a change resolves to `Ok`, the change survives a kill of the
//! process. Operations are atomic. Idempotency is by (team, canonical event id) and by (team, namespace,
//! path, content hash).
//!
//! No caller needs a transaction: changes that belong together are one operation (redeeming a code
//! creates the session).

mod account;
mod accounts;
mod browsers;
mod copy;
mod devices;
mod event;
mod events;
mod forget;
mod inspect;
mod location;
mod login_throttle;
mod logins;
mod machine;
mod machines;
mod metrics;
mod missions;
mod people;
mod postgres;
mod prune;
mod schema;
mod session;
mod sharing;
mod sql;
mod sqlite;

pub use account::{
    Account, CiTokenRecord, EndedLogins, EndedMembership, Forgotten, Membership, ProjectRecord,
    SessionRecord, TeamRecord,
};
pub(crate) use account::{NewAccount, NewCiToken, NewTeam, Principal, ShareRecord, TeamKey, is_same_team};
pub(crate) use event::{
    ArtifactKey, BodyOutcome, EventOutcome, EventQuery, HeldQuery, HeldStates, NewBlock, NewBody, NewEvent,
    NewMission, Totals,
};
pub(crate) use machine::{MachineRecord, NewRejection, RejectionRecord, Sighting, bounded};
pub(crate) use missions::{
    DocumentRecord, EventCursor, EventFilter, MissionCursor, MissionEvent, MissionEvents, MissionHint,
    MissionRecord, Sight, assign_missions,
};
pub(crate) use session::{
    BrowserSession, CodeRedemption, DeviceDecision, DeviceDecisionOutcome, DeviceLookup, DevicePoll,
    DeviceRequest, DeviceRoom, DeviceStart, Guess, GuessCounter, NewBrowserSession, NewCode, NewDevice,
    NewTokens, Refresh, SessionGrant,
};

pub use copy::CopiedTable;
pub(crate) use copy::copy;
pub(crate) use location::check_database;
pub use location::{StoreLocation, StoreOptions};
pub(crate) use metrics::{ConnectionUse, StoreMetrics};
pub(crate) use people::own_team_name;
pub use postgres::{DatabaseUrl, NotDatabaseUrl};
pub use prune::{PrunePlan, Retention, StoredRows};
pub(crate) use schema::VERSION as SCHEMA_VERSION;
pub(crate) use sqlite::FILE_NAME;

use crate::error::ServerError;
use postgres::Postgres;
use sql::{Sql, SqlRow, Value};
use sqlite::Sqlite;

/// Failure of a store operation.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// The database failed: disk full, damaged file, lock of another program.
    #[error("the server's database failed: {0}")]
    Database(String),
    /// The store is shutting down.
    #[error("the server's database is closed")]
    Closed,
    /// The e-mail address belongs to an account already.
    #[error("an account with this e-mail address exists")]
    AccountExists,
    /// No such account.
    #[error("no account has this e-mail address")]
    NoAccount,
    /// The account is not a member of that team.
    #[error("the account is not a member of this team")]
    NoMembership,
    /// No such team.
    #[error("no team has this id")]
    NoTeam,
    /// The id belongs to a team already, in this or another case.
    #[error("a team with this id exists")]
    TeamExists,
    /// The private teamspace would be left without members.
    #[error("the private teamspace {0} would be left without members")]
    LastMember(String),
    /// The team that should take over has no other member.
    #[error("the team that should take over has no other member")]
    NoHeirs,
    /// The team got members or events while it was being deleted.
    #[error("the team got members or events meanwhile")]
    TeamInUse,
}

/// The store. Its operations are in the modules below, each written once for both databases; only ingest has
/// one implementation for each.
pub(crate) struct Store {
    database: Database,
    metrics: StoreMetrics,
}

enum Database {
    Sqlite(Sqlite),
    Postgres(Postgres),
}

impl Store {
    /// Opens the store, creating the directory or the tables if needed.
    pub(crate) async fn open(location: &StoreLocation) -> Result<Self, ServerError> {
        let metrics = StoreMetrics::new()?;
        let database = match location {
            StoreLocation::Directory(directory) => {
                Database::Sqlite(Sqlite::open(directory, metrics.clone())?)
            }
            StoreLocation::Postgres(url) => Database::Postgres(Postgres::open(url, metrics.clone()).await?),
        };
        Ok(Self { database, metrics })
    }

    /// Measurements of the commits.
    pub(crate) fn metrics(&self) -> &StoreMetrics {
        &self.metrics
    }

    /// The use of the connections, at this moment.
    pub(crate) fn connection_use(&self) -> ConnectionUse {
        match &self.database {
            Database::Sqlite(sqlite) => sqlite.connection_use(),
            Database::Postgres(postgres) => postgres.connection_use(),
        }
    }

    /// Ends the transactions of a store that is about to be dropped.
    pub(crate) async fn close(&self) {
        match &self.database {
            // Its threads finish when it is dropped.
            Database::Sqlite(_) => {}
            Database::Postgres(postgres) => postgres.close().await,
        }
    }

    /// Runs a change in a transaction; resolves after the commit. The change may run more than once, when
    /// the database asks for that.
    async fn change<T, F>(&self, change: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: Fn(&dyn Sql) -> Result<T, StoreError> + Send + 'static,
    {
        match &self.database {
            Database::Sqlite(sqlite) => sqlite.change(move |connection| change(connection)).await,
            Database::Postgres(postgres) => postgres.change(change).await,
        }
    }

    /// Runs one statement that finds a few rows by their key. Cheaper than [`Self::query`]: no other thread takes part.
    async fn lookup(&self, sql: &str, values: &[Value<'_>]) -> Result<Vec<SqlRow>, StoreError> {
        match &self.database {
            Database::Sqlite(sqlite) => sqlite.lookup(sql, values),
            Database::Postgres(postgres) => postgres.lookup(sql, values).await,
        }
    }

    /// Runs queries, which change nothing.
    async fn query<T, F>(&self, query: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: Fn(&dyn Sql) -> Result<T, StoreError> + Send + 'static,
    {
        match &self.database {
            Database::Sqlite(sqlite) => sqlite.query(move |connection| query(connection)).await,
            Database::Postgres(postgres) => postgres.query(query).await,
        }
    }
}

#[cfg(test)]
impl Store {
    /// A store in a directory, for tests without a runtime.
    fn open_blocking(directory: &std::path::Path) -> Self {
        let metrics = StoreMetrics::new().unwrap();
        Self { database: Database::Sqlite(Sqlite::open(directory, metrics.clone()).unwrap()), metrics }
    }
}
