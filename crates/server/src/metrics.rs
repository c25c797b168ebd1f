//! Request, event and connection counters in the Prometheus text format.

use prometheus::{
    IntCounter, IntCounterVec, IntGauge, Registry, TextEncoder, register_int_counter_vec_with_registry,
    register_int_counter_with_registry, register_int_gauge_with_registry,
};
use strum::{EnumIter, IntoEnumIterator, IntoStaticStr};

/// The value of the label `route`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub(crate) enum Route {
    EventsBatch,
    EventsPreflight,
    PushContent,
    SyncHealth,
    Receipts,
    Me,
    SessionStatus,
    Sharing,
    OauthToken,
    /// The other routes of `/oauth`, and the approval page.
    Oauth,
    Inspect,
    /// Pages of signed-in people, their stylesheet, and the sign-in.
    Pages,
    /// `/`, `/healthz`, `/readyz`, `/metrics`.
    Operations,
    Other,
}

impl Route {
    pub(crate) fn of(path: &str) -> Self {
        use contract::wire::endpoint as at;
        match path {
            at::EVENTS_BATCH => Self::EventsBatch,
            at::EVENTS_PREFLIGHT => Self::EventsPreflight,
            at::PUSH_CONTENT => Self::PushContent,
            at::SYNC_HEALTH => Self::SyncHealth,
            at::RECEIPTS => Self::Receipts,
            at::ME => Self::Me,
            at::SESSION_STATUS => Self::SessionStatus,
            at::OAUTH_TOKEN => Self::OauthToken,
            "/" | at::HEALTHZ | at::READYZ | at::METRICS => Self::Operations,
            _ if path.starts_with(at::REPOSITORY_SHARES) || path.starts_with("/api/v1/sync/projects/") => {
                Self::Sharing
            }
            _ if path.starts_with("/oauth/") || path == at::DEVICE_APPROVAL => Self::Oauth,
            _ if path.starts_with("/api/v1/inspect/") => Self::Inspect,
            _ if Self::is_page(path) => Self::Pages,
            _ => Self::Other,
        }
    }

    fn is_page(path: &str) -> bool {
        let first = path.split('/').nth(1).unwrap_or_default();
        ["account", "assets", "machines", "rejected", "sign-in", "sign-out"].contains(&first)
    }
}

/// All counters of one server.
#[derive(Debug)]
pub(crate) struct Metrics {
    registry: Registry,
    requests: IntCounterVec,
    responses: IntCounterVec,
    pub(crate) events_stored: IntCounter,
    pub(crate) events_duplicate: IntCounter,
    pub(crate) events_differing: IntCounter,
    pub(crate) events_rejected: IntCounter,
    pub(crate) events_legacy_shape: IntCounter,
    pub(crate) bodies_stored: IntCounter,
    pub(crate) request_bytes: IntCounter,
    pub(crate) connections: IntGauge,
    pub(crate) connections_shed: IntCounter,
    pub(crate) connections_refused: IntCounter,
    pub(crate) over_share: IntCounter,
    pub(crate) guesses_paused: IntCounter,
    pub(crate) access_log_dropped: IntCounter,
}

impl Metrics {
    /// Fails only on a name that is not valid or registered twice.
    pub(crate) fn new() -> prometheus::Result<Self> {
        let registry = Registry::new_custom(Some("spec_kitty".to_owned()), None)?;
        let counter =
            |name: &str, help: &str| register_int_counter_with_registry!(name, help, registry.clone());
        let labelled = |name: &str, help: &str, label: &str| {
            register_int_counter_vec_with_registry!(name, help, &[label], registry.clone())
        };
        let metrics = Self {
            requests: labelled("requests_total", "Requests answered.", "route")?,
            responses: labelled("responses_total", "Answers by status class.", "class")?,
            events_stored: counter("events_stored_total", "Events committed.")?,
            events_duplicate: counter("events_duplicate_total", "Events stored before.")?,
            events_differing: counter("events_differing_total", "Events stored before with other bytes.")?,
            events_rejected: counter("events_rejected_total", "Events not accepted.")?,
            events_legacy_shape: counter(
                "events_legacy_shape_total",
                "Events committed with a tolerated deviation.",
            )?,
            bodies_stored: counter("bodies_stored_total", "Bodies committed.")?,
            request_bytes: counter("request_bytes_total", "Bytes of request bodies.")?,
            connections: register_int_gauge_with_registry!(
                "connections",
                "Open connections.",
                registry.clone()
            )?,
            connections_shed: counter(
                "connections_shed_total",
                "Connections without a request head that were closed for a new one.",
            )?,
            connections_refused: counter(
                "connections_refused_total",
                "Connections refused because every place of the address, or of the server, served a request.",
            )?,
            over_share: counter(
                "over_share_total",
                "Requests refused because their account or address used its whole share.",
            )?,
            guesses_paused: counter(
                "guesses_paused_total",
                "Guesses of secrets and codes that had to wait.",
            )?,
            access_log_dropped: counter(
                "access_log_dropped_total",
                "Access log lines dropped because the log was too slow.",
            )?,
            registry,
        };
        // A series exists from the start, at zero.
        Route::iter().for_each(|route| _ = metrics.requests(route));
        (1..=5).for_each(|class| _ = metrics.responses(class));
        Ok(metrics)
    }

    fn requests(&self, route: Route) -> IntCounter {
        self.requests.with_label_values(&[<&str>::from(route)])
    }

    fn responses(&self, class: u16) -> IntCounter {
        self.responses.with_label_values(&[format!("{class}xx")])
    }

    pub(crate) fn count_request(&self, route: Route, status: u16) {
        self.requests(route).inc();
        self.responses(status / 100).inc();
    }

    /// Requests of all routes but [`Route::Operations`].
    pub(crate) fn client_requests(&self) -> u64 {
        let of_clients = Route::iter().filter(|route| *route != Route::Operations);
        of_clients.map(|route| self.requests(route).get()).sum()
    }

    pub(crate) fn render(&self) -> String {
        TextEncoder::new().encode_to_string(&self.registry.gather()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn client_requests_exclude_operator_routes() {
        let metrics = Metrics::new().unwrap();
        metrics.count_request(Route::of("/metrics"), 200);
        metrics.count_request(Route::of("/api/v1/events/batch/"), 200);
        metrics.count_request(Route::of("/api/v1/tracker/status/"), 404);
        assert_eq!(metrics.client_requests(), 2);
        let text = metrics.render();
        for line in [
            "# TYPE spec_kitty_requests_total counter\n",
            "spec_kitty_requests_total{route=\"events_batch\"} 1\n",
            "spec_kitty_requests_total{route=\"oauth_token\"} 0\n",
            "spec_kitty_responses_total{class=\"4xx\"} 1\n",
            "# TYPE spec_kitty_connections gauge\nspec_kitty_connections 0\n",
        ] {
            assert!(text.contains(line), "{line}{text}");
        }
    }
}
