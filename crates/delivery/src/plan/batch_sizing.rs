//! Batch size: halves on "too large", grows back on success, stays below what was refused.
//!
//! Invariants: the room is never zero, never above the limits, and never as large as a batch that the
//! server refused as too large.

use super::limits::RequestLimits;
use contract::wire::IngressLimits;

/// Size of one batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchSize {
    /// Most rows.
    pub events: usize,
    /// Most bytes of the encoded batch. A single larger row is sent alone.
    pub bytes: usize,
}

impl BatchSize {
    /// Whether a batch of this size needs no more than `room`.
    pub fn fits(self, room: Self) -> bool {
        self.events <= room.events && self.bytes <= room.bytes
    }
}

/// Batch sizing of one drain.
#[derive(Clone, Debug)]
pub struct BatchSizing {
    limits: RequestLimits,
    room: BatchSize,
    /// The smallest batch that was refused as too large, in either dimension.
    refused: Option<BatchSize>,
}

impl BatchSizing {
    /// Starts with all that the limits allow.
    pub fn new(limits: RequestLimits) -> Self {
        let room = BatchSize { events: limits.events.max(1), bytes: limits.bytes.max(1) };
        Self { limits, room, refused: None }
    }

    /// Size that the next batch may have.
    pub fn room(&self) -> BatchSize {
        self.room
    }

    /// The limits as learned so far.
    pub fn limits(&self) -> &RequestLimits {
        &self.limits
    }

    /// Limits that the server advertises: from now on a batch may be as large as they allow.
    pub fn learn(&mut self, advertised: IngressLimits) {
        self.limits.learn(advertised);
        self.room = BatchSize { events: self.limits.events, bytes: self.limits.bytes };
        self.clamp();
    }

    /// A batch of that size was taken: half as much again, up to the ceiling.
    pub fn grow(&mut self) {
        self.room.events = self.room.events.saturating_add(self.room.events.div_ceil(2));
        self.room.bytes = self.room.bytes.saturating_add(self.room.bytes.div_ceil(2));
        self.clamp();
    }

    /// A batch of `sent` was refused as too large; the answer may have named the limits.
    pub fn shrink(&mut self, sent: BatchSize, advertised: IngressLimits) {
        self.limits.learn(advertised);
        let refused = self.refused.unwrap_or(sent);
        self.refused =
            Some(BatchSize { events: refused.events.min(sent.events), bytes: refused.bytes.min(sent.bytes) });
        self.room = BatchSize { events: (sent.events / 2).max(1), bytes: (sent.bytes / 2).max(1) };
        self.clamp();
    }

    fn clamp(&mut self) {
        let below = |refused: usize| refused.saturating_sub(1).max(1);
        let ceiling = self.refused.map_or(
            BatchSize { events: self.limits.events, bytes: self.limits.bytes },
            |refused| BatchSize {
                events: below(refused.events).min(self.limits.events),
                bytes: below(refused.bytes).min(self.limits.bytes),
            },
        );
        self.room.events = self.room.events.min(ceiling.events).max(1);
        self.room.bytes = self.room.bytes.min(ceiling.bytes).max(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;
    use std::time::Duration;

    fn sizing(events: usize, bytes: usize) -> BatchSizing {
        BatchSizing::new(RequestLimits { events, bytes, retry_after_min: Duration::ZERO })
    }

    #[test]
    fn batch_size_halves_on_413_and_grows_below_the_refusal() {
        let mut sizing = sizing(1000, 100_000);
        sizing.shrink(BatchSize { events: 1000, bytes: 80_000 }, IngressLimits::default());
        assert_eq!(sizing.room(), BatchSize { events: 500, bytes: 40_000 });
        for _ in 0..20 {
            sizing.grow();
        }
        assert_eq!(sizing.room(), BatchSize { events: 999, bytes: 79_999 });
    }

    #[test]
    fn limits_named_in_the_refusal_hold_at_once() {
        let mut sizing = sizing(1000, 100_000);
        let named = crate::plan::read_limits(&json!({"max_events_per_batch": 10}));
        sizing.shrink(BatchSize { events: 1000, bytes: 80_000 }, named);
        assert_eq!(sizing.room().events, 10);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]
        #[test]
        fn batch_size_stays_within_limits_and_below_refusals(
            events in 0usize..3000, bytes in 0usize..500_000,
            steps in prop::collection::vec(prop::option::of((1usize..3000, 1usize..500_000)), 0..40),
        ) {
            let mut sizing = sizing(events, bytes);
            let mut refused: Vec<BatchSize> = Vec::new();
            for step in steps {
                match step {
                    None => sizing.grow(),
                    Some((events, bytes)) => {
                        // A batch fits into the room, but for a single larger row.
                        let room = sizing.room();
                        let sent = BatchSize { events: events.min(room.events), bytes: if events == 1 { bytes } else { bytes.min(room.bytes) } };
                        sizing.shrink(sent, IngressLimits::default());
                        refused.push(sent);
                    }
                }
                let room = sizing.room();
                prop_assert!(room.events >= 1 && room.bytes >= 1);
                prop_assert!(room.events <= events.max(1) && room.bytes <= bytes.max(1));
                for refused in &refused {
                    prop_assert!(room.events < refused.events.max(2) && room.bytes < refused.bytes.max(2));
                }
            }
        }
    }
}
