//! Backup and restore of a data directory.
//!
//! A backup is one SQLite file: a snapshot of one instant, taken while the server runs, and verified before it
//! gets its name. Verified means that SQLite finds no damage, that the bytes of every event have its digest, and
//! that every body has its hash. A restored server lacks what it acknowledged since; its clients find that out.

use crate::error::ServerError;
use crate::serve::lock;
use crate::store::{FILE_NAME, check_database};
use crate::time::UnixMillis;
use contract::wire::body;
use flate2::read::MultiGzDecoder;
use rusqlite::{Connection, ErrorCode, OpenFlags};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::io::Read;
use std::path::{Path, PathBuf};
use system::private_file::{create_private_dir, create_private_file, write_private};

/// The record of the last backup in the data directory.
const RECORD: &str = "last-backup.json";

/// The files of a SQLite database beside it.
const SIDE_FILES: [&str; 2] = ["-wal", "-shm"];

/// Bound for damaged blocks; a stored block is smaller.
const LARGEST_BLOCK: u64 = 256 * 1024 * 1024;

/// Contents of a verified backup.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct BackupContents {
    /// Schema version of the database.
    pub schema: i64,
    /// Bytes of the file.
    pub bytes: u64,
    /// Accounts.
    pub accounts: u64,
    /// Teams.
    pub teams: u64,
    /// Events, each with the bytes of its digest.
    pub events: u64,
    /// Bodies, each with the content of its hash.
    pub bodies: u64,
}

/// The last backup that was taken of a data directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LastBackup {
    /// Milliseconds since 1970.
    pub(crate) at: i64,
    pub(crate) file: String,
}

impl LastBackup {
    pub(crate) fn read(data_dir: &Path) -> Option<Self> {
        let file = system::bounded_read::read_bounded(&data_dir.join(RECORD), 64 * 1024).ok()??;
        serde_json::from_slice(&file.bytes).ok()
    }
}

/// Backs a data directory up into a new file, also while a server uses it.
///
/// # Errors
/// When the file exists, cannot be written, or does not pass the verification; it is not there then.
pub fn back_up(data_dir: &Path, to: &Path) -> Result<BackupContents, ServerError> {
    let database = data_dir.join(FILE_NAME);
    check_database(&database)?;
    if to.symlink_metadata().is_ok() {
        return Err(ServerError::BackupExists(to.to_owned()));
    }
    let partial = with_suffix(to, ".partial");
    let source = Source::Store(&database);
    let made = snapshot(source, &partial).and_then(|()| verify(&partial, source));
    let contents = made.inspect_err(|_| {
        let _ = fs_err::remove_file(&partial);
    })?;
    put(&partial, to)?;
    // The record is read in other working directories.
    let absolute = std::path::absolute(to).unwrap_or_else(|_| to.to_owned());
    let record = LastBackup { at: UnixMillis::now().0, file: absolute.display().to_string() };
    let record = serde_json::to_vec(&record).unwrap_or_default();
    write_private(&data_dir.join(RECORD), &record)
        .map_err(|error| unusable(&data_dir.join(RECORD))(error.source))?;
    Ok(contents)
}

/// Puts a backup into a data directory. With `replace` a database that is there is kept beside it, under a name
/// with the time, which is returned.
///
/// # Errors
/// When a server uses the directory, the backup does not pass the verification, or a file cannot be written. The
/// database that is there stays in its place then.
pub fn restore(
    data_dir: &Path,
    from: &Path,
    replace: bool,
) -> Result<(BackupContents, Option<PathBuf>), ServerError> {
    from.symlink_metadata().map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => ServerError::NoBackup(from.to_owned()),
        _ => unusable(from)(error),
    })?;
    if from.is_dir() {
        return Err(ServerError::NotBackup(from.to_owned()));
    }
    create_private_dir(data_dir).map_err(|error| unusable(data_dir)(error.source))?;
    let _lock = lock(data_dir)?;
    let database = data_dir.join(FILE_NAME);
    let is_there = database.symlink_metadata().is_ok();
    if is_there && !replace {
        return Err(ServerError::StoreExists(database));
    }
    let partial = with_suffix(&database, ".partial");
    let _ = fs_err::remove_file(&partial);
    // Through SQLite: it reads a backup of another program, too, whose last changes are in a side file.
    let source = Source::Backup(from);
    let copied = snapshot(source, &partial).and_then(|()| verify(&partial, source));
    let contents = copied.inspect_err(|_| {
        let _ = fs_err::remove_file(&partial);
    })?;
    let aside = is_there.then(|| with_suffix(&database, &format!(".aside-{}", UnixMillis::now().0)));
    if let Some(aside) = &aside {
        for suffix in SIDE_FILES.into_iter().chain([""]) {
            let file = with_suffix(&database, suffix);
            if file.symlink_metadata().is_ok() {
                fs_err::rename(&file, with_suffix(aside, suffix)).map_err(unusable(&file))?;
            }
        }
    }
    put(&partial, &database)?;
    Ok((contents, aside))
}

