//! Configuration: start options, limits and lifetimes.

use crate::connection::MinTransferRate;
use crate::origin::TrustedProxies;
use crate::store::StoreLocation;
use crate::tls::TlsFiles;
use contract::wire::health::IngressLimits;
use std::fmt;
use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

/// Start options. [`ServerConfig::new`] sets the defaults.
pub struct ServerConfig {
    /// Directory or database of all state. Created if it does not exist.
    pub store: StoreLocation,
    /// Port 0 selects a free one; the bound address is passed to `on_ready`.
    pub listen: SocketAddr,
    /// Certificate and key. Without them the server does not use TLS.
    pub tls: Option<TlsFiles>,
    /// Allows a `listen` address that other machines reach without `tls`. Without a TLS proxy, tokens would
    /// cross the network in clear.
    pub allow_public_address: bool,
    /// The URL of the proxy in front, without trailing slash: `https://sync.example.org`. Otherwise links
    /// are made from the `Host` of the request.
    pub public_url: Option<String>,
    /// Proxies whose forwarded address is trusted.
    pub trusted_proxies: TrustedProxies,
    /// Keeps the counts off the overview, and does not answer `/metrics`.
    pub private_metrics: bool,
    /// Resource limits.
    pub limits: ServerLimits,
    /// Lifetimes of tokens and codes.
    pub lifetimes: Lifetimes,
    /// Destination of the access log, one JSON object per request.
    pub access_log: Option<Box<dyn Write + Send>>,
    /// Called once, with the bound address, when the server accepts requests.
    pub on_ready: Option<Box<dyn FnOnce(SocketAddr) + Send>>,
    /// Whether SIGINT and SIGTERM (Ctrl-C on Windows) stop the server. For a process that is only a server.
    pub stop_on_signals: bool,
    /// The version shown on the overview.
    pub version: String,
}

impl ServerConfig {
    /// A server on a free loopback port.
    pub fn new(store: impl Into<StoreLocation>) -> Self {
        Self {
            store: store.into(),
            listen: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0),
            tls: None,
            allow_public_address: false,
            public_url: None,
            trusted_proxies: TrustedProxies::default(),
            private_metrics: false,
            limits: ServerLimits::default(),
            lifetimes: Lifetimes::default(),
            access_log: None,
            on_ready: None,
            stop_on_signals: false,
            version: env!("CARGO_PKG_VERSION").to_owned(),
        }
    }

    /// Whether the address by which browsers reach the server depends on what a proxy states.
    pub(crate) fn has_unknown_scheme(&self) -> bool {
        self.public_url.is_none() && !self.trusted_proxies.is_empty()
    }

    /// The scheme of the server's own address.
    pub fn scheme(&self) -> &'static str {
        if self.tls.is_some() { "https" } else { "http" }
    }
}

impl fmt::Debug for ServerConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerConfig")
            .field("store", &self.store)
            .field("listen", &self.listen)
            .field("public_url", &self.public_url)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

