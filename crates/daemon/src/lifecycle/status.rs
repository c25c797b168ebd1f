//! Status of the daemon, from lock, files, process and its own report. Read-only; asks the daemon over loopback.

use super::stop::{becomes_free, continue_or_replace, end_holder, observe_lock_holder};
use crate::control::client::{ControlClient, ControlError};
use crate::control::file::{ControlFile, ControlFileError, describe};
use crate::control::wire::StatusReport;
use crate::holder::Holder;
use crate::start_rate_limit::{AutomaticStarts, StartRateLimit};
use crate::stop::{Stop, StopHistory};
use contract::foreground::raw_path;
use contract::{OrphanKind, OwnerRecord, Remedy};
use gate::{LockState, OwnerFacts, OwnerReading, judge_orphan, judge_owner};
use identity::Home;
use jiff::Timestamp;
use preflight::owner::{observe_owner, read_record};
use serde::Serialize;
use std::path::PathBuf;
use std::time::Duration;
use system::lock::{LockProbe, probe};

/// Time for the daemon to answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);
/// Time for an ending process to release the owner lock.
const RELEASE_TIMEOUT: Duration = Duration::from_millis(50);
/// Most observations after the first.
const RETRIES: u32 = 3;

/// The state of the daemon of one home.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DaemonState {
    /// No daemon: the lock is free and no record is left.
    Stopped,
    /// No daemon, and a record of a dead one is left.
    Orphan,
    /// The lock is held, and the daemon's port is unknown yet.
    Starting,
    /// Running and authenticated.
    Running,
    /// It holds the lock and was suspended from outside.
    Suspended,
    /// It holds the lock and does not answer.
    Wedged,
    /// A daemon of the Python CLI, by its record.
    Reference,
    /// Record or lock cannot be read or trusted.
    Unreadable,
}

/// The daemon of one home.
#[derive(Clone, Debug, Serialize)]
pub struct DaemonStatus {
    /// Its state.
    pub state: DaemonState,
    /// Its pid, as far as it is known.
    pub pid: Option<i64>,
    /// Port of its control plane, as far as it is known.
    pub port: Option<u16>,
    /// ULID of the run, if it is one of ours.
    pub instance_id: Option<String>,
    /// Its package version, by its record.
    pub package_version: Option<String>,
    /// Start, by its record.
    pub started_at: Option<String>,
    /// Reason why its record is an orphan, if it is one.
    pub orphan_kind: Option<OrphanKind>,
    /// Its own report.
    pub report: Option<StatusReport>,
    /// Description of the problem, in one sentence.
    pub detail: Option<String>,
    /// Its remedy.
    #[serde(serialize_with = "hint")]
    pub remedy: Option<Remedy>,
    /// Ends of earlier daemons, oldest first.
    pub stops: Vec<Stop>,
    /// Recent automatic starts.
    pub automatic_starts: AutomaticStarts,
    /// Its log.
    #[serde(serialize_with = "raw_path")]
    pub log: PathBuf,
}

pub(super) fn hint<S: serde::Serializer>(remedy: &Option<Remedy>, serializer: S) -> Result<S::Ok, S::Error> {
    match remedy {
        Some(remedy) => serializer.serialize_some(&remedy.hint()),
        None => serializer.serialize_none(),
    }
}

/// Observes the daemon of `home`.
pub fn observe_status(home: &Home) -> DaemonStatus {
    observe(home, RETRIES)
}

/// With a retry left, a daemon that starts or ends meanwhile is observed again.
fn observe(home: &Home, retries: u32) -> DaemonStatus {
    let lock = probe(&home.owner_lock());
    let reading = read_record(&home.owner_record());
    let mut status = DaemonStatus {
        state: DaemonState::Stopped,
        pid: None,
        port: None,
        instance_id: None,
        package_version: None,
        started_at: None,
        orphan_kind: None,
        report: None,
        detail: None,
        remedy: None,
        stops: StopHistory::of(&home.daemon_dir()).read(),
        automatic_starts: StartRateLimit::of(&home.daemon_dir()).observe(Timestamp::now()),
        log: home.daemon_log(),
    };
    if let OwnerReading::Readable(record) = &reading {
        status.take_record(record);
    }
    match lock {
        Ok(LockProbe::Held) => status.ask_holder(home, &reading, retries),
        Ok(LockProbe::Free) => status.judge_unheld(home, retries),
        Err(error) => status.set(
            DaemonState::Unreadable,
            format!("the owner lock {} cannot be probed: {error}", contract::text::path(&home.owner_lock())),
            Some(identity::file_remedy::repair(&home.owner_lock())),
        ),
    }
    status
}

