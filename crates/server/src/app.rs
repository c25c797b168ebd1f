//! The routes, what they share, and what happens around every request.

use crate::access_log::{AccessLog, EventCounts, Line};
use crate::answer::{self, Refusal};
use crate::config::{Lifetimes, Limits, ServerConfig};
use crate::connection::Peer;
use crate::metrics::{Metrics, Route};
use crate::moment::Moment;
use crate::store::Store;
use crate::{dossier, identity, ingest, inspect, oauth, operations};
use axum::Router;
use axum::extract::{Request, State};
use axum::http::header::{CACHE_CONTROL, HOST, USER_AGENT};
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use contract::text::printable;
use contract::wire::endpoint;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::{Semaphore, SemaphorePermit};
use ulid::Ulid;

/// What every request shares.
pub(crate) struct App {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) limits: Limits,
    pub(crate) lifetimes: Lifetimes,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) version: String,
    pub(crate) started: Moment,
    /// Batches and bodies in memory at once.
    uploads: Semaphore,
    /// Slow hashes at once.
    pub(crate) hashing: Semaphore,
    pub(crate) attempts: oauth::Attempts,
    log: AccessLog,
    public_url: Option<String>,
    address: SocketAddr,
}

impl App {
    pub(crate) fn new(
        config: ServerConfig,
        address: SocketAddr,
        store: Arc<dyn Store>,
        metrics: Arc<Metrics>,
        log: AccessLog,
    ) -> Self {
        Self {
            store,
            metrics,
            log,
            address,
            started: Moment::now(),
            uploads: Semaphore::new(config.limits.uploads_at_once.max(1)),
            hashing: Semaphore::new(2),
            attempts: oauth::Attempts::new(config.limits.wrong_secrets, config.limits.wrong_secret_pause),
            limits: config.limits,
            lifetimes: config.lifetimes,
            version: config.version,
            public_url: config.public_url.map(|url| url.trim_end_matches('/').to_owned()),
        }
    }

    /// A place among the uploads, or a refusal that says when to come back.
    pub(crate) async fn upload_slot(&self) -> Result<SemaphorePermit<'_>, Refusal> {
        match tokio::time::timeout(self.limits.body_timeout, self.uploads.acquire()).await {
            Ok(Ok(slot)) => Ok(slot),
            Ok(Err(_)) => Err(Refusal::unavailable()),
            Err(_) => Err(Refusal::throttled(5).closing()),
        }
    }

    /// How the client reached the server: `scheme://host`, without trailing slash.
    pub(crate) fn base_url(&self, headers: &HeaderMap) -> String {
        if let Some(url) = &self.public_url {
            return url.clone();
        }
        let plain = |host: &&str| {
            !host.is_empty() && host.chars().all(|c| c.is_ascii_alphanumeric() || "-._:[]".contains(c))
        };
        let host = headers.get(HOST).and_then(|host| host.to_str().ok()).filter(plain);
        host.map_or_else(|| format!("http://{}", self.address), |host| format!("http://{host}"))
    }
}

/// What a handler tells the access log, in the extensions of its answer.
#[derive(Clone, Debug, Default)]
pub(crate) struct Note {
    pub(crate) account: Option<String>,
    pub(crate) team: Option<String>,
    pub(crate) events: Option<EventCounts>,
    pub(crate) refusal: Option<String>,
}

/// All routes.
pub(crate) fn router(app: Arc<App>) -> Router {
    Router::new()
        .route(endpoint::EVENTS_BATCH, post(ingest::batch))
        .route(endpoint::PUSH_CONTENT, post(dossier::push))
        .route(endpoint::SYNC_HEALTH, get(operations::sync_health))
        .route(endpoint::ME, get(identity::me))
        .route(endpoint::SESSION_STATUS, get(identity::session_status))
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
        .route("/", get(operations::overview))
        .method_not_allowed_fallback(answer::method_not_allowed)
        .fallback(answer::not_found)
        .layer(middleware::from_fn_with_state(Arc::clone(&app), around))
        .with_state(app)
}

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const NO_SNIFF: HeaderName = HeaderName::from_static("x-content-type-options");

/// Counts, logs and labels every request, and refuses clients of another contract.
async fn around(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let (arrived, started) = (Moment::now(), Instant::now());
    let route = Route::of(request.uri().path());
    let head = app.log.is_on().then(|| Head::of(&request));
    let mut response = match skew(request.headers()) {
        Some(refusal) => refusal.into_response(),
        None => next.run(request).await,
    };
    app.metrics.count_request(route, response.status().as_u16());

    let id = Ulid::generate().to_string();
    let headers = response.headers_mut();
    if let Ok(value) = HeaderValue::from_str(&id) {
        headers.insert(REQUEST_ID, value);
    }
    headers.insert(NO_SNIFF, HeaderValue::from_static("nosniff"));
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    if let Some(head) = head {
        let note = response.extensions().get::<Note>().cloned().unwrap_or_default();
        app.log.write(&Line {
            time: arrived.iso(),
            request_id: &id,
            method: &head.method,
            path: &head.path,
            status: response.status().as_u16(),
            duration_us: u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX),
            peer: head.peer,
            user_agent: head.user_agent,
            account: note.account,
            team: note.team,
            events: note.events,
            refusal: note.refusal,
        });
    }
    response
}

/// What the log keeps of a request before the handler takes it.
struct Head {
    method: String,
    path: String,
    peer: String,
    user_agent: Option<String>,
}

impl Head {
    fn of(request: &Request) -> Self {
        let cut = |text: &str, most: usize| -> String { printable(text).chars().take(most).collect() };
        let agent = request.headers().get(USER_AGENT).and_then(|agent| agent.to_str().ok());
        let peer = request.extensions().get::<Peer>();
        Self {
            method: request.method().to_string(),
            path: cut(request.uri().path(), 200),
            peer: peer.map_or_else(|| "unknown".to_owned(), |Peer(address)| address.to_string()),
            user_agent: agent.map(|agent| cut(agent, 100)),
        }
    }
}

/// A client that says which contract it speaks must speak ours. Earlier clients say nothing.
fn skew(headers: &HeaderMap) -> Option<Refusal> {
    let spoken = headers.get(endpoint::CONTRACT_HEADER)?.to_str().unwrap_or_default();
    let major = |version: &str| version.split('.').next().unwrap_or_default().to_owned();
    (major(spoken) != major(endpoint::CONTRACT_VERSION)).then(Refusal::contract_skew)
}
