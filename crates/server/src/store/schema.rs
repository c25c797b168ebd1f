//! The tables, and their migrations.
//!
//! A text of [`Migration::both`] is written in the types of SQLite: `INTEGER`, `TEXT`, `BLOB`, `STRICT`.
//!
//! A table is scoped to a team, or it is global: accounts and what belongs to them. Every unique key of a
//! table of a team begins with `team`, so that a cluster can distribute the tables by it. (In SQLite the
//! row id is a key too.)

/// Version of the newest migration: `user_version` of a SQLite file.
pub(crate) const VERSION: i64 = 5;

/// One step from a schema to the next.
pub(super) struct Migration {
    version: i64,
    /// Runs first, on every database.
    pub(super) both: &'static str,
    pub(super) sqlite: &'static str,
}

/// The migrations that a database of version `found` lacks.
pub(super) fn after(found: i64) -> impl Iterator<Item = &'static Migration> {
    MIGRATIONS.iter().filter(move |migration| migration.version > found)
}

const MIGRATIONS: [Migration; 5] = [
    Migration { version: 1, both: ACCOUNTS, sqlite: EVENTS },
    Migration { version: 2, both: FAIRNESS, sqlite: "" },
    Migration { version: 3, both: JOINED_AT, sqlite: CONTENT_DIGEST },
    Migration { version: 4, both: "", sqlite: COUNTS },
    Migration { version: 5, both: SHARING, sqlite: "" },
];

// A share shows a project of `team` to `with_team` while one account makes it. `row_hash` is a hash of the key of
// an event or body that was forgotten on request.
const SHARING: &str = "
CREATE TABLE shares (
    team INTEGER NOT NULL REFERENCES teams(key),
    project_uuid TEXT NOT NULL,
    with_team INTEGER NOT NULL REFERENCES teams(key),
    user_id TEXT NOT NULL REFERENCES accounts(user_id),
    shared_at INTEGER NOT NULL,
    PRIMARY KEY (team, project_uuid, with_team, user_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX shares_with_team ON shares(with_team);
CREATE TABLE forgotten (
    team INTEGER NOT NULL REFERENCES teams(key),
    row_hash BLOB NOT NULL,
    PRIMARY KEY (team, row_hash)
) STRICT, WITHOUT ROWID;
";

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

// Orders the teams of an account; memberships of earlier releases come first, in the order of their teams.
const JOINED_AT: &str = "
ALTER TABLE memberships ADD COLUMN joined_at INTEGER NOT NULL DEFAULT 0;
";

// Null in rows of earlier releases, whose copies are compared by their bytes.
const CONTENT_DIGEST: &str = "
ALTER TABLE events ADD COLUMN content_digest BLOB;
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

// `counts` has the number of events and bodies of each project, spread over slots; a page needs no count of rows.
// A row of `events_of_team` and of the other indexes ends with the row id, so pages are read in its order.
const COUNTS: &str = "
ALTER TABLE blocks ADD COLUMN team INTEGER NOT NULL DEFAULT 0;
UPDATE blocks SET team = (SELECT team FROM projects WHERE projects.key = blocks.project);
ALTER TABLE bodies ADD COLUMN team INTEGER NOT NULL DEFAULT 0;
ALTER TABLE bodies ADD COLUMN project_uuid TEXT NOT NULL DEFAULT '';
UPDATE bodies SET (team, project_uuid) =
    (SELECT team, project_uuid FROM artifacts WHERE artifacts.key = bodies.artifact);
DROP INDEX events_of_project;
CREATE INDEX events_of_team ON events(team);
CREATE INDEX events_of_project ON events(team, project);
CREATE INDEX bodies_of_team ON bodies(team);
CREATE INDEX bodies_of_project ON bodies(team, project_uuid);
CREATE TABLE counts (
    team INTEGER NOT NULL,
    project_uuid TEXT NOT NULL,
    slot INTEGER NOT NULL,
    events INTEGER NOT NULL,
    bodies INTEGER NOT NULL,
    PRIMARY KEY (team, project_uuid, slot)
) STRICT, WITHOUT ROWID;
INSERT INTO counts
    SELECT projects.team, project_uuid, 0, count(*), 0 FROM events JOIN projects ON projects.key = events.project
    GROUP BY projects.key;
INSERT INTO counts SELECT team, project_uuid, 0, 0, count(*) FROM bodies WHERE TRUE GROUP BY team, project_uuid
    ON CONFLICT (team, project_uuid, slot) DO UPDATE SET bodies = excluded.bodies;
";
