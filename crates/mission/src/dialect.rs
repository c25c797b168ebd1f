//! Dialect of a mission: the releases that work on it, and in whose format its rows are written.
//!
//! No release recorded its format, so the content decides. With `genesis` or an annotation in the log, or a key of a
//! later release in `meta.json`, a mission is *current* (3.2.0 and later). Everything else is *rc11*.

use crate::log::Log;
use crate::meta::Meta;

/// Format in which a mission is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Dialect {
    /// As 3.2.0rc11 and earlier releases, which refuse a log with rows of the later ones.
    #[default]
    Rc11,
    /// As 3.2.0 and later releases.
    Current,
}

impl Dialect {
    /// The dialect of a mission.
    pub fn of(meta: Option<&Meta>, log: &Log) -> Self {
        if log.is_current() || meta.is_some_and(Meta::is_current) { Self::Current } else { Self::Rc11 }
    }
}
