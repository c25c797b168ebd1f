//! Start and stop of a server.
//!
//! Start: lock of the data directory, threads, store, address, then `on_ready`. Stop: no new
//! connections, running requests finish (bounded), the store commits waiting changes and closes.

use crate::access_log::AccessLog;
use crate::app::{self, App};
use crate::config::ServerConfig;
use crate::connection;
use crate::error::ServerError;
use crate::metrics::Metrics;
use crate::store::{Store, StoreError, StoreLocation};
use crate::tls::Tls;
use axum::Router;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;
use system::private_file::{create_private_dir, load_private_file};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::watch;

/// The lock that keeps a second server off a data directory.
const LOCK_NAME: &str = "server.lock";

/// Stop switch of a server. Clones stop the same server.
#[derive(Clone, Debug, Default)]
pub struct Shutdown(Arc<watch::Sender<bool>>);

impl Shutdown {
    /// The switch of a running server.
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks the server to stop; returns at once.
    pub fn stop(&self) {
        self.0.send_replace(true);
    }

    async fn stopped(&self) {
        // The sender is in `self`, so waiting cannot fail.
        let _ = self.0.subscribe().wait_for(|stopped| *stopped).await;
    }
}

/// Serves until `shutdown`, or a signal where the configuration allows it. Blocks.
///
/// Returns `Ok` after an orderly stop; everything acknowledged is on disk.
pub fn serve(mut config: ServerConfig, shutdown: Shutdown) -> Result<(), ServerError> {
    if !config.listen.ip().is_loopback() && !config.allow_public_address && config.tls.is_none() {
        return Err(ServerError::NotLoopback(config.listen));
    }
    if config.has_unknown_scheme() {
        tracing::warn!(
            "without --public-url, links and cookies use the Host and X-Forwarded-Proto of the proxy that \
             --trusted-proxy names; name the address with --public-url"
        );
    }
    let tls = config.tls.clone().map(Tls::load).transpose()?;
    let acceptor = tls.as_ref().map(Tls::acceptor);
    let _lock = lock_store(&config)?;
    let runtime = runtime()?;
    let store = runtime.block_on(Store::open(&config.store))?;
    let listener = runtime.block_on(TcpListener::bind(config.listen));
    let listen_error = |source| ServerError::Listen(config.listen, source);
    let listener = listener.map_err(listen_error)?;
    let address = listener.local_addr().map_err(listen_error)?;

    let on_ready = config.on_ready.take();
    let stop_on_signals = config.stop_on_signals;
    let (app, router) = routes(config, address, store)?;
    runtime.block_on(async {
        if stop_on_signals {
            tokio::spawn(stop_on_signal(shutdown.clone()));
        }
        if let Some(ready) = on_ready {
            ready(address);
        }
        if let Some(tls) = tls {
            tokio::spawn(tls.follow(Arc::clone(&app.metrics)));
        }
        // The missions of what an earlier release stored.
        let finder = Arc::clone(&app);
        let finding = tokio::spawn(until_done(async move || finder.store.find_missions().await));
        connection::accept(listener, acceptor.as_ref(), router, &app, shutdown.stopped()).await;
        finding.abort();
        let _ = tokio::time::timeout(app.limits.stop_timeout, app.store.close()).await;
    });
    // Requests that outlived the stop timeout end here; then the last owner of the store closes it.
    drop(runtime);
    drop(app);
    Ok(())
}

/// Locks the data directory, if there is one.
fn lock_store(config: &ServerConfig) -> Result<Option<fs_err::File>, ServerError> {
    match &config.store {
        StoreLocation::Directory(directory) => lock(directory).map(Some),
        StoreLocation::Postgres(_) => Ok(None),
    }
}

/// The state of a server and its routes.
fn routes(
    mut config: ServerConfig,
    address: SocketAddr,
    store: Store,
) -> Result<(Arc<App>, Router), ServerError> {
    let metrics =
        Metrics::new(store.metrics()).map_err(|error| ServerError::Thread(std::io::Error::other(error)))?;
    let metrics = Arc::new(metrics);
    let log =
        AccessLog::start(config.access_log.take(), Arc::clone(&metrics)).map_err(ServerError::Thread)?;
    let app = Arc::new(App::new(config, address, Arc::new(store), metrics, log));
    let router = app::router(Arc::clone(&app));
    Ok((app, router))
}

/// A server without a network, for tests: `answer` handles requests as bytes. Parser, routes and store are those of
/// [`serve`]; its background tasks and connection limits are absent. Dropping it closes the store.
pub struct DetachedServer {
    app: Arc<App>,
    router: Router,
    runtime: Runtime,
    _lock: Option<fs_err::File>,
}

impl DetachedServer {
    /// Locks and opens the store.
    ///
    /// # Errors
    /// When another process holds the lock, or when data directory, store or runtime cannot be opened.
    pub fn open(config: ServerConfig) -> Result<Self, ServerError> {
        let lock = lock_store(&config)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
        let runtime = runtime.map_err(ServerError::Thread)?;
        let store = runtime.block_on(Store::open(&config.store))?;
        let address = config.listen;
        let (app, router) = routes(config, address, store)?;
        Ok(Self { app, router, runtime, _lock: lock })
    }

    /// Handles an HTTP request. Returns no bytes if `request` is not an HTTP request.
    pub fn answer(&self, request: Vec<u8>) -> Vec<u8> {
        self.runtime.block_on(connection::exchange(request, self.router.clone(), &self.app))
    }
}

impl std::fmt::Debug for DetachedServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("DetachedServer")
    }
}

