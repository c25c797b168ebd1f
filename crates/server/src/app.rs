//! The routes, their shared state, and the steps around every request.

use crate::access_log::{AccessLog, AccessLogLine, LogNote};
use crate::backup::LastBackup;
use crate::config::{Lifetimes, ServerConfig, ServerLimits};
use crate::connection::Peer;
use crate::keyed_semaphores::KeyedSemaphores;
use crate::metrics::{Metrics, Route};
use crate::origin::{ClientOrigin, TrustedProxies, is_forwarded_tls, remove_forwarded_scheme};
use crate::refusal::{self, HttpRefusal, has_sync_protocol};
use crate::request::Caller;
use crate::store::{Store, StoreLocation};
use crate::time::UnixMillis;
use crate::web::SignedIn;
use crate::{dossier, identity, ingest, inspect, oauth, operations, receipts, sharing, web};
use axum::Router;
use axum::extract::{Request, State};
use axum::http::header::{CACHE_CONTROL, HOST, USER_AGENT};
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use contract::text::printable;
use contract::wire::endpoint;
use std::future::poll_fn;
use std::net::{IpAddr, SocketAddr};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::time::Instant;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use ulid::Ulid;

/// State shared by every request.
pub(crate) struct App {
    pub(crate) store: Arc<Store>,
    pub(crate) limits: ServerLimits,
    pub(crate) lifetimes: Lifetimes,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) version: String,
    pub(crate) started: UnixMillis,
    /// Bounds the batches and bodies in memory.
    uploads: Arc<Semaphore>,
    /// Bounds the slow hashes computed at once.
    hashing: Arc<Semaphore>,
    /// Bounds the pages of many events that are made at once.
    pages: Arc<Semaphore>,
    pub(crate) concurrency: ConcurrencyLimits,
    pub(crate) proxies: TrustedProxies,
    pub(crate) senders: ingest::Senders,
    has_warned_of_proxy: AtomicBool,
    log: AccessLog,
    /// Whether counts are kept from the overview and `/metrics`.
    pub(crate) private_metrics: bool,
    data_dir: Option<PathBuf>,
    public_url: Option<String>,
    scheme: &'static str,
    address: SocketAddr,
}

impl App {
    pub(crate) fn new(
        config: ServerConfig,
        address: SocketAddr,
        store: Arc<Store>,
        metrics: Arc<Metrics>,
        log: AccessLog,
    ) -> Self {
        Self {
            store,
            metrics,
            log,
            address,
            started: UnixMillis::now(),
            scheme: config.scheme(),
            data_dir: match &config.store {
                StoreLocation::Directory(directory) => Some(directory.clone()),
                StoreLocation::Postgres(_) => None,
            },
            uploads: Arc::new(Semaphore::new(config.limits.uploads_at_once.max(1))),
            hashing: Arc::new(Semaphore::new(HASHES_AT_ONCE)),
            pages: Arc::new(Semaphore::new(PAGES_AT_ONCE)),
            concurrency: ConcurrencyLimits::new(&config.limits),
            private_metrics: config.private_metrics,
            proxies: config.trusted_proxies,
            senders: ingest::Senders::default(),
            has_warned_of_proxy: AtomicBool::new(false),
            limits: config.limits,
            lifetimes: config.lifetimes,
            version: config.version,
            public_url: config.public_url.map(|url| url.trim_end_matches('/').to_owned()),
        }
    }

    /// Permits for an upload of this account, of this address, and of the server; or a refusal with a
    /// time to retry.
    pub(crate) async fn upload_permits(
        &self,
        caller: &Caller,
        account: &str,
    ) -> Result<[OwnedSemaphorePermit; 3], HttpRefusal> {
        let waiting = WaitingUpload::new(&self.metrics);
        let permits = async {
            let account = self.concurrency.uploads_of_account.acquire(account.to_owned()).await?;
            let origin = self.concurrency.uploads_of_origin.acquire(caller.origin).await?;
            let of_all = Arc::clone(&self.uploads).acquire_owned().await.ok()?;
            Some([account, origin, of_all])
        };
        let permits = tokio::time::timeout(self.limits.upload_wait, permits).await;
        drop(waiting);
        match permits {
            Ok(Some(permits)) => Ok(permits),
            Ok(None) => Err(HttpRefusal::unavailable()),
            Err(_) => Err(self.over_share(5).closing()),
        }
    }

