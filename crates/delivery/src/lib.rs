//! How it leaves: login, plan batches, send, judge answers, back off, drain.

pub mod backoff;
pub mod destination;
pub mod envelope;
pub mod http;
pub mod judge;
pub mod plan;
