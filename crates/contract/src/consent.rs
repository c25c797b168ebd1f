//! Consent: the configured decision about sending the rows of one project.

use jiff::Timestamp;

/// The decision of config.toml about one project (contract section 9). It is machine-wide and always
/// about the row's own project, never about the current directory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Start {
    /// For rows that this program captured. Set only by an opt-in after an opt-out: rows captured before any
    /// decision may be sent.
    pub captured: Timestamp,
    /// For rows that another program wrote.
    pub foreign: Timestamp,
}

impl Start {
    /// No lower bound.
    pub const ALWAYS: Self = Self { captured: Timestamp::MIN, foreign: Timestamp::MIN };

    /// The start of an opt-in at `now` that follows the decision `was`: the microsecond after `now`, so that
    /// what waits already is older. A row of whole seconds counts as captured at the start of its second.
    #[must_use]
    pub fn after(was: Consent, now: Timestamp) -> Self {
        let next = Timestamp::from_microsecond(now.as_microsecond() + 1).unwrap_or(now);
        match was {
            Consent::OptedIn(start) => start,
            Consent::OptedOut => Self { captured: next, foreign: next },
            Consent::Unset => Self { foreign: next, ..Self::ALWAYS },
        }
    }

    /// The later instants of two starts.
    #[must_use]
    pub fn later(self, other: Self) -> Self {
        Self { captured: self.captured.max(other.captured), foreign: self.foreign.max(other.foreign) }
    }
}

impl Default for Start {
    fn default() -> Self {
        Self::ALWAYS
    }
}