impl DaemonStatus {
    fn set(&mut self, state: DaemonState, detail: String, remedy: Option<Remedy>) {
        (self.state, self.detail, self.remedy) = (state, Some(detail), remedy);
    }

    fn take_record(&mut self, record: &OwnerRecord) {
        self.pid = Some(record.pid);
        self.port = u16::try_from(record.port).ok();
        self.instance_id = record.instance.as_ref().map(|instance| instance.instance_id.clone());
        // An empty string counts as unset.
        let set = |value: &String| Some(value.clone()).filter(|value| !value.is_empty());
        self.package_version = set(&record.package_version);
        self.started_at = set(&record.started_at);
    }

    fn judge_unheld(&mut self, home: &Home, retries: u32) {
        let facts = observe_owner(home);
        if facts.lock == LockState::Held {
            self.judge_held(home, &facts, retries);
            return;
        }
        if let (_, Some(fault)) = judge_owner(&facts) {
            self.set(DaemonState::Unreadable, describe(&fault), Some(fault.remedy));
            return;
        }
        match (&facts.reading, judge_orphan(&facts)) {
            (OwnerReading::Absent | OwnerReading::Unreadable(_), _) => {}
            (OwnerReading::Readable(_), None) => self.set(
                DaemonState::Reference,
                "a daemon of the Python CLI runs in this home".to_owned(),
                Some(Remedy::RestartDaemon),
            ),
            (OwnerReading::Readable(_), Some(kind)) => {
                self.orphan_kind = Some(kind);
                let detail = format!("the owner record is an orphan: {}", kind.meaning());
                self.set(DaemonState::Orphan, detail, Some(Remedy::CleanOrphans));
            }
        }
    }

    /// A holder that cannot be asked, by its record; `facts` waited for a record and for the end of the holder.
    fn judge_held(&mut self, home: &Home, facts: &OwnerFacts, retries: u32) {
        if (facts.lock == LockState::Free || is_of_ours(&facts.reading))
            && let Some(retries) = retries.checked_sub(1)
        {
            *self = observe(home, retries);
            return;
        }
        let (detail, remedy) = match judge_owner(facts) {
            (_, Some(fault)) => (describe(&fault), Some(fault.remedy)),
            (_, None) => ("a daemon holds the owner lock and is starting".to_owned(), None),
        };
        self.set(DaemonState::Starting, detail, remedy);
    }

    fn ask_holder(&mut self, home: &Home, reading: &OwnerReading, retries: u32) {
        if let OwnerReading::Readable(record) = reading
            && is_suspended(home, record)
        {
            // A suspended daemon cannot answer; a request would only time out.
            self.set_suspended(record);
            return;
        }
        let control = match ControlFile::of_holder(home) {
            Ok(Some(control)) => control,
            Err(ControlFileError::SharedLock { path, links }) => {
                let detail = format!(
                    "{} has {links} hard links: another home shares this lock",
                    contract::text::path(&path)
                );
                let advice = Remedy::Advice(contract::owner_record::unlink_advice(&path));
                self.set(DaemonState::Unreadable, detail, Some(advice));
                return;
            }
            Err(error @ ControlFileError::NotPrivate(_)) => {
                let detail = error.to_string();
                let ControlFileError::NotPrivate(fault) = error else { return };
                self.set(DaemonState::Unreadable, detail, Some(fault.remedy));
                return;
            }
            Ok(None) if is_of_ours(reading) => {
                let detail =
                    "running, but the control file is missing: the daemon restores it within a minute";
                self.set(DaemonState::Running, detail.to_owned(), None);
                return;
            }
            Ok(None) => {
                self.judge_held(home, &observe_owner(home), retries);
                return;
            }
            Err(error) => {
                self.set(DaemonState::Wedged, error.to_string(), Some(Remedy::RestartDaemon));
                return;
            }
        };
        self.port = Some(control.port);
        match ControlClient::connect(&control, ANSWER_TIMEOUT).and_then(|mut client| client.status()) {
            Ok(report) => {
                self.state = DaemonState::Running;
                self.pid = Some(i64::from(report.pid));
                self.instance_id = Some(report.instance_id.clone());
                self.package_version = Some(report.package_version.clone());
                self.started_at = Some(report.started_at.clone());
                self.report = Some(report);
                if !is_of_ours(reading) {
                    self.judge_record(&observe_owner(home));
                }
            }
            // A dying process releases its port before its lock.
            Err(_) if retries > 0 && becomes_free(home, RELEASE_TIMEOUT) => {
                *self = observe(home, retries - 1)
            }
            Err(error) => self.judge_unresponsive(home, reading, &control, &error),
        }
    }

