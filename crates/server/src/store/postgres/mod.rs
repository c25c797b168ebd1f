//! The PostgreSQL store: one database, shared by any number of server processes.
//!
//! Invariants:
//! * A change is acknowledged after its COMMIT was confirmed, and not when the database warned that it did
//!   not wait for replication. A connection that is lost at COMMIT leaves the outcome open: the change fails,
//!   and the client sends it again.
//! * Until COMMIT is sent a change may be repeated: after a deadlock or a serialization failure (40P01, 40001),
//!   and when the connection is lost.
//! * Transactions are READ COMMITTED. A change that reads before it writes holds an advisory lock, so that each of
//!   its statements reads what the change before it committed.

mod event_rows;
mod ingest;
mod spans;
pub(crate) mod url;

use super::sql::{Sql, SqlRow, Value, values};
use super::{ConnectionUse, StoreError, StoreMetrics, schema};
use crate::error::ServerError;
use bytes::BytesMut;
use deadpool_postgres::{
    Client, Connect, GenericClient, Manager, ManagerConfig, Object, Pool, PoolError, RecyclingMethod,
    Runtime, Transaction,
};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use sha2::{Digest, Sha256};
use std::borrow::Cow;
use std::cell::RefCell;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::{IsNull, ToSql, Type, to_sql_checked};
use tokio_postgres::{AsyncMessage, Config};
use tokio_postgres_rustls::MakeRustlsConnect;
pub use url::{DatabaseUrl, NotDatabaseUrl};

/// Transactions at once: changes, queries, and batches of events. Together the connections of a process.
const CHANGES: usize = 6;
const QUERIES: usize = 6;
const INGESTS: usize = 8;

/// Attempts of a change, with pauses of 25 ms, doubled each time.
const ATTEMPTS: u32 = 6;
const PAUSE: Duration = Duration::from_millis(25);

/// Longest wait for a connection of the pool.
const WAIT: Duration = Duration::from_secs(10);

/// Settings of each connection. A database may replicate more carefully, but an acknowledged change is
/// flushed to its disk. JIT is off: compiling took 120 ms for a statement of 2 ms.
const SETTINGS: &str = "SET idle_in_transaction_session_timeout = '60s'; SET client_min_messages = 'warning';
    SET jit = off;
    SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'";

pub(super) struct Postgres {
    connections: Connections,
    changes: Arc<Semaphore>,
    queries: Arc<Semaphore>,
    ingests: Arc<Semaphore>,
}

/// The pool, and what every transaction needs.
#[derive(Clone)]
struct Connections {
    pool: Pool,
    warnings: ReplicationWarnings,
    metrics: StoreMetrics,
}

/// Warnings that a commit did not wait for replication, of all connections. The database sends one before it
/// confirms the commit; a commit during which the number changed is not acknowledged.
#[derive(Clone, Default)]
struct ReplicationWarnings(Arc<AtomicU64>);

impl ReplicationWarnings {
    fn seen(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }
}

impl Postgres {
    /// Connects, and migrates the database to the schema of this release.
    pub(super) async fn open(url: &DatabaseUrl, metrics: StoreMetrics) -> Result<Self, ServerError> {
        let fault = |text: String| ServerError::Postgres(url.to_string(), text);
        let warnings = ReplicationWarnings::default();
        let connector = Connector { tls: tls(url)?, warnings: warnings.clone() };
        let recycling = ManagerConfig { recycling_method: RecyclingMethod::Fast };
        let pool = Pool::builder(Manager::from_connect(url.config.clone(), connector, recycling))
            .max_size(CHANGES + QUERIES + INGESTS)
            .runtime(Runtime::Tokio1)
            .wait_timeout(Some(WAIT))
            .create_timeout(Some(WAIT))
            .build()
            .map_err(|error| fault(error.to_string()))?;
        let mut client = pool.get().await.map_err(|error| fault(url::cause(&error)))?;
        migrate(&mut client, url).await?;
        drop(client);
        let slots = |number| Arc::new(Semaphore::new(number));
        let connections = Connections { pool, warnings, metrics };
        Ok(Self { connections, changes: slots(CHANGES), queries: slots(QUERIES), ingests: slots(INGESTS) })
    }

