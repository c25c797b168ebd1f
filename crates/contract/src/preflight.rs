//! The result of the preflight gate: one value, rendered as JSON or as the refusal text.

use crate::auth::AuthAbsent;
use crate::failure::{FailureName, Fault, FaultCode, Field};
use crate::owner_record::{OrphanKind, OwnerRecord};
use crate::remedy::Remedy;
use crate::server_url;
use crate::text::printable;
use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};
use std::fmt::Write as _;

/// Shown in place of an unset value.
pub const UNSET: &str = "<unset>";

/// One field that differs between foreground and daemon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mismatch {
    /// The field.
    pub field: Field,
    /// The foreground's value; none is shown as `<unset>`.
    pub foreground: Option<String>,
    /// The daemon's value; none is shown as `<unset>`.
    pub daemon: Option<String>,
    /// Its remedies, best first; never empty.
    pub remedies: Vec<Remedy>,
}

impl Mismatch {
    fn shown(value: Option<&String>) -> &str {
        value.map_or(UNSET, String::as_str)
    }
}

impl Serialize for Mismatch {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let hint = self.remedies.iter().map(Remedy::hint).collect::<Vec<_>>().join(" or ");
        let mut out = serializer.serialize_map(Some(4))?;
        out.serialize_entry("field", self.field.name())?;
        out.serialize_entry("foreground_value", Self::shown(self.foreground.as_ref()))?;
        out.serialize_entry("daemon_value", Self::shown(self.daemon.as_ref()))?;
        out.serialize_entry("remediation_hint", &hint)?;
        out.end()
    }
}

/// An orphan owner record. JSON shows all its keys, the token as `<redacted>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrphanRecord {
    /// The record.
    pub record: OwnerRecord,
    /// Reason why it is an orphan.
    pub kind: OrphanKind,
}

impl Serialize for OrphanRecord {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let record = &self.record;
        let mut out = serializer.serialize_map(None)?;
        out.serialize_entry("kind", &self.kind)?;
        out.serialize_entry("pid", &record.pid)?;
        out.serialize_entry("port", &record.port)?;
        out.serialize_entry("token", "<redacted>")?;
        out.serialize_entry("package_version", &record.package_version)?;
        out.serialize_entry("executable_path", &record.executable_path.to_string_lossy())?;
        out.serialize_entry("source_checkout_path", &record.source_checkout_path.to_string_lossy())?;
        out.serialize_entry("server_url", &server_url::shown(&record.server_url))?;
        out.serialize_entry("auth_principal", &record.auth_principal)?;
        out.serialize_entry("auth_team", &record.auth_team)?;
        out.serialize_entry("auth_scope", &record.auth_scope.as_deref().map(server_url::shown))?;
        out.serialize_entry("queue_db_path", &record.queue_db_path.to_string_lossy())?;
        out.serialize_entry("started_at", &record.started_at)?;
        if let Some(instance) = &record.instance {
            out.serialize_entry("instance_id", &instance.instance_id)?;
            out.serialize_entry("boot_id", &instance.boot_id)?;
            out.serialize_entry("process_start_ticks", &instance.process_start_ticks)?;
            out.serialize_entry("queue_id", &instance.queue_id)?;
            out.serialize_entry("lock_device", &instance.lock.map(|lock| lock.device))?;
            out.serialize_entry("lock_inode", &instance.lock.map(|lock| lock.inode))?;
        }
        out.end()
    }
}

/// Legacy rows that belong to one scope (contract section 3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct LegacyRowCounts {
    /// Rows of the event queue.
    pub event_rows: u64,
    /// Rows of the body upload queue.
    pub body_upload_rows: u64,
    /// Rows of the body failure log; counted apart, they never block.
    pub failure_log_rows: u64,
}

impl LegacyRowCounts {
    /// Events and bodies: what the gate judges.
    pub const fn total_rows(&self) -> u64 {
        self.event_rows + self.body_upload_rows
    }
}