    /// Permits for a slow hash: one at a time for each address, so that many guesses from one address do
    /// not delay the others.
    pub(crate) async fn hashing_permits(&self, caller: &Caller) -> Option<[OwnedSemaphorePermit; 2]> {
        let origin = self.concurrency.hashes_of_origin.acquire(caller.origin).await?;
        let of_all = Arc::clone(&self.hashing).acquire_owned().await.ok()?;
        Some([origin, of_all])
    }

    /// A permit for a page of many events. The account holds one of its own until the answer was sent; it has few of
    /// them, so the queue stays short for the others.
    pub(crate) async fn page_permit(
        &self,
        caller: &Caller,
        account: &str,
    ) -> Result<OwnedSemaphorePermit, HttpRefusal> {
        let permit = self.concurrency.large_answers.try_acquire(account.to_owned());
        caller.hold(permit.ok_or_else(|| self.over_share(1))?);
        Arc::clone(&self.pages).acquire_owned().await.map_err(|_| HttpRefusal::unavailable())
    }

    /// The refusal of a request whose account or address uses its whole share.
    pub(crate) fn over_share(&self, seconds: u64) -> HttpRefusal {
        self.metrics.over_share.inc();
        HttpRefusal::throttled(seconds)
    }

    /// Warns the operator, once, that a proxy hides the addresses of its clients.
    pub(crate) fn warn_of_proxy(&self, peer: IpAddr) {
        if !self.has_warned_of_proxy.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                %peer,
                "forwarded addresses are ignored: all clients of this proxy share the limits of one \
                 address; name it with --trusted-proxy"
            );
        }
    }

    /// The metrics as they are now.
    pub(crate) fn render_metrics(&self) -> String {
        let gauge = |value: usize| i64::try_from(value).unwrap_or(i64::MAX);
        let (metrics, connections) = (&self.metrics, self.store.connection_use());
        let most = self.limits.uploads_at_once.max(1);
        metrics.uploads.set(gauge(most - self.uploads.available_permits().min(most)));
        metrics.store_connections.set(gauge(connections.most));
        metrics.store_connections_in_use.set(gauge(connections.in_use));
        metrics.store_waiting.set(gauge(connections.waiting));
        let last_backup = self.data_dir.as_deref().and_then(LastBackup::read);
        metrics.last_backup.set(last_backup.map_or(0, |last| last.at / 1000));
        metrics.render()
    }

    /// Whether the client reached the server, or the proxy in front, by TLS.
    pub(crate) fn is_secure(&self, headers: &HeaderMap) -> bool {
        let scheme =
            self.public_url.as_deref().and_then(|url| url.split_once("://")).map(|(scheme, _)| scheme);
        self.scheme == "https"
            || scheme.is_some_and(|scheme| scheme.eq_ignore_ascii_case("https"))
            || is_forwarded_tls(headers)
    }

    /// The URL by which the client reached the server, without trailing slash.
    pub(crate) fn base_url(&self, headers: &HeaderMap) -> String {
        if let Some(url) = &self.public_url {
            return url.clone();
        }
        let plain = |host: &&str| {
            !host.is_empty() && host.chars().all(|c| c.is_ascii_alphanumeric() || "-._:[]".contains(c))
        };
        let host = headers.get(HOST).and_then(|host| host.to_str().ok()).filter(plain);
        let scheme = if self.is_secure(headers) { "https" } else { self.scheme };
        host.map_or_else(|| format!("{scheme}://{}", self.address), |host| format!("{scheme}://{host}"))
    }
}

/// Counts an upload as waiting, until it is dropped.
struct WaitingUpload<'m>(&'m Metrics);

impl<'m> WaitingUpload<'m> {
    fn new(metrics: &'m Metrics) -> Self {
        metrics.uploads_waiting.inc();
        Self(metrics)
    }
}

impl Drop for WaitingUpload<'_> {
    fn drop(&mut self) {
        self.0.uploads_waiting.dec();
    }
}

/// Pages of many events made at once: fewer than the readers of a store on SQLite.
pub(crate) const PAGES_AT_ONCE: usize = 2;
/// Slow hashes computed at once.
pub(crate) const HASHES_AT_ONCE: usize = 2;
/// Slow hashes computed at once for each address.
pub(crate) const HASHES_PER_ADDRESS: usize = 1;

/// Limits on concurrent use, for each account and each address.
pub(crate) struct ConcurrencyLimits {
    pub(crate) requests_of_account: KeyedSemaphores<String>,
    /// Applies behind a trusted proxy only, where connections carry the requests of many clients.
    requests_of_origin: KeyedSemaphores<ClientOrigin>,
    uploads_of_account: KeyedSemaphores<String>,
    uploads_of_origin: KeyedSemaphores<ClientOrigin>,
    hashes_of_origin: KeyedSemaphores<ClientOrigin>,
    pub(crate) large_answers: KeyedSemaphores<String>,
}