    /// Runs a change in a transaction; resolves after the commit.
    pub(super) async fn change<T, F>(&self, change: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: Fn(&dyn Sql) -> Result<T, StoreError> + Send + 'static,
    {
        let connections = self.connections.clone();
        blocking(&self.changes, move |runtime| connections.change_once(runtime, &change)).await
    }

    /// Finds rows by their key.
    pub(super) async fn lookup(&self, sql: &str, values: &[Value<'_>]) -> Result<Vec<SqlRow>, StoreError> {
        let _slot = self.queries.acquire().await.map_err(|_| StoreError::Closed)?;
        let mut number = 0;
        loop {
            match self.connections.lookup_once(sql, values).await {
                Ok(rows) => return rows.iter().map(row).collect(),
                Err(failure) => tokio::time::sleep(failure.pause(number)?).await,
            }
            number += 1;
        }
    }

    /// Runs queries, each in a transaction of its own.
    pub(super) async fn query<T, F>(&self, query: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: Fn(&dyn Sql) -> Result<T, StoreError> + Send + 'static,
    {
        let connections = self.connections.clone();
        blocking(&self.queries, move |runtime| connections.query_once(runtime, &query)).await
    }
}

impl Postgres {
    /// Begins no further transaction, and waits for those that run.
    pub(super) async fn close(&self) {
        self.connections.pool.close();
        for (slots, number) in [(&self.changes, CHANGES), (&self.queries, QUERIES), (&self.ingests, INGESTS)]
        {
            let _all = slots.acquire_many(u32::try_from(number).unwrap_or(1)).await;
            slots.close();
        }
    }

    pub(super) fn connection_use(&self) -> ConnectionUse {
        let status = self.connections.pool.status();
        let in_use = status.size - status.available.min(status.size);
        ConnectionUse { most: status.max_size, in_use, waiting: status.waiting }
    }

    /// A connection for the copy of a store.
    pub(super) async fn client(&self) -> Result<Client, StoreError> {
        let closed = |error: PoolError| StoreError::Database(url::cause(&error));
        self.connections.pool.get().await.map_err(closed)
    }

    /// Commits a transaction of [`Self::client`].
    pub(super) async fn commit(&self, transaction: Transaction<'_>) -> Result<(), StoreError> {
        match self.connections.commit(transaction).await {
            Ok(()) => Ok(()),
            Err(
                AttemptFailure::Conflict(error) | AttemptFailure::Lost(error) | AttemptFailure::Final(error),
            ) => Err(error),
        }
    }
}

/// Runs attempts on a thread that may block, in one of the slots.
async fn blocking<T, F>(slots: &Arc<Semaphore>, attempt: F) -> Result<T, StoreError>
where
    T: Send + 'static,
    F: Fn(&Handle) -> Result<T, AttemptFailure> + Send + 'static,
{
    let slot = Arc::clone(slots).acquire_owned().await.map_err(|_| StoreError::Closed)?;
    let runtime = Handle::current();
    let work = move || {
        let _slot = slot;
        let mut number = 0;
        loop {
            match attempt(&runtime) {
                Ok(value) => return Ok(value),
                Err(failure) => std::thread::sleep(failure.pause(number)?),
            }
            number += 1;
        }
    };
    tokio::task::spawn_blocking(work).await.map_err(|_| StoreError::Closed)?
}

impl Connections {
    fn change_once<T>(
        &self,
        runtime: &Handle,
        change: &dyn Fn(&dyn Sql) -> Result<T, StoreError>,
    ) -> Result<T, AttemptFailure> {
        let mut client = self.get(runtime)?;
        let outcome = self.attempt_change(&mut client, runtime, change);
        self.keep(client, outcome)
    }

    fn query_once<T>(
        &self,
        runtime: &Handle,
        query: &dyn Fn(&dyn Sql) -> Result<T, StoreError>,
    ) -> Result<T, AttemptFailure> {
        let client = self.get(runtime)?;
        let sql = Statements { client: &client, runtime, failed: RefCell::default() };
        let found = query(&sql);
        let outcome = sql.outcome(found);
        self.keep(client, outcome)
    }

    async fn lookup_once(
        &self,
        sql: &str,
        values: &[Value<'_>],
    ) -> Result<Vec<tokio_postgres::Row>, AttemptFailure> {
        let client = self.pool.get().await.map_err(AttemptFailure::of_pool)?;
        let rows = async {
            let statement = client.prepare_cached(&numbered(sql)).await?;
            client.query(&statement, &parameters(values)).await
        };
        let rows = rows.await.map_err(|error| AttemptFailure::of(&error));
        self.keep(client, rows)
    }

    fn attempt_change<T>(
        &self,
        client: &mut Client,
        runtime: &Handle,
        change: &dyn Fn(&dyn Sql) -> Result<T, StoreError>,
    ) -> Result<T, AttemptFailure> {
        let transaction =
            runtime.block_on(client.transaction()).map_err(|error| AttemptFailure::of(&error))?;
        let sql = Statements { client: &transaction, runtime, failed: RefCell::default() };
        let changed = change(&sql);
        // After a failure the transaction is dropped, which rolls it back.
        let value = sql.outcome(changed)?;
        runtime.block_on(self.commit(transaction))?;
        Ok(value)
    }

    /// Commits. A lost connection is a final failure: the database may have committed.
    async fn commit(&self, transaction: Transaction<'_>) -> Result<(), AttemptFailure> {
        let (before, started) = (self.warnings.seen(), Instant::now());
        let committed = transaction.commit().await;
        self.metrics.count_commit(1, started.elapsed());
        match committed {
            Ok(()) if self.warnings.seen() != before => Err(AttemptFailure::Final(StoreError::Database(
                "a commit was not replicated: the database no longer waited for its standby".to_owned(),
            ))),
            Ok(()) => Ok(()),
            Err(error) if is_conflict(&error) => Err(AttemptFailure::Conflict(text_of(&error))),
            Err(error) => Err(AttemptFailure::Final(text_of(&error))),
        }
    }

    fn get(&self, runtime: &Handle) -> Result<Client, AttemptFailure> {
        runtime.block_on(self.pool.get()).map_err(AttemptFailure::of_pool)
    }

    /// Returns the connection to the pool. After a loss it is closed, and so are all idle ones: they lead to a
    /// host that stopped or became read-only.
    fn keep<T>(&self, client: Client, outcome: Result<T, AttemptFailure>) -> Result<T, AttemptFailure> {
        if let Err(AttemptFailure::Lost(_)) = &outcome {
            drop(Object::take(client));
            self.pool.retain(|_, _| false);
        }
        outcome
    }
}

/// A failed attempt.
#[derive(Clone)]
enum AttemptFailure {
    /// Another transaction was in the way; nothing was committed.
    Conflict(StoreError),
    /// The connection was lost before COMMIT; nothing was committed.
    Lost(StoreError),
    /// The change itself failed, or it is not known whether it was committed.
    Final(StoreError),
}

impl AttemptFailure {
    /// Of a statement before COMMIT.
    fn of(error: &tokio_postgres::Error) -> Self {
        let text = text_of(error);
        match error {
            error if is_conflict(error) => Self::Conflict(text),
            error if is_lost(error) => Self::Lost(text),
            _ => Self::Final(text),
        }
    }

    fn of_pool(error: PoolError) -> Self {
        match &error {
            PoolError::Backend(backend) => Self::of(backend),
            _ => Self::Final(StoreError::Database(format!("no connection: {error}"))),
        }
    }

    /// The pause before the attempt is repeated; an error when it may not be.
    fn pause(self, number: u32) -> Result<Duration, StoreError> {
        match self {
            Self::Conflict(error) | Self::Lost(error) if number + 1 < ATTEMPTS => {
                tracing::debug!(%error, "a transaction is repeated");
                // Between half and the whole pause: two transactions that collided do not collide again.
                let half = PAUSE * 2_u32.pow(number) / 2;
                let random = getrandom::u32().unwrap_or(0);
                Ok(half + half.mul_f64(f64::from(random) / f64::from(u32::MAX)))
            }
            Self::Conflict(error) | Self::Lost(error) | Self::Final(error) => Err(error),
        }
    }
}

/// Whether another transaction was in the way. One that deletes what this one refers to is found by a foreign
/// key.
fn is_conflict(error: &tokio_postgres::Error) -> bool {
    let conflicts = [
        SqlState::T_R_SERIALIZATION_FAILURE,
        SqlState::T_R_DEADLOCK_DETECTED,
        SqlState::FOREIGN_KEY_VIOLATION,
    ];
    error.code().is_some_and(|code| conflicts.contains(code))
}

/// Whether the connection is closed, or leads to a host that stops, starts or only reads.
fn is_lost(error: &tokio_postgres::Error) -> bool {
    match error.code() {
        // No answer of the database: the connection failed.
        None => true,
        Some(code) => {
            code.code().starts_with("08")
                || [
                    SqlState::ADMIN_SHUTDOWN,
                    SqlState::CRASH_SHUTDOWN,
                    SqlState::CANNOT_CONNECT_NOW,
                    SqlState::READ_ONLY_SQL_TRANSACTION,
                ]
                .contains(code)
        }
    }
}

/// The database's message, or the innermost cause.
pub(super) fn text_of(error: &tokio_postgres::Error) -> StoreError {
    StoreError::Database(match error.as_db_error() {
        Some(told) => format!("{} ({})", told.message(), told.code().code()),
        None => url::cause(error),
    })
}

/// Makes the connections of the pool.
struct Connector {
    tls: MakeRustlsConnect,
    warnings: ReplicationWarnings,
}

type Connecting<'c> = Pin<
    Box<
        dyn Future<Output = Result<(tokio_postgres::Client, JoinHandle<()>), tokio_postgres::Error>>
            + Send
            + 'c,
    >,
>;

impl Connect for Connector {
    fn connect(&self, config: &Config) -> Connecting<'_> {
        let config = config.clone();
        Box::pin(async move {
            let (client, mut connection) = config.connect(self.tls.clone()).await?;
            let warnings = self.warnings.clone();
            let task = tokio::spawn(async move {
                while let Some(message) = poll_fn(|context| connection.poll_message(context)).await {
                    match message {
                        Ok(AsyncMessage::Notice(notice)) if is_replication_warning(notice.code()) => {
                            warnings.0.fetch_add(1, Ordering::SeqCst);
                        }
                        Ok(_) => {}
                        Err(error) => {
                            tracing::warn!(error = url::cause(&error), "a connection to the database ended");
                            break;
                        }
                    }
                }
            });
            client.batch_execute(SETTINGS).await?;
            Ok((client, task))
        })
    }
}

/// The codes of the warnings of a commit that was ended while it waited for its standby.
fn is_replication_warning(code: &SqlState) -> bool {
    [SqlState::QUERY_CANCELED, SqlState::ADMIN_SHUTDOWN].contains(code)
}

fn tls(url: &DatabaseUrl) -> Result<MakeRustlsConnect, ServerError> {
    let fault = |text: String| ServerError::Postgres(url.to_string(), text);
    let mut roots = RootCertStore::empty();
    match &url.root_certificates {
        Some(path) => {
            let unusable = |text: String| fault(format!("{}: {text}", path.display()));
            let certificates =
                CertificateDer::pem_file_iter(path).map_err(|error| unusable(error.to_string()))?;
            for certificate in certificates {
                let certificate = certificate.map_err(|error| unusable(error.to_string()))?;
                roots.add(certificate).map_err(|error| unusable(error.to_string()))?;
            }
        }
        // Without a certificate every TLS connection fails and names the reason.
        None => _ = roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs),
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| fault(error.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(MakeRustlsConnect::new(config))
}

/// Migrates the database in one transaction. Processes that start together wait for each other.
async fn migrate(client: &mut Client, url: &DatabaseUrl) -> Result<(), ServerError> {
    let fault = |error: tokio_postgres::Error| {
        let StoreError::Database(text) = text_of(&error) else {
            return ServerError::Store(StoreError::Closed);
        };
        ServerError::Postgres(url.to_string(), text)
    };
    let transaction = client.transaction().await.map_err(fault)?;
    let encoding: String = transaction.query_one("SHOW server_encoding", &[]).await.map_err(fault)?.get(0);
    if encoding != "UTF8" {
        let text = format!("its encoding is {encoding}; create it with ENCODING 'UTF8'");
        return Err(ServerError::Postgres(url.to_string(), text));
    }
    transaction
        .execute("SELECT pg_advisory_xact_lock($1)", &[&advisory_key("migrations")])
        .await
        .map_err(fault)?;
    transaction
        .batch_execute(
            "CREATE TABLE IF NOT EXISTS migrations (version BIGINT PRIMARY KEY, applied_at TIMESTAMPTZ NOT NULL)",
        )
        .await
        .map_err(fault)?;
    let row = transaction
        .query_one("SELECT coalesce(max(version), 0) FROM migrations", &[])
        .await
        .map_err(fault)?;
    let found: i64 = row.get(0);
    if found > schema::VERSION {
        return Err(ServerError::NewerSchema { database: url.to_string(), found, known: schema::VERSION });
    }
    for migration in schema::after(found) {
        for text in [&schema::in_postgres(migration.both), migration.postgres] {
            transaction.batch_execute(text).await.map_err(fault)?;
        }
        transaction
            .execute("INSERT INTO migrations VALUES ($1, now())", &[&migration.version])
            .await
            .map_err(fault)?;
    }
    transaction.commit().await.map_err(fault)
}

/// The key of an advisory lock.
fn advisory_key(name: &str) -> i64 {
    let digest = Sha256::digest(format!("spec-kitty {name}").as_bytes());
    digest.iter().take(8).fold(0, |key, byte| key << 8 | i64::from(*byte))
}

/// Statements of a change or a query, on a thread that may block.
struct Statements<'c, C> {
    client: &'c C,
    runtime: &'c Handle,
    /// The first failed statement. It has ended the transaction, even if the change went on.
    failed: RefCell<Option<AttemptFailure>>,
}

impl<C: GenericClient> Statements<'_, C> {
    fn outcome<T>(&self, result: Result<T, StoreError>) -> Result<T, AttemptFailure> {
        match self.failed.take() {
            Some(failure) => Err(failure),
            None => result.map_err(AttemptFailure::Final),
        }
    }

    fn run<T>(
        &self,
        statement: impl Future<Output = Result<T, tokio_postgres::Error>>,
    ) -> Result<T, StoreError> {
        self.runtime.block_on(statement).map_err(|error| {
            self.failed.borrow_mut().get_or_insert_with(|| AttemptFailure::of(&error));
            text_of(&error)
        })
    }
}

impl<C: GenericClient> Sql for Statements<'_, C> {
    fn execute(&self, sql: &str, values: &[Value<'_>]) -> Result<u64, StoreError> {
        self.run(async {
            let statement = self.client.prepare_cached(&numbered(sql)).await?;
            self.client.execute(&statement, &parameters(values)).await
        })
    }

    fn rows(&self, sql: &str, values: &[Value<'_>]) -> Result<Vec<SqlRow>, StoreError> {
        let rows = self.run(async {
            let statement = self.client.prepare_cached(&numbered(sql)).await?;
            self.client.query(&statement, &parameters(values)).await
        })?;
        rows.iter().map(row).collect()
    }

    fn join_for_each_row(&self, table: &str, filter: &str) -> String {
        // `OFFSET 0` keeps PostgreSQL from flattening the subquery.
        format!("CROSS JOIN LATERAL (SELECT * FROM {table} WHERE {filter} OFFSET 0) AS {table}")
    }

    fn lock(&self, key: &str) -> Result<(), StoreError> {
        self.rows("SELECT 1 FROM (SELECT pg_advisory_xact_lock(?1)) AS held", values![advisory_key(key)])?;
        Ok(())
    }
}

/// The text with the parameters of PostgreSQL: `$1` for `?1`.
fn numbered(sql: &str) -> String {
    sql.replace('?', "$")
}

fn parameters<'v>(values: &'v [Value<'v>]) -> Vec<&'v (dyn ToSql + Sync)> {
    values.iter().map(|value| value as &(dyn ToSql + Sync)).collect()
}

/// A row, as both databases give it.
pub(super) fn row(row: &tokio_postgres::Row) -> Result<SqlRow, StoreError> {
    let value = |(at, column): (usize, &tokio_postgres::Column)| {
        let read = match *column.type_() {
            Type::BOOL => {
                row.try_get::<_, Option<bool>>(at).map(|flag| flag.map(|flag| Value::Int(flag.into())))
            }
            Type::INT4 => {
                row.try_get::<_, Option<i32>>(at).map(|number| number.map(|n| Value::Int(n.into())))
            }
            Type::BYTEA => {
                let read = row.try_get::<_, Option<Vec<u8>>>(at);
                read.map(|bytes| bytes.map(|bytes| Value::Bytes(Cow::Owned(bytes))))
            }
            Type::INT8 => row.try_get::<_, Option<i64>>(at).map(|number| number.map(Value::Int)),
            _ => {
                let read = row.try_get::<_, Option<String>>(at);
                read.map(|text| text.map(|text| Value::Text(Cow::Owned(text))))
            }
        };
        read.map(|value| value.unwrap_or(Value::Null)).map_err(|error| text_of(&error))
    };
    row.columns().iter().enumerate().map(value).collect::<Result<_, _>>().map(SqlRow)
}

impl ToSql for Value<'_> {
    fn to_sql(
        &self,
        of: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        match self {
            Self::Null => Ok(IsNull::Yes),
            Self::Int(number) if *of == Type::INT4 => i32::try_from(*number)?.to_sql(of, out),
            Self::Int(number) => number.to_sql(of, out),
            // A body is text that may have NUL, so its column has bytes.
            Self::Text(text) if *of == Type::BYTEA => text.as_bytes().to_sql(of, out),
            Self::Text(text) => without_nul(text).to_sql(of, out),
            Self::Bytes(bytes) => bytes.to_sql(of, out),
        }
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

/// PostgreSQL has no NUL in text. What an index or a listing shows may have one; the bytes of an event and of
/// a body are stored as they are.
pub(super) fn without_nul(text: &str) -> Cow<'_, str> {
    if text.contains('\0') { Cow::Owned(text.replace('\0', "\u{fffd}")) } else { Cow::Borrowed(text) }
}
