//! Checks of the boundary, the legacy rows and the queue, from the status document.

use super::{CheckName, DiagnosticCheck, Diagnostics};
use crate::error::CliError;
use crate::report::{events_and_bodies, rows};
use contract::{FailureName, FaultCode, PreflightResult, Remedy};
use identity::Home;
use preflight::status::{LegacyQueue, RowPair};
use queue::StoreLayout;
use std::collections::BTreeSet;
use system::lock::{LockProbe, probe};

impl Diagnostics<'_> {
    pub(super) fn boundary(&self) -> Result<DiagnosticCheck, CliError> {
        let home = self.context.home()?;
        let status = &self.status;
        let check = self.judged();
        let foreground = &status.foreground;
        let daemon = &status.daemon_owner_record;
        let version = daemon.package_version.as_deref().map(|version| format!(", version {version}"));
        let pid = daemon.pid.map(|pid| format!(", pid {pid}"));
        let record = format!(
            "daemon owner record {}{}{}",
            daemon.status.label(),
            pid.unwrap_or_default(),
            version.unwrap_or_default()
        );
        Ok(check
            .read_file(
                format!("foreground version {}", foreground.package_version),
                &foreground.executable_path,
            )
            .read_file(record, &home.owner_record())
            .read_file(lock(home), &home.owner_lock()))
    }

    /// Without failures of its own the boundary is right only where no failure of another check hides a side.
    fn judged(&self) -> DiagnosticCheck {
        let result = &self.status.preflight;
        let failures = result.failures();
        let own = failures.iter().filter(|failure| CheckName::of(**failure) == CheckName::Boundary).count();
        let summary = match own {
            0 if failures.is_empty() => "foreground, daemon and queue DB describe one identity".to_owned(),
            0 => {
                let why: Vec<_> = failures.iter().filter_map(|failure| obstacle(*failure, result)).collect();
                let summary = format!("not judged: {}", why.join("; "));
                return DiagnosticCheck::not_checked(CheckName::Boundary, summary);
            }
            1 => "1 check failed".to_owned(),
            many => format!("{many} checks failed"),
        };
        DiagnosticCheck::ok(CheckName::Boundary, summary)
    }

    pub(super) fn legacy_rows(&self) -> DiagnosticCheck {
        let LegacyQueue { path, event_count, body_upload_count, rows_in_scope, rows_other_scope } =
            &self.status.legacy_queue;
        let summary = match (rows_in_scope, rows_other_scope) {
            (Some(0), Some(0)) => "none".to_owned(),
            (Some(ours), Some(0)) => format!("{ours} of this account"),
            (Some(ours), Some(others)) => {
                format!("{ours} of this account; {others} of other accounts, left in place")
            }
            _ => "the legacy queue DB cannot be read".to_owned(),
        };
        let what = match (event_count, body_upload_count) {
            (Some(events), Some(bodies)) if path.exists() => rows(*events, *bodies),
            (Some(_), Some(_)) => "does not exist".to_owned(),
            _ => "unreadable".to_owned(),
        };
        DiagnosticCheck::ok(CheckName::LegacyRows, summary).read_file(what, path)
    }

    /// Rows that wait elsewhere: nothing of them leaves from there under this login.
    fn with_elsewhere(&self, check: DiagnosticCheck) -> DiagnosticCheck {
        let elsewhere = &self.status.elsewhere;
        let check = elsewhere.other_queues.iter().fold(check, |check, other| {
            let detail = format!("{}, in {}", other.line(), other.path.to_string_lossy());
            let code =
                if other.scope_unknown.is_some() { "rows_of_unknown_scope" } else { "rows_of_other_scope" };
            check.finding(code, detail, [other.advice()])
        });
        elsewhere.project_stores.iter().fold(check, |check, store| {
            let detail = format!("{}, in {}", store.line(), store.path.to_string_lossy());
            check.finding("rows_of_other_release", detail, [store.remedy.clone()])
        })
    }

    pub(super) fn queue(&self) -> DiagnosticCheck {
        self.with_elsewhere(self.active_queue())
    }

    /// Reason why there are no row counts.
    pub(super) fn uncounted(&self) -> &'static str {
        let has = |code| self.status.faults.iter().any(|fault| fault.code == code);
        if has(FaultCode::ActiveQueueUnreadable) {
            "the active queue DB cannot be read"
        } else if has(FaultCode::ConfigUnreadable) {
            "unknown: the configuration, which names the active queue DB, cannot be read"
        } else {
            "unknown: the login that names the active queue DB, or the file, cannot be read"
        }
    }

    fn active_queue(&self) -> DiagnosticCheck {
        let queue = &self.status.active_queue;
        let Some(counts) = &self.counts else {
            let check = DiagnosticCheck::not_checked(CheckName::Queue, self.uncounted());
            // The path is empty while the login that names the queue cannot be read.
            let known = !queue.path.as_os_str().is_empty();
            return if known { check.read_file("the active queue DB", &queue.path) } else { check };
        };
        let RowPair { events: prepared_events, bodies: prepared_bodies } = self.status.prepared;
        let (waiting, most) = (counts.events + counts.bodies, self.config.max_queue_size);
        let mut summary = format!("{} wait; room for {most} rows", rows(counts.events, counts.bodies));
        if prepared_events + prepared_bodies > 0 {
            summary.push_str(&format!(
                "; {} of an interrupted command, settled by the next command on that mission",
                rows(prepared_events, prepared_bodies)
            ));
        }
        summary.push_str(&self.beside_other_releases());
        let there = if queue.path.exists() { "the active queue DB" } else { "does not exist yet" };
        let check = DiagnosticCheck::ok(CheckName::Queue, summary).read_file(there, &queue.path);
        let check = if waiting >= most {
            let detail =
                format!("{waiting} rows wait and the limit is {most}: commands that capture are refused");
            check.finding("queue_full", detail, [Remedy::SyncNow])
        } else {
            check
        };
        let RowPair { events, bodies } = self.status.parked;
        if events + bodies == 0 {
            return check;
        }
        let detail = format!("{} were refused", events_and_bodies(events, bodies));
        check.finding("rows_parked", detail, [Remedy::Advice(PARKED.to_owned())])
    }

    /// Consequences for a release 3.2.x that shares this home. It treats waiting rows in our queue files as rows of
    /// its own predecessors, and rows of two projects stop it for good.
    fn beside_other_releases(&self) -> String {
        let Ok(home) = self.context.home() else { return String::new() };
        match queue::observe_layout(&home.projects_dir()) {
            StoreLayout::ProjectOnly => String::new(),
            StoreLayout::CutoverPending => "; releases 3.2.x capture nothing in this home any more (their layout is \
                cutover_pending): `spec-kitty sync migrate` imports what they hold, and SPEC_KITTY_HOME gives them \
                a home of their own"
                .to_owned(),
            StoreLayout::Open => {
                let places = queue::observe_projects(&self.status.active_queue.path).unwrap_or_default();
                let projects: BTreeSet<_> = places.into_iter().filter_map(|place| place.project_uuid).collect();
                let waiting = self.counts.as_ref().map_or(0, |counts| counts.events + counts.bodies);
                if waiting == 0 || projects.len() < 2 {
                    return String::new();
                }
                "; rows of several projects: before a release 3.2.x writes to this home, deliver them with \
                 `spec-kitty sync now`, or it stops capturing"
                    .to_owned()
            }
        }
    }
}

