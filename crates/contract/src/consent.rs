//! Consent: what the machine's config says about sending the rows of one project.

use serde::Serialize;

/// The decision of config.toml about one project (contract section 9). It is machine-wide and always
/// about the row's own project, never about the current directory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Consent {
    /// An explicit yes.
    OptedIn,
    /// An explicit no: nothing is captured, and what waits is held.
    OptedOut,
    /// Nobody was asked.
    #[default]
    Unset,
}
