//! Examination of a data directory, also while a server uses it: permissions, disk, database, clock, server and
//! backup. Changes nothing.

use crate::backup::{LastBackup, argument, damage, restore_advice};
use crate::error::ServerError;
use crate::serve::lock;
use crate::store::{FILE_NAME, SCHEMA_VERSION, check_database};
use crate::time::UnixMillis;
use rusqlite::{Connection, OpenFlags, OptionalExtension};
use serde::Serialize;
use std::path::Path;
use std::time::Duration;
use strum::IntoStaticStr;

/// Greatest age of the last backup that passes the check.
const BACKUP_AGE: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// Greatest lead of a row over the clock that passes the check.
const CLOCK_TOLERANCE: Duration = Duration::from_secs(5 * 60);

/// A fact that is examined.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, IntoStaticStr)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum ServerCheck {
    /// Only the owner may read the files.
    Permissions,
    /// The file system can be written and has room for a copy of the database.
    Disk,
    /// SQLite finds no damage, and this release knows the schema.
    Database,
    /// No row is from the future.
    Clock,
    /// Whether a server uses the directory.
    Server,
    /// Age of the last backup.
    Backup,
}

/// The result of one check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ServerFinding {
    /// Subject of the check.
    pub check: ServerCheck,
    /// Whether it is as it should be.
    pub ok: bool,
    /// Finding.
    pub detail: String,
    /// Remedy; none when it is as it should be.
    pub remedy: Option<String>,
}

/// Examines a data directory.
///
/// # Errors
/// When there is no database.
pub fn examine(data_dir: &Path) -> Result<Vec<ServerFinding>, ServerError> {
    let database = data_dir.join(FILE_NAME);
    let metadata = check_database(&database)?;
    Ok(vec![
        permissions(data_dir),
        disk(data_dir, metadata.len()),
        integrity(data_dir, &database),
        clock(&database),
        server(data_dir),
        backup(data_dir),
    ])
}

fn right(check: ServerCheck, detail: impl Into<String>) -> ServerFinding {
    ServerFinding { check, ok: true, detail: detail.into(), remedy: None }
}

fn wrong(check: ServerCheck, detail: impl Into<String>, remedy: impl Into<String>) -> ServerFinding {
    ServerFinding { check, ok: false, detail: detail.into(), remedy: Some(remedy.into()) }
}

fn permissions(data_dir: &Path) -> ServerFinding {
    let check = ServerCheck::Permissions;
    let files = fs_err::read_dir(data_dir).into_iter().flatten().flatten().map(|entry| entry.path());
    for path in files.chain([data_dir.to_owned()]) {
        let mode = path.symlink_metadata().ok().and_then(|metadata| system::file::mode(&metadata));
        if let Some(mode) = mode.filter(|mode| mode & 0o077 != 0) {
            let shown = contract::text::path(&path);
            let remedy = format!("chmod go-rwx {}", argument(&path));
            return wrong(check, format!("{shown} has mode {mode:04o}: others can read it"), remedy);
        }
    }
    right(check, "only the owner can read the files")
}

fn disk(data_dir: &Path, database_bytes: u64) -> ServerFinding {
    let check = ServerCheck::Disk;
    if let Some(obstacle) = system::disk::observe_obstacles(&[data_dir.to_owned()]).into_iter().next() {
        return wrong(check, obstacle.detail(), obstacle.advice());
    }
    let mebibytes = |bytes: u64| bytes / (1024 * 1024);
    match system::disk::free_bytes(data_dir) {
        Some(free) if free < database_bytes => {
            let detail = format!(
                "{} MiB are free; the database has {} MiB",
                mebibytes(free),
                mebibytes(database_bytes)
            );
            let place = contract::text::path(data_dir);
            wrong(
                check,
                detail,
                format!(
                    "free space on the file system of {place}: a backup or a restore needs as much again"
                ),
            )
        }
        Some(free) => right(
            check,
            format!("{} MiB are free; the database has {} MiB", mebibytes(free), mebibytes(database_bytes)),
        ),
        None => right(check, "writable; the free space is not known"),
    }
}

fn open(database: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open_with_flags(database, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    connection.busy_timeout(Duration::from_secs(10))?;
    connection.execute_batch("PRAGMA query_only = ON")?;
    Ok(connection)
}

fn integrity(data_dir: &Path, database: &Path) -> ServerFinding {
    let check = ServerCheck::Database;
    let examined = open(database).and_then(|connection| {
        let schema: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
        let result: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
        Ok((schema, result))
    });
    match examined {
        Ok((schema, _)) if schema > SCHEMA_VERSION => wrong(
            check,
            format!("schema {schema}; this release supports up to {SCHEMA_VERSION}"),
            "update spec-kitty to the release that wrote the database",
        ),
        Ok((schema, result)) if result == "ok" => {
            let sqlite = rusqlite::version();
            right(
                check,
                format!(
                    "no damage; schema {schema}, SQLite {sqlite}, spec-kitty {}",
                    env!("CARGO_PKG_VERSION")
                ),
            )
        }
        Ok((_, result)) => wrong(check, damage(&result), restore_advice(data_dir)),
        Err(error) => wrong(check, error.to_string(), restore_advice(data_dir)),
    }
}

fn clock(database: &Path) -> ServerFinding {
    let check = ServerCheck::Clock;
    let newest = open(database).and_then(|connection| {
        let sql = "SELECT received_at FROM blocks ORDER BY key DESC LIMIT 1";
        connection.query_row(sql, [], |row| row.get::<_, i64>(0)).optional()
    });
    let now = UnixMillis::now();
    match newest {
        Ok(Some(newest)) if UnixMillis(newest) > now.after(CLOCK_TOLERANCE) => wrong(
            check,
            format!(
                "the newest events arrived at {}, and it is {}",
                UnixMillis(newest).readable(),
                now.readable()
            ),
            "set the clock of this machine, and let a time service such as chrony keep it",
        ),
        _ => right(check, format!("it is {}", now.readable())),
    }
}

fn server(data_dir: &Path) -> ServerFinding {
    // The lock is released at once: a server that starts in this instant would be refused.
    match lock(data_dir) {
        Err(ServerError::InUse(_)) => right(ServerCheck::Server, "a server uses the directory"),
        _ => right(ServerCheck::Server, "no server uses the directory"),
    }
}

fn backup(data_dir: &Path) -> ServerFinding {
    let check = ServerCheck::Backup;
    let data = argument(data_dir);
    let remedy =
        format!("back up with `spec-kitty server backup --data {data} --to FILE`, and let a timer repeat it");
    match LastBackup::read(data_dir) {
        None => wrong(check, "no backup by `server backup` is recorded", remedy),
        Some(last) => {
            let (at, file) = (UnixMillis(last.at), contract::text::printable(&last.file).into_owned());
            let detail = format!("the last one is of {}: {file}", at.readable());
            let is_old = UnixMillis::now().since(at) > BACKUP_AGE;
            if is_old { wrong(check, detail, remedy) } else { right(check, detail) }
        }
    }
}
