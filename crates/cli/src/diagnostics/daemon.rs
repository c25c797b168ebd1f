//! Checks of the daemon and of delivery.

use super::{CheckName, DiagnosticCheck, Diagnostics, name_of};
use crate::error::CliError;
use ::daemon::doctor::{CleanupClass, DaemonFindingKind, Treatment, orphan_daemons};
use ::daemon::drain::DrainOutcome;
use ::daemon::lifecycle::{DaemonState, DaemonStatus, observe_status};
use contract::Remedy;
use delivery::backoff::plan_rest;
use jiff::Timestamp;
use preflight::status::{BODIES_NOT_INDEXED, SERVER_REWOUND};

impl Diagnostics<'_> {
    pub(super) fn daemon(&self) -> Result<DiagnosticCheck, CliError> {
        let status = observe_status(self.context.home()?);
        let check =
            DiagnosticCheck::ok(CheckName::Daemon, summary(&status)).read_file("log file", &status.log);
        let check = match status.port.filter(|_| status.report.is_some()) {
            Some(port) => check.read("running and authenticated", format!("127.0.0.1:{port}")),
            None => check,
        };
        let check = judge_state(check, &status);
        let check = judge_starts(check, &status);
        self.with_leftovers(judge_last_drain(check, &status))
    }

    /// Adds findings of `doctor orphan-daemons` beyond the orphan records and strays of the boundary.
    fn with_leftovers(&self, check: DiagnosticCheck) -> Result<DiagnosticCheck, CliError> {
        let report = orphan_daemons(self.context.home()?, &self.verdict, Treatment::Look);
        let beyond = report.findings.iter().filter(|finding| {
            let known = match finding.kind {
                DaemonFindingKind::StrayDaemon | DaemonFindingKind::WedgedDaemon => true,
                // That its daemon serves another home may be known from its port alone.
                DaemonFindingKind::OrphanRecord => !self.status.orphan_records.is_empty(),
                _ => false,
            };
            finding.class != CleanupClass::NeverTouch && !known
        });
        Ok(beyond.fold(check, |check, finding| {
            let detail = format!("pid {}: {}", finding.pid, finding.detail);
            let by_hand =
                finding.end_command.clone().map(|end| Remedy::Advice(format!("end it with `{end}`")));
            // A process that no file names is left to a person even with --force.
            let cleanup = match finding.kind {
                DaemonFindingKind::OrphanRecord => Some(Remedy::CleanOrphans),
                DaemonFindingKind::MuteReferenceDaemon => Some(Remedy::ForceCleanOrphans),
                _ => None,
            };
            check.finding(name_of(&finding.kind), detail, cleanup.into_iter().chain(by_hand))
        }))
    }

    pub(super) fn delivery(&self) -> DiagnosticCheck {
        let status = &self.status;
        let Some(counts) = &self.counts else {
            return DiagnosticCheck::not_checked(CheckName::Delivery, self.uncounted());
        };
        let last = status
            .last_delivery
            .as_deref()
            .map_or("nothing has been delivered yet".to_owned(), |at| format!("last delivery at {at}"));
        let oldest = status.oldest_pending_at.as_deref();
        let waits = oldest.map_or(String::new(), |oldest| format!("; the oldest row waits since {oldest}"));
        let mut check = DiagnosticCheck::ok(CheckName::Delivery, format!("{last}{waits}"))
            .read_file("receipts and waiting rows", &status.active_queue.path);
        if let Some(pause) = &counts.pause
            && let Some(rest) = plan_rest(pause.until, now())
        {
            let rest = format!("paused for another {} s: {}", rest.as_secs().max(1), pause.reason);
            check = check.read(rest, "last drain");
        }
        if let Some(attempt) = &status.last_attempt {
            check = check.read(attempt.line(), "last attempt");
        }
        let codes = ["backlog_without_daemon", SERVER_REWOUND, BODIES_NOT_INDEXED];
        let backlog = status.warnings.iter().filter(|warning| codes.contains(&warning.code));
        backlog.fold(check, |check, warning| {
            check.finding(warning.code, warning.text.clone(), [warning.remedy.clone()])
        })
    }
}

