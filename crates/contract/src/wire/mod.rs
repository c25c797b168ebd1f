//! The HTTP API between client and server: paths, headers, bodies, limits, errors.
//!
//! Types only. Answers are read leniently (unknown keys are ignored, most keys are optional), because they
//! may come from a newer or older server; the server validates requests on arrival.
//!
//! | module | owns |
//! |---|---|
//! | [`endpoint`] | paths, header names, the contract version |
//! | [`batch`] | event ingest: request, per-event results |
//! | [`body`] | artifact bodies: fields, uploaded files, answers |
//! | [`health`] | the limits a server advertises |
//! | [`me`] | account of a token, and its teams |
//! | [`oauth`] | device flow, PKCE, tokens, refresh, revocation |
//! | [`ci_token`] | the long-lived token of a machine account |
//! | [`error`] | the error envelope and its codes |
//! | [`inspect`] | the rows that a server stores |
//! | [`receipts`] | whether a server still has what it acknowledged |
//! | [`sharing`] | sharing a project with another team, and forgetting a project |

pub mod batch;
pub mod body;
pub mod ci_token;
pub mod endpoint;
pub mod error;
pub mod health;
pub mod inspect;
pub mod me;
pub mod oauth;
pub mod receipts;
pub mod sharing;

pub use batch::{BatchResponse, EventResult, EventStatus};
pub use body::{ArtifactBody, BodyAnswer};
pub use ci_token::CiToken;
pub use error::ErrorEnvelope;
pub use health::{IngressLimits, SyncHealth};
pub use me::{AccountTeam, Me};
pub use oauth::{DeviceAuthorization, OAuthError, Revocation, TokenGrant};
