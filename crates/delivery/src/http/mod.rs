//! One HTTP client for everything this crate sends.
//!
//! Owns the connection pool, the headers every request carries, the bound on every answer, and the
//! rule that a request never leaves the host it was meant for. Never retries, never judges a status,
//! never logs a header or a body.
//!
//! Invariants:
//! * every request carries `User-Agent: spec-kitty/<version>` and the contract version;
//! * an answer is read into memory up to its bound, counted after decompression, and not further;
//! * a redirect is followed only to the same scheme, host and port, and only when it keeps method and
//!   body (or the request was a GET);
//! * no error holds a URL's query, a header, or a byte of a body.

mod answer;
mod bearer;
pub mod documents;
mod error;
mod lookup;
mod proxy;

pub use answer::{HttpAnswer, NotOfProtocol, ProtocolDocument, RetryAfter};
pub use bearer::{BadToken, Bearer};
pub use error::SendError;
pub use proxy::ProxySettings;

use crate::drain::AT_ONCE;
use crate::server_address::ServerAddress;
use contract::text;
use contract::wire::endpoint::{CONTRACT_HEADER, CONTRACT_VERSION, RECEIPTS_HEADER, TEAM_HEADER, user_agent};
use identity::Environment;
use identity::environment::names;
use lookup::Lookup;
use std::path::{Path, PathBuf};
use std::time::Duration;
use system::bounded_read::BoundedReadError;
use ureq::http::header::{self, HeaderValue};
use ureq::http::{Request, Response};
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};
use ureq::unversioned::transport::{Connector, DefaultConnector};

/// Redirects followed before giving up.
const MAX_REDIRECTS: usize = 3;
/// Time to reach the host, name resolution and TLS included.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Idle connections older than this are not used again: the server may be closing them.
const MAX_IDLE: Duration = Duration::from_secs(5);
/// Largest trusted-certificates file that is read.
const MAX_CA_FILE: u64 = 4 << 20;
/// Most files of a directory of trusted certificates that are looked at.
const MAX_CA_FILES: usize = 4096;

/// The client. Cheap to clone; clones share connections.
#[derive(Clone)]
pub struct Client {
    agent: ureq::Agent,
    proxy: ProxySettings,
    is_concurrent: bool,
}

/// Settings of a client.
#[derive(Clone, Debug)]
pub struct ClientSettings {
    /// The version in `User-Agent`.
    pub version: String,
    /// A PEM file of certificate authorities to trust instead of the built-in ones: what
    /// `SSL_CERT_FILE` names.
    pub trusted_certificates: Option<PathBuf>,
    /// Directories of such files: what `SSL_CERT_DIR` names.
    pub trusted_directories: Vec<PathBuf>,
    /// The proxy.
    pub proxy: ProxySettings,
}

impl ClientSettings {
    /// The settings without anything from the environment.
    pub fn new(version: &str) -> Self {
        Self {
            version: version.to_owned(),
            trusted_certificates: None,
            trusted_directories: Vec::new(),
            proxy: ProxySettings::default(),
        }
    }

    /// The settings that `environment` asks for.
    ///
    /// # Errors
    /// When a variable of the proxy names none.
    pub fn of(environment: &Environment, version: &str) -> Result<Self, ClientError> {
        let directories = environment.non_empty(names::SSL_CERT_DIR).map(std::env::split_paths);
        Ok(Self {
            trusted_certificates: environment.non_empty(names::SSL_CERT_FILE).map(PathBuf::from),
            trusted_directories: directories
                .into_iter()
                .flatten()
                .filter(|path| !path.as_os_str().is_empty())
                .collect(),
            proxy: ProxySettings::of(environment)?,
            ..Self::new(version)
        })
    }
}

/// The certificates that should be trusted could not be used.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The file cannot be read.
    #[error("cannot read the trusted certificates {path}: {source}; correct or unset {variable}")]
    Unreadable {
        /// The variable that names it.
        variable: &'static str,
        /// The file or directory.
        path: String,
        /// Error of the read.
        source: std::io::Error,
    },
    /// The file holds no certificate.
    #[error("{path} holds no PEM certificate; correct or unset {variable}")]
    NoCertificate {
        /// The variable that names it.
        variable: &'static str,
        /// The file or directory.
        path: String,
    },
    /// A variable that should name a proxy does not.
    #[error("{variable} is not a proxy address such as http://proxy.example:3128; correct or unset it")]
    Proxy {
        /// The variable.
        variable: &'static str,
    },
    /// The version cannot be written into a header.
    #[error("the version {0:?} cannot be sent in a header")]
    Version(String),
}

