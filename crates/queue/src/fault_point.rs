//! Fault points: the instants at which the crash tests kill a process. With the feature `faults` a process
//! whose environment names one of them kills itself there, without it none is compiled in.

use strum::VariantArray as _;

/// An instant inside a capture, a migration or a drain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::VariantArray)]
pub enum FaultPoint {
    /// Tables and id are written, not committed.
    IdentityWritten,
    /// Prepared rows are written, not committed.
    PrepareWritten,
    /// Prepared rows are committed; the local write has not happened.
    Prepared,
    /// Prepared rows were made waiting, not committed.
    ConfirmWritten,
    /// Waiting rows are committed.
    Confirmed,
    /// Leftovers were settled, not committed.
    SettleWritten,
    /// Claims are written, not committed.
    ClaimWritten,
    /// Claims are committed, nothing is copied.
    Claimed,
    /// Some rows are copied, not committed.
    CopyHalfWritten,
    /// All rows are copied, not committed.
    CopyWritten,
    /// Copies are committed; the legacy rows are still there.
    Copied,
    /// Legacy rows and claims are deleted, not committed.
    ClearWritten,
    /// The deletion is committed.
    Cleared,
    /// Receipts are written and rows deleted, not committed.
    RecordWritten,
    /// Receipts are committed.
    Recorded,
}

impl FaultPoint {
    /// Every point.
    pub const ALL: &[Self] = Self::VARIANTS;

    /// The value of [`VARIABLE`] that arms it.
    pub fn name(self) -> String {
        format!("{self:?}")
    }
}

/// The environment variable that arms one point of a process built with the feature `faults`.
pub const VARIABLE: &str = "SPEC_KITTY_QUEUE_FAULT";

/// Called when an instant is reached.
#[cfg(feature = "faults")]
pub(crate) fn reached(point: FaultPoint) {
    // Asked once: a migration passes here with every row.
    static ARMED: std::sync::OnceLock<Option<std::ffi::OsString>> = std::sync::OnceLock::new();
    let armed = ARMED.get_or_init(|| std::env::var_os(VARIABLE));
    if armed.as_ref().is_some_and(|armed| *armed == *point.name()) {
        system::process::die();
    }
}

/// Called when an instant is reached.
#[cfg(not(feature = "faults"))]
#[inline(always)]
pub(crate) fn reached(_: FaultPoint) {}
