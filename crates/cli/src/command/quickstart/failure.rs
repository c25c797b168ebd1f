//! The error of a quickstart that did not finish.

use crate::error::CliError;

pub(crate) fn failed(summary: impl Into<String>) -> CliError {
    CliError::failed("QUICKSTART_FAILED", summary)
}