/// Method and body of a request.
#[derive(Clone, Copy, Debug)]
pub enum Payload<'a> {
    /// GET without a body.
    Get,
    /// POST of an `application/x-www-form-urlencoded` body.
    Form(&'a [u8]),
    /// POST of a JSON body.
    Json(&'a [u8]),
    /// POST of a JSON body that is already gzipped.
    GzipJson(&'a [u8]),
}

/// One request.
#[derive(Clone, Copy, Debug)]
pub struct HttpRequest<'a> {
    /// The path below the destination's base; starts with a slash.
    pub path: &'a str,
    /// Method and body.
    pub payload: Payload<'a>,
    /// The access token, if the route needs one.
    pub bearer: Option<&'a Bearer>,
    /// The team id for `X-Team-Slug` (the header carries an id, despite its name).
    pub team: Option<&'a str>,
    /// The value of `X-Spec-Kitty-Receipts`.
    pub receipts: Option<&'a str>,
    /// Time for the whole exchange.
    pub timeout: Duration,
    /// Largest answer that is read, in bytes after decompression.
    pub answer_limit: u64,
}

impl<'a> HttpRequest<'a> {
    /// A GET without a token, with 10 s and 1 MiB.
    pub fn get(path: &'a str) -> Self {
        Self::new(path, Payload::Get)
    }

    /// A POST without a token, with 10 s and 1 MiB.
    pub fn post(path: &'a str, payload: Payload<'a>) -> Self {
        Self::new(path, payload)
    }

    fn new(path: &'a str, payload: Payload<'a>) -> Self {
        let timeout = Duration::from_secs(10);
        Self { path, payload, bearer: None, team: None, receipts: None, timeout, answer_limit: 1 << 20 }
    }
}

impl Client {
    /// Builds a client.
    ///
    /// # Errors
    /// When the file of trusted certificates cannot be used.
    pub fn new(settings: &ClientSettings) -> Result<Self, ClientError> {
        Self::build(settings, DefaultConnector::default(), true)
    }

    /// Builds a client for tests, whose connections `connector` makes. A drain sends its requests one after another, so that
    /// their order repeats.
    ///
    /// # Errors
    /// When the file of trusted certificates cannot be used.
    pub fn over(settings: &ClientSettings, connector: impl Connector) -> Result<Self, ClientError> {
        Self::build(settings, connector, false)
    }

    fn build(
        settings: &ClientSettings,
        connector: impl Connector,
        is_concurrent: bool,
    ) -> Result<Self, ClientError> {
        let user_agent = user_agent(&settings.version);
        HeaderValue::from_str(&user_agent).map_err(|_| ClientError::Version(settings.version.clone()))?;
        let roots = read_trusted(settings)?;
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .user_agent(user_agent)
            .accept("application/json")
            .timeout_connect(Some(CONNECT_TIMEOUT))
            .max_idle_age(MAX_IDLE)
            .max_idle_connections_per_host(AT_ONCE)
            // Decided for each request, by `ProxySettings`.
            .proxy(None)
            .tls_config(TlsConfig::builder().root_certs(roots).build())
            .build();
        let agent = ureq::Agent::with_parts(config, connector, Lookup::default());
        Ok(Self { agent, proxy: settings.proxy.clone(), is_concurrent })
    }

    /// Whether several requests may be on their way at once.
    pub(crate) fn is_concurrent(&self) -> bool {
        self.is_concurrent
    }

    /// Sends one request and reads the whole answer.
    ///
    /// Any status is an answer. A redirect within the same origin is followed.
    ///
    /// # Errors
    /// When there is no complete answer; see [`SendError`].
    pub fn send(&self, to: &ServerAddress, request: &HttpRequest<'_>) -> Result<HttpAnswer, SendError> {
        let mut url = to.url(request.path);
        for _ in 0..=MAX_REDIRECTS {
            let response = self.send_once(to, &url, request)?;
            match redirect_target(to, &url, request, &response)? {
                Some(next) => url = next,
                None => return HttpAnswer::read(to, response, request),
            }
        }
        Err(SendError::Redirected {
            host: to.host().to_string(),
            target: format!("its own address more than {MAX_REDIRECTS} times"),
        })
    }

    fn send_once(
        &self,
        to: &ServerAddress,
        url: &str,
        request: &HttpRequest<'_>,
    ) -> Result<Response<ureq::Body>, SendError> {
        let fail = |error| SendError::of(to, request.timeout, error);
        let mut builder = Request::builder().uri(url).header(CONTRACT_HEADER, CONTRACT_VERSION);
        if let Some(bearer) = request.bearer {
            builder = builder.header(header::AUTHORIZATION, bearer.header());
        }
        if let Some(team) = request.team {
            builder = builder.header(TEAM_HEADER, team);
        }
        if let Some(receipts) = request.receipts {
            builder = builder.header(RECEIPTS_HEADER, receipts);
        }
        let (content_type, body) = match request.payload {
            Payload::Get => {
                return self.run(to, request, builder.method("GET").body(()).map_err(|e| fail(e.into()))?);
            }
            Payload::Form(body) => ("application/x-www-form-urlencoded", body),
            Payload::Json(body) => ("application/json", body),
            Payload::GzipJson(body) => {
                builder = builder.header(header::CONTENT_ENCODING, "gzip");
                ("application/json", body)
            }
        };
        let builder = builder.method("POST").header(header::CONTENT_TYPE, content_type);
        self.run(to, request, builder.body(body).map_err(|e| fail(e.into()))?)
    }

    fn run<B: ureq::AsSendBody>(
        &self,
        to: &ServerAddress,
        request: &HttpRequest<'_>,
        http: Request<B>,
    ) -> Result<Response<ureq::Body>, SendError> {
        let config = self.agent.configure_request(http).timeout_global(Some(request.timeout));
        // A proxy named in the environment is used between this machine and others, never for itself.
        let proxy = if to.is_loopback() { None } else { self.proxy.for_url(to.base()) };
        let config = config.proxy(proxy);
        self.agent.run(config.build()).map_err(|error| SendError::of(to, request.timeout, error))
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Client")
    }
}

fn redirect_target<B>(
    to: &ServerAddress,
    from: &str,
    request: &HttpRequest<'_>,
    response: &Response<B>,
) -> Result<Option<String>, SendError> {
    let status = response.status().as_u16();
    if !matches!(status, 301 | 302 | 303 | 307 | 308) {
        return Ok(None);
    }
    let refuse = |target: String| SendError::Redirected { host: to.host().to_string(), target };
    let location = response.headers().get(header::LOCATION).and_then(|value| value.to_str().ok());
    let Some(location) = location else { return Ok(None) };
    let target = to.same_origin(from, location).map_err(refuse)?;
    // 301, 302 and 303 turn a POST into a GET: the body would be lost and the status of some other page
    // be taken for an answer.
    if matches!(request.payload, Payload::Get) || matches!(status, 307 | 308) {
        Ok(Some(target))
    } else {
        Err(refuse("another path with a status that would drop the request body".to_owned()))
    }
}

/// The authorities that the settings name; the built-in ones when they name none.
fn read_trusted(settings: &ClientSettings) -> Result<RootCerts, ClientError> {
    let (file, directories) = (&settings.trusted_certificates, &settings.trusted_directories);
    if file.is_none() && directories.is_empty() {
        return Ok(RootCerts::WebPki);
    }
    let mut certificates = Vec::new();
    if let Some(path) = file {
        let unreadable = |source| ClientError::Unreadable {
            variable: names::SSL_CERT_FILE,
            path: text::path(path),
            source,
        };
        let found = read_certificates(path).map_err(unreadable)?;
        if found.is_empty() {
            return Err(ClientError::NoCertificate {
                variable: names::SSL_CERT_FILE,
                path: text::path(path),
            });
        }
        certificates.extend(found);
    }
    for directory in directories {
        let path = text::path(directory);
        let unreadable =
            |source| ClientError::Unreadable { variable: names::SSL_CERT_DIR, path: path.clone(), source };
        let found = read_directory(directory).map_err(unreadable)?;
        if found.is_empty() {
            return Err(ClientError::NoCertificate { variable: names::SSL_CERT_DIR, path });
        }
        certificates.extend(found);
    }
    Ok(RootCerts::from(certificates))
}

/// The certificates of the regular files in `directory`; other files and unreadable ones do not count.
fn read_directory(directory: &Path) -> std::io::Result<Vec<Certificate<'static>>> {
    let mut paths: Vec<PathBuf> = Vec::new();
    for entry in fs_err::read_dir(directory)?.take(MAX_CA_FILES) {
        let path = entry?.path();
        // A link of a certificate store leads to a regular file; a pipe would never end.
        if path.metadata().is_ok_and(|metadata| metadata.is_file()) {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths.iter().filter_map(|path| read_certificates(path).ok()).flatten().collect())
}

fn read_certificates(path: &Path) -> std::io::Result<Vec<Certificate<'static>>> {
    // A person names the file: it may be a pipe.
    let pem = system::regular::read_named(path, MAX_CA_FILE).map_err(|error| match error {
        BoundedReadError::Io(source) => source,
        other => std::io::Error::other(other.to_string()),
    })?;
    let pem = pem.ok_or_else(|| std::io::Error::from(std::io::ErrorKind::NotFound))?;
    let certificates = parse_pem(&pem).filter_map(|item| match item {
        Ok(PemItem::Certificate(certificate)) => Some(certificate),
        _ => None,
    });
    Ok(certificates.collect())
}