/// Limits on the resources that clients use.
#[derive(Clone, Copy, Debug)]
pub struct ServerLimits {
    /// Events in one batch. Advertised.
    pub events_per_batch: usize,
    /// Bytes of one batch after decompression. Advertised.
    pub bytes_per_batch: usize,
    /// Bytes of one body request. JSON escapes can enlarge a file of 512 KiB six times.
    pub bytes_per_body_request: usize,
    /// Bytes of a form.
    pub bytes_per_form: usize,
    /// Bytes of a request head.
    pub bytes_per_head: usize,
    /// Open connections. At the limit, the oldest one without a request head is closed for a new one.
    pub connections: usize,
    /// Open connections of each address.
    pub connections_per_address: usize,
    /// Concurrent requests of each account.
    pub requests_per_account: usize,
    /// Batches and bodies in memory. Further uploads wait before their bytes are read.
    pub uploads_at_once: usize,
    /// Uploads of each account.
    pub uploads_per_account: usize,
    /// Uploads of each address.
    pub uploads_per_address: usize,
    /// Longest wait for an upload permit.
    pub upload_wait: Duration,
    /// Concurrent answers with stored content of each account.
    pub large_answers_per_account: usize,
    /// Timeout of a request head, and of an idle connection.
    pub head_timeout: Duration,
    /// Timeout of a whole request body.
    pub body_timeout: Duration,
    /// Minimum average rate of a body or answer, once `progress_grace` has passed.
    pub bytes_per_second: u64,
    /// Time before the minimum rate applies.
    pub progress_grace: Duration,
    /// Timeout of running requests when the server stops.
    pub stop_timeout: Duration,
    /// Device requests that wait for a decision.
    pub open_devices: usize,
    /// Waiting device requests of each address.
    pub open_devices_per_address: usize,
    /// Wrong secrets in a row for one account from one address before a pause.
    pub wrong_secrets: u32,
    /// Wrong secrets in a row for any accounts from one address before a pause.
    pub wrong_secrets_per_address: u32,
    /// Wrong user codes in a row from one address before a pause.
    pub wrong_user_codes: u32,
    /// Length of the pause.
    pub wrong_secret_pause: Duration,
}

impl Default for ServerLimits {
    fn default() -> Self {
        Self {
            events_per_batch: 1000,
            bytes_per_batch: 1024 * 1024,
            bytes_per_body_request: 4 * 1024 * 1024,
            bytes_per_form: 16 * 1024,
            bytes_per_head: 32 * 1024,
            connections: 512,
            connections_per_address: 128,
            requests_per_account: 32,
            uploads_at_once: 16,
            uploads_per_account: 4,
            uploads_per_address: 8,
            upload_wait: Duration::from_secs(10),
            large_answers_per_account: 4,
            head_timeout: Duration::from_secs(60),
            body_timeout: Duration::from_secs(120),
            bytes_per_second: 8 * 1024,
            progress_grace: Duration::from_secs(10),
            stop_timeout: Duration::from_secs(10),
            open_devices: 1000,
            open_devices_per_address: 50,
            wrong_secrets: 5,
            wrong_secrets_per_address: 30,
            wrong_user_codes: 20,
            wrong_secret_pause: Duration::from_secs(60),
        }
    }
}

impl ServerLimits {
    pub(crate) fn min_transfer_rate(&self) -> MinTransferRate {
        MinTransferRate { grace: self.progress_grace, bytes_per_second: self.bytes_per_second }
    }

    pub(crate) fn advertised(&self) -> IngressLimits {
        IngressLimits {
            max_events_per_batch: u64::try_from(self.events_per_batch).ok(),
            max_decompressed_bytes_per_batch: u64::try_from(self.bytes_per_batch).ok(),
            retry_after_min_seconds: Some(1),
            retry_after_max_seconds: Some(60),
        }
    }
}

/// Lifetimes of tokens and codes.
#[derive(Clone, Copy, Debug)]
pub struct Lifetimes {
    /// An access token.
    pub access_token: Duration,
    /// A refresh token, from its last rotation.
    pub refresh_token: Duration,
    /// A device request.
    pub device: Duration,
    /// Shortest time between two polls of a device.
    pub device_interval: Duration,
    /// An authorization code.
    pub code: Duration,
    /// Time after a rotation in which a replay of the previous token counts as harmless.
    pub replay_grace: Duration,
    /// A session of a browser, from its last use.
    pub browser_idle: Duration,
    /// A session of a browser, from the sign-in.
    pub browser: Duration,
}

