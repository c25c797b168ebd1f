//! The overview at `/`: version, row counts and limits. Nothing about any account.

use super::escape;
use crate::config::ServerLimits;
use crate::metrics::Metrics;
use crate::store::Totals;
use crate::time::UnixMillis;
use contract::wire::endpoint;

pub(crate) struct Overview<'a> {
    pub(crate) url: &'a str,
    pub(crate) version: &'a str,
    pub(crate) started: UnixMillis,
    pub(crate) totals: Totals,
    pub(crate) limits: &'a ServerLimits,
    pub(crate) metrics: &'a Metrics,
}

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
        ("Client requests", metrics.client_requests()),
        ("Events stored", metrics.events_stored.get()),
        ("Events stored before", metrics.events_duplicate.get()),
        ("Events rejected", metrics.events_rejected.get()),
        ("Events in shapes of earlier clients", metrics.events_legacy_shape.get()),
    ]);
    let bounds = table(&[
        ("Events in a batch", limits.events_per_batch as u64),
        ("Bytes in a batch", limits.bytes_per_batch as u64),
    ]);
    format!(
        "<h1>This sync server is running</h1>\n\
         <p class=\"soft\">Version {version}, since {started}</p>\n\
         <p>Log in from a checkout with<br><code>spec-kitty auth login --server {url}</code></p>\n\
         <h2>Stored</h2>\n{held}\n<h2>Since the start</h2>\n{since}\n<h2>ServerLimits</h2>\n{bounds}\n\
         <p class=\"soft\">Counters for machines: <a href=\"{metrics_path}\">{metrics_path}</a></p>",
        version = escape(overview.version),
        started = escape(&overview.started.readable()),
        metrics_path = endpoint::METRICS,
    )
}

fn table(rows: &[(&str, u64)]) -> String {
    let rows: String = rows
        .iter()
        .map(|(name, value)| {
            format!("<tr><th scope=\"row\">{}</th><td>{}</td></tr>\n", escape(name), grouped(*value))
        })
        .collect();
    format!("<table>\n{rows}</table>")
}

/// Groups digits by three with non-breaking spaces: `1 048 576`.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() * 2);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push('\u{202f}');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::grouped;

    #[test]
    fn long_numbers_are_grouped_by_three() {
        assert_eq!(
            [0, 999, 1000, 1_048_576].map(grouped),
            ["0", "999", "1\u{202f}000", "1\u{202f}048\u{202f}576"]
        );
    }
}
