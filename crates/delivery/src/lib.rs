//! How it leaves: login, plan batches, send, judge answers, back off, drain.
//!
//! | module | owns |
//! |---|---|
//! | [`context`] | what every request needs to know about this machine |
//! | [`destination`] | servers that requests may go to |
//! | [`http`] | the one HTTP client: bounds, headers, redirects, errors |
//! | [`auth`] | login, refresh, logout, choice of a team |
//! | [`token`] | the token that goes with a request, and whether it may |
//! | [`envelope`] | the outgoing form of a stored event; pure |
//! | [`plan`] | limits, pace, pieces of a batch; pure |
//! | [`classify`] | what an answer means for the rows that were sent; pure |
//! | [`backoff`] | when to try again; pure |
//! | [`drain`](mod@drain) | the only code that sends events and bodies |
//! | [`probe`] | questions to a server that carry no row |
//! | [`receipts`] | which delivered rows a server no longer has |
//!
//! Invariants: no row leaves without an egress permit of the gate; no token goes to a host that did not
//! issue it; no outcome deletes a payload; nothing here prints.

// Files are opened by `identity::regular`, or as a reason beside the call says (clippy.toml).
#![cfg_attr(not(test), deny(clippy::disallowed_methods))]

pub mod auth;
pub mod backoff;
pub mod classify;
pub mod context;
pub mod destination;
pub mod drain;
pub mod envelope;
pub mod http;
pub mod plan;
pub mod probe;
pub mod receipts;
pub mod token;

pub use context::Context;
pub use drain::{DrainError, DrainOptions, DrainReport, Progress, drain};
pub use token::{TokenError, TokenSource};
