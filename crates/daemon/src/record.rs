//! The daemon owner record as this daemon writes it. Reading any record is `preflight::owner`'s.
//!
//! Written after the control plane listens, atomically and durably, 0600; removed only by the run that
//! wrote it. The bytes themselves are contract's (`contract::owner_record`).

use contract::owner_record::{OwnerInstance, RECORD_VERSION, TOKEN_MARKER};
use contract::{FileNumbers, ForegroundIdentity, OwnerRecord, Scope};
use gate::OwnerReading;
use jiff::Timestamp;
use preflight::owner::read_record;
use std::path::Path;
use system::private_file::{self, WriteError};
use system::process;

/// The facts of one daemon run, fixed at its start.
#[derive(Clone, Debug)]
pub struct RunFacts {
    /// The identity it took from its start.
    pub foreground: ForegroundIdentity,
    /// Its scope.
    pub scope: Scope,
    /// ULID of the run.
    pub instance_id: String,
    /// Id of the queue DB, when the file had one.
    pub queue_id: Option<String>,
    /// Start, UTC, in the format of records.
    pub started_at: String,
    /// The owner lock file that it holds, once it does and where the system tells.
    pub lock: Option<FileNumbers>,
}

impl RunFacts {
    /// The facts of a run that starts now.
    pub fn new(foreground: ForegroundIdentity, scope: Scope, queue_id: Option<String>) -> Self {
        Self {
            foreground,
            scope,
            instance_id: ulid::Ulid::generate().to_string(),
            queue_id,
            started_at: timestamp(Timestamp::now()),
            lock: None,
        }
    }

    /// The record of this run, listening on `port`.
    pub fn record(&self, port: u16) -> OwnerRecord {
        let start_ticks = process::observe_process(i64::from(self.foreground.pid)).start_ticks();
        OwnerRecord {
            pid: i64::from(self.foreground.pid),
            port: i64::from(port),
            token: TOKEN_MARKER.to_owned(),
            package_version: self.foreground.package_version.clone(),
            executable_path: self.foreground.executable_path.clone(),
            source_checkout_path: self.foreground.source_path.clone(),
            server_url: self.foreground.server_url.clone().unwrap_or_default(),
            auth_principal: Some(self.scope.principal().to_owned()),
            auth_team: Some(self.scope.team().to_owned()),
            auth_scope: Some(self.scope.to_string()),
            queue_db_path: self.foreground.queue_db_path.clone(),
            started_at: self.started_at.clone(),
            instance: Some(OwnerInstance {
                record_version: RECORD_VERSION,
                instance_id: self.instance_id.clone(),
                boot_id: process::boot_id(),
                process_start_ticks: start_ticks,
                queue_id: self.queue_id.clone(),
                lock: self.lock,
            }),
        }
    }
}

/// A moment as records and stop lists write it: UTC, whole seconds, `+00:00`.
pub fn timestamp(moment: Timestamp) -> String {
    moment.strftime("%Y-%m-%dT%H:%M:%S+00:00").to_string()
}

/// Writes `record`: private, atomic, durable.
///
/// # Errors
/// The file could not be written.
pub fn write(path: &Path, record: &OwnerRecord) -> Result<(), WriteError> {
    private_file::write_private(path, record.render().as_bytes())
}

/// Whether the record at `path` is the one of `instance_id`.
pub fn is_own(path: &Path, instance_id: &str) -> bool {
    matches!(read_record(path), OwnerReading::Readable(record)
        if record.instance.as_ref().is_some_and(|instance| instance.instance_id == instance_id))
}

/// Removes the record if it is still the one of `instance_id`. Called under the owner lock, so no process can
/// replace it between the look and the removal.
///
/// # Errors
/// The record is ours and could not be removed.
pub(crate) fn remove_own(path: &Path, instance_id: &str) -> std::io::Result<()> {
    if is_own(path, instance_id) { fs_err::remove_file(path) } else { Ok(()) }
}
