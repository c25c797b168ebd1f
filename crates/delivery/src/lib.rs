//! Delivery: login, batches, HTTP, classification of answers, back-off and the drain.
//!
//! | module | owns |
//! |---|---|
//! | [`context`] | facts about this machine that every request needs |
//! | [`server_address`] | servers that requests may be sent to |
//! | [`http`] | the one HTTP client: bounds, headers, redirects, errors |
//! | [`auth`] | login, refresh, logout, choice of a team |
//! | [`token_source`] | access tokens of one account at one server |
//! | [`outgoing_event`] | the outgoing form of a stored event; pure |
//! | [`plan`] | request limits, batch sizing and splitting; pure |
//! | [`classify`] | meaning of an answer for the rows that were sent; pure |
//! | [`backoff`] | when to try again; pure |
//! | [`drain`](mod@drain) | the only code that sends events and bodies |
//! | [`probe`] | questions to a server that carry no row |
//! | [`receipts`] | delivered rows that a server no longer has |
//! | [`sharing`] | projects that other teams see, and projects that the server deletes |
//!
//! Invariants. No row leaves without an egress permit of the gate. No token is sent to a host that did not issue it.
//! No outcome deletes a payload. Nothing here prints.

// Files are opened by `system::regular`, or for the reason beside the call (clippy.toml).
#![cfg_attr(not(test), deny(clippy::disallowed_methods))]

pub mod auth;
pub mod backoff;
pub mod classify;
pub mod context;
pub mod drain;
pub mod http;
pub mod outgoing_event;
pub mod plan;
pub mod probe;
pub mod receipts;
pub mod server_address;
pub mod sharing;
pub mod token_source;

pub use context::DeliveryContext;
pub use drain::{DrainError, DrainOptions, DrainProgress, DrainReport, drain};
pub use token_source::{TokenError, TokenSource};
