//! stub
#![allow(missing_docs, unused_variables, clippy::todo)]
use crate::home::Home;
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClockReading {
    pub value: u64,
    pub node_id: String,
}
#[derive(Debug, thiserror::Error)]
pub enum ClockError {
    #[error("todo")]
    Todo,
}
/// Draws `count` consecutive values above everything this home has used and above `floor`; returns the first.
/// node_id: used when clock.json has none.
pub fn draw(home: &Home, count: u64, floor: u64, node_id: &str) -> Result<ClockReading, ClockError> {
    todo!()
}
pub fn read_clock(home: &Home) -> Result<Option<ClockReading>, ClockError> {
    todo!()
}
