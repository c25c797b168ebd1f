//! Diagnostics: a closed list of checks of this machine, each with its evidence and its remedies.
//!
//! `sync doctor` shows all of them; `sync setup` shows those that capture and delivery require. Everything
//! about the boundary is taken from the status document of `sync status`.
//!
//! Invariants: read-only; only [`CheckName::Reachability`] uses the network, and only on request; a machine is
//! healthy only when every check passed.

mod account;
mod boundary;
mod daemon;
mod machine;
mod network;
mod project;

pub(crate) use network::judge_probe;

use crate::context::CommandContext;
use crate::error::CliError;
use crate::report::rows;
use contract::{FailureName, FaultCode, PreflightResult, Remedy};
use gate::{Policy, Verdict};
use identity::{Config, Login};
use preflight::observer::Observation;
use preflight::status::StatusDocument;
use queue::QueueCounts;
use serde::{Serialize, Serializer};
use std::fmt::Write as _;
use std::path::Path;
use strum::VariantArray as _;

/// The checks, in the order in which one makes the next possible.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, strum::VariantArray)]
#[serde(rename_all = "snake_case")]
pub(crate) enum CheckName {
    /// Hosted sync is on.
    Switch,
    /// The state root is the one that was meant.
    Home,
    /// A server is configured, and the login may be shown to it.
    Server,
    /// A login exists.
    Login,
    /// The login has a private teamspace.
    Teamspace,
    /// The working directory is in a project whose identity can be read.
    Project,
    /// The log of each mission of the project can be read to its end.
    Missions,
    /// Rows of this project may leave, and none waits for a decision.
    Consent,
    /// The boundary is coherent.
    Boundary,
    /// No legacy rows of this account wait.
    LegacyRows,
    /// The active queue DB has room, and nothing in it is stuck.
    Queue,
    /// The daemon, if one runs, answers and drains.
    Daemon,
    /// Rows that may leave are delivered.
    Delivery,
    /// The server answers this login. The only check that uses the network.
    Reachability,
}

impl CheckName {
    /// Whether `sync setup` opens it: what has to be right before anything is captured and sent.
    pub(crate) const fn is_gate(self) -> bool {
        !matches!(self, Self::Missions | Self::Queue | Self::Delivery | Self::Reachability)
    }

    /// The check in which a failing name of the preflight is reported: each in exactly one.
    const fn of(failure: FailureName) -> Self {
        match failure {
            FailureName::AuthAbsent | FailureName::Fault(FaultCode::SessionUnreadable) => Self::Login,
            FailureName::Fault(FaultCode::HomeAmbiguous | FaultCode::HomeNotPrivate) => Self::Home,
            FailureName::Fault(FaultCode::ConfigUnreadable | FaultCode::ServerUrlInvalid) => Self::Server,
            FailureName::LegacyRowsInScope | FailureName::Fault(FaultCode::LegacyQueueUnreadable) => {
                Self::LegacyRows
            }
            FailureName::Field(_)
            | FailureName::OrphanDaemonRecord
            | FailureName::Fault(
                FaultCode::OwnerRecordUnreadable
                | FaultCode::OwnerRecordStale
                | FaultCode::ActiveQueueUnreadable
                | FaultCode::QueueRecoveryNeeded
                | FaultCode::QueueSchemaNewer
                | FaultCode::QueueIdentityChanged
                | FaultCode::StrayDaemon,
            ) => Self::Boundary,
        }
    }
}

/// Outcome of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum CheckState {
    /// Passed.
    Ok,
    /// Switched off by a decision of the user.
    Off,
    /// Not checked; the summary has the reason.
    NotChecked,
    /// A problem was found.
    Finding,
}

impl CheckState {
    const fn label(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Off => "off",
            Self::NotChecked => "-",
            Self::Finding => "finding",
        }
    }
}

/// A value that was read, with its source.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Evidence {
    /// The value.
    pub(crate) what: String,
    /// The file, variable, port or URL.
    pub(crate) from: String,
}

