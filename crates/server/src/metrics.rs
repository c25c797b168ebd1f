//! Request, event and connection counters in the Prometheus text format.

use crate::store::StoreMetrics;
use contract::event::RejectionCode;
use prometheus::{
    Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, Registry, TextEncoder,
    register_histogram_vec_with_registry, register_histogram_with_registry,
    register_int_counter_vec_with_registry, register_int_counter_with_registry,
    register_int_gauge_with_registry,
};
use std::time::Duration;
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
    /// `/`, `/healthz`, `/readyz`, `/metrics`, `/openapi.json`.
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
            "/" | at::HEALTHZ | at::READYZ | at::METRICS | at::OPENAPI => Self::Operations,
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
        ["account", "assets", "machines", "missions", "rejected", "sign-in", "sign-out"].contains(&first)
    }
}

/// Bounds of durations, in seconds.
pub(crate) const SECONDS: [f64; 14] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];
/// Bounds of the number of events in a batch.
const EVENTS: [f64; 7] = [1.0, 10.0, 50.0, 100.0, 250.0, 500.0, 1000.0];

/// All counters of one server. Labels have few values: no team, account or address is one.
#[derive(Debug)]
pub(crate) struct Metrics {
    registry: Registry,
    requests: IntCounterVec,
    responses: IntCounterVec,
    refusals: IntCounterVec,
    seconds: HistogramVec,
    pub(crate) batch_events: Histogram,
    pub(crate) events_stored: IntCounter,
    pub(crate) events_duplicate: IntCounter,
    pub(crate) events_differing: IntCounter,
    pub(crate) events_rejected: IntCounter,
    rejections: IntCounterVec,
    pub(crate) events_legacy_shape: IntCounter,
    pub(crate) bodies_stored: IntCounter,
    pub(crate) request_bytes: IntCounter,
    pub(crate) connections: IntGauge,
    pub(crate) connections_shed: IntCounter,
    pub(crate) connections_refused: IntCounter,
    pub(crate) over_share: IntCounter,
    pub(crate) guesses_paused: IntCounter,
    pub(crate) access_log_dropped: IntCounter,
    pub(crate) uploads: IntGauge,
    pub(crate) uploads_waiting: IntGauge,
    pub(crate) store_connections: IntGauge,
    pub(crate) store_connections_in_use: IntGauge,
    pub(crate) store_waiting: IntGauge,
    pub(crate) certificate_expiry: IntGauge,
    pub(crate) last_backup: IntGauge,
}

impl Metrics {
    /// Fails only on a name that is not valid or registered twice.
    pub(crate) fn new(store: &StoreMetrics) -> prometheus::Result<Self> {
        let registry = Registry::new_custom(Some("spec_kitty".to_owned()), None)?;
        let counter =
            |name: &str, help: &str| register_int_counter_with_registry!(name, help, registry.clone());
        let labelled = |name: &str, help: &str, label: &str| {
            register_int_counter_vec_with_registry!(name, help, &[label], registry.clone())
        };
        let gauge = |name: &str, help: &str| register_int_gauge_with_registry!(name, help, registry.clone());
        for histogram in store.all() {
            registry.register(Box::new(histogram))?;
        }
        let metrics = Self {
            requests: labelled("requests_total", "Requests answered.", "route")?,
            responses: labelled("responses_total", "Answers by status class.", "class")?,
            refusals: labelled("refusals_total", "Requests refused, by error code.", "code")?,
            seconds: register_histogram_vec_with_registry!(
                HistogramOpts::new(
                    "request_duration_seconds",
                    "Time from the head of a request to that of its answer."
                )
                .buckets(SECONDS.to_vec()),
                &["route"],
                registry.clone()
            )?,
            batch_events: register_histogram_with_registry!(
                HistogramOpts::new("batch_events", "Events of a batch.").buckets(EVENTS.to_vec()),
                registry.clone()
            )?,
            events_stored: counter("events_stored_total", "Events committed.")?,
            events_duplicate: counter("events_duplicate_total", "Events stored before.")?,
            events_differing: counter("events_differing_total", "Events stored before with other bytes.")?,
            events_rejected: counter("events_rejected_total", "Events not accepted.")?,
            rejections: labelled("rejections_total", "Events not accepted, by code.", "code")?,
            events_legacy_shape: counter(
                "events_legacy_shape_total",
                "Events committed with a tolerated deviation.",
            )?,
            bodies_stored: counter("bodies_stored_total", "Bodies committed.")?,
            request_bytes: counter("request_bytes_total", "Bytes of request bodies.")?,
            connections: gauge("connections", "Open connections.")?,
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
            uploads: gauge("uploads", "Batches and bodies in memory.")?,
            uploads_waiting: gauge("uploads_waiting", "Uploads that wait for a place in memory.")?,
            store_connections: gauge("store_connections", "Connections to the database that may be used.")?,
            store_connections_in_use: gauge(
                "store_connections_in_use",
                "Connections to the database in use.",
            )?,
            store_waiting: gauge("store_waiting", "Changes that wait for the database.")?,
            certificate_expiry: gauge(
                "certificate_expiry_timestamp_seconds",
                "End of the validity of the certificate in use; 0 without TLS.",
            )?,
            last_backup: gauge(
                "last_backup_timestamp_seconds",
                "Time of the last backup by `server backup`; 0 if there is none.",
            )?,
            registry,
        };
        // A series exists from the start, at zero.
        Route::iter().for_each(|route| _ = (metrics.requests(route), metrics.seconds(route)));
        (1..=5).for_each(|class| _ = metrics.responses(class));
        Ok(metrics)
    }

