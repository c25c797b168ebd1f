//! The one error of the CLI: a code for scripts, an exit code, a sentence, its evidence and its
//! remedies; rendered as text or as JSON.

mod convert;

pub(crate) use convert::chain;

use contract::exit::{SAAS_SYNC_UNAUTHENTICATED, SYNC_BOUNDARY_REFUSED};
use contract::text::printable;
use contract::{ExitCode, FailureName, FaultCode, PreflightResult, Remedy};
use serde_json::{Map, Value, json};
use std::ffi::OsString;
use std::fmt::Write as _;

/// The code of a command line that does not parse: exit 2, and no refusal.
const USAGE: &str = "USAGE";

/// Failure of a command.
#[derive(Debug)]
pub(crate) struct CliError {
    /// Stable code for scripts.
    pub code: &'static str,
    /// Exit code of the process.
    pub exit: ExitCode,
    /// Description, in one sentence, naming the file, row or field.
    pub summary: String,
    /// Observed values and their sources: one line each.
    pub evidence: Vec<String>,
    /// Remedies, best first.
    pub remedies: Vec<Remedy>,
    /// The preflight behind a refusal.
    pub preflight: Option<Box<PreflightResult>>,
    /// Whether the command needs no login with `--local-only`.
    pub can_stay_local: bool,
    /// More keys of the JSON document.
    pub facts: Box<Map<String, Value>>,
}

impl CliError {
    /// An ordinary failure, exit 1.
    pub(crate) fn failed(code: &'static str, summary: impl Into<String>) -> Self {
        Self::new(code, ExitCode::Failed, summary)
    }

    /// A refusal, exit 2.
    pub(crate) fn refused(code: &'static str, summary: impl Into<String>) -> Self {
        Self::new(code, ExitCode::Refused, summary)
    }

    /// Another process holds a lock or file, exit 69.
    pub(crate) fn busy(summary: impl Into<String>) -> Self {
        Self::new("BUSY", ExitCode::Busy, summary)
    }

    /// A command line that does not parse, exit 2: the parser's own text, without its pointer to help.
    pub(crate) fn usage(text: &str) -> Self {
        let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        let summary = lines.next().unwrap_or_default();
        let mut error =
            Self::new(USAGE, ExitCode::Refused, summary.strip_prefix("error: ").unwrap_or(summary));
        error.evidence = lines.filter(|line| !line.contains("try '--help'")).map(str::to_owned).collect();
        error
    }

    /// An error with everything but evidence and remedies.
    pub(crate) fn new(code: &'static str, exit: ExitCode, summary: impl Into<String>) -> Self {
        Self {
            code,
            exit,
            summary: summary.into(),
            evidence: Vec::new(),
            remedies: Vec::new(),
            preflight: None,
            can_stay_local: false,
            facts: Box::default(),
        }
    }

    /// The boundary refused. Missing authentication has a code of its own, unless the session is
    /// there and cannot be read: that is a fault, never "logged out".
    pub(crate) fn boundary(result: PreflightResult) -> Self {
        let failures = result.failures();
        let unreadable = [FaultCode::SessionUnreadable, FaultCode::ConfigUnreadable]
            .into_iter()
            .any(|code| failures.contains(&FailureName::Fault(code)));
        let code = if failures.contains(&FailureName::AuthAbsent) && !unreadable {
            SAAS_SYNC_UNAUTHENTICATED
        } else {
            SYNC_BOUNDARY_REFUSED
        };
        // The headline counts what else can be wrong; when nothing is, it would name no cause.
        let summary = if result.fails_only_by(FailureName::AuthAbsent) {
            result.auth_absent_reason().unwrap_or_default()
        } else {
            result.headline()
        };
        let mut error = Self::refused(code, summary);
        error.remedies = result.remedies();
        error.preflight = Some(Box::new(result));
        error
    }

    /// The error of a command that needs no login with `--local-only`.
    #[must_use]
    pub(crate) fn or_local_only(mut self) -> Self {
        self.can_stay_local = true;
        self
    }

