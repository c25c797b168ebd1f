//! How it leaves: login, plan batches, send, judge answers, back off, drain.

pub mod auth;
pub mod backoff;
pub mod context;
pub mod destination;
pub mod drain;
pub mod envelope;
pub mod http;
pub mod judge;
pub mod plan;
pub mod token;

pub use context::Context;
pub use drain::{DrainError, DrainOptions, DrainReport, Progress, drain};
pub use token::{TokenError, TokenSource};