/// A problem with its remedies.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct CheckFinding {
    /// Stable code; for failures of the boundary their canonical name.
    pub(crate) code: String,
    pub(crate) detail: String,
    /// Remedies, best first.
    #[serde(rename = "remediation", serialize_with = "hints")]
    pub(crate) remedies: Vec<Remedy>,
}

fn hints<S: Serializer>(remedies: &[Remedy], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(remedies.iter().map(Remedy::hint))
}

#[derive(Clone, Debug, Serialize)]
pub(crate) struct DiagnosticCheck<N = CheckName> {
    pub(crate) name: N,
    pub(crate) state: CheckState,
    pub(crate) summary: String,
    pub(crate) evidence: Vec<Evidence>,
    /// Not empty exactly when the state is [`CheckState::CheckFinding`].
    pub(crate) findings: Vec<CheckFinding>,
    /// Oddities that prevent nothing.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) warnings: Vec<String>,
}

impl<N> DiagnosticCheck<N> {
    pub(crate) fn ok(name: N, summary: impl Into<String>) -> Self {
        Self {
            name,
            state: CheckState::Ok,
            summary: summary.into(),
            evidence: Vec::new(),
            findings: Vec::new(),
            warnings: Vec::new(),
        }
    }

    pub(crate) fn off(name: N, summary: impl Into<String>) -> Self {
        Self { state: CheckState::Off, ..Self::ok(name, summary) }
    }

    pub(crate) fn not_checked(name: N, why: impl Into<String>) -> Self {
        Self { state: CheckState::NotChecked, ..Self::ok(name, why) }
    }

    #[must_use]
    pub(crate) fn read(mut self, what: impl Into<String>, from: impl Into<String>) -> Self {
        self.evidence.push(Evidence { what: what.into(), from: from.into() });
        self
    }

    #[must_use]
    pub(crate) fn read_file(self, what: impl Into<String>, file: &Path) -> Self {
        self.read(what, file.to_string_lossy())
    }

    #[must_use]
    pub(crate) fn warnings(mut self, warnings: impl IntoIterator<Item = String>) -> Self {
        self.warnings.extend(warnings);
        self
    }

    #[must_use]
    pub(crate) fn finding(
        mut self,
        code: impl Into<String>,
        detail: impl Into<String>,
        remedies: impl IntoIterator<Item = Remedy>,
    ) -> Self {
        let remedies = remedies.into_iter().collect();
        self.findings.push(CheckFinding { code: code.into(), detail: detail.into(), remedies });
        self.state = CheckState::Finding;
        self
    }
}

/// Outcome of all checks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum DiagnosticVerdict {
    /// Every check passed.
    Healthy,
    /// No findings; a check was skipped or is switched off.
    Incomplete,
    /// A problem was found.
    Findings,
}

impl DiagnosticVerdict {
    /// An allow-list: healthy only if every check passed.
    pub(crate) fn of<N>(checks: &[DiagnosticCheck<N>]) -> Self {
        if checks.iter().any(|check| check.state == CheckState::Finding) {
            Self::Findings
        } else if !checks.is_empty() && checks.iter().all(|check| check.state == CheckState::Ok) {
            Self::Healthy
        } else {
            Self::Incomplete
        }
    }

    pub(crate) const fn exit(self) -> contract::ExitCode {
        match self {
            Self::Healthy | Self::Incomplete => contract::ExitCode::Ok,
            Self::Findings => contract::ExitCode::Failed,
        }
    }
}

/// Whether the network may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    /// No network.
    Offline,
    /// One request to the configured server.
    Server,
}

/// The observations that the checks share.
pub(crate) struct Diagnostics<'a> {
    context: &'a CommandContext,
    /// The document behind `sync status`.
    pub(crate) status: StatusDocument,
    /// The gate's verdict where no login is required.
    verdict: Verdict,
    config: Config,
    login: Login,
    /// Row counts of the active queue DB, if it can be read.
    counts: Option<QueueCounts>,
}

