//! The status document: one value behind `sync status`, `--check`, `--json` and the doctors (contract
//! section 6).

use crate::others::Elsewhere;
use contract::foreground::raw_path;
use contract::{
    ExitCode, Fault, ForegroundIdentity, Mismatch, OrphanRecord, OwnerRecord, OwnerStatus, PreflightResult,
    Remedy, server_url,
};
use serde::Serialize;
use std::borrow::Cow;
use std::path::{Path, PathBuf};

/// Version of the JSON form; grows when a key changes its meaning, not when one is added.
pub const SCHEMA_VERSION: u32 = 1;

/// Seconds of waiting without a daemon after which rows get a warning.
pub(crate) const STALE_AFTER_SECONDS: i64 = 15 * 60;

/// The code of the warning that a server lost rows that it acknowledged.
pub const SERVER_REWOUND: &str = "server_rewound";

/// The warning that the server lost rows.
pub fn rewound_warning(rewound: &queue::Rewound) -> Warning {
    let at = jiff::Timestamp::from_second(rewound.at).unwrap_or_default();
    let projects = match rewound.projects.as_slice() {
        [one] => match &one.project_uuid {
            Some(uuid) => format!("project {uuid}"),
            None => "rows without a project".to_owned(),
        },
        many => format!("{} projects", many.len()),
    };
    let text = format!("the server no longer has rows that it acknowledged ({projects}, noticed at {at})");
    Warning { code: SERVER_REWOUND, text, remedy: Remedy::ResendMissing }
}

/// The code of the warning that the server refused the login at the newest attempt.
pub const LOGIN_REFUSED: &str = "login_refused";

/// The code of the warning that bodies wait for an event that is not in this queue.
pub const BODIES_NOT_INDEXED: &str = "bodies_not_indexed";

/// The code of the warning that the queue DB is gone.
pub const QUEUE_MISSING: &str = "queue_missing";

/// The warning that the queue DB at `queue` is not there, although its birth record is.
pub fn missing_queue_warning(queue: &Path) -> Option<Warning> {
    queue::record_of_lost_queue(queue).map(|record| Warning {
        code: QUEUE_MISSING,
        text: format!(
            "{} is gone, and {} shows that it was there: rows that waited in it are not counted",
            contract::text::path(queue),
            contract::text::path(&record)
        ),
        remedy: Remedy::Advice(
            "run `spec-kitty sync doctor` in each checkout: it names the missions to capture again".into(),
        ),
    })
}

/// Missions that are named in warnings; the rest are counted.
const MISSIONS_NAMED: usize = 5;

/// A warning for each mission with bodies that the server refuses without an event that is not in this queue.
pub fn unindexed_warnings(missions: &[queue::Unindexed]) -> Vec<Warning> {
    let of_mission = |mission: &queue::Unindexed| {
        let (bodies, wait) = match mission.bodies {
            1 => ("1 body".to_owned(), "waits for its index event, which is"),
            many => (format!("{many} bodies"), "wait for their index events, which are"),
        };
        let place = mission.checkout.as_deref().map(contract::text::path);
        let place = place.unwrap_or_else(|| "a checkout of the project".into());
        let text = format!(
            "{bodies} of mission {} (project {}) {wait} neither here nor at the server (index_entry_not_found); run the \
             command in {place}",
            mission.mission_slug, mission.project_uuid
        );
        let remedy = Remedy::CaptureHistory { mission: mission.mission_slug.clone() };
        Warning { code: BODIES_NOT_INDEXED, text, remedy }
    };
    let mut warnings: Vec<Warning> = missions.iter().take(MISSIONS_NAMED).map(of_mission).collect();
    if let Some(rest) = missions.len().checked_sub(MISSIONS_NAMED).filter(|rest| *rest > 0) {
        let text = format!("bodies of {rest} more missions wait for index events (index_entry_not_found)");
        let remedy = Remedy::Advice(
            "`spec-kitty sync status` names those missions once the ones above are captured again".into(),
        );
        warnings.push(Warning { code: BODIES_NOT_INDEXED, text, remedy });
    }
    warnings
}

