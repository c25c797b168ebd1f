//! Decisions: questions raised during planning, with their outcomes.
//!
//! Local: no login, no boundary, no queue. A decision lives in three places that always agree: the
//! ledger `decisions/index.json`, a page `decisions/DM-<id>.md` rendered from it, and two facts in the
//! mission's log.
//!
//! | module | owns |
//! |---|---|
//! | [`ledger`] | the entries and the file |
//! | [`page`] | the rendering of one entry |
//! | [`marker`] | the markers in `spec.md` and `plan.md`, and whether they agree with the ledger |

pub mod ledger;
pub mod marker;
pub mod page;

pub(crate) use ledger::decision_files;
pub use ledger::{Decision, DecisionStatus, Ledger, OriginFlow, read_ledger};
pub use marker::{Finding, FindingKind, Verification, verify_markers};
pub use page::render_page;