impl ConcurrencyLimits {
    fn new(limits: &ServerLimits) -> Self {
        Self {
            requests_of_account: KeyedSemaphores::new(limits.requests_per_account),
            requests_of_origin: KeyedSemaphores::new(limits.connections_per_address),
            uploads_of_account: KeyedSemaphores::new(limits.uploads_per_account),
            uploads_of_origin: KeyedSemaphores::new(limits.uploads_per_address),
            hashes_of_origin: KeyedSemaphores::new(HASHES_PER_ADDRESS),
            large_answers: KeyedSemaphores::new(limits.large_answers_per_account),
        }
    }
}

pub(crate) fn router(app: Arc<App>) -> Router {
    Router::new()
        .route(endpoint::EVENTS_BATCH, post(ingest::batch))
        .route(endpoint::EVENTS_PREFLIGHT, post(ingest::preflight))
        .route(endpoint::PUSH_CONTENT, post(dossier::push))
        .route(endpoint::SYNC_HEALTH, get(operations::sync_health))
        .route(endpoint::RECEIPTS, post(receipts::check))
        .route(endpoint::REPOSITORY_SHARES, get(sharing::list).post(sharing::create))
        .route(endpoint::LEAVE_SHARE, post(sharing::leave))
        .route(endpoint::FORGET_PROJECT, post(sharing::forget))
        .route(endpoint::ME, get(identity::me))
        .route(endpoint::SESSION_STATUS, get(identity::session_status))
        .route(endpoint::WS_TOKEN, post(operations::ws_token))
        .route(endpoint::OAUTH_DEVICE, post(oauth::device::start))
        .route(endpoint::DEVICE_APPROVAL, get(oauth::device::show).post(oauth::device::decide))
        .route(endpoint::OAUTH_AUTHORIZE, get(oauth::authorize::show).post(oauth::authorize::decide))
        .route(endpoint::OAUTH_TOKEN, post(oauth::token::exchange))
        .route(endpoint::OAUTH_REVOKE, post(oauth::token::revoke))
        .route(endpoint::INSPECT_EVENTS, get(inspect::events))
        .route(endpoint::INSPECT_BODIES, get(inspect::bodies))
        .route(endpoint::HEALTHZ, get(operations::alive))
        .route(endpoint::READYZ, get(operations::ready))
        .route(endpoint::METRICS, get(operations::metrics))
        .route(endpoint::OPENAPI, get(operations::openapi))
        .route("/", get(web::overview::show))
        .route(web::style::STYLESHEET, get(web::style::show))
        .route(web::sign_in::SIGN_IN, get(web::sign_in::show).post(web::sign_in::sign_in))
        .route(web::sign_in::SIGN_OUT, post(web::sign_in::sign_out))
        .route(web::missions::LIST, get(web::missions::list))
        .route(web::missions::BOARD, get(web::missions::show_board))
        .route(web::missions::EVENTS, get(web::missions::events))
        .route(web::missions::DOCUMENT, get(web::missions::document))
        .route(web::missions::WORK_PACKAGE, get(web::missions::work_package))
        .route(web::machines::MACHINES, get(web::machines::show))
        .route(web::machines::REJECTED, get(web::machines::rejected))
        .route(web::account::ACCOUNT, get(web::account::show))
        .route(web::account::END_SESSION, post(web::account::end_session))
        .route(web::account::REVOKE_TOKEN, post(web::account::revoke_token))
        .method_not_allowed_fallback(refusal::method_not_allowed)
        .fallback(refusal::not_found)
        .layer(middleware::from_fn_with_state(Arc::clone(&app), observe))
        .with_state(app)
}

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const NO_SNIFF: HeaderName = HeaderName::from_static("x-content-type-options");