/// The status document. Counts of an unreadable queue DB are null, never zero.
#[derive(Clone, Debug, Serialize)]
pub struct StatusDocument {
    /// [`SCHEMA_VERSION`].
    pub schema_version: u32,
    /// Whether the boundary is coherent under this document's policy.
    pub ok: bool,
    /// Exit code of `--check`: 0 or 2.
    pub exit_code: u8,
    /// Whether hosted sync is switched on, and so an authenticated identity is required.
    pub auth_required: bool,
    /// Whether there is one.
    pub auth_present: bool,
    /// Reason of a missing authenticated identity.
    pub auth_absent_reason: Option<String>,
    /// Running daemons of this home that are not in the owner record.
    pub live_orphan_daemon_count: u64,
    /// The state directory and its source.
    pub root: Root,
    /// The source of the identity.
    pub login: LoginSummary,
    /// The foreground identity.
    pub foreground: ForegroundIdentity,
    /// The daemon owner record.
    pub daemon_owner_record: DaemonRecord,
    /// The active queue DB.
    pub active_queue: ActiveQueue,
    /// The legacy queue DB.
    pub legacy_queue: LegacyQueue,
    /// Rows of a command that did not finish.
    pub prepared: RowPair,
    /// Rows refused by the server or by this machine, kept with their reason.
    pub parked: RowPair,
    /// Rows that wait for consent, by project.
    pub held: Vec<HeldProject>,
    /// Time of capture of the oldest waiting row.
    pub oldest_pending_at: Option<String>,
    /// Time of the last delivery.
    pub last_delivery: Option<String>,
    /// The newest drain and its outcome.
    pub last_attempt: Option<AttemptStatus>,
    /// Rows of this home that wait elsewhere.
    #[serde(flatten)]
    pub elsewhere: Elsewhere,
    /// Fields that differ.
    pub mismatches: Vec<Mismatch>,
    /// Orphan owner records.
    pub orphan_records: Vec<OrphanRecord>,
    /// Faults.
    pub faults: Vec<Fault>,
    /// Warnings, which do not make the boundary incoherent.
    pub warnings: Vec<Warning>,
    /// The gate's result, partly repeated by the keys above.
    #[serde(skip)]
    pub preflight: PreflightResult,
}

/// The state root.
#[derive(Clone, Debug, Serialize)]
pub struct Root {
    /// Its path.
    #[serde(serialize_with = "raw_path")]
    pub path: PathBuf,
    /// `SPEC_KITTY_HOME`, `HOME` or `USERPROFILE`.
    pub source: String,
}

/// The source of the identity.
#[derive(Clone, Debug, Serialize)]
pub struct LoginSummary {
    /// `token`, `session`, `credentials` or `none`.
    pub source: &'static str,
    /// The queue scope, if one can be derived.
    pub scope: Option<String>,
    /// Expiry of the login, if known.
    pub refresh_expires_at: Option<String>,
}

/// The daemon owner record in the status document.
#[derive(Clone, Debug, Serialize)]
pub struct DaemonRecord {
    /// Its status, from record, lock and process.
    pub status: OwnerStatus,
    /// Process id.
    pub pid: Option<i64>,
    /// Port of the control plane.
    pub port: Option<i64>,
    /// Package version.
    pub package_version: Option<String>,
    /// Executable.
    pub executable_path: Option<String>,
    /// Source checkout.
    pub source_path: Option<String>,
    /// Server.
    pub server_url: Option<String>,
    /// Team and user.
    pub team_or_user: Option<String>,
    /// Queue DB.
    pub queue_db_path: Option<String>,
}

