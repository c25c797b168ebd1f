//! What a server is started with.

use crate::connection::MinTransferRate;
use crate::origin::TrustedProxies;
use contract::wire::health::IngressLimits;
use std::fmt;
use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

/// How a server runs. [`ServerConfig::new`] gives the defaults; every field may be changed.
pub struct ServerConfig {
    /// Holds everything the server remembers. Created if it does not exist.
    pub data_dir: PathBuf,
    /// Port 0 takes a free one; the bound address is reported to `on_ready`.
    pub listen: SocketAddr,
    /// Whether `listen` may be an address other machines reach. Without TLS in front, tokens would
    /// cross the network in clear.
    pub allow_public_address: bool,
    /// How users reach the server, without trailing slash, when it is behind a proxy:
    /// `https://sync.example.org`. Otherwise links are made from the request's Host.
    pub public_url: Option<String>,
    /// The proxies whose forwarded address counts as the address of a client.
    pub trusted_proxies: TrustedProxies,
    /// Bounds.
    pub limits: ServerLimits,
    /// How long things live.
    pub lifetimes: Lifetimes,
    /// One JSON object per request. Nothing: no log.
    pub access_log: Option<Box<dyn Write + Send>>,
    /// Called once, with the bound address, when the server takes requests.
    pub on_ready: Option<Box<dyn FnOnce(SocketAddr) + Send>>,
    /// Whether SIGINT and SIGTERM (Ctrl-C on Windows) end the server. For a process that is only a
    /// server.
    pub stop_on_signals: bool,
    /// What the server calls itself: this program's version.
    pub version: String,
}

impl ServerConfig {
    /// A server on a free loopback port.
    pub fn new(data_dir: impl Into<PathBuf>) -> Self {
        Self {
            data_dir: data_dir.into(),
            listen: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0),
            allow_public_address: false,
            public_url: None,
            trusted_proxies: TrustedProxies::default(),
            limits: ServerLimits::default(),
            lifetimes: Lifetimes::default(),
            access_log: None,
            on_ready: None,
            stop_on_signals: false,
            version: env!("CARGO_PKG_VERSION").to_owned(),
        }
    }
}

impl fmt::Debug for ServerConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerConfig")
            .field("data_dir", &self.data_dir)
            .field("listen", &self.listen)
            .field("public_url", &self.public_url)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

/// Bounds on what a client may ask for.
#[derive(Clone, Copy, Debug)]
pub struct ServerLimits {
    /// Events in one batch. Advertised.
    pub events_per_batch: usize,
    /// Bytes of one batch after decompression. Advertised.
    pub bytes_per_batch: usize,
    /// Bytes of one body request. JSON escapes can make a file of 512 KiB six times as large.
    pub bytes_per_body_request: usize,
    /// Bytes of a form.
    pub bytes_per_form: usize,
    /// Bytes of a request's head.
    pub bytes_per_head: usize,
    /// Connections at once. A new one takes the place of the oldest without a request head.
    pub connections: usize,
    /// Of these, for each address.
    pub connections_per_address: usize,
    /// Requests at once for each account, and for each address behind a trusted proxy.
    pub requests_per_account: usize,
    /// Batches and bodies in memory at once; more wait before their bytes are read.
    pub uploads_at_once: usize,
    /// Of these, for each account.
    pub uploads_per_account: usize,
    /// Of these, for each address.
    pub uploads_per_address: usize,
    /// For a place among the uploads.
    pub upload_wait: Duration,
    /// Answers with stored content at once for each account, until they were read.
    pub large_answers_per_account: usize,
    /// For the head of a request, and between two requests of one connection.
    pub head_timeout: Duration,
    /// For the whole body of a request.
    pub body_timeout: Duration,
    /// Least progress of a body or answer, on average, once `progress_grace` has passed.
    pub bytes_per_second: u64,
    /// Before progress is asked for.
    pub progress_grace: Duration,
    /// For requests that run when the server is told to stop.
    pub stop_timeout: Duration,
    /// Device requests open at once.
    pub open_devices: usize,
    /// Of these, for each address.
    pub open_devices_per_address: usize,
    /// Wrong approval secrets in a row before an account must wait, at one address.
    pub wrong_secrets: u32,
    /// Wrong approval secrets of any accounts in a row before an address must wait.
    pub wrong_secrets_per_address: u32,
    /// Wrong user codes in a row before an address must wait.
    pub wrong_user_codes: u32,
    /// How long they must wait.
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
    /// The least progress of a body or answer.
    pub(crate) fn min_transfer_rate(&self) -> MinTransferRate {
        MinTransferRate { grace: self.progress_grace, bytes_per_second: self.bytes_per_second }
    }

    /// What clients are told.
    pub fn advertised(&self) -> IngressLimits {
        IngressLimits {
            max_events_per_batch: u64::try_from(self.events_per_batch).ok(),
            max_decompressed_bytes_per_batch: u64::try_from(self.bytes_per_batch).ok(),
            retry_after_min_seconds: Some(1),
            retry_after_max_seconds: Some(60),
        }
    }
}

/// How long things live.
#[derive(Clone, Copy, Debug)]
pub struct Lifetimes {
    /// An access token.
    pub access_token: Duration,
    /// A refresh token, from its last rotation.
    pub refresh_token: Duration,
    /// A device request.
    pub device: Duration,
    /// Between two polls of a device.
    pub device_interval: Duration,
    /// An authorization code.
    pub code: Duration,
    /// After a rotation, the replay of the refresh token before it counts as harmless.
    pub replay_grace: Duration,
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
        }
    }
}
