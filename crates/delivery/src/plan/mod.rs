//! Batch planning: request limits, batch sizing, and the order of the pieces of a refused batch. Pure.

mod batch_sizing;
mod batch_splitter;
mod limits;

pub use batch_sizing::{BatchSize, BatchSizing};
pub use batch_splitter::BatchSplitter;
pub use limits::RequestLimits;
pub(crate) use limits::{read_health_limits, read_limits};
