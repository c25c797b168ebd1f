//! Counters, in the Prometheus text format. Plain atomics: the labels are few and fixed.

use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};

/// The routes that are counted apart. Tests assert that those of a client stand still.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// `POST /api/v1/events/batch/`
    EventsBatch,
    /// `POST /api/dossier/push-content/`
    PushContent,
    /// `GET /api/v1/sync/health/`
    SyncHealth,
    /// `POST /api/v1/sync/receipts/`
    Receipts,
    /// `GET /api/v1/me`
    Me,
    /// `GET /api/v1/session-status`
    SessionStatus,
    /// Sharing and forgetting.
    Sharing,
    /// `/oauth/token`
    Token,
    /// The rest of `/oauth`, and the approval page.
    OAuth,
    /// `GET /api/v1/inspect/...`
    Inspect,
    /// `/`, `/healthz`, `/readyz`, `/metrics`.
    Operations,
    /// Anything else.
    Other,
}

impl Route {
    /// Every route.
    pub const ALL: [Self; 12] = [
        Self::EventsBatch,
        Self::PushContent,
        Self::SyncHealth,
        Self::Receipts,
        Self::Me,
        Self::SessionStatus,
        Self::Sharing,
        Self::Token,
        Self::OAuth,
        Self::Inspect,
        Self::Operations,
        Self::Other,
    ];

    /// The label.
    pub const fn name(self) -> &'static str {
        match self {
            Self::EventsBatch => "events_batch",
            Self::PushContent => "push_content",
            Self::SyncHealth => "sync_health",
            Self::Receipts => "receipts",
            Self::Me => "me",
            Self::SessionStatus => "session_status",
            Self::Sharing => "sharing",
            Self::Token => "oauth_token",
            Self::OAuth => "oauth",
            Self::Inspect => "inspect",
            Self::Operations => "operations",
            Self::Other => "other",
        }
    }

    /// The route of a path.
    pub fn of(path: &str) -> Self {
        use contract::wire::endpoint as at;
        match path {
            at::EVENTS_BATCH => Self::EventsBatch,
            at::PUSH_CONTENT => Self::PushContent,
            at::SYNC_HEALTH => Self::SyncHealth,
            at::RECEIPTS => Self::Receipts,
            at::ME => Self::Me,
            at::SESSION_STATUS => Self::SessionStatus,
            at::OAUTH_TOKEN => Self::Token,
            "/" | at::HEALTHZ | at::READYZ | at::METRICS => Self::Operations,
            _ if path.starts_with(at::REPOSITORY_SHARES) || path.starts_with("/api/v1/sync/projects/") => {
                Self::Sharing
            }
            _ if path.starts_with("/oauth/") || path == at::DEVICE_APPROVAL => Self::OAuth,
            _ if path.starts_with("/api/v1/inspect/") => Self::Inspect,
            _ => Self::Other,
        }
    }
}

/// All counters of a server.
#[derive(Debug, Default)]
pub struct Metrics {
    requests: [AtomicU64; Route::ALL.len()],
    by_class: [AtomicU64; 6],
    /// Events committed.
    pub events_stored: AtomicU64,
    /// Events held before.
    pub events_duplicate: AtomicU64,
    /// Events held before with other bytes.
    pub events_differing: AtomicU64,
    /// Events not accepted.
    pub events_rejected: AtomicU64,
    /// Events committed with a tolerated deviation.
    pub events_legacy_shape: AtomicU64,
    /// Bodies committed.
    pub bodies_stored: AtomicU64,
    /// Bytes of request bodies as they arrived.
    pub bytes_in: AtomicU64,
    /// Connections open now.
    pub connections: AtomicU64,
    /// Connections without a request head that gave way to a new one.
    pub connections_shed: AtomicU64,
    /// Connections not taken because their address, or all, were busy.
    pub connections_refused: AtomicU64,
    /// Requests refused because their account or address held its whole share.
    pub requests_over_share: AtomicU64,
    /// Guesses of secrets and codes that had to wait.
    pub guesses_paused: AtomicU64,
    /// Lines the access log had to drop.
    pub log_lines_dropped: AtomicU64,
}

impl Metrics {
    /// Counts a finished request.
    pub fn count_request(&self, route: Route, status: u16) {
        let place = Route::ALL.iter().position(|known| *known == route).unwrap_or(Route::ALL.len() - 1);
        add(&self.requests[place], 1);
        add(&self.by_class[usize::from(status / 100).min(5)], 1);
    }