impl Default for Lifetimes {
    fn default() -> Self {
        Self {
            access_token: Duration::from_secs(60 * 60),
            refresh_token: Duration::from_secs(90 * 24 * 60 * 60),
            device: Duration::from_secs(15 * 60),
            device_interval: Duration::from_secs(5),
            code: Duration::from_secs(5 * 60),
            replay_grace: Duration::from_secs(30),
            browser_idle: Duration::from_secs(12 * 60 * 60),
            browser: Duration::from_secs(7 * 24 * 60 * 60),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::{HASHES_AT_ONCE, HASHES_PER_ADDRESS, PAGES_AT_ONCE};
    use contract::wire::body::MAX_CONTENT_BYTES;

    #[test]
    fn numbers_of_the_page_are_those_of_the_program() {
        const KIB: usize = 1024;
        let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/server.md"));
        let page = page.unwrap().split_whitespace().collect::<Vec<_>>().join(" ");
        let (limits, lifetimes) = (ServerLimits::default(), Lifetimes::default());
        let is = |time: Duration, seconds: u64| time == Duration::from_secs(seconds);
        let seconds = |time: Duration| time.as_secs();
        for sentence in [
            format!("| within {} seconds | 409", seconds(lifetimes.replay_grace)),
            format!("so do {} wrong secrets for any accounts", limits.wrong_secrets_per_address),
            format!("or {} unknown user codes, from one address", limits.wrong_user_codes),
            format!(
                "A session of a browser ends {} hours after its last use, {} days after the sign-in",
                seconds(lifetimes.browser_idle) / 3600,
                seconds(lifetimes.browser) / (24 * 3600)
            ),
            format!(
                "returns the limits: {} events and {} MiB (unpacked) in a batch",
                limits.events_per_batch,
                limits.bytes_per_batch / (KIB * KIB)
            ),
            format!("A body holds {} KiB", MAX_CONTENT_BYTES / KIB),
            format!("| connections | {} | {} | - |", limits.connections, limits.connections_per_address),
            format!(
                "| concurrent requests | - | {} (behind a trusted proxy) | {} |",
                limits.connections_per_address, limits.requests_per_account
            ),
            format!(
                "| uploads in memory | {} | {} | {} | waits up to {} seconds, then 429 |",
                limits.uploads_at_once,
                limits.uploads_per_address,
                limits.uploads_per_account,
                seconds(limits.upload_wait)
            ),
            format!("| answers with stored content | - | - | {},", limits.large_answers_per_account),
            format!(
                "| pages of a mission that read events | {PAGES_AT_ONCE} made at once | - | {}, with answers",
                limits.large_answers_per_account
            ),
            format!("| concurrent secret checks | {HASHES_AT_ONCE} | {HASHES_PER_ADDRESS} | - |"),
            format!(
                "| device logins that wait for approval | {} | {} | - |",
                limits.open_devices, limits.open_devices_per_address
            ),
            format!(
                "must average {} KiB a second after the first {} seconds",
                limits.bytes_per_second / 1024,
                seconds(limits.progress_grace)
            ),
            format!(
                "When an address has {} waiting device logins, its oldest one that was never opened ends. \
                 At {} in all,",
                limits.open_devices_per_address, limits.open_devices
            ),
        ] {
            assert!(page.contains(&sentence), "docs/server.md lacks: {sentence}");
        }
        for (sentence, holds) in [
            ("Access tokens are valid for an hour,", is(lifetimes.access_token, 60 * 60)),
            (
                "refresh tokens for ninety days after their last use",
                is(lifetimes.refresh_token, 90 * 24 * 60 * 60),
            ),
            ("Five wrong secrets for one account from one address", limits.wrong_secrets == 5),
            ("cause a pause of a minute", is(limits.wrong_secret_pause, 60)),
            ("A body must arrive within two minutes", is(limits.body_timeout, 120)),
        ] {
            assert!(page.contains(sentence) && holds, "docs/server.md differs: {sentence}");
        }
    }

    #[test]
    fn proxy_without_public_url_has_no_scheme() {
        let mut config = ServerConfig::new(std::path::Path::new("unused"));
        assert!(!config.has_unknown_scheme());
        config.trusted_proxies = TrustedProxies::new(vec!["127.0.0.1".parse().unwrap()]);
        assert!(config.has_unknown_scheme());
        config.public_url = Some("https://sync.example.org".to_owned());
        assert!(!config.has_unknown_scheme());
    }
}
