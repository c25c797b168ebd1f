//! The overview at `/`: that the server runs and how much it holds. Nothing of any account.

use super::escape;
use crate::config::Limits;
use crate::metrics::Metrics;
use crate::moment::Moment;
use crate::store::Totals;
use contract::wire::endpoint;
use std::sync::atomic::Ordering;

/// What the page shows.
pub(crate) struct Overview<'a> {
    pub(crate) url: &'a str,
    pub(crate) version: &'a str,
    pub(crate) started: Moment,
    pub(crate) totals: Totals,
    pub(crate) limits: &'a Limits,
    pub(crate) metrics: &'a Metrics,
}

/// The page's body.
pub(crate) fn render(overview: &Overview<'_>) -> String {
    let Overview { totals, limits, metrics, .. } = overview;
    let url = escape(overview.url);
    let held = table(&[
        ("Events", totals.events),
        ("Artifact bodies", totals.bodies),
        ("Projects", totals.projects),
        ("Accounts", totals.accounts),
        ("Teams", totals.teams),
        ("Sessions", totals.sessions),
    ]);
    let since = table(&[
        ("Requests of clients", metrics.client_requests()),
        ("Events stored", metrics.events_stored.load(Ordering::Relaxed)),
        ("Events held before", metrics.events_duplicate.load(Ordering::Relaxed)),
        ("Events rejected", metrics.events_rejected.load(Ordering::Relaxed)),
        ("Events of earlier clients' shapes", metrics.events_legacy_shape.load(Ordering::Relaxed)),
    ]);
    let bounds = table(&[
        ("Events in a batch", limits.events_per_batch as u64),
        ("Bytes in a batch", limits.bytes_per_batch as u64),
    ]);
    format!(
        "<h1>This sync server is running</h1>\n\
         <p class=\"soft\">Version {version}, since {started}</p>\n\
         <p>Log in from a checkout with<br><code>spec-kitty auth login --server {url}</code></p>\n\
         <h2>Held</h2>\n{held}\n<h2>Since the start</h2>\n{since}\n<h2>Limits</h2>\n{bounds}\n\
         <p class=\"soft\">Counters for machines: <a href=\"{metrics_path}\">{metrics_path}</a></p>",
        version = escape(overview.version),
        started = escape(&overview.started.iso()),
        metrics_path = endpoint::METRICS,
    )
}

fn table(rows: &[(&str, u64)]) -> String {
    let rows: String = rows
        .iter()
        .map(|(name, value)| format!("<tr><th scope=\"row\">{}</th><td>{value}</td></tr>\n", escape(name)))
        .collect();
    format!("<table>\n{rows}</table>")
}
