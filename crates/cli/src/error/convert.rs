//! Conversion of library errors into [`CliError`]: the only place that chooses codes and remedies for them.

use super::CliError;
use contract::Fault;
use identity::config::ConfigEditError;
use preflight::PreflightError;
use queue::{Busy, QueueError};
use std::error::Error;
use system::lock::LockError;

/// The error and its causes, in one sentence.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}

impl From<Fault> for CliError {
    fn from(fault: Fault) -> Self {
        let fault = identity::file_remedy::with_file_remedy(fault);
        let place =
            fault.path.as_deref().map(|path| format!("{} ", contract::text::path(path))).unwrap_or_default();
        Self::refused(fault.code.name(), format!("{}: {place}{}", fault.code.name(), fault.detail))
            .remedy(fault.remedy)
    }
}

impl From<Busy> for CliError {
    fn from(busy: Busy) -> Self {
        Self::busy(busy.to_string())
    }
}

impl From<PreflightError> for CliError {
    fn from(error: PreflightError) -> Self {
        match error {
            PreflightError::Refused(result) => Self::boundary(*result),
            PreflightError::Busy(busy) => busy.into(),
            PreflightError::Recovery(error) => error.into(),
        }
    }
}

impl From<QueueError> for CliError {
    fn from(error: QueueError) -> Self {
        match error {
            QueueError::Busy(busy) => busy.into(),
            QueueError::Fault(fault) => (*fault).into(),
            other => Self::new("QUEUE_FAILED", other.exit(), chain(&other)).remedy_if(other.remedy()),
        }
    }
}

impl From<LockError> for CliError {
    fn from(error: LockError) -> Self {
        match error {
            LockError::Busy { .. } => Self::busy(chain(&error)),
            LockError::Io { .. } => Self::failed("LOCK_FAILED", chain(&error)).remedy_if(error.remedy()),
        }
    }
}

impl From<ConfigEditError> for CliError {
    fn from(error: ConfigEditError) -> Self {
        match error {
            ConfigEditError::Unreadable(fault) => fault.into(),
            ConfigEditError::Lock(lock) => lock.into(),
            ConfigEditError::Write(error) => {
                Self::failed("CONFIG_NOT_WRITTEN", chain(&error)).remedy(error.remedy())
            }
        }
    }
}

impl From<mission::MissionError> for CliError {
    fn from(error: mission::MissionError) -> Self {
        let mut failed = Self::new(error.code().name(), error.exit(), chain(&error));
        failed.evidence = error.evidence();
        failed.remedies = error.remedies();
        failed.facts = Box::new(error.facts());
        failed
    }
}

impl From<system::private_file::WriteError> for CliError {
    fn from(error: system::private_file::WriteError) -> Self {
        Self::failed("NOT_WRITTEN", chain(&error)).remedy(error.remedy())
    }
}
