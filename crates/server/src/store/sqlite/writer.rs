//! The writer thread, with group commit.
//!
//! It takes the waiting changes (up to a bound), runs each inside a savepoint of one transaction, commits
//! once, and only then answers. A change that fails is rolled back alone; a commit that fails fails all
//! of its changes.

use crate::store::{StoreError, StoreMetrics};
use rusqlite::Connection;
use std::thread::JoinHandle;
use std::time::Instant;
use tokio::sync::{mpsc, oneshot};

/// Changes in the queue: the bound on memory. Further callers wait.
const WAITING: usize = 64;
/// Changes in one transaction at most: a bound on the wait of the first.
const GROUP: usize = 32;

/// Answers the caller with the result of the commit.
type CommitReply = Box<dyn FnOnce(Result<(), StoreError>) + Send>;
type WriteJob = Box<dyn FnOnce(&Connection) -> CommitReply + Send>;

/// Handle of the thread. Dropping it waits until the queued changes are committed.
pub(super) struct WriterThread {
    changes: Option<mpsc::Sender<WriteJob>>,
    thread: Option<JoinHandle<()>>,
}

impl WriterThread {
    /// Starts the thread over a connection.
    pub(super) fn start(connection: Connection, metrics: StoreMetrics) -> std::io::Result<Self> {
        let (changes, waiting) = mpsc::channel(WAITING);
        let thread = std::thread::Builder::new()
            .name("store-writer".into())
            .spawn(move || write(connection, waiting, &metrics))?;
        Ok(Self { changes: Some(changes), thread: Some(thread) })
    }

    /// Changes in the queue.
    pub(super) fn waiting(&self) -> usize {
        self.changes.as_ref().map_or(0, |changes| changes.max_capacity() - changes.capacity())
    }

    /// Queues a change; resolves after its commit.
    pub(super) fn run<T, F>(
        &self,
        change: F,
    ) -> impl Future<Output = Result<T, StoreError>> + Send + use<T, F>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    {
        let changes = self.changes.clone();
        async move {
            let (sender, committed) = oneshot::channel();
            let change: WriteJob = Box::new(move |connection| {
                let result = in_savepoint(connection, change);
                Box::new(move |commit: Result<(), StoreError>| {
                    // The caller may be gone; the change stays.
                    let _ = sender.send(commit.and(result));
                })
            });
            let changes = changes.ok_or(StoreError::Closed)?;
            changes.send(change).await.map_err(|_| StoreError::Closed)?;
            drop(changes);
            committed.await.map_err(|_| StoreError::Closed)?
        }
    }
}

impl Drop for WriterThread {
    fn drop(&mut self) {
        self.changes = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn write(connection: Connection, mut waiting: mpsc::Receiver<WriteJob>, metrics: &StoreMetrics) {
    while let Some(first) = waiting.blocking_recv() {
        if let Err(error) = run(&connection, "BEGIN IMMEDIATE") {
            tracing::error!(%error, "a transaction could not begin");
            drop(first);
            continue;
        }
        let mut answers = vec![first(&connection)];
        while answers.len() < GROUP {
            match waiting.try_recv() {
                Ok(change) => answers.push(change(&connection)),
                Err(_) => break,
            }
        }
        let started = Instant::now();
        let commit = run(&connection, "COMMIT");
        metrics.count_commit(answers.len(), started.elapsed());
        if let Err(error) = &commit {
            tracing::error!(%error, "a commit failed");
            if !connection.is_autocommit() {
                let _ = connection.execute_batch("ROLLBACK");
            }
        }
        for answer in answers {
            answer(commit.clone());
        }
    }
    // Closing the last connection checkpoints the WAL.
    drop(connection);
}

/// Runs a statement of every transaction, which is compiled once.
fn run(connection: &Connection, statement: &str) -> Result<(), StoreError> {
    connection.prepare_cached(statement)?.execute([])?;
    Ok(())
}

/// Runs a change; a failure rolls back this change only.
fn in_savepoint<T>(
    connection: &Connection,
    change: impl FnOnce(&Connection) -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    run(connection, "SAVEPOINT change")?;
    match change(connection) {
        Ok(value) => {
            run(connection, "RELEASE change")?;
            Ok(value)
        }
        Err(error) => {
            run(connection, "ROLLBACK TO change")?;
            run(connection, "RELEASE change")?;
            Err(error)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn writer() -> (WriterThread, tempfile::TempDir) {
        let directory = tempfile::tempdir().unwrap();
        let connection = Connection::open(directory.path().join("t.db")).unwrap();
        connection.execute_batch("PRAGMA journal_mode=WAL; CREATE TABLE t(x INTEGER UNIQUE)").unwrap();
        (WriterThread::start(connection, StoreMetrics::new().unwrap()).unwrap(), directory)
    }

    fn insert(x: i64) -> impl FnOnce(&Connection) -> Result<usize, StoreError> + Send + 'static {
        move |connection| Ok(connection.execute("INSERT INTO t VALUES (?1)", [x])?)
    }

    #[tokio::test]
    async fn failed_change_is_rolled_back_alone() {
        let (writer, _directory) = writer();
        let torn = writer.run(|connection| -> Result<(), StoreError> {
            connection.execute("INSERT INTO t VALUES (2)", [])?;
            connection.execute("INSERT INTO t VALUES (1)", [])?;
            Ok(())
        });
        let (one, two, three) = tokio::join!(writer.run(insert(1)), torn, writer.run(insert(3)));
        assert!(one.is_ok() && three.is_ok());
        assert!(two.is_err());
        let rows = writer.run(|connection| {
            Ok(connection.query_row(
                "SELECT group_concat(x) FROM (SELECT x FROM t ORDER BY x)",
                [],
                |row| row.get::<_, String>(0),
            )?)
        });
        assert_eq!(rows.await.unwrap(), "1,3");
    }

    #[tokio::test]
    async fn queued_changes_are_committed_on_close() {
        let (writer, directory) = writer();
        let pending: Vec<_> = (0..20).map(|x| tokio::spawn(writer.run(insert(x)))).collect();
        tokio::task::yield_now().await;
        for change in pending {
            change.await.unwrap().unwrap();
        }
        tokio::task::spawn_blocking(move || drop(writer)).await.unwrap();
        let connection = Connection::open(directory.path().join("t.db")).unwrap();
        let count: i64 = connection.query_row("SELECT count(*) FROM t", [], |row| row.get(0)).unwrap();
        assert_eq!(count, 20);
    }
}
