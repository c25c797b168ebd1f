//! What is written down: names, formats and texts that more than one crate, one process or one
//! release has to agree on. Types and pure functions only: no files, no clock, no environment,
//! no network.
//!
//! | module | owns |
//! |---|---|
//! | [`auth`] | why a login is absent, and the one choice of its remedy |
//! | [`scope`] | the queue scope: normalisation, hash, file name |
//! | [`foreground`] | the identity of the process that asks |
//! | [`owner`] | the daemon owner record, byte for byte |
//! | [`failure`] | the closed list of canonical failure names, and faults |
//! | [`remedy`] | remedy of a failure: an argv of this CLI, or an advice |
//! | [`preflight`] | the result of the preflight gate, its JSON and its refusal text |
//! | [`consent`] | the config's decision about sending the rows of a project |
//! | [`exit`] | exit codes and refusal codes |
//! | [`switch`] | the hosted-sync switch |
//! | [`path`] | paths as comparisons see them |
//! | [`server_url`] | what a valid server URL is, how two are compared, and how one is shown |
//! | [`text`] | what a text may hold when it is shown |
//! | [`json`] | the two JSON dialects: strict and lenient |
//! | [`lane`] | the lanes of a work package |
//! | [`event`] | the published event contract: ids, envelope, payload shapes, moves, rejections |
//! | [`wire`] | what client and server say to each other over HTTP |
//!
//! Glossary (one word per concept, in code, JSON and messages): scoped queue DB, legacy queue DB,
//! daemon owner record, orphan owner record, boundary coherence, preflight gate, sync-producing
//! command.

pub mod auth;
pub mod consent;
pub mod event;
pub mod exit;
pub mod failure;
pub mod foreground;
pub mod json;
pub mod lane;
pub mod owner;
pub mod path;
pub mod preflight;
pub mod remedy;
pub mod scope;
pub mod server_url;
pub mod switch;
pub mod text;
pub mod wire;

pub use auth::{AuthAbsence, AuthAbsent, LoginState};
pub use consent::{Consent, Start};
pub use exit::ExitCode;
pub use failure::{FailureName, Fault, FaultCode, Field};
pub use foreground::ForegroundIdentity;
pub use lane::Lane;
pub use owner::{FileNumbers, OrphanKind, OwnerRecord, OwnerRecordError, OwnerStatus};
pub use preflight::{LegacyRowCounts, Mismatch, OrphanRecord, PreflightResult};
pub use remedy::Remedy;
pub use scope::Scope;
pub use server_url::ServerUrl;
