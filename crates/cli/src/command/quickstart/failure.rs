//! Why the story could not be told to its end.

use crate::error::CliError;

pub(crate) fn failed(summary: impl Into<String>) -> CliError {
    CliError::failed("QUICKSTART_FAILED", summary)
}
