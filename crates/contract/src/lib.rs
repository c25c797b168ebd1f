//! Shared names, formats and texts: everything that several crates, processes or releases must agree on.
//! Types and pure functions only: no files, no clock, no environment, no network.
//!
//! | module | owns |
//! |---|---|
//! | [`auth`] | missing authentication: its reason and its remedy |
//! | [`scope`] | the queue scope: normalisation, hash, file name |
//! | [`foreground`] | foreground identity |
//! | [`owner_record`] | the daemon owner record, byte for byte |
//! | [`failure`] | the closed list of canonical failure names, and faults |
//! | [`remedy`] | remedy of a failure: an argv of this CLI, or an advice |
//! | [`preflight`] | the result of the preflight gate, its JSON and its refusal text |
//! | [`consent`] | the configured decision about sending the rows of a project |
//! | [`exit`] | exit codes and refusal codes |
//! | [`switch`] | the hosted-sync switch |
//! | [`path`] | lexical normalisation of paths |
//! | [`server_url`] | server URLs: validity, comparison and display |
//! | [`text`] | untrusted text, escaped for a terminal |
//! | [`json`] | the two JSON dialects: strict and lenient |
//! | [`lane`] | the lanes of a work package |
//! | [`lane_order`] | the order of lane moves that have one instant |
//! | [`event`] | the published event contract: ids, envelope, payload schemas, transitions, rejections |
//! | [`wire`] | the HTTP API between client and server |

pub mod auth;
pub mod consent;
pub mod event;
pub mod exit;
pub mod failure;
pub mod foreground;
pub mod json;
pub mod lane;
pub mod lane_order;
pub mod owner_record;
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
pub use owner_record::{FileNumbers, OrphanKind, OwnerRecord, OwnerRecordError, OwnerStatus};
pub use preflight::{LegacyRowCounts, Mismatch, OrphanRecord, PreflightResult};
pub use remedy::Remedy;
pub use scope::Scope;
pub use server_url::ServerUrl;
