//! Running a server: bind, serve, stop without tearing anything.
//!
//! The order of a start: data directory and its lock, store, address, threads, then `on_ready`. The
//! order of a stop: no new connections, running requests finish (bounded), the store commits what
//! waits and closes.

use crate::access_log::AccessLog;
use crate::app::{self, App};
use crate::config::ServerConfig;
use crate::connection;
use crate::error::ServerError;
use crate::metrics::Metrics;
use crate::platform;
use crate::store::sqlite::SqliteStore;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::watch;

/// The lock that keeps a second server off a data directory.
const LOCK_NAME: &str = "server.lock";

/// Tells a server to stop. Clones tell the same server.
#[derive(Clone, Debug)]
pub struct Shutdown(Arc<watch::Sender<bool>>);

impl Shutdown {
    /// A server that runs.
    pub fn new() -> Self {
        Self(Arc::new(watch::Sender::new(false)))
    }

    /// Asks it to stop; returns at once.
    pub fn stop(&self) {
        self.0.send_replace(true);
    }

    async fn stopped(&self) {
        // The sender lives in `self`, so waiting cannot fail.
        let _ = self.0.subscribe().wait_for(|stopped| *stopped).await;
    }
}

impl Default for Shutdown {
    fn default() -> Self {
        Self::new()
    }
}

/// Serves until `shutdown` says stop (or a signal, if the configuration says so). Blocks.
///
/// Returns `Ok` after an orderly stop; everything acknowledged is on disk.
pub fn serve(config: ServerConfig, shutdown: Shutdown) -> Result<(), ServerError> {
    serve_counted(config, shutdown, Arc::default())
}

fn serve_counted(
    mut config: ServerConfig,
    shutdown: Shutdown,
    metrics: Arc<Metrics>,
) -> Result<(), ServerError> {
    if !config.listen.ip().is_loopback() && !config.allow_public_address {
        return Err(ServerError::NotLoopback { address: config.listen });
    }
    let _lock = lock(&config.data_dir)?;
    let store = SqliteStore::open(&config.data_dir)?;
    let runtime = runtime()?;
    let listener = runtime.block_on(TcpListener::bind(config.listen));
    let listen_error = |source| ServerError::Listen { address: config.listen, source };
    let listener = listener.map_err(listen_error)?;
    let address = listener.local_addr().map_err(listen_error)?;

    let log =
        AccessLog::start(config.access_log.take(), Arc::clone(&metrics)).map_err(ServerError::Thread)?;
    let on_ready = config.on_ready.take();
    let stop_on_signals = config.stop_on_signals;
    let app = Arc::new(App::new(config, address, Arc::new(store), metrics, log));
    let router = app::router(Arc::clone(&app));
    runtime.block_on(async {
        if stop_on_signals {
            tokio::spawn(stop_on_signal(shutdown.clone()));
        }
        if let Some(ready) = on_ready {
            ready(address);
        }
        connection::accept(listener, router, &app, shutdown.stopped()).await;
    });
    // Requests that outlived the stop timeout end here; then the last owner of the store closes it.
    drop(runtime);
    drop(app);
    Ok(())
}

fn runtime() -> Result<Runtime, ServerError> {
    let threads = std::thread::available_parallelism().map_or(2, |count| count.get().clamp(2, 8));
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(threads)
        .max_blocking_threads(16)
        .thread_name("server")
        .enable_all()
        .build()
        .map_err(ServerError::Thread)
}

/// Holds the data directory until the file is dropped.
fn lock(data_dir: &Path) -> Result<fs_err::File, ServerError> {
    let unusable = |source| ServerError::DataDir { path: data_dir.to_owned(), source };
    platform::load_private_dir(data_dir).map_err(unusable)?;
    let file = platform::load_private_file(&data_dir.join(LOCK_NAME)).map_err(unusable)?;
    match file.file().try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => Err(ServerError::InUse { path: data_dir.to_owned() }),
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

/// A server on a thread of its own.
#[derive(Debug)]
pub struct Handle {
    address: SocketAddr,
    shutdown: Shutdown,
    metrics: Arc<Metrics>,
    thread: Option<JoinHandle<Result<(), ServerError>>>,
}

impl Handle {
    /// Starts a server and returns when it takes requests.
    pub fn start(mut config: ServerConfig) -> Result<Self, ServerError> {
        let (tell, ready) = mpsc::channel();
        let theirs = config.on_ready.take();
        config.on_ready = Some(Box::new(move |address| {
            if let Some(theirs) = theirs {
                theirs(address);
            }
            let _ = tell.send(address);
        }));
        let (shutdown, metrics) = (Shutdown::new(), Arc::<Metrics>::default());
        let (theirs, counters) = (shutdown.clone(), Arc::clone(&metrics));
        let thread = std::thread::Builder::new()
            .name("server-main".into())
            .spawn(move || serve_counted(config, theirs, counters))
            .map_err(ServerError::Thread)?;
        match ready.recv() {
            Ok(address) => Ok(Self { address, shutdown, metrics, thread: Some(thread) }),
            Err(_) => Err(join(thread).err().unwrap_or(ServerError::Store(crate::store::StoreError::Closed))),
        }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its URL, without trailing slash.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Its counters.
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Stops it and waits until everything is on disk.
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
    let gone = || ServerError::Thread(std::io::Error::other("the server's thread ended unexpectedly"));
    thread.join().unwrap_or_else(|_| Err(gone()))
}
