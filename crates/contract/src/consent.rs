//! Consent: the decision of the machine's config about sending the rows of one project.

use serde::Serialize;

/// The decision of config.toml about one project (contract section 9). It is machine-wide and always
/// about the row's own project, never about the current directory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Consent {
    /// An explicit yes, to rows from these instants on.
    OptedIn(Start),
    /// An explicit no: nothing is captured, and what waits is held.
    OptedOut,
    /// No daemon was asked.
    #[default]
    Unset,
}

impl Consent {
    /// A yes to every row, however old.
    pub const ALWAYS: Self = Self::OptedIn(Start::ALWAYS);
}

/// From when on an explicit yes speaks. An opt-in starts from its own instant: older rows stay held until
/// they are released, in whatever queue of the machine they wait and whenever they are imported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Start {
    /// The first instant of rows that this program captured, Unix seconds. Later than always only after
    /// an opt-out: what was captured before anybody decided may leave.
    pub captured: i64,
    /// The first instant of rows that another program wrote, Unix seconds.
    pub found: i64,
}

impl Start {
    /// No row is too old.
    pub const ALWAYS: Self = Self { captured: i64::MIN, found: i64::MIN };

    /// The stricter of two.
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
