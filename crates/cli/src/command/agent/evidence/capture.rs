//! `agent evidence capture`: runs the checks of a mission and keeps their output.

use super::EvidenceArgs;
use crate::build;
use crate::command::agent::tasks::list::warnings;
use crate::mission_document::MissionDocument;
use crate::render;
use crate::verb::{Args, Class, CliError, CommandContext, ExitCode, Report, Verb, chain};
use contract::text::printable;
use mission::Clock;
use mission::command::evidence::{CapturedEvidence, Capturing, CheckResult, capture};
use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

const EVIDENCE_YAML: &str = "\
Stops at the first check that fails, with exit 1 and the work package to reopen.

evidence.yaml lies beside spec.md:
  checks:
  - id: it-rings               # names its transcript
    issue: 12                  # issue that it proves
    work_package: WP02         # reopened when it fails
    command: sh src/ring.sh    # run in the project root
    timeout: 30                # seconds [default: 600]
    exit: 0                    # expected exit code [default: 0]
    contains: [\"gong\"]         # required output
    sources: [\"src/**\"]        # changes here make the evidence stale

Example: spec-kitty agent evidence capture --mission tea-timer --check it-rings";

/// Run the checks of evidence.yaml and keep their output
#[derive(Debug, Args)]
#[command(after_help = EVIDENCE_YAML)]
pub(crate) struct EvidenceCaptureArgs {
    #[command(flatten)]
    evidence: EvidenceArgs,
}

impl Verb for EvidenceCaptureArgs {
    fn class(&self) -> Class {
        Class::Local
    }

    /// A check that fails ends it with 1 and names the work package to reopen.
    fn run(self: Box<Self>, context: &CommandContext) -> Result<Report, CliError> {
        let request = self.evidence.request(false);
        let interrupted = interruption()?;
        let with = Capturing {
            tool_version: &build::info().package_version(),
            interrupted: &|| interrupted.load(Ordering::SeqCst),
            begins: &|check| {
                // A check may take minutes.
                if render::stderr_is_terminal() {
                    render::note(&format!("{} ...", printable(&check.id)));
                }
            },
        };
        let captured = capture(&context.project()?, &request, &with, &Clock::system())?;
        let exit = if captured.reopen.is_some() { ExitCode::Failed } else { ExitCode::Ok };
        let failure = captured.checks.iter().find(|check| !check.passed).map(|check| {
            format!("error: check `{}` failed ({}): reopen {}", check.id, why(check), check.work_package)
        });
        let notes = warnings(&captured.warnings);
        let text = describe(&captured);
        let report = Report::exiting(exit, &MissionDocument { value: captured, text });
        Ok(notes.into_iter().chain(failure).fold(report, Report::note))
    }
}

/// The flag that Ctrl-C, and what asks for the same, sets. The second signal ends the process at once.
fn interruption() -> Result<Arc<AtomicBool>, CliError> {
    let interrupted = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        let registered =
            signal_hook::flag::register_conditional_shutdown(signal, 130, Arc::clone(&interrupted))
                .and_then(|_| signal_hook::flag::register(signal, Arc::clone(&interrupted)));
        registered.map_err(|error| CliError::failed("SIGNALS", chain(&error)))?;
    }
    Ok(interrupted)
}

fn why(check: &CheckResult) -> String {
    let missing: Vec<_> = check.missing.iter().map(|text| format!("`{}`", printable(text))).collect();
    match missing.as_slice() {
        [] => printable(&check.ending).into_owned(),
        _ => format!("{}; its output lacks {}", printable(&check.ending), missing.join(", ")),
    }
}

fn describe(captured: &CapturedEvidence) -> String {
    let width = captured.checks.iter().map(|check| check.id.len()).max().unwrap_or_default();
    let mut out = format!("{}: {}\n", captured.mission_slug, captured.result);
    for check in &captured.checks {
        let verdict = if check.passed { "passed" } else { "failed" };
        let _ = writeln!(
            out,
            "  {:<width$}  {verdict}  #{} {}  {} ms  {}",
            check.id,
            check.issue,
            check.work_package,
            check.duration_ms,
            why(check)
        );
    }
    out
}
