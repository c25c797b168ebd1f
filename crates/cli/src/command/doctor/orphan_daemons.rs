//! `doctor orphan-daemons`: what is left of daemons of this home, and cleaning it up.

use crate::diagnostics::name_of;
use crate::verb::{Args, Class, CliError, CommandContext, ExitCode, Render, Report, Verb};
use contract::text::printable;
use daemon::control::file::describe;
use daemon::doctor::{
    CleanupAction, CleanupClass, DaemonFinding, DaemonFindingKind, OrphanReport, Treatment, orphan_daemons,
};
use serde::Serialize;
use std::fmt::Write as _;

/// Find orphan owner records and stray daemons of this home
#[derive(Debug, Args)]
#[command(after_help = "Example: spec-kitty doctor orphan-daemons --fix")]
pub(crate) struct OrphanDaemonsArgs {
    /// Fix what is safe to fix
    #[arg(long)]
    fix: bool,
    /// With --fix: also end a daemon that does not answer, if it is proven to belong to this home, or move its
    /// files aside
    #[arg(long, requires = "fix")]
    force: bool,
}

impl Verb for OrphanDaemonsArgs {
    fn class(&self) -> Class {
        if self.fix { Class::Curing } else { Class::ReadOnly }
    }

    /// Exit 1 while something is left that belongs to this home.
    fn run(self: Box<Self>, context: &CommandContext) -> Result<Report, CliError> {
        let treatment = match (self.fix, self.force) {
            (false, _) => Treatment::Look,
            (true, false) => Treatment::Fix,
            (true, true) => Treatment::Force,
        };
        // Ports and processes that another user may have named are neither asked nor stopped.
        if let Some(fault) = identity::privacy::privacy_fault(context.home()?) {
            return Err(fault.into());
        }
        let verdict = context.boundary()?.verdict(false)?;
        let report = orphan_daemons(context.home()?, &verdict, treatment);
        let exit = if report.clean { ExitCode::Ok } else { ExitCode::Failed };
        Ok(Report::exiting(exit, &OrphanReportView { report, treatment }))
    }
}

#[derive(Serialize)]
struct OrphanReportView {
    #[serde(flatten)]
    report: OrphanReport,
    #[serde(skip)]
    treatment: Treatment,
}

impl Render for OrphanReportView {
    fn text(&self) -> String {
        let mut out = String::new();
        for finding in &self.report.findings {
            let orphan = finding.orphan_kind.map(|kind| format!(" {}", kind.name())).unwrap_or_default();
            let kind = name_of(&finding.kind) + &orphan;
            let class = name_of(&finding.class);
            let started =
                finding.started_at.as_deref().map(|at| format!(" started_at={at}")).unwrap_or_default();
            let _ = writeln!(out, "{kind} pid={}{} ({class})", finding.pid, printable(&started));
            let _ = writeln!(out, "  {}", printable(&finding.detail));
            let _ = writeln!(out, "  {}", printable(&self.done(finding)));
            if let Some(command) = &finding.end_command {
                let _ = writeln!(out, "  to end it yourself: {command}");
            }
        }
        for fault in &self.report.faults {
            let _ = writeln!(out, "{}", fault.code.name());
            let _ = writeln!(out, "  {}", printable(&describe(fault)));
            let _ = writeln!(out, "  {}", printable(&fault.remedy.hint()));
        }
        if out.is_empty() {
            out.push_str("no orphan owner records and no stray daemons\n");
        }
        out
    }
}

impl OrphanReportView {
    fn done(&self, finding: &DaemonFinding) -> String {
        match (&finding.action, finding.class) {
            (CleanupAction::RecordRemoved, _) if finding.kind == DaemonFindingKind::StrayDaemon => {
                "removed the state file; the process was left alone".into()
            }
            (CleanupAction::RecordRemoved, _) => "removed the orphan owner record".into(),
            (CleanupAction::Stopped, _) => "stopped it".into(),
            (CleanupAction::FilesMovedAside, _) => "moved its files aside; the process was left alone".into(),
            (CleanupAction::Failed { why }, _) => format!("could not clean up: {why}"),
            (CleanupAction::NeedsForce, _) => "spec-kitty doctor orphan-daemons --fix --force".into(),
            (CleanupAction::None, CleanupClass::NeverTouch) => "left alone".into(),
            (CleanupAction::None, CleanupClass::OperatorRequired) if finding.is_left_to_a_person() => {
                "not proven to belong to this home: not stopped".into()
            }
            (CleanupAction::None, CleanupClass::SafeAuto) => "spec-kitty doctor orphan-daemons --fix".into(),
            (CleanupAction::None, CleanupClass::OperatorRequired) if self.treatment == Treatment::Look => {
                "spec-kitty doctor orphan-daemons --fix --force".into()
            }
            (CleanupAction::None, CleanupClass::OperatorRequired) => "left alone".into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(
        kind: DaemonFindingKind,
        class: CleanupClass,
        action: CleanupAction,
        treatment: Treatment,
    ) -> String {
        let end_command = Some("kill 4711".to_owned());
        let detail = "what is known".to_owned();
        let (orphan_kind, port, started_at) = (None, None, None);
        let finding = DaemonFinding {
            kind,
            orphan_kind,
            class,
            pid: 4711,
            port,
            started_at,
            detail,
            end_command,
            action,
        };
        OrphanReportView {
            report: OrphanReport { findings: vec![finding], faults: Vec::new(), clean: false },
            treatment,
        }
        .text()
    }

    #[test]
    fn unnamed_process_report_prints_the_only_remedy() {
        for kind in [DaemonFindingKind::UnnamedDaemon, DaemonFindingKind::SupersededDaemon] {
            for treatment in [Treatment::Look, Treatment::Fix, Treatment::Force] {
                let text = shown(kind, CleanupClass::OperatorRequired, CleanupAction::None, treatment);
                assert!(text.contains("to end it yourself: kill 4711\n"), "{text}");
                assert!(!text.contains("spec-kitty"), "no command of ours ends it: {text}");
            }
        }
    }

    #[test]
    fn unfixed_finding_names_its_command() {
        let (safe, force) = (" --fix\n", " --fix --force\n");
        for (kind, class, ending) in [
            (DaemonFindingKind::OrphanRecord, CleanupClass::SafeAuto, safe),
            (DaemonFindingKind::StrayDaemon, CleanupClass::SafeAuto, safe),
            (DaemonFindingKind::StrayDaemon, CleanupClass::OperatorRequired, force),
            (DaemonFindingKind::MuteReferenceDaemon, CleanupClass::OperatorRequired, force),
            (DaemonFindingKind::WedgedDaemon, CleanupClass::OperatorRequired, force),
        ] {
            let text = shown(kind, class, CleanupAction::None, Treatment::Look);
            assert!(text.contains(&format!("spec-kitty doctor orphan-daemons{ending}")), "{kind:?}: {text}");
        }
    }
}
