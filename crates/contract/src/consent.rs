//! Consent: the configured decision about sending the rows of one project.

use serde::Serialize;

/// The decision of config.toml about one project (contract section 9). It is machine-wide and always
/// about the row's own project, never about the current directory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Consent {
    /// An explicit yes, to rows from these instants on.
    OptedIn(Start),
    /// Opted out: nothing is captured, and waiting rows are held.
    OptedOut,
    /// No decision is recorded.
    #[default]
    Unset,
}

impl Consent {
    /// Opted in for rows of any age.
    pub const ALWAYS: Self = Self::OptedIn(Start::ALWAYS);
}

/// Instants from which an opt-in applies. Older rows stay held until they are released, whichever queue
/// they wait in and whenever they are imported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Start {
    /// For rows that this program captured, Unix seconds. Set only by an opt-in after an opt-out: rows
    /// captured before any decision may be sent.
    pub captured: i64,
    /// For rows that another program wrote, Unix seconds.
    pub found: i64,
}

impl Start {
    /// No lower bound.
    pub const ALWAYS: Self = Self { captured: i64::MIN, found: i64::MIN };

    /// The later instants of two starts.
    #[must_use]
    pub fn later(self, other: Self) -> Self {
        Self { captured: self.captured.max(other.captured), found: self.found.max(other.found) }
    }
}

impl Default for Start {
    fn default() -> Self {
        Self::ALWAYS
    }
}