/// The result of the preflight gate. Only the gate's `judge` creates it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PreflightResult {
    /// Whether the boundary is coherent under the policy asked for.
    pub ok: bool,
    /// Fields that differ, in canonical order.
    pub mismatches: Vec<Mismatch>,
    /// Orphan owner records.
    pub orphan_records: Vec<OrphanRecord>,
    /// Legacy rows in scope.
    pub legacy: LegacyRowCounts,
    /// Whether an authenticated identity is present.
    pub auth_present: bool,
    /// Whether the policy asked for one.
    pub auth_required: bool,
    /// Reason and remedy of a missing identity; none exactly when one is present.
    pub auth_absent: Option<AuthAbsent>,
    /// Faults, in the order of observation.
    pub faults: Vec<Fault>,
}

impl Serialize for PreflightResult {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut out = serializer.serialize_map(Some(10))?;
        out.serialize_entry("ok", &self.ok)?;
        out.serialize_entry("mismatches", &self.mismatches)?;
        out.serialize_entry("orphan_records", &self.orphan_records)?;
        out.serialize_entry("legacy_event_rows", &self.legacy.event_rows)?;
        out.serialize_entry("legacy_body_upload_rows", &self.legacy.body_upload_rows)?;
        out.serialize_entry("legacy_rows_for_scope", &self.legacy.total_rows())?;
        out.serialize_entry("auth_present", &self.auth_present)?;
        out.serialize_entry("auth_required", &self.auth_required)?;
        out.serialize_entry("auth_absent_reason", &self.auth_absent_reason())?;
        out.serialize_entry("faults", &self.faults)?;
        out.end()
    }
}

impl PreflightResult {
    /// Every canonical name that failed, in refusal order, each once.
    pub fn failures(&self) -> Vec<FailureName> {
        let mut names: Vec<_> =
            self.mismatches.iter().map(|mismatch| FailureName::Field(mismatch.field)).collect();
        if !self.orphan_records.is_empty() {
            names.push(FailureName::OrphanDaemonRecord);
        }
        if self.legacy.total_rows() > 0 {
            names.push(FailureName::LegacyRowsInScope);
        }
        if self.auth_required && !self.auth_present {
            names.push(FailureName::AuthAbsent);
        }
        for fault in &self.faults {
            let name = FailureName::Fault(fault.code);
            if !names.contains(&name) {
                names.push(name);
            }
        }
        names
    }

    /// Number of reasons of a refusal: mismatches, orphans and faults one by one, legacy rows and missing
    /// authentication once each.
    pub fn reasons(&self) -> usize {
        let once =
            usize::from(self.legacy.total_rows() > 0) + usize::from(self.auth_required && !self.auth_present);
        self.mismatches.len() + self.orphan_records.len() + self.faults.len() + once
    }

    /// Whether `name` is the one and only failure.
    pub fn fails_only_by(&self, name: FailureName) -> bool {
        self.failures() == [name]
    }

    /// Whether the only failures are faults of this code.
    pub fn fails_only_by_fault(&self, code: FaultCode) -> bool {
        self.fails_only_by(FailureName::Fault(code))
    }

    /// Every remedy, each once, in refusal order.
    pub fn remedies(&self) -> Vec<Remedy> {
        let mut remedies: Vec<Remedy> = Vec::new();
        let mut add = |remedy: Remedy| {
            if !remedies.contains(&remedy) {
                remedies.push(remedy);
            }
        };
        for mismatch in &self.mismatches {
            mismatch.remedies.iter().cloned().for_each(&mut add);
        }
        if !self.orphan_records.is_empty() {
            add(Remedy::CleanOrphans);
        }
        if self.legacy.total_rows() > 0 {
            add(Remedy::Migrate);
        }
        self.login_remedy().into_iter().for_each(&mut add);
        for fault in &self.faults {
            add(fault.remedy.clone());
        }
        remedies
    }

    /// Reason of a missing authenticated identity; none when one is present.
    pub fn auth_absent_reason(&self) -> Option<String> {
        self.auth_absent.as_ref().map(|absent| absent.why.reason())
    }