/// Remedy: restore the last backup, which is named if it is known and still there.
pub(crate) fn restore_advice(data_dir: &Path) -> String {
    let last = LastBackup::read(data_dir).map(|last| last.file).filter(|file| Path::new(file).is_file());
    let file = last.map_or_else(|| "FILE".to_owned(), |file| argument(Path::new(&file)));
    let data = argument(data_dir);
    format!(
        "stop the server, and restore the last good backup with \
         `spec-kitty server restore --data {data} --from {file} --replace`"
    )
}

/// A path as an argument of a printed command.
pub(crate) fn argument(path: &Path) -> String {
    contract::remedy::shell_word(&path.to_string_lossy())
}

/// Report of SQLite on a damaged database, on one line and without its heading.
pub(crate) fn damage(report: &str) -> String {
    let lines = report.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with("***"));
    lines.collect::<Vec<_>>().join("; ")
}

/// The database whose snapshot is taken and verified: errors name it, not the unfinished copy.
#[derive(Clone, Copy)]
enum Source<'p> {
    /// That of a data directory.
    Store(&'p Path),
    Backup(&'p Path),
}

impl<'p> Source<'p> {
    fn path(self) -> &'p Path {
        match self {
            Self::Store(path) | Self::Backup(path) => path,
        }
    }

    fn damaged(self, text: impl Into<String>) -> ServerError {
        match self {
            Self::Store(path) => ServerError::Damaged(path.to_owned(), text.into()),
            Self::Backup(path) => ServerError::DamagedBackup(path.to_owned(), text.into()),
        }
    }

    fn foreign(self) -> ServerError {
        match self {
            Self::Store(_) => self.damaged("it is not the database of a server"),
            Self::Backup(path) => ServerError::NotBackup(path.to_owned()),
        }
    }

    /// An error of SQLite while it reads the source into `copy`, or the copy.
    fn fault(self, error: &rusqlite::Error, copy: &Path) -> ServerError {
        match error.sqlite_error_code() {
            Some(ErrorCode::NotADatabase) => self.foreign(),
            Some(ErrorCode::DatabaseCorrupt) => self.damaged(error.to_string()),
            _ => ServerError::Database(copy.to_owned(), error.to_string()),
        }
    }
}

/// Writes a snapshot of a database into a new private file.
fn snapshot(source: Source<'_>, to: &Path) -> Result<(), ServerError> {
    let _ = fs_err::remove_file(to);
    create_private_file(to).map_err(unusable(to))?;
    let fault = |error: rusqlite::Error| source.fault(&error, source.path());
    let connection =
        Connection::open_with_flags(source.path(), OpenFlags::SQLITE_OPEN_READ_WRITE).map_err(fault)?;
    connection.busy_timeout(std::time::Duration::from_secs(10)).map_err(fault)?;
    let target = to.to_str().ok_or(ServerError::Argument("--to", "must be a path in UTF-8"))?;
    connection.execute("VACUUM INTO ?1", [target]).map_err(|error| source.fault(&error, to))?;
    Ok(())
}

/// Renames a finished file, durably.
fn put(partial: &Path, to: &Path) -> Result<(), ServerError> {
    fs_err::File::open(partial).and_then(|file| file.sync_all()).map_err(unusable(partial))?;
    fs_err::rename(partial, to).map_err(unusable(to))?;
    #[cfg(unix)]
    if let Some(directory) = to.parent().filter(|directory| !directory.as_os_str().is_empty()) {
        fs_err::File::open(directory).and_then(|file| file.sync_all()).map_err(unusable(directory))?;
    }
    Ok(())
}

