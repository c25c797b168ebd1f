//! Connections: accepting them, and keeping slow ones from holding anything for long.
//!
//! Bounds: connections in total and for each address ([`registry`]); bytes and seconds for the head of
//! a request (which also ends idle connections); bytes per second for a client that reads its answer
//! ([`transfer_rate`]). The body has its own bounds where it is read.

mod registry;
mod transfer_rate;

pub(crate) use registry::Serving;
pub(crate) use transfer_rate::MinTransferRate;

use crate::app::App;
use crate::origin::ClientOrigin;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::response::Response;
use hyper::Request;
use hyper::body::{Frame, Incoming, SizeHint};
use hyper::server::conn::http1;
use hyper::service::Service;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use registry::{ConnectionLimits, ConnectionSlot, Registry};
use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use transfer_rate::RateCheckedStream;

/// The other end of the connection, which may be a proxy.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer(pub(crate) SocketAddr);

/// After an accept that failed (too many open files, say).
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What a connection is told that cannot be taken. It has not asked anything yet.
const FULL: &[u8] = b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 5\r\nConnection: close\r\n\
    Content-Length: 0\r\n\r\n";

/// Accepts until `stopped`, then lets running requests finish within the stop timeout.
pub(crate) async fn accept(
    listener: TcpListener,
    router: Router,
    app: &Arc<App>,
    stopped: impl Future<Output = ()>,
) {
    let limits = &app.limits;
    let caps = ConnectionLimits {
        total: limits.connections.max(1),
        per_origin: limits.connections_per_address.max(1),
    };
    let registry = Registry::new(caps);
    let graceful = GracefulShutdown::new();
    let mut stopped = pin!(stopped);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = &mut stopped => break,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let is_shared = app.proxies.contains(peer.ip());
        let Ok(admitted) = registry.admit(ClientOrigin::of(peer.ip()), is_shared) else {
            app.metrics.connections_refused.inc();
            let _ = stream.try_write(FULL);
            continue;
        };
        if admitted.is_shedding {
            app.metrics.connections_shed.inc();
        }
        let connection = graceful.watch(connect(stream, peer, admitted.entry, router.clone(), app));
        let (app, gives_way) = (Arc::clone(app), admitted.gives_way);
        tokio::spawn(async move {
            app.metrics.connections.inc();
            tokio::select! {
                ended = connection => if let Err(error) = ended {
                    tracing::debug!(%error, "a connection ended early");
                },
                () = gives_way.notified() => tracing::debug!("a connection gave way to a new one"),
            }
            app.metrics.connections.dec();
        });
    }
    drop(listener);
    if tokio::time::timeout(app.limits.stop_timeout, graceful.shutdown()).await.is_err() {
        tracing::warn!("some requests did not finish in time and were ended");
    }
}

type ResponseFuture = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

/// The routes, for the requests of one connection.
struct Routes {
    inner: TowerToHyperService<Router>,
    peer: SocketAddr,
    entry: Arc<ConnectionSlot>,
}

impl Service<Request<Incoming>> for Routes {
    type Response = Response;
    type Error = Infallible;
    type Future = ResponseFuture;

    fn call(&self, mut request: Request<Incoming>) -> ResponseFuture {
        let serving = self.entry.serve();
        request.extensions_mut().insert(Peer(self.peer));
        request.extensions_mut().insert(Arc::clone(&serving));
        let answer = self.inner.call(request);
        Box::pin(async move {
            let response = answer.await?;
            Ok(response.map(|body| Body::new(Sending { body, serving })))
        })
    }
}

/// The body of an answer. The request is served until the last of its bytes was written.
struct Sending {
    body: Body,
    serving: Arc<Serving>,
}

/// Bytes that wait to be written after the body itself is gone.
struct Unwritten {
    bytes: Bytes,
    _serving: Arc<Serving>,
}

impl AsRef<[u8]> for Unwritten {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl hyper::body::Body for Sending {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let serving = Arc::clone(&self.serving);
        let poll = Pin::new(&mut self.body).poll_frame(context);
        let hold = |bytes| Bytes::from_owner(Unwritten { bytes, _serving: serving });
        poll.map(|frame| frame.map(|frame| frame.map(|frame| frame.map_data(hold))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

fn connect(
    stream: TcpStream,
    peer: SocketAddr,
    entry: Arc<ConnectionSlot>,
    router: Router,
    app: &App,
) -> http1::Connection<TokioIo<RateCheckedStream<TcpStream>>, Routes> {
    // Small answers must not wait for the client's acknowledgements.
    let _ = stream.set_nodelay(true);
    let routes = Routes { inner: TowerToHyperService::new(router), peer, entry };
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(app.limits.head_timeout)
        .max_buf_size(app.limits.bytes_per_head.max(8192))
        .serve_connection(
            TokioIo::new(RateCheckedStream::new(stream, app.limits.min_transfer_rate())),
            routes,
        )
}