    /// The remedy of a missing login, chosen by [`crate::auth::LoginState::remedy`]. None beside a fault that a login
    /// does not fix. An unreadable session or CI token has its own remedy. A configuration must be corrected first.
    /// In an ambiguous home a login would decide which home is used.
    pub fn login_remedy(&self) -> Option<Remedy> {
        let first = [
            FaultCode::SessionUnreadable,
            FaultCode::ConfigUnreadable,
            FaultCode::HomeAmbiguous,
            FaultCode::HomeNotPrivate,
        ];
        if !self.auth_required
            || self.auth_present
            || self.faults.iter().any(|fault| first.contains(&fault.code))
        {
            return None;
        }
        self.auth_absent.as_ref().map(|absent| absent.remedy.clone())
    }

    /// The first line of a refusal.
    pub fn headline(&self) -> String {
        let faults = match self.faults.len() {
            0 => String::new(),
            count => format!("; {count} fault(s)"),
        };
        format!(
            "Sync boundary refused: {} mismatched field(s); {} orphan daemon record(s); {} legacy rows in scope{faults}.",
            self.mismatches.len(),
            self.orphan_records.len(),
            self.legacy.total_rows()
        )
    }

    /// The refusal text without its headline and remedies: each failure with its values.
    pub fn evidence(&self) -> String {
        let mut out = String::new();
        for mismatch in &self.mismatches {
            let foreground = printable(Mismatch::shown(mismatch.foreground.as_ref()));
            let daemon = printable(Mismatch::shown(mismatch.daemon.as_ref()));
            let _ = writeln!(out, "  {:<23}{foreground}\n{:25}{daemon}", mismatch.field.name(), "");
        }
        for OrphanRecord { record, .. } in self.orphan_records.iter().take(ORPHANS_SHOWN) {
            let started_at = printable(&record.started_at);
            let _ = writeln!(out, "  orphan_daemon_record pid={} started_at={started_at}", record.pid);
        }
        if self.orphan_records.len() > ORPHANS_SHOWN {
            let _ = writeln!(out, "  ... and {} more", self.orphan_records.len() - ORPHANS_SHOWN);
        }
        if self.legacy.total_rows() > 0 {
            let LegacyRowCounts { event_rows, body_upload_rows, .. } = self.legacy;
            let _ = writeln!(out, "  legacy_rows_in_scope events={event_rows} bodies={body_upload_rows}");
        }
        if self.auth_required && !self.auth_present {
            let reason = self.auth_absent_reason().unwrap_or_default();
            let _ = writeln!(out, "  auth_absent {reason}");
        }
        for fault in &self.faults {
            let detail = printable(&fault.detail);
            match &fault.path {
                Some(path) => {
                    let path = crate::text::path(path);
                    let _ = writeln!(out, "  {} {path}: {detail}", fault.code.name());
                }
                None => {
                    let _ = writeln!(out, "  {} {detail}", fault.code.name());
                }
            }
        }
        out
    }

    /// The refusal text of contract section 4, or nothing when ok. Ends with a newline.
    pub fn render(&self) -> String {
        self.render_with(None)
    }

    /// [`PreflightResult::render`] for a command that also works without a login: `alternative` follows the
    /// remedy of the login on the same line.
    pub fn render_with(&self, alternative: Option<&str>) -> String {
        if self.ok {
            return String::new();
        }
        let mut out = format!("{}\n{}Remediation:\n", self.headline(), self.evidence());
        let login = self.auth_absent.as_ref().filter(|_| self.auth_required).map(|absent| &absent.remedy);
        for remedy in self.remedies() {
            let alternative = alternative.filter(|_| Some(&remedy) == login);
            let alternative = alternative.map(|text| format!(", or {text}")).unwrap_or_default();
            let _ = writeln!(out, "  {}{alternative}", printable(&remedy.hint()));
        }
        out
    }
}

