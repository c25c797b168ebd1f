//! Exit codes and refusal codes: one table, printed by `--help` and the docs.

use std::fmt;
use strum::VariantArray as _;

/// Exit code of a command. Stable: scripts depend on the numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::VariantArray)]
pub enum ExitCode {
    /// Done; also: nothing to do, the switch is off, `result: blocked`.
    Ok,
    /// The command failed, or a doctor found something.
    Failed,
    /// Refused by the boundary or by missing authentication; also wrong usage.
    Refused,
    /// Another process held a resource past the deadline.
    Busy,
    /// Interrupted by the user.
    Interrupted,
}

impl ExitCode {
    /// Every code, in the order of the table.
    pub const ALL: &[Self] = Self::VARIANTS;

    /// The process exit status.
    pub const fn code(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::Failed => 1,
            Self::Refused => 2,
            Self::Busy => 69,
            Self::Interrupted => 130,
        }
    }

    /// One line for the table.
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::Ok => "success; also nothing to do, hosted sync switched off, or `result: blocked`",
            Self::Failed => "the command failed, or a doctor reported findings",
            Self::Refused => {
                "refused: by the boundary, for missing authentication, a preview without --yes; wrong usage"
            }
            Self::Busy => "a file or lock stayed busy past its deadline",
            Self::Interrupted => "interrupted",
        }
    }
}

impl fmt::Display for ExitCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.code())
    }
}

/// The boundary refused: the `error_code` of a JSON refusal.
pub const SYNC_BOUNDARY_REFUSED: &str = "SYNC_BOUNDARY_REFUSED";
/// The command needs a login and there is none.
pub const SAAS_SYNC_UNAUTHENTICATED: &str = "SAAS_SYNC_UNAUTHENTICATED";
/// No server is configured; nothing is ever sent to a default one.
pub const SYNC_SERVER_UNSET: &str = "SYNC_SERVER_UNSET";
/// The token was issued by another host, or by an unrecorded one.
pub const SYNC_TOKEN_HOST: &str = "SYNC_TOKEN_HOST";