    /// A daemon that starts writes its record after its control file; `facts` waited for it.
    fn judge_record(&mut self, facts: &OwnerFacts) {
        let (_, Some(fault)) = judge_owner(facts) else { return };
        let detail = match &facts.reading {
            OwnerReading::Unreadable(why) => format!("running, but the owner record {why}"),
            OwnerReading::Absent => "running, but the owner record is missing".to_owned(),
            OwnerReading::Readable(_) => {
                "running, but the owner record belongs to another process".to_owned()
            }
        };
        (self.detail, self.remedy) = (Some(detail), Some(fault.remedy));
    }

    fn judge_unresponsive(
        &mut self,
        home: &Home,
        reading: &OwnerReading,
        control: &ControlFile,
        error: &ControlError,
    ) {
        let record = match reading {
            OwnerReading::Readable(record) => record,
            OwnerReading::Absent | OwnerReading::Unreadable(_) => {
                self.set(DaemonState::Wedged, error.to_string(), Some(end_holder(observe_lock_holder(home))));
                return;
            }
        };
        let ours = record.instance.as_ref().map(|instance| instance.instance_id.as_str());
        if ours != Some(control.instance_id.as_str()) {
            self.judge_held(home, &observe_owner(home), 0);
            return;
        }
        match Holder::prove(home, record, None) {
            Some(holder) if holder.is_suspended() => self.set_suspended(record),
            Some(_) => self.set(DaemonState::Wedged, error.to_string(), Some(Remedy::RestartDaemon)),
            // The record names another process, and a restart would signal no process.
            None => {
                self.set(DaemonState::Wedged, error.to_string(), Some(end_holder(observe_lock_holder(home))));
            }
        }
    }

    fn set_suspended(&mut self, record: &OwnerRecord) {
        let detail = format!("process {} holds the owner lock and is suspended", record.pid);
        self.set(DaemonState::Suspended, detail, Some(continue_or_replace(record.pid)));
    }
}

fn is_of_ours(reading: &OwnerReading) -> bool {
    matches!(reading, OwnerReading::Readable(record) if record.instance.is_some())
}

/// Whether the process of `record` provably holds the lock of `home` and is suspended from outside.
fn is_suspended(home: &Home, record: &OwnerRecord) -> bool {
    Holder::prove(home, record, None).is_some_and(|holder| holder.is_suspended())
}

#[cfg(test)]
mod tests {
    use super::*;
    use identity::Environment;
    use system::lock::FileLock;

    #[test]
    fn daemon_that_starts_between_probe_and_reading_is_observed_again() {
        let directory = tempfile::tempdir().expect("a directory");
        let home = directory.path().to_string_lossy().into_owned();
        let home = Home::resolve(&Environment::from_pairs([("SPEC_KITTY_HOME", home)])).expect("a home");
        let mut status = observe_status(&home);
        assert_eq!(status.state, DaemonState::Stopped);
        let _lock = FileLock::acquire(&home.owner_lock(), Duration::ZERO, "the daemon").expect("locked");
        for retries in [0, RETRIES] {
            status.judge_unheld(&home, retries);
            assert_eq!(status.state, DaemonState::Starting);
            assert_eq!(status.remedy, Some(Remedy::RestartDaemon));
        }
    }
}