const ORPHANS_SHOWN: usize = 3;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::AuthAbsence;

    fn worst() -> PreflightResult {
        let value = |c: &str| Some(c.repeat(54));
        let mismatches = Field::ALL
            .into_iter()
            .map(|field| Mismatch {
                field,
                foreground: value("f"),
                daemon: value("d"),
                remedies: vec![Remedy::RestartDaemon],
            })
            .collect();
        let record = OwnerRecord::parse(
            br#"{"pid":1,"port":2,"token":"secret","package_version":"v","executable_path":"e",
                "source_checkout_path":"s","server_url":"u","queue_db_path":"q","started_at":"2026-05-18T12:00:00+00:00"}"#,
        )
        .expect("a record");
        PreflightResult {
            ok: false,
            mismatches,
            orphan_records: vec![OrphanRecord { record, kind: OrphanKind::Dead }; 3],
            legacy: LegacyRowCounts { event_rows: 100_000, body_upload_rows: 100_000, failure_log_rows: 1 },
            auth_present: false,
            auth_required: true,
            auth_absent: Some(AuthAbsent { why: AuthAbsence::LoggedOut, remedy: Remedy::Login }),
            faults: Vec::new(),
        }
    }

    fn screen_lines(text: &str) -> usize {
        text.lines().map(|line| line.chars().count().max(1).div_ceil(80)).sum()
    }

    #[test]
    fn worst_refusal_fits_one_screen() {
        let text = worst().render();
        assert!(screen_lines(&text) <= 25, "{} lines:\n{text}", screen_lines(&text));
        assert!(text.lines().skip(1).all(|line| line.chars().count() <= 80), "{text}");
    }

    #[test]
    fn values_start_at_column_26() {
        let text = worst().render();
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines[1].find('f').map(|_| lines[1].find("ffff")), Some(Some(25)));
        assert_eq!(lines[2].find("dddd"), Some(25));
    }

    #[test]
    fn every_failing_name_is_named_once_and_the_token_never() {
        let result = worst();
        let text = result.render();
        for name in result.failures() {
            assert!(text.contains(name.name()), "{name}");
        }
        assert_eq!(result.failures().len(), 9);
        assert_eq!(result.reasons(), 6 + 3 + 1 + 1);
        assert!(!text.contains("secret"));
        assert!(!serde_json::to_string(&result).expect("json").contains("secret"));
    }

    #[test]
    fn login_that_cannot_be_read_is_cured_by_its_own_remedy() {
        let fault = |remedy: Remedy| Fault {
            code: FaultCode::SessionUnreadable,
            path: None,
            detail: "is malformed".into(),
            remedy,
        };
        let advice = Remedy::Advice("set SPEC_KITTY_TOKEN to a valid token, or unset it".into());
        for remedy in [advice, Remedy::Login] {
            let result = PreflightResult {
                mismatches: Vec::new(),
                orphan_records: Vec::new(),
                legacy: LegacyRowCounts::default(),
                faults: vec![fault(remedy.clone())],
                ..worst()
            };
            assert_eq!(result.remedies(), [remedy]);
            assert_eq!(result.failures().len(), 2, "both are named");
        }
    }

    #[test]
    fn login_is_a_remedy_only_where_it_would_work() {
        let absent = PreflightResult {
            mismatches: Vec::new(),
            orphan_records: Vec::new(),
            legacy: LegacyRowCounts::default(),
            ..worst()
        };
        assert_eq!(absent.remedies(), [Remedy::Login]);
        let text = absent.render_with(Some("--local-only"));
        assert!(
            text.ends_with(
                "  auth_absent not logged in\nRemediation:\n  spec-kitty auth login, or --local-only\n"
            ),
            "{text}"
        );
        for code in [FaultCode::ConfigUnreadable, FaultCode::HomeAmbiguous, FaultCode::HomeNotPrivate] {
            let advice = Remedy::Advice("first this".into());
            let fault = Fault { code, path: None, detail: "is odd".into(), remedy: advice.clone() };
            let result = PreflightResult { faults: vec![fault], ..absent.clone() };
            assert_eq!(result.remedies(), [advice]);
        }
    }

    #[test]
    fn ok_result_renders_nothing() {
        let ok = PreflightResult { ok: true, ..worst() };
        assert_eq!(ok.render(), "");
    }
}
