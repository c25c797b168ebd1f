//! Request limits that a server advertises.

use contract::wire::IngressLimits;
use contract::wire::health::{DEFAULT_MAX_BYTES, DEFAULT_MAX_EVENTS};
use serde_json::Value;
use std::time::Duration;

/// Reads a `limits` object as another server may write it: a field that is not a positive whole number
/// is as if it were absent, and does not spoil the others.
pub(crate) fn read_limits(limits: &Value) -> IngressLimits {
    let positive = |key: &str| limits.get(key).and_then(Value::as_u64).filter(|value| *value > 0);
    IngressLimits {
        max_events_per_batch: positive("max_events_per_batch"),
        max_decompressed_bytes_per_batch: positive("max_decompressed_bytes_per_batch"),
        retry_after_min_seconds: positive("retry_after_min_seconds"),
        retry_after_max_seconds: positive("retry_after_max_seconds"),
    }
}

/// The limits in a health document.
pub(crate) fn read_health_limits(document: &Value) -> IngressLimits {
    document.pointer("/sync_ingress/limits").map(read_limits).unwrap_or_default()
}

/// Limits of one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestLimits {
    /// Most events.
    pub events: usize,
    /// Most bytes of the JSON before compression, our margin already taken off.
    pub bytes: usize,
    /// Least time to wait after a 429 that names none.
    pub retry_after_min: Duration,
}

impl RequestLimits {
    /// Limits of a server that advertises none: those of its earliest release.
    pub(crate) const UNADVERTISED: Self = Self {
        events: DEFAULT_MAX_EVENTS as usize,
        bytes: with_margin(DEFAULT_MAX_BYTES as usize),
        retry_after_min: Duration::from_secs(1),
    };

    /// However much a server accepts, one batch stays in memory.
    const MOST_EVENTS: usize = 5_000;
    const MOST_BYTES: usize = 8 << 20;

    /// Takes over what the server advertises; what it does not mention stays.
    pub fn learn(&mut self, advertised: IngressLimits) {
        if let Some(events) = advertised.max_events_per_batch {
            self.events = at_most(events, Self::MOST_EVENTS);
        }
        if let Some(bytes) = advertised.max_decompressed_bytes_per_batch {
            self.bytes = with_margin(at_most(bytes, Self::MOST_BYTES));
        }
        if let Some(seconds) = advertised.retry_after_min_seconds {
            self.retry_after_min = Duration::from_secs(seconds.min(3600));
        }
    }
}

fn at_most(value: u64, most: usize) -> usize {
    usize::try_from(value).unwrap_or(most).min(most)
}

/// Nine tenths: the server may count differently, for example after decoding.
const fn with_margin(bytes: usize) -> usize {
    bytes - bytes.div_ceil(10)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn health_document_sets_the_limits_with_a_margin() {
        let mut limits = RequestLimits::UNADVERTISED;
        limits.learn(read_health_limits(&json!({"sync_ingress": {"contract_version": "x", "limits": {
            "max_events_per_batch": 50, "max_decompressed_bytes_per_batch": 1000, "retry_after_min_seconds": 3}}})));
        assert_eq!(limits, RequestLimits { events: 50, bytes: 900, retry_after_min: Duration::from_secs(3) });
    }

    #[test]
    fn nonsense_changes_nothing_and_giants_are_bounded() {
        for document in [
            json!(null),
            json!({"sync_ingress": []}),
            json!({"sync_ingress": {"limits": {"max_events_per_batch": 0, "max_decompressed_bytes_per_batch": -5,
                "retry_after_min_seconds": "9"}}}),
        ] {
            let mut limits = RequestLimits::UNADVERTISED;
            limits.learn(read_health_limits(&document));
            assert_eq!(limits, RequestLimits::UNADVERTISED);
        }
        let mut limits = RequestLimits::UNADVERTISED;
        let giant = json!({"max_events_per_batch": u64::MAX, "max_decompressed_bytes_per_batch": u64::MAX,
            "retry_after_min_seconds": u64::MAX});
        limits.learn(read_limits(&giant));
        assert!(
            limits.events <= 5_000 && limits.bytes <= 8 << 20 && limits.retry_after_min.as_secs() <= 3600
        );
    }

    #[test]
    fn default_budget_is_the_reference_s() {
        assert_eq!(RequestLimits::UNADVERTISED.bytes, 235_929);
    }
}
