//! The tables, and their migrations.

use crate::error::ServerError;
use rusqlite::{Connection, TransactionBehavior};
use std::path::Path;

/// `user_version` of this release.
pub(super) const VERSION: i64 = 3;

/// Migrates the file to [`VERSION`], in one transaction.
pub(super) fn load(connection: &mut Connection, path: &Path) -> Result<(), ServerError> {
    let fault = |error: rusqlite::Error| ServerError::Database(path.to_owned(), error.to_string());
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(fault)?;
    let found: i64 = transaction.query_row("PRAGMA user_version", [], |row| row.get(0)).map_err(fault)?;
    if found > VERSION {
        return Err(ServerError::NewerSchema { path: path.to_owned(), found, known: VERSION });
    }
    if found < 1 {
        transaction.execute_batch(ACCOUNTS).map_err(fault)?;
        transaction.execute_batch(SESSIONS).map_err(fault)?;
        transaction.execute_batch(EVENTS).map_err(fault)?;
    }
    if found < 2 {
        transaction.execute_batch(FAIRNESS).map_err(fault)?;
    }
    if found < 3 {
        transaction.execute_batch(EARLIER_CLIENTS).map_err(fault)?;
    }
    transaction.execute_batch(&format!("PRAGMA user_version = {VERSION}")).map_err(fault)?;
    transaction.commit().map_err(fault)
}

const ACCOUNTS: &str = "
CREATE TABLE accounts (
    user_id TEXT PRIMARY KEY,
    email TEXT NOT NULL,
    email_key TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    secret_hash TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    disabled_at INTEGER
) STRICT;
CREATE TABLE teams (
    key INTEGER PRIMARY KEY,
    team_id TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    is_private INTEGER NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;
CREATE TABLE memberships (
    team INTEGER NOT NULL REFERENCES teams(key),
    user_id TEXT NOT NULL REFERENCES accounts(user_id),
    role TEXT NOT NULL,
    PRIMARY KEY (team, user_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX memberships_of_user ON memberships(user_id);
CREATE TABLE ci_tokens (
    id TEXT PRIMARY KEY,
    hash BLOB NOT NULL UNIQUE,
    user_id TEXT NOT NULL REFERENCES accounts(user_id),
    team INTEGER NOT NULL REFERENCES teams(key),
    label TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    revoked_at INTEGER
) STRICT;
";

const SESSIONS: &str = "
CREATE TABLE sessions (
    session_id TEXT PRIMARY KEY,
    user_id TEXT NOT NULL REFERENCES accounts(user_id),
    flow TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    generation INTEGER NOT NULL,
    ended_at INTEGER
) STRICT;
CREATE TABLE access_tokens (
    hash BLOB PRIMARY KEY,
    session_id TEXT NOT NULL REFERENCES sessions(session_id),
    generation INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    seen_at INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX access_tokens_of_session ON access_tokens(session_id);
CREATE TABLE refresh_tokens (
    hash BLOB PRIMARY KEY,
    session_id TEXT NOT NULL REFERENCES sessions(session_id),
    generation INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    used_at INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX refresh_tokens_of_session ON refresh_tokens(session_id, generation);
CREATE TABLE devices (
    hash BLOB PRIMARY KEY,
    user_code TEXT NOT NULL UNIQUE,
    interval_ms INTEGER NOT NULL,
    requested_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    polled_at INTEGER,
    decided_at INTEGER,
    user_id TEXT REFERENCES accounts(user_id),
    used_at INTEGER
) STRICT, WITHOUT ROWID;
CREATE TABLE codes (
    hash BLOB PRIMARY KEY,
    user_id TEXT NOT NULL REFERENCES accounts(user_id),
    challenge TEXT NOT NULL,
    redirect_uri TEXT NOT NULL,
    expires_at INTEGER NOT NULL,
    session_id TEXT REFERENCES sessions(session_id)
) STRICT, WITHOUT ROWID;
";

// `origin` is an address or network; `opened_at` is the time the approval page was first opened. `guesses`
// counts wrong guesses in a row, before they are checked.
const FAIRNESS: &str = "
ALTER TABLE devices ADD COLUMN origin TEXT NOT NULL DEFAULT '';
ALTER TABLE devices ADD COLUMN opened_at INTEGER;
CREATE INDEX devices_waiting ON devices(origin, requested_at) WHERE decided_at IS NULL;
CREATE INDEX devices_ended ON devices(expires_at);
CREATE TABLE guesses (
    subject TEXT PRIMARY KEY,
    count INTEGER NOT NULL,
    last_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX guesses_by_age ON guesses(last_at);
";

// `content_digest` is null in rows of earlier releases, whose copies are compared by their bytes. `joined_at`
// orders the teams of an account; memberships of earlier releases come first, in the order of their teams.
const EARLIER_CLIENTS: &str = "
ALTER TABLE events ADD COLUMN content_digest BLOB;
ALTER TABLE memberships ADD COLUMN joined_at INTEGER NOT NULL DEFAULT 0;
";

// A project without a uuid (a tolerated deviation) has the empty text. `event_id` is the canonical
// id; `sent_id` is set only where the spelling differed. `deviations` has one bit for each tolerated
// deviation. An event's bytes are `length` bytes from `offset` of its unpacked block.
const EVENTS: &str = "
CREATE TABLE projects (
    key INTEGER PRIMARY KEY,
    team INTEGER NOT NULL REFERENCES teams(key),
    project_uuid TEXT NOT NULL,
    UNIQUE (team, project_uuid)
) STRICT;
CREATE TABLE blocks (
    key INTEGER PRIMARY KEY,
    project INTEGER NOT NULL REFERENCES projects(key),
    received_at INTEGER NOT NULL,
    packed BLOB NOT NULL
) STRICT;
CREATE INDEX blocks_of_project ON blocks(project);
CREATE TABLE events (
    seq INTEGER PRIMARY KEY,
    team INTEGER NOT NULL,
    event_id TEXT NOT NULL,
    sent_id TEXT,
    event_type TEXT NOT NULL,
    aggregate_id TEXT NOT NULL,
    project INTEGER NOT NULL,
    deviations INTEGER NOT NULL,
    digest BLOB NOT NULL,
    block INTEGER NOT NULL,
    offset INTEGER NOT NULL,
    length INTEGER NOT NULL,
    UNIQUE (team, event_id)
) STRICT;
CREATE INDEX events_of_project ON events(project);
CREATE TABLE artifacts (
    key INTEGER PRIMARY KEY,
    team INTEGER NOT NULL REFERENCES teams(key),
    project_uuid TEXT NOT NULL,
    mission_slug TEXT NOT NULL,
    target_branch TEXT NOT NULL,
    mission_type TEXT NOT NULL,
    manifest_version TEXT NOT NULL,
    path TEXT NOT NULL,
    UNIQUE (team, project_uuid, mission_slug, target_branch, mission_type, manifest_version, path)
) STRICT;
CREATE TABLE bodies (
    seq INTEGER PRIMARY KEY,
    artifact INTEGER NOT NULL REFERENCES artifacts(key),
    content_hash TEXT NOT NULL,
    size_bytes INTEGER NOT NULL,
    received_at INTEGER NOT NULL,
    content TEXT NOT NULL,
    UNIQUE (artifact, content_hash)
) STRICT;
";
