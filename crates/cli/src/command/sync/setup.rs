//! `sync setup`: checks every requirement in order, and ends with the output of `sync status --check`.
//!
//! The fix of a finding is the command that the finding names, run as if it had been typed. On a terminal each is
//! confirmed first. With `--yes` a fix runs when it loses nothing, sends nothing and decides nothing. Elsewhere the
//! command lists the findings and changes nothing.

use crate::args::Cli;
use crate::command::sync::status::check_text;
use crate::diagnostics::{
    CheckFinding, CheckName, DiagnosticCheck, DiagnosticVerdict, Diagnostics, describe, headline, name_of,
    summarise,
};
use crate::verb::{Args, Class, CliError, CommandContext, ExitCode, Render, Report, Verb};
use crate::{render, terminal};
use contract::Remedy;
use contract::text::printable;
use preflight::status::StatusDocument;
use serde::Serialize;
use std::fmt::Write as _;

/// Check every requirement in order and fix what is safe to fix
///
/// Asks before each fix on a terminal, and ends with the output of `sync status --check`.
#[derive(Debug, Args)]
#[command(after_help = "Example: spec-kitty sync setup --yes")]
pub(crate) struct SetupArgs {
    /// Fix what is safe to fix without asking; never logs in, decides about a project or moves a file
    #[arg(long, short)]
    yes: bool,
}

impl Verb for SetupArgs {
    fn class(&self) -> Class {
        Class::Curing
    }

    fn is_dry_run(&self) -> bool {
        !self.yes
    }

    /// Exits as `sync status --check` does; 1 when only findings outside the boundary are left.
    fn run(self: Box<Self>, context: &CommandContext) -> Result<Report, CliError> {
        let may = FixPermission::of(context, self.yes);
        let mut look = Diagnostics::take(context)?;
        let mut gates = look.examine_gates()?;
        if may == FixPermission::Ask && DiagnosticVerdict::of(&gates) == DiagnosticVerdict::Findings {
            render::note(&describe(&gates));
        }
        let mut steps: Vec<SetupStep> = Vec::new();
        while let Some((gate, finding)) = next(&gates, &steps) {
            let step = SetupStep::take(context, may, gate, finding, &steps);
            let changed = matches!(step.outcome, StepOutcome::Done | StepOutcome::Failed);
            steps.push(step);
            if changed {
                // A fix may have repaired more than one finding, or uncovered another.
                look = Diagnostics::take(context)?;
                gates = look.examine_gates()?;
            }
        }
        let status = look.status;
        let result = match DiagnosticVerdict::of(&gates) {
            // The server, too, decides whether rows leave, and no gate asks it.
            DiagnosticVerdict::Healthy => DiagnosticVerdict::Incomplete,
            other => other,
        };
        let exit = match status.check_exit() {
            ExitCode::Ok => result.exit(),
            refused => refused,
        };
        Ok(Report::exiting(exit, &SetupView { result, exit_code: exit.code(), steps, gates, check: status }))
    }
}

/// Fixes that are permitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FixPermission {
    /// None: not a terminal, and no --yes.
    Look,
    /// Safe ones.
    Safe,
    /// Whatever the person at the terminal agrees to.
    Ask,
}

impl FixPermission {
    fn of(context: &CommandContext, yes: bool) -> Self {
        if yes {
            Self::Safe
        } else if !context.json && terminal::can_ask() {
            Self::Ask
        } else {
            Self::Look
        }
    }
}

/// Risk of a fix, by the consent that it needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FixRisk {
    /// Loses nothing, sends nothing, decides nothing: `--yes` is enough.
    Safe,
    /// A person at a terminal, asked about this very thing.
    Asked,
    /// A person who types it: it decides about an account or about rows, or ends a process.
    Typed,
}

const fn care(remedy: &Remedy) -> FixRisk {
    match remedy {
        Remedy::RestartDaemon | Remedy::StartDaemon | Remedy::CleanOrphans | Remedy::Migrate => FixRisk::Safe,
        Remedy::Login | Remedy::LoginServer | Remedy::Repair => FixRisk::Asked,
        Remedy::SwitchTeam { .. }
        | Remedy::LoginAt { .. }
        | Remedy::SetServer { .. }
        | Remedy::ExportScope { .. }
        | Remedy::ForceCleanOrphans
        | Remedy::StopDaemon
        | Remedy::RepairMission { .. }
        | Remedy::SyncNow
        | Remedy::ResendMissing
        | Remedy::CaptureHistory { .. }
        | Remedy::FromScope { .. }
        | Remedy::FromServer { .. }
        | Remedy::OptIn { .. }
        | Remedy::OptInAllHeld
        | Remedy::Advice(_) => FixRisk::Typed,
    }
}

/// The first finding that no step was about.
fn next(gates: &[DiagnosticCheck], steps: &[SetupStep]) -> Option<(CheckName, CheckFinding)> {
    let mut all = gates.iter().flat_map(|gate| gate.findings.iter().map(move |finding| (gate.name, finding)));
    all.find(|(_, finding)| !steps.iter().any(|step| step.is_about(finding)))
        .map(|(gate, finding)| (gate, finding.clone()))
}

/// Result for one finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum StepOutcome {
    /// Its remedy was run and succeeded.
    Done,
    /// Its remedy was run and failed.
    Failed,
    /// The person declined.
    Declined,
    /// `--yes` would do it.
    NeedsYes,
    /// A person has to do it.
    NeedsPerson,
}