    /// Requests of a route so far.
    pub fn requests(&self, route: Route) -> u64 {
        let place = Route::ALL.iter().position(|known| *known == route);
        place.map_or(0, |place| self.requests[place].load(Ordering::Relaxed))
    }

    /// Requests of all routes but [`Route::Operations`] so far: what clients asked.
    pub fn client_requests(&self) -> u64 {
        let is_client = |route: &&Route| **route != Route::Operations;
        Route::ALL.iter().filter(is_client).map(|route| self.requests(*route)).sum()
    }

    /// The text of `/metrics`.
    pub fn render(&self) -> String {
        let mut out = String::with_capacity(2048);
        family(&mut out, "spec_kitty_requests_total", "counter", "Requests answered.");
        for route in Route::ALL {
            line(
                &mut out,
                "spec_kitty_requests_total",
                &format!("{{route=\"{}\"}}", route.name()),
                self.requests(route),
            );
        }
        family(&mut out, "spec_kitty_responses_total", "counter", "Answers by status class.");
        for (class, count) in self.by_class.iter().enumerate().skip(1) {
            let labels = format!("{{class=\"{class}xx\"}}");
            line(&mut out, "spec_kitty_responses_total", &labels, count.load(Ordering::Relaxed));
        }
        let plain: [(&str, &str, &str, &AtomicU64); 13] = [
            ("spec_kitty_events_stored_total", "counter", "Events committed.", &self.events_stored),
            ("spec_kitty_events_duplicate_total", "counter", "Events held before.", &self.events_duplicate),
            (
                "spec_kitty_events_differing_total",
                "counter",
                "Events held before with other bytes.",
                &self.events_differing,
            ),
            ("spec_kitty_events_rejected_total", "counter", "Events not accepted.", &self.events_rejected),
            (
                "spec_kitty_events_legacy_shape_total",
                "counter",
                "Events committed with a tolerated deviation.",
                &self.events_legacy_shape,
            ),
            ("spec_kitty_bodies_stored_total", "counter", "Bodies committed.", &self.bodies_stored),
            ("spec_kitty_request_bytes_total", "counter", "Bytes of request bodies.", &self.bytes_in),
            ("spec_kitty_connections", "gauge", "Connections open now.", &self.connections),
            (
                "spec_kitty_connections_shed_total",
                "counter",
                "Connections without a request head that gave way to a new one.",
                &self.connections_shed,
            ),
            (
                "spec_kitty_connections_refused_total",
                "counter",
                "Connections not taken because their address, or all, were busy.",
                &self.connections_refused,
            ),
            (
                "spec_kitty_over_share_total",
                "counter",
                "Requests refused because their account or address held its whole share.",
                &self.requests_over_share,
            ),
            (
                "spec_kitty_guesses_paused_total",
                "counter",
                "Guesses of secrets and codes that had to wait.",
                &self.guesses_paused,
            ),
            (
                "spec_kitty_access_log_dropped_total",
                "counter",
                "Access log lines dropped because the log was too slow.",
                &self.log_lines_dropped,
            ),
        ];
        for (name, kind, help, value) in plain {
            family(&mut out, name, kind, help);
            line(&mut out, name, "", value.load(Ordering::Relaxed));
        }
        out
    }
}

/// Adds to a counter.
pub fn add(counter: &AtomicU64, count: u64) {
    counter.fetch_add(count, Ordering::Relaxed);
}

fn family(out: &mut String, name: &str, kind: &str, help: &str) {
    // Writing to a String cannot fail.
    let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}");
}

fn line(out: &mut String, name: &str, labels: &str, value: u64) {
    let _ = writeln!(out, "{name}{labels} {value}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn client_requests_leave_out_what_operators_ask() {
        let metrics = Metrics::default();
        metrics.count_request(Route::of("/metrics"), 200);
        metrics.count_request(Route::of("/api/v1/events/batch/"), 200);
        metrics.count_request(Route::of("/api/v1/tracker/status/"), 404);
        assert_eq!(metrics.client_requests(), 2);
        let text = metrics.render();
        assert!(text.contains("spec_kitty_requests_total{route=\"events_batch\"} 1\n"), "{text}");
        assert!(text.contains("spec_kitty_responses_total{class=\"4xx\"} 1\n"), "{text}");
    }
}