/// Pause after a failed step of a task in the background.
const RETRY: Duration = Duration::from_secs(30);

/// Repeats a step until it has nothing left to do. A failure of the database may pass.
async fn until_done(mut step: impl AsyncFnMut() -> Result<bool, StoreError>) {
    loop {
        match step().await {
            Ok(true) => tokio::task::yield_now().await,
            Ok(false) | Err(StoreError::Closed) => return,
            Err(error) => {
                let seconds = RETRY.as_secs();
                tracing::warn!(%error, seconds, "assigning earlier events to missions failed; the next attempt follows after the pause");
                tokio::time::sleep(RETRY).await;
            }
        }
    }
}

fn runtime() -> Result<Runtime, ServerError> {
    let threads = std::thread::available_parallelism().map_or(2, |count| count.get().clamp(2, 8));
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(threads)
        .max_blocking_threads(32)
        .thread_name("server")
        .enable_all()
        .build()
        .map_err(ServerError::Thread)
}

/// Locks the data directory until the file is dropped.
pub(crate) fn lock(data_dir: &Path) -> Result<fs_err::File, ServerError> {
    let unusable = |source| ServerError::DataDir(data_dir.to_owned(), source);
    create_private_dir(data_dir).map_err(|error| unusable(error.source))?;
    let path = data_dir.join(LOCK_NAME);
    load_private_file(&path).map_err(unusable)?;
    let file = fs_err::OpenOptions::new().append(true).open(path).map_err(unusable)?;
    match file.file().try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => Err(ServerError::InUse(data_dir.to_owned())),
        Err(std::fs::TryLockError::Error(source)) => Err(unusable(source)),
    }
}

async fn stop_on_signal(shutdown: Shutdown) {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let Ok(mut terminate) = signal(SignalKind::terminate()) else { return };
        tokio::select! {
            _ = terminate.recv() => {}
            _ = tokio::signal::ctrl_c() => {}
        }
    }
    #[cfg(not(unix))]
    let _ = tokio::signal::ctrl_c().await;
    shutdown.stop();
}

/// A server on its own thread. Dropping it stops the server.
#[derive(Debug)]
pub struct Handle {
    address: SocketAddr,
    scheme: &'static str,
    shutdown: Shutdown,
    thread: Option<JoinHandle<Result<(), ServerError>>>,
}

impl Handle {
    /// Starts a server and returns once it accepts requests.
    pub fn start(mut config: ServerConfig) -> Result<Self, ServerError> {
        let (sender, ready) = mpsc::channel();
        let configured = config.on_ready.take();
        let scheme = config.scheme();
        config.on_ready = Some(Box::new(move |address| {
            if let Some(on_ready) = configured {
                on_ready(address);
            }
            let _ = sender.send(address);
        }));
        let shutdown = Shutdown::new();
        let switch = shutdown.clone();
        let thread = std::thread::Builder::new()
            .name("server-main".into())
            .spawn(move || serve(config, switch))
            .map_err(ServerError::Thread)?;
        match ready.recv() {
            Ok(address) => Ok(Self { address, scheme, shutdown, thread: Some(thread) }),
            Err(_) => Err(join(thread).err().unwrap_or(ServerError::Store(StoreError::Closed))),
        }
    }

    /// The bound address.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The base URL, without trailing slash.
    pub fn url(&self) -> String {
        format!("{}://{}", self.scheme, self.address)
    }

    /// Stops the server and waits until everything is on disk.
    pub fn stop(mut self) -> Result<(), ServerError> {
        self.shutdown.stop();
        self.thread.take().map_or(Ok(()), join)
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.shutdown.stop();
        if let Some(thread) = self.thread.take() {
            let _ = join(thread);
        }
    }
}

fn join(thread: JoinHandle<Result<(), ServerError>>) -> Result<(), ServerError> {
    let panicked = || ServerError::Thread(std::io::Error::other("the server's thread ended unexpectedly"));
    thread.join().unwrap_or_else(|_| Err(panicked()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn detached_server_answers_and_holds_its_lock() {
        let data = tempfile::tempdir().expect("a directory");
        let server = DetachedServer::open(ServerConfig::new(data.path())).expect("a server");
        let answer = |request: &str| {
            let answer = server.answer(request.as_bytes().to_vec());
            String::from_utf8_lossy(&answer).lines().next().unwrap_or_default().to_owned()
        };
        let health = "GET /api/v1/sync/health/ HTTP/1.1\r\nHost: x\r\n\r\n";
        assert_eq!(answer(health), "HTTP/1.1 401 Unauthorized");
        assert_eq!(answer("no request\r\n\r\n"), "");
        assert!(DetachedServer::open(ServerConfig::new(data.path())).is_err(), "the directory is locked");
        drop(server);
        DetachedServer::open(ServerConfig::new(data.path())).expect("the lock is free");
    }

    #[tokio::test(start_paused = true)]
    async fn failed_step_is_repeated_until_nothing_is_left() {
        let failure = || Err(StoreError::Database("a fault of the test".into()));
        let mut answers = vec![Ok(false), Ok(true), failure(), failure(), Ok(true)];
        let started = tokio::time::Instant::now();
        until_done(async || answers.pop().expect("a step after the last")).await;
        assert!(answers.is_empty());
        assert_eq!(started.elapsed(), RETRY * 2);
        let mut steps = 0;
        until_done(async || {
            steps += 1;
            Err(StoreError::Closed)
        })
        .await;
        assert_eq!(steps, 1, "a closed store is left");
    }
}