/// Counts, logs and labels every request, and refuses clients of another contract.
async fn observe(State(app): State<Arc<App>>, mut request: Request, next: Next) -> Response {
    let (arrived, started) = (UnixMillis::now(), Instant::now());
    let route = Route::of(request.uri().path());
    let caller = Caller::of(&app, &request);
    if !is_of_proxy(&app, &request) {
        remove_forwarded_scheme(request.headers_mut());
    }
    let may_sign_in = SignedIn::cookie_of(&app, request.headers()).is_none();
    let is_earlier_client = has_sync_protocol(request.headers());
    let wants_page = web::wants_page(request.headers());
    let id = Ulid::generate().to_string();
    let head = app.log.is_on().then(|| RequestHead::of(&request, &caller));
    let mut response =
        match contract_skew(request.headers()).or_else(|| acquire_for_origin(&app, &request, &caller)) {
            Some(refusal) => refusal.into_response(),
            None => {
                request.extensions_mut().insert(caller);
                or_internal(next.run(request)).await
            }
        };
    if let Some(refusal) = response.extensions_mut().remove::<HttpRefusal>() {
        app.metrics.count_refusal(refusal.code());
        if is_earlier_client {
            response = refusal.for_sync_protocol(route).into_response();
        } else if wants_page {
            response = refusal.into_page(&response, &id, may_sign_in);
        }
    }
    app.metrics.count_request(route, response.status().as_u16(), started.elapsed());

    let headers = response.headers_mut();
    if let Ok(value) = HeaderValue::from_str(&id) {
        headers.insert(REQUEST_ID, value);
    }
    headers.insert(NO_SNIFF, HeaderValue::from_static("nosniff"));
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    if let Some(head) = head {
        let note = response.extensions().get::<LogNote>().cloned().unwrap_or_default();
        app.log.write(&AccessLogLine {
            time: arrived.iso(),
            request_id: &id,
            method: &head.method,
            path: &head.path,
            status: response.status().as_u16(),
            duration_us: u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX),
            peer: head.peer,
            user_agent: head.user_agent,
            note,
        });
    }
    response
}

/// The answer; 500 if its handler panics. A panic is a fault of this program, and ends one request only.
async fn or_internal(answer: impl Future<Output = Response>) -> Response {
    let mut answer = pin!(answer);
    let step = poll_fn(|context| {
        let polled = catch_unwind(AssertUnwindSafe(|| answer.as_mut().poll(context)));
        polled.unwrap_or_else(|_| Poll::Ready(HttpRefusal::internal().into_response()))
    });
    step.await
}

/// Whether a trusted proxy sent the request.
fn is_of_proxy(app: &App, request: &Request) -> bool {
    let peer = request.extensions().get::<Peer>().map(|Peer(address)| address.ip());
    peer.is_some_and(|peer| app.proxies.contains(peer))
}

/// Behind a proxy each address has a share of the requests, as it has of the connections without one.
fn acquire_for_origin(app: &App, request: &Request, caller: &Caller) -> Option<HttpRefusal> {
    if !is_of_proxy(app, request) {
        return None;
    }
    match app.concurrency.requests_of_origin.try_acquire(caller.origin) {
        Some(permit) => {
            caller.hold(permit);
            None
        }
        None => Some(app.over_share(1)),
    }
}

/// Log fields of a request, read before the handler consumes it.
struct RequestHead {
    method: String,
    path: String,
    peer: String,
    user_agent: Option<String>,
}

impl RequestHead {
    fn of(request: &Request, caller: &Caller) -> Self {
        let cut = |text: &str, most: usize| -> String { printable(text).chars().take(most).collect() };
        let agent = request.headers().get(USER_AGENT).and_then(|agent| agent.to_str().ok());
        // The port means something only where the client itself is connected.
        let peer = request.extensions().get::<Peer>().map(|Peer(address)| *address);
        let peer = peer.filter(|address| address.ip() == caller.address);
        Self {
            method: request.method().to_string(),
            path: cut(request.uri().path(), 200),
            peer: peer.map_or_else(|| caller.address.to_string(), |address| address.to_string()),
            user_agent: agent.map(|agent| cut(agent, 100)),
        }
    }
}

/// A client that names its contract version must have the server's major version. Earlier clients name none.
fn contract_skew(headers: &HeaderMap) -> Option<HttpRefusal> {
    let named = headers.get(endpoint::CONTRACT_HEADER)?.to_str().unwrap_or_default();
    let major = |version: &str| version.split('.').next().unwrap_or_default().to_owned();
    (major(named) != major(endpoint::CONTRACT_VERSION)).then(HttpRefusal::contract_skew)
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::StatusCode;

    #[tokio::test]
    async fn handler_that_panics_answers_500() {
        let answer = or_internal(async { panic!("a fault of the test") }).await;
        assert_eq!(answer.status(), StatusCode::INTERNAL_SERVER_ERROR);
        assert!(answer.extensions().get::<HttpRefusal>().is_some(), "a browser gets a page");
    }
}