impl<'a> Diagnostics<'a> {
    /// Reads them. A queue that stays locked past its deadline is exit 69, as everywhere.
    pub(crate) fn take(context: &'a CommandContext) -> Result<Self, CliError> {
        let boundary = context.boundary()?;
        let observation = boundary.observe_counted()?;
        let status = observation.status_document(&boundary, context.sync_enabled_in(&observation))?;
        let verdict = observation.judge(Policy { require_auth: false });
        let Observation { config, login, counts, .. } = observation;
        Ok(Self { context, status, verdict, config, login, counts })
    }

    pub(crate) fn examine(&self, reach: Reach) -> Result<Vec<DiagnosticCheck>, CliError> {
        CheckName::VARIANTS.iter().map(|&name| self.check(name, reach)).collect()
    }

    /// Makes the checks that `sync setup` opens; none of them uses the network.
    pub(crate) fn examine_gates(&self) -> Result<Vec<DiagnosticCheck>, CliError> {
        let gates = CheckName::VARIANTS.iter().copied().filter(|name| name.is_gate());
        gates.map(|name| self.check(name, Reach::Offline)).collect()
    }

    fn check(&self, name: CheckName, reach: Reach) -> Result<DiagnosticCheck, CliError> {
        let check = match name {
            CheckName::Switch => self.switch(),
            CheckName::Home => self.home()?,
            CheckName::Server => self.server()?,
            CheckName::Login => self.login_check()?,
            CheckName::Teamspace => self.teamspace(),
            CheckName::Project => self.project(),
            CheckName::Missions => self.missions(),
            CheckName::Consent => self.consent()?,
            CheckName::Boundary => self.boundary()?,
            CheckName::LegacyRows => self.legacy_rows(),
            CheckName::Queue => self.queue(),
            CheckName::Daemon => self.daemon()?,
            CheckName::Delivery => self.delivery(),
            CheckName::Reachability => self.reachability(reach)?,
        };
        Ok(self.with_failures(name, check))
    }

    /// Adds the failures of the preflight that belong to this check.
    fn with_failures(&self, name: CheckName, check: DiagnosticCheck) -> DiagnosticCheck {
        failures(&self.status.preflight)
            .filter(|(failure, ..)| CheckName::of(*failure) == name)
            .fold(check, |check, (failure, detail, remedies)| check.finding(failure.name(), detail, remedies))
    }
}

/// Every failure of a preflight with its detail and remedies, in the order of a refusal. Fields and
/// faults are listed one by one, orphan records one by one, legacy rows and missing authentication once.
fn failures(result: &PreflightResult) -> impl Iterator<Item = (FailureName, String, Vec<Remedy>)> {
    let mut all = Vec::new();
    for mismatch in &result.mismatches {
        let unset = || contract::preflight::UNSET.to_owned();
        let (ours, theirs) = (&mismatch.foreground, &mismatch.daemon);
        let detail = format!(
            "{} here, {} in the daemon",
            ours.clone().unwrap_or_else(unset),
            theirs.clone().unwrap_or_else(unset)
        );
        all.push((FailureName::Field(mismatch.field), detail, mismatch.remedies.clone()));
    }
    for orphan in &result.orphan_records {
        let (record, kind) = (&orphan.record, orphan.kind);
        let detail = format!(
            "pid={} started_at={} {}: {}",
            record.pid,
            record.started_at,
            kind.name(),
            kind.meaning()
        );
        all.push((FailureName::OrphanDaemonRecord, detail, vec![Remedy::CleanOrphans]));
    }
    if result.legacy.total_rows() > 0 {
        let counts = result.legacy;
        let detail = rows(counts.event_rows, counts.body_upload_rows);
        all.push((FailureName::LegacyRowsInScope, detail, vec![Remedy::Migrate]));
    }
    if result.auth_required && !result.auth_present {
        let detail = result.auth_absent_reason().unwrap_or_default();
        all.push((FailureName::AuthAbsent, detail, result.login_remedy().into_iter().collect()));
    }
    for fault in &result.faults {
        let path = fault.path.as_deref().map(|path| format!("{} ", path.to_string_lossy()));
        let detail = format!("{}{}", path.unwrap_or_default(), fault.detail);
        all.push((FailureName::Fault(fault.code), detail, vec![fault.remedy.clone()]));
    }
    all.into_iter()
}