    fn requests(&self, route: Route) -> IntCounter {
        self.requests.with_label_values(&[<&str>::from(route)])
    }

    fn responses(&self, class: u16) -> IntCounter {
        self.responses.with_label_values(&[format!("{class}xx")])
    }

    fn seconds(&self, route: Route) -> Histogram {
        self.seconds.with_label_values(&[<&str>::from(route)])
    }

    pub(crate) fn count_request(&self, route: Route, status: u16, duration: Duration) {
        self.requests(route).inc();
        self.responses(status / 100).inc();
        self.seconds(route).observe(duration.as_secs_f64());
    }

    pub(crate) fn count_rejection(&self, code: RejectionCode) {
        self.events_rejected.inc();
        self.rejections.with_label_values(&[code.name()]).inc();
    }

    /// The code is one of the program's own, so the series stay few.
    pub(crate) fn count_refusal(&self, code: &'static str) {
        self.refusals.with_label_values(&[code]).inc();
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
    use prometheus::core::Collector;
    use std::collections::BTreeSet;

    /// The names of every field, so that a new one does not compile until it is here.
    fn names(store: &StoreMetrics, metrics: &Metrics) -> BTreeSet<String> {
        let Metrics {
            registry: _,
            requests,
            responses,
            refusals,
            seconds,
            batch_events,
            events_stored,
            events_duplicate,
            events_differing,
            events_rejected,
            rejections,
            events_legacy_shape,
            bodies_stored,
            request_bytes,
            connections,
            connections_shed,
            connections_refused,
            over_share,
            guesses_paused,
            access_log_dropped,
            uploads,
            uploads_waiting,
            store_connections,
            store_connections_in_use,
            store_waiting,
            certificate_expiry,
            last_backup,
        } = metrics;
        let own: [&dyn Collector; 26] = [
            requests,
            responses,
            refusals,
            seconds,
            batch_events,
            events_stored,
            events_duplicate,
            events_differing,
            events_rejected,
            rejections,
            events_legacy_shape,
            bodies_stored,
            request_bytes,
            connections,
            connections_shed,
            connections_refused,
            over_share,
            guesses_paused,
            access_log_dropped,
            uploads,
            uploads_waiting,
            store_connections,
            store_connections_in_use,
            store_waiting,
            certificate_expiry,
            last_backup,
        ];
        let of_store = store.all();
        let all = own.into_iter().chain(of_store.iter().map(|histogram| histogram as &dyn Collector));
        all.flat_map(Collector::desc).map(|description| description.fq_name.clone()).collect()
    }

    #[test]
    fn table_of_the_page_has_every_metric_and_no_other() {
        let store = StoreMetrics::new().unwrap();
        let metrics = Metrics::new(&store).unwrap();
        let names = names(&store, &metrics);
        let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/server.md"));
        let page = page.unwrap();
        let (_, table) = page.split_once("\n### Metrics\n").expect("the section");
        let (table, _) = table.split_once("\n## ").expect("the next section");
        let first_cells = table.lines().filter_map(|line| line.strip_prefix("| `")?.split(" |").next());
        let listed: Vec<String> =
            first_cells.flat_map(|cell| cell.split("`, `")).map(|name| name.replace('`', "")).collect();
        assert_eq!(listed.len(), names.len(), "a name is there twice: {listed:?}");
        assert_eq!(listed.into_iter().collect::<BTreeSet<_>>(), names);
        // The other sections write the whole name.
        for code in page.split('`').skip(1).step_by(2) {
            let Some(name) = code.strip_prefix("spec_kitty_") else { continue };
            assert!(name.is_empty() || names.contains(name), "{code}");
        }
    }

    #[test]
    fn client_requests_exclude_operator_routes() {
        let metrics = Metrics::new(&StoreMetrics::new().unwrap()).unwrap();
        metrics.count_request(Route::of("/metrics"), 200, Duration::ZERO);
        metrics.count_request(Route::of("/api/v1/events/batch/"), 200, Duration::from_millis(3));
        metrics.count_request(Route::of("/api/v1/tracker/status/"), 404, Duration::ZERO);
        assert_eq!(metrics.client_requests(), 2);
        let text = metrics.render();
        for line in [
            "# TYPE spec_kitty_requests_total counter\n",
            "spec_kitty_requests_total{route=\"events_batch\"} 1\n",
            "spec_kitty_requests_total{route=\"oauth_token\"} 0\n",
            "spec_kitty_request_duration_seconds_bucket{route=\"events_batch\",le=\"0.0025\"} 0\n",
            "spec_kitty_request_duration_seconds_bucket{route=\"events_batch\",le=\"0.005\"} 1\n",
            "spec_kitty_commit_duration_seconds_count 0\n",
            "spec_kitty_responses_total{class=\"4xx\"} 1\n",
            "# TYPE spec_kitty_connections gauge\nspec_kitty_connections 0\n",
        ] {
            assert!(text.contains(line), "{line}{text}");
        }
    }
}
