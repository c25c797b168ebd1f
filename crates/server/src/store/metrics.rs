//! Measurements of the store, which `/metrics` shows.

use crate::error::ServerError;
use crate::metrics::SECONDS;
use prometheus::{Histogram, HistogramOpts};
use std::io;
use std::time::Duration;

/// Bounds of the number of changes in a commit.
const CHANGES: [f64; 6] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0];

/// Commits of one store. A clone counts in the same place.
#[derive(Clone, Debug)]
pub(crate) struct StoreMetrics {
    seconds: Histogram,
    changes: Histogram,
}

impl StoreMetrics {
    /// Fails only on a name that is not valid, or on bounds that do not grow.
    pub(crate) fn new() -> Result<Self, ServerError> {
        let histogram = |name: &str, help: &str, bounds: &[f64]| {
            Histogram::with_opts(HistogramOpts::new(name, help).buckets(bounds.to_vec()))
                .map_err(|error| ServerError::Thread(io::Error::other(error)))
        };
        let seconds = "Time of a commit until the database confirmed it.";
        let changes = "Changes in a commit: batches, bodies, logins.";
        Ok(Self {
            seconds: histogram("commit_duration_seconds", seconds, &SECONDS)?,
            changes: histogram("commit_changes", changes, &CHANGES)?,
        })
    }

    pub(super) fn count_commit(&self, changes: usize, duration: Duration) {
        self.seconds.observe(duration.as_secs_f64());
        self.changes.observe(changes as f64);
    }

    /// For a registry.
    pub(crate) fn all(&self) -> [Histogram; 2] {
        [self.seconds.clone(), self.changes.clone()]
    }
}

/// Use of the connections to a database.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ConnectionUse {
    pub(crate) most: usize,
    pub(crate) in_use: usize,
    /// Changes that wait.
    pub(crate) waiting: usize,
}