impl DaemonRecord {
    /// The displayed values of a record, or of its absence.
    pub fn of(status: OwnerStatus, record: Option<&OwnerRecord>) -> Self {
        // An empty string counts as unset.
        let set = |value: Option<String>| value.filter(|value| !value.is_empty());
        let path = |path: fn(&OwnerRecord) -> &PathBuf| {
            set(record.map(|record| path(record).to_string_lossy().into_owned()))
        };
        Self {
            status,
            pid: record.map(|record| record.pid),
            port: record.map(|record| record.port),
            package_version: set(record.map(|record| record.package_version.clone())),
            executable_path: path(|record| &record.executable_path),
            source_path: path(|record| &record.source_checkout_path),
            server_url: record.and_then(|record| record.server().map(server_url::shown).map(Cow::into_owned)),
            team_or_user: record.and_then(OwnerRecord::team_or_user),
            queue_db_path: path(|record| &record.queue_db_path),
        }
    }
}

/// The active queue DB.
#[derive(Clone, Debug, Serialize)]
pub struct ActiveQueue {
    /// Its path.
    #[serde(serialize_with = "raw_path")]
    pub path: PathBuf,
    /// Waiting events, held ones included; null when the file cannot be read.
    pub event_count: Option<u64>,
    /// Waiting bodies, held ones included; null when the file cannot be read.
    pub body_upload_count: Option<u64>,
}

/// The legacy queue DB.
#[derive(Clone, Debug, Serialize)]
pub struct LegacyQueue {
    /// Its path.
    #[serde(serialize_with = "raw_path")]
    pub path: PathBuf,
    /// All its events; null when the file cannot be read.
    pub event_count: Option<u64>,
    /// All its bodies; null when the file cannot be read.
    pub body_upload_count: Option<u64>,
    /// Events and bodies that belong to this scope; null when the file cannot be read.
    pub rows_in_scope: Option<u64>,
    /// Events and bodies that belong to other scopes; null when the file cannot be read.
    pub rows_other_scope: Option<u64>,
}

/// Events and bodies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct RowPair {
    /// Events.
    pub events: u64,
    /// Bodies.
    pub bodies: u64,
}

/// A project whose rows wait for consent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct HeldProject {
    /// The project, or null for rows without one.
    pub project_uuid: Option<String>,
    /// Its `owner/repo`, where known.
    pub repo_slug: Option<String>,
    /// Held events.
    pub events: u64,
    /// Held bodies.
    pub bodies: u64,
    /// Reason of the hold.
    pub reason: String,
    /// The remedy.
    pub remediation_hint: String,
}

/// The newest drain (contract section 6 `last_attempt`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AttemptStatus {
    /// End of the attempt.
    pub at: String,
    /// A stable name: `delivered`, `nothing_to_do`, `waiting`, `incomplete`, or why it stopped.
    pub outcome: String,
    /// Whether it failed.
    pub failed: bool,
    /// One sentence about a failure; null otherwise.
    pub detail: Option<String>,
    /// Its trigger: `command` or `daemon`.
    pub by: queue::DrainedBy,
}

impl AttemptStatus {
    pub(crate) fn of(attempt: &queue::LastAttempt) -> Option<Self> {
        Some(Self {
            at: jiff::Timestamp::from_second(attempt.at).ok()?.to_string(),
            outcome: attempt.outcome.clone(),
            failed: attempt.failed,
            detail: Some(attempt.detail.clone()).filter(|detail| !detail.is_empty()),
            by: attempt.by,
        })
    }

    /// One line: outcome, time, trigger and cause of a failure.
    pub fn line(&self) -> String {
        let by = if self.by == queue::DrainedBy::Daemon { " (daemon)" } else { "" };
        let detail = self.detail.as_deref().map(|detail| format!(": {detail}")).unwrap_or_default();
        format!("{} at {}{by}{detail}", self.outcome.replace('_', " "), self.at)
    }
}

/// A warning, which is no failure.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Warning {
    /// A stable name for scripts.
    pub code: &'static str,
    /// A sentence.
    pub text: String,
    /// Its remedy.
    #[serde(rename = "remediation_hint", serialize_with = "hint")]
    pub remedy: Remedy,
}

pub(crate) fn hint<S: serde::Serializer>(remedy: &Remedy, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&remedy.hint())
}

impl StatusDocument {
    /// Exit code of `--check`.
    pub fn check_exit(&self) -> ExitCode {
        if self.ok { ExitCode::Ok } else { ExitCode::Refused }
    }
}