/// The checks, one line each.
pub(crate) fn summarise<N: Serialize>(checks: &[DiagnosticCheck<N>]) -> String {
    checks.iter().map(line).collect()
}

fn line<N: Serialize>(check: &DiagnosticCheck<N>) -> String {
    let (label, name) = (check.state.label(), name_of(&check.name));
    format!("{label:<8} {name:<13} {}\n", contract::text::printable(&check.summary))
}

/// The checks as people read them.
pub(crate) fn describe<N: Serialize>(checks: &[DiagnosticCheck<N>]) -> String {
    use contract::text::printable;
    let mut out = String::new();
    for check in checks {
        out.push_str(&line(check));
        for Evidence { what, from } in &check.evidence {
            let _ = writeln!(out, "{:22} {}: {}", "", printable(from), printable(what));
        }
        for warning in &check.warnings {
            let _ = writeln!(out, "{:22} warning: {}", "", printable(warning));
        }
        for finding in &check.findings {
            let _ = writeln!(out, "{:22} {}: {}", "", finding.code, printable(&finding.detail));
            for remedy in &finding.remedies {
                let _ = writeln!(out, "{:22}   {}", "", printable(&remedy.hint()));
            }
        }
    }
    out
}

/// The name that a unit variant serialises to.
pub(crate) fn name_of(value: &impl Serialize) -> String {
    serde_json::to_value(value).ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}

pub(crate) fn headline<N: Serialize>(verdict: DiagnosticVerdict, checks: &[DiagnosticCheck<N>]) -> String {
    let names = |state: CheckState| -> String {
        let names: Vec<String> =
            checks.iter().filter(|check| check.state == state).map(|check| name_of(&check.name)).collect();
        names.join(", ")
    };
    match verdict {
        DiagnosticVerdict::Healthy => format!("healthy: all {} checks passed", checks.len()),
        DiagnosticVerdict::Findings => {
            let count: usize = checks.iter().map(|check| check.findings.len()).sum();
            let plural = if count == 1 { "finding" } else { "findings" };
            format!("{count} {plural}: {}", names(CheckState::Finding))
        }
        DiagnosticVerdict::Incomplete => {
            let mut parts = Vec::new();
            for (label, state) in [("switched off", CheckState::Off), ("not checked", CheckState::NotChecked)]
            {
                let names = names(state);
                if !names.is_empty() {
                    parts.push(format!("{label}: {names}"));
                }
            }
            format!("no findings; {}", parts.join("; "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: CheckName, state: CheckState) -> DiagnosticCheck {
        DiagnosticCheck { state, ..DiagnosticCheck::ok(name, "") }
    }

    #[test]
    fn machine_is_healthy_only_if_every_check_was_made_and_passed() {
        let all = |state| CheckName::VARIANTS.iter().map(|&name| check(name, state)).collect::<Vec<_>>();
        assert_eq!(DiagnosticVerdict::of(&all(CheckState::Ok)), DiagnosticVerdict::Healthy);
        for state in [CheckState::Off, CheckState::NotChecked, CheckState::Finding] {
            for &name in CheckName::VARIANTS {
                let mut checks = all(CheckState::Ok);
                checks.retain(|check| check.name != name);
                checks.push(check(name, state));
                assert_ne!(DiagnosticVerdict::of(&checks), DiagnosticVerdict::Healthy, "{name:?} {state:?}");
            }
        }
        assert_eq!(
            DiagnosticVerdict::of::<CheckName>(&[]),
            DiagnosticVerdict::Incomplete,
            "nothing looked at is not healthy"
        );
        assert_eq!(DiagnosticVerdict::of(&all(CheckState::Finding)).exit(), contract::ExitCode::Failed);
    }

    #[test]
    fn every_failing_name_has_a_check_that_setup_opens() {
        for failure in FailureName::all() {
            assert!(CheckName::of(failure).is_gate(), "{failure}");
        }
    }
}
