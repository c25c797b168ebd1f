//! Mission files and the commands on them; the source of every event.
//!
//! A mission is a directory `kitty-specs/<mission>/` of Markdown and JSON files in a git repository. Each command is
//! planned first (`plan_*`: reads and validates everything, writes nothing) and then applied. Its report is one
//! serialisable value that the command line renders as text or JSON. This crate never prints.
//!
//! | module | owns |
//! |---|---|
//! | `branch_check` | warnings about the branch that a command writes on |
//! | [`clock`] | instants and identifiers |
//! | [`instant`] | instants of log rows, with any offset from UTC |
//! | [`dialect`] | which releases work on a mission |
//! | [`document`] | reading files bounded; writing them atomically, and undoing it |
//! | `transaction` | one change of a mission, carried out or undone |
//! | [`recovery`] | rows of commands that were interrupted |
//! | [`slug`] | names of missions |
//! | [`hand_over`] | rows that another program wrote for this one |
//! | [`merge`] | merge drivers for git |
//! | `conflict` | conflict markers of a merge |
//! | [`meta`] | `meta.json` |
//! | `planning` | planning documents as a command may rely on them |
//! | [`placeholder_check`] | whether `spec.md` and `plan.md` have content |
//! | [`transition`] | which changes of [`lane`]s are allowed |
//! | [`log`] | `status.events.jsonl` |
//! | `log_place` | the location of lane rows, and why it is not certain |
//! | `lost_rows` | rows that a repaired log lacks and a commit has |
//! | [`mission_log`] | where a mission's rows are: checkout, branch or worktree |
//! | [`dossier`] | artifacts, and which of them are sent |
//! | [`front_matter`] | work package files |
//! | [`decision`] | the decision ledger |
//! | [`activity`] | activity logs and review cycles |
//! | [`evidence`] | checks, transcripts and drafts |
//! | [`graph`] | dependencies between work packages |
//! | [`ownership`] | which files a work package may change |
//! | [`allocation`] | `lanes.json` |
//! | [`tasks`] | `tasks.md` |
//! | `subtask_state` | state of the subtasks of a work package |
//! | [`template`] | the documents a mission starts with |
//! | [`work_package`] | ids of work packages, and their files |
//! | [`wps`] | `wps.yaml` |
//! | [`project`] | the project, its repository and its missions |
//! | [`git`] | commits that leave the user's index alone; branches read without a worktree |
//! | [`outgoing`] | from local facts to rows of the queue |
//! | [`command`] | the commands |
//! | [`snapshot`] | the reducer and `status.json` |
//! | [`error`], `remedies` | errors, their codes and remedies |

// Files are opened by `system::regular`, or for the reason beside the call (clippy.toml).
#![cfg_attr(not(test), deny(clippy::disallowed_methods))]

pub mod activity;
pub mod allocation;
mod branch_check;
pub mod clock;
pub mod command;
mod conflict;
pub mod decision;
pub mod dialect;
pub mod document;
pub mod dossier;
pub mod error;
pub mod evidence;
pub mod front_matter;
pub mod git;
pub mod graph;
pub mod hand_over;
pub mod instant;
pub mod log;
mod log_place;
mod lost_rows;
pub mod merge;
pub mod meta;
pub mod mission_log;
pub mod outgoing;
pub mod ownership;
pub mod placeholder_check;
mod planning;
pub mod project;
pub mod recovery;
mod remedies;
pub mod slug;
pub mod snapshot;
mod subtask_state;
pub mod tasks;
pub mod template;
mod transaction;
pub mod transition;
pub mod work_package;
pub mod wps;

pub use clock::{Clock, Moment};
pub use contract::lane::{self, Lane};
pub use dialect::Dialect;
pub use error::{MissionError, Result};
pub use outgoing::{CaptureReport, CaptureState, Outgoing};
pub use project::{MissionDirectory, Project};
pub use remedies::ErrorCode;