/// A finding, and what became of it.
#[derive(Clone, Debug, Serialize)]
struct SetupStep {
    gate: CheckName,
    #[serde(flatten)]
    finding: CheckFinding,
    outcome: StepOutcome,
    /// Output of the remedy.
    said: Option<String>,
}

impl SetupStep {
    /// Codes and remedies are closed lists; details have times and numbers in them, which change.
    fn is_about(&self, finding: &CheckFinding) -> bool {
        self.finding.code == finding.code && self.finding.remedies == finding.remedies
    }

    fn take(
        context: &CommandContext,
        may: FixPermission,
        gate: CheckName,
        finding: CheckFinding,
        before: &[Self],
    ) -> Self {
        let (outcome, said) = match finding.remedies.first() {
            None => (StepOutcome::NeedsPerson, None),
            Some(remedy) => {
                let same = |step: &&Self| step.finding.remedies.first() == Some(remedy);
                match before.iter().find(same) {
                    // It was run, or declined, for another finding.
                    Some(step) => (step.outcome, None),
                    None => treat(context, may, &finding, remedy),
                }
            }
        };
        Self { gate, finding, outcome, said }
    }
}

fn treat(
    context: &CommandContext,
    may: FixPermission,
    finding: &CheckFinding,
    remedy: &Remedy,
) -> (StepOutcome, Option<String>) {
    let Some(mut argv) = remedy.argv() else { return (StepOutcome::NeedsPerson, None) };
    match (care(remedy), may) {
        (FixRisk::Safe, FixPermission::Look) => return (StepOutcome::NeedsYes, None),
        (FixRisk::Typed, _) | (FixRisk::Asked, FixPermission::Look | FixPermission::Safe) => {
            return (StepOutcome::NeedsPerson, None);
        }
        (FixRisk::Safe, FixPermission::Safe) => {}
        (FixRisk::Safe | FixRisk::Asked, FixPermission::Ask) if *remedy == Remedy::LoginServer => {
            let about = format!("{}: {}; its URL (empty: not now): ", finding.code, finding.detail);
            match terminal::ask_text(&printable(&about)) {
                Some(url) => argv = vec!["auth".into(), "login".into(), "--server".into(), url],
                None => return (StepOutcome::Declined, None),
            }
        }
        (FixRisk::Safe | FixRisk::Asked, FixPermission::Ask) => {
            let about = format!("{}: {}; {}?", finding.code, finding.detail, remedy.hint());
            if !terminal::ask(&printable(&about)) {
                return (StepOutcome::Declined, None);
            }
        }
    }
    match run_command(context, &argv) {
        Ok(report) => {
            let outcome = if report.exit == ExitCode::Ok { StepOutcome::Done } else { StepOutcome::Failed };
            (outcome, Some(report.text.trim_end().to_owned()).filter(|said| !said.is_empty()))
        }
        Err(error) => (StepOutcome::Failed, Some(error.summary)),
    }
}

/// Runs a command of this program as if it had been typed.
fn run_command(context: &CommandContext, argv: &[String]) -> Result<Report, CliError> {
    let typed = std::iter::once("spec-kitty").chain(argv.iter().map(String::as_str)).map(Into::into);
    let cli = Cli::parse_words(&typed.collect::<Vec<_>>())
        .map_err(|error| CliError::usage(&error.render().to_string()))?;
    cli.command.verb().run(context)
}

#[derive(Serialize)]
struct SetupView {
    result: DiagnosticVerdict,
    exit_code: u8,
    /// Every finding on the way, in order.
    steps: Vec<SetupStep>,
    /// The gates as they are now.
    gates: Vec<DiagnosticCheck>,
    check: StatusDocument,
}

impl SetupView {
    fn headline(&self) -> String {
        let found = |code| self.gates.iter().flat_map(|gate| &gate.findings).any(|found| found.code == code);
        let warned = match self.check.warnings.iter().filter(|warning| !found(warning.code)).count() {
            0 => String::new(),
            1 => ", 1 warning".to_owned(),
            many => format!(", {many} warnings"),
        };
        if DiagnosticVerdict::of(&self.gates) != DiagnosticVerdict::Healthy {
            return format!("{}{warned}", headline(self.result, &self.gates));
        }
        let local = format!("all {} local checks passed{warned}", self.gates.len());
        format!("{local}; the server was not contacted: spec-kitty sync doctor")
    }
}

impl Render for SetupView {
    fn text(&self) -> String {
        let mut out = format!("{}\n\n{}\n", self.headline(), summarise(&self.gates));
        for step in &self.steps {
            let CheckFinding { code, detail, remedies } = &step.finding;
            let _ = writeln!(out, "{}: {}", name_of(&step.gate), printable(&format!("{code}: {detail}")));
            // A finding that follows from another has its remedy there.
            if let Some(first) = remedies.first() {
                let _ = writeln!(out, "  {}{}", step.outcome.label(), printable(&first.hint()));
            }
            for line in step.said.iter().flat_map(|said| said.lines()) {
                let _ = writeln!(out, "    {}", printable(line));
            }
            for other in remedies.iter().skip(1) {
                let _ = writeln!(out, "  or: {}", printable(&other.hint()));
            }
        }
        if !self.steps.is_empty() {
            out.push('\n');
        }
        out.push_str(&check_text(&self.check));
        out
    }
}

impl StepOutcome {
    const fn label(self) -> &'static str {
        match self {
            Self::Done => "done: ",
            Self::Failed => "failed: ",
            Self::Declined => "not done: ",
            Self::NeedsYes => "with --yes: ",
            Self::NeedsPerson => "by hand: ",
        }
    }
}