fn now() -> f64 {
    Timestamp::now().as_second() as f64
}

fn summary(status: &DaemonStatus) -> String {
    let pid = status.pid.map(|pid| format!(", pid {pid}")).unwrap_or_default();
    match status.state {
        DaemonState::Running => format!("running{pid}"),
        DaemonState::Stopped => match status.stops.last() {
            Some(stop) => format!("not running; the last one ended because {}", stop.why.because()),
            None => "not running".to_owned(),
        },
        DaemonState::Starting => "starting".to_owned(),
        DaemonState::Orphan => format!("not running; orphan owner record{pid}"),
        DaemonState::Suspended => format!("suspended{pid}"),
        DaemonState::Wedged => format!("holds the owner lock and does not answer{pid}"),
        DaemonState::Reference => format!("a daemon of the Python CLI{pid}"),
        DaemonState::Unreadable => "unknown: its files cannot be read".to_owned(),
    }
}

/// States that need attention without being failures of the boundary.
fn judge_state(check: DiagnosticCheck, status: &DaemonStatus) -> DiagnosticCheck {
    let code = match status.state {
        DaemonState::Suspended => "daemon_suspended",
        DaemonState::Wedged => "daemon_wedged",
        // A record that is missing or of another process is a failure of the boundary.
        DaemonState::Running | DaemonState::Stopped | DaemonState::Starting | DaemonState::Reference => {
            return check;
        }
        // A failure of the boundary, too; here it must not count as passed.
        DaemonState::Orphan | DaemonState::Unreadable => {
            return DiagnosticCheck { state: super::CheckState::NotChecked, ..check };
        }
    };
    let detail = status.detail.clone().unwrap_or_default();
    // Its suspension may be lifted by hand; otherwise it is replaced.
    let forced = (status.state == DaemonState::Suspended).then_some(Remedy::ForceCleanOrphans);
    check.finding(code, detail, forced.into_iter().chain(status.remedy.clone()))
}

/// A daemon that repeatedly ends at once is no longer started.
fn judge_starts(check: DiagnosticCheck, status: &DaemonStatus) -> DiagnosticCheck {
    let starts = status.automatic_starts;
    if status.state != DaemonState::Stopped || !starts.are_spent() {
        return check;
    }
    let detail = format!(
        "{} daemons were started automatically within {} minutes and have ended; automatic starts are paused",
        starts.recent,
        starts.window_seconds / 60
    );
    check.finding("daemon_starts_spent", detail, [Remedy::StartDaemon])
}

fn judge_last_drain(check: DiagnosticCheck, status: &DaemonStatus) -> DiagnosticCheck {
    let Some(last) = status.report.as_ref().and_then(|report| report.last_drain.as_ref()) else {
        return check;
    };
    let at = format!("the drain of {}", last.finished_at);
    match &last.outcome {
        DrainOutcome::Drained { stopped: None, delivered, remaining, .. } => {
            check.read(format!("delivered {delivered}, {remaining} remained"), at)
        }
        DrainOutcome::Drained { stopped: Some(why), .. } => {
            check.finding("last_drain_stopped", format!("{at}: {why}"), [Remedy::SyncNow])
        }
        DrainOutcome::Refused { names } => {
            let detail = format!("{at}: the boundary refused: {}", names.join(", "));
            // The failure itself is reported by its own check while it lasts.
            check.read(detail, "the daemon")
        }
        DrainOutcome::ScopeChanged { .. } => check.read("the login on disk changed", at),
        // The other delivery sends the rows.
        DrainOutcome::Busy { detail } => check.read(detail.clone(), at),
        DrainOutcome::Failed { detail } => {
            check.finding("last_drain_failed", format!("{at}: {detail}"), [Remedy::SyncNow])
        }
    }
}