    /// Adds a line of evidence.
    #[must_use]
    pub(crate) fn evidence(mut self, line: impl Into<String>) -> Self {
        self.evidence.push(line.into());
        self
    }

    /// Adds a remedy.
    #[must_use]
    pub(crate) fn remedy(mut self, remedy: Remedy) -> Self {
        self.remedies.push(remedy);
        self
    }

    /// Adds a remedy, if there is one.
    #[must_use]
    pub(crate) fn remedy_if(mut self, remedy: Option<Remedy>) -> Self {
        self.remedies.extend(remedy);
        self
    }

    /// Drops remedies that are the failed command itself, perhaps with fewer options. `words` are its
    /// command line.
    #[must_use]
    pub(crate) fn not_by_repeating(mut self, words: &[OsString]) -> Self {
        let repeats = |argv: Vec<String>| argv.iter().all(|word| words.iter().any(|typed| typed == &**word));
        self.remedies.retain(|remedy| remedy.argv().is_none_or(|argv| !repeats(argv)));
        self
    }

    /// Adds a key to the JSON document.
    #[must_use]
    pub(crate) fn fact(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.facts.insert(key.to_owned(), value.into());
        self
    }

    /// The error as people read it, for stderr.
    pub(crate) fn text(&self) -> String {
        if let Some(result) = &self.preflight {
            return result.render_with(self.can_stay_local.then_some("--local-only"));
        }
        // Git and its hooks print several lines.
        let mut summary = self.summary.lines();
        let mut out = format!("error: {}\n", printable(summary.next().unwrap_or_default()));
        for line in summary.chain(self.evidence.iter().map(String::as_str)) {
            let _ = writeln!(out, "  {}", printable(line));
        }
        for remedy in &self.remedies {
            let _ = writeln!(out, "hint: {}", printable(&remedy.hint()));
        }
        out
    }

    /// The error as one JSON document, for stdout with `--json`.
    pub(crate) fn json(&self) -> Value {
        let refused = self.exit == ExitCode::Refused && self.code != USAGE;
        let result = if refused { "refused" } else { "error" };
        let mut out = json!({
            "result": result,
            "error_code": self.code,
            "exit_code": self.exit.code(),
            "error": self.summary,
            "remediation": self.remedies.iter().map(Remedy::hint).collect::<Vec<_>>(),
        });
        if let Value::Object(map) = &mut out {
            if !self.evidence.is_empty() {
                map.insert("evidence".into(), self.evidence.clone().into());
            }
            if let Some(result) = &self.preflight {
                map.insert("preflight".into(), serde_json::to_value(result).unwrap_or_default());
            }
            for (key, value) in self.facts.iter() {
                map.insert(key.clone(), value.clone());
            }
        }
        out
    }

    /// The line that accompanies the JSON document, for stderr.
    pub(crate) fn line(&self) -> String {
        match &self.preflight {
            Some(result) => {
                let names: Vec<_> = result.failures().into_iter().map(FailureName::name).collect();
                format!("Sync boundary refused: {}\n", names.join(", "))
            }
            None => format!("error: {}\n", printable(&self.summary.lines().collect::<Vec<_>>().join(" "))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failed_command_does_not_offer_itself() {
        for remedy in testkit::remedies::samples() {
            let Some(argv) = remedy.argv() else { continue };
            let failed = CliError::failed("X", "x").remedy(remedy.clone()).remedy(Remedy::Advice("y".into()));
            let typed = |argv: &[String]| argv.iter().map(OsString::from).collect::<Vec<_>>();
            let hints = |error: CliError| error.remedies.iter().map(Remedy::hint).collect::<Vec<_>>();
            assert_eq!(hints(failed.not_by_repeating(&typed(&argv))), ["y"], "{remedy:?}");
            let other = CliError::failed("X", "x")
                .remedy(remedy.clone())
                .not_by_repeating(&typed(&["sync".to_owned(), "status".to_owned()]));
            assert_eq!(hints(other), [remedy.hint()]);
        }
    }
}