/// Reason why a failure that another check reports leaves the boundary undecided.
fn obstacle(failure: FailureName, result: &PreflightResult) -> Option<String> {
    let text = match failure {
        // The fault has the reason.
        FailureName::AuthAbsent
            if result.faults.iter().any(|fault| fault.code == FaultCode::SessionUnreadable) =>
        {
            return None;
        }
        FailureName::AuthAbsent => return result.auth_absent_reason(),
        FailureName::LegacyRowsInScope => "legacy rows of this account wait",
        FailureName::Fault(FaultCode::SessionUnreadable) => "the login cannot be read",
        FailureName::Fault(FaultCode::ConfigUnreadable) => "the configuration cannot be read",
        FailureName::Fault(FaultCode::ServerUrlInvalid) => "the server URL cannot be used",
        FailureName::Fault(FaultCode::HomeAmbiguous) => "the state directory is ambiguous",
        FailureName::Fault(FaultCode::HomeNotPrivate) => "the state directory is not private",
        FailureName::Fault(FaultCode::LegacyQueueUnreadable) => "the legacy queue DB cannot be read",
        FailureName::Field(_) | FailureName::OrphanDaemonRecord | FailureName::Fault(_) => return None,
    };
    Some(text.to_owned())
}

const PARKED: &str = "`spec-kitty sync parked list` shows the reasons; parked rows keep their payload";

fn lock(home: &Home) -> &'static str {
    match probe(&home.owner_lock()) {
        Ok(LockProbe::Held) => "held by a daemon",
        Ok(LockProbe::Free) => "free",
        Err(_) => "cannot be probed",
    }
}