/// Verifies the finished copy of a database.
fn verify(path: &Path, source: Source<'_>) -> Result<BackupContents, ServerError> {
    let fault = |error: rusqlite::Error| source.fault(&error, path);
    let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY).map_err(fault)?;
    let number = |sql: &str| connection.query_row(sql, [], |row| row.get::<_, i64>(0)).map_err(fault);
    let schema = number("PRAGMA user_version")?;
    let known = crate::store::SCHEMA_VERSION;
    if schema > known {
        return Err(ServerError::NewerSchema {
            database: source.path().display().to_string(),
            found: schema,
            known,
        });
    }
    if number("SELECT count(*) FROM sqlite_schema WHERE name IN ('accounts', 'events', 'blocks', 'bodies')")?
        < 4
    {
        return Err(source.foreign());
    }
    let checked: String =
        connection.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0)).map_err(fault)?;
    if checked != "ok" {
        return Err(source.damaged(damage(&checked)));
    }
    let count = |table: &str| {
        let rows = number(&format!("SELECT count(*) FROM {table}"))?;
        Ok::<u64, ServerError>(u64::try_from(rows).unwrap_or(0))
    };
    let contents = BackupContents {
        schema,
        bytes: fs_err::metadata(path).map_err(unusable(path))?.len(),
        accounts: count("accounts")?,
        teams: count("teams")?,
        events: count("events")?,
        bodies: count("bodies")?,
    };
    let verified = verify_events(&connection).map_err(fault)?;
    let verified = verified.and_then(|events| match events == contents.events {
        true => verify_bodies(&connection).map_err(|error| error.to_string()),
        false => Err(format!("{} events have no bytes", contents.events - events)),
    });
    verified.map(|()| contents).map_err(|text| source.damaged(text))
}

/// Compares the bytes of every event with its digest. Blocks and events are read side by side, in the order of
/// the blocks.
fn verify_events(connection: &Connection) -> rusqlite::Result<Result<u64, String>> {
    let mut statement = connection.prepare(
        "SELECT blocks.key, packed, \"offset\", length, digest FROM events JOIN blocks ON blocks.key = events.block
         ORDER BY events.block",
    )?;
    let mut rows = statement.query([])?;
    let (mut current, mut plain, mut verified) = (None, Vec::new(), 0);
    while let Some(row) = rows.next()? {
        let block: i64 = row.get(0)?;
        if current != Some(block) {
            plain.clear();
            let packed = row.get_ref(1)?.as_blob().unwrap_or_default();
            if MultiGzDecoder::new(packed).take(LARGEST_BLOCK).read_to_end(&mut plain).is_err() {
                return Ok(Err(format!("block {block} is not valid gzip")));
            }
            current = Some(block);
        }
        let span = |column: usize| {
            row.get::<_, i64>(column).map(|number| usize::try_from(number).unwrap_or(usize::MAX))
        };
        let (start, length) = (span(2)?, span(3)?);
        let bytes = plain.get(start..start.saturating_add(length));
        let digest = row.get_ref(4)?.as_blob().unwrap_or_default();
        if bytes.is_none_or(|bytes| Sha256::digest(bytes)[..] != *digest) {
            return Ok(Err(format!("block {block}: an event does not match its digest")));
        }
        verified += 1;
    }
    Ok(Ok(verified))
}

fn verify_bodies(connection: &Connection) -> Result<(), String> {
    let verify = || -> rusqlite::Result<Option<i64>> {
        let mut statement = connection.prepare("SELECT seq, content, content_hash FROM bodies")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let content = row.get_ref(1)?.as_bytes().unwrap_or_default();
            if body::hash(content).as_bytes() != row.get_ref(2)?.as_bytes().unwrap_or_default() {
                return row.get(0).map(Some);
            }
        }
        Ok(None)
    };
    match verify() {
        Ok(None) => Ok(()),
        Ok(Some(seq)) => Err(format!("body {seq} does not match its hash")),
        Err(error) => Err(error.to_string()),
    }
}

fn unusable(path: &Path) -> impl FnOnce(std::io::Error) -> ServerError + use<> {
    let path = path.to_owned();
    move |error| ServerError::DataDir(path, error)
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}
