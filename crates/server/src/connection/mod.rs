//! Connections: accept, serve, and bound what a slow client can hold.
//!
//! Bounds: connections in total and for each address ([`registry`]); bytes and seconds for the head of
//! a request (which also ends idle connections); bytes per second for a client that reads its answer
//! ([`transfer_rate`]). The handshake of TLS counts as part of the head ([`transport`]). The body has its own bounds
//! where it is read.

mod exchange;
mod registry;
mod transfer_rate;
mod transport;

pub(crate) use exchange::exchange;
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
use tokio_rustls::TlsAcceptor;
use transfer_rate::RateCheckedStream;
use transport::Transport;

/// The other end of the connection, which may be a proxy.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer(pub(crate) SocketAddr);

/// Pause after a failed accept, for example with too many open files.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The answer to a refused connection, sent before any request.
const FULL: &[u8] = b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 5\r\nConnection: close\r\n\
    Content-Length: 0\r\n\r\n";

/// Accepts until `stopped`, then lets running requests finish within the stop timeout.
pub(crate) async fn accept(
    listener: TcpListener,
    tls: Option<&TlsAcceptor>,
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
        let Some(admitted) = registry.admit(ClientOrigin::of(peer.ip()), is_shared) else {
            app.metrics.connections_refused.inc();
            if tls.is_none() {
                let _ = stream.try_write(FULL);
            }
            continue;
        };
        if admitted.closed_another {
            app.metrics.connections_shed.inc();
        }
        let connection = graceful.watch(connect(stream, tls, peer, admitted.slot, router.clone(), app));
        let (app, close) = (Arc::clone(app), admitted.close);
        tokio::spawn(async move {
            app.metrics.connections.inc();
            tokio::select! {
                ended = connection => if let Err(error) = ended {
                    tracing::debug!(%error, "a connection ended early");
                },
                () = close.notified() => tracing::debug!("a connection was closed for a new one"),
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
struct ConnectionRoutes {
    inner: TowerToHyperService<Router>,
    peer: SocketAddr,
    slot: Arc<ConnectionSlot>,
}

impl Service<Request<Incoming>> for ConnectionRoutes {
    type Response = Response;
    type Error = Infallible;
    type Future = ResponseFuture;

    fn call(&self, mut request: Request<Incoming>) -> ResponseFuture {
        let serving = self.slot.serve();
        request.extensions_mut().insert(Peer(self.peer));
        request.extensions_mut().insert(Arc::clone(&serving));
        let answer = self.inner.call(request);
        Box::pin(async move {
            let response = answer.await?;
            Ok(response.map(|body| Body::new(AnswerBody { body, serving })))
        })
    }
}

/// The body of an answer. The request counts as served until the last byte was written.
struct AnswerBody {
    body: Body,
    serving: Arc<Serving>,
}

/// Bytes of an answer that hyper has taken but not written.
struct Unwritten {
    bytes: Bytes,
    _serving: Arc<Serving>,
}

impl AsRef<[u8]> for Unwritten {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl hyper::body::Body for AnswerBody {
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
    tls: Option<&TlsAcceptor>,
    peer: SocketAddr,
    slot: Arc<ConnectionSlot>,
    router: Router,
    app: &App,
) -> http1::Connection<TokioIo<RateCheckedStream<Transport>>, ConnectionRoutes> {
    // Without Nagle: a small answer must not wait for the acknowledgement of the previous one.
    let _ = stream.set_nodelay(true);
    let routes = ConnectionRoutes { inner: TowerToHyperService::new(router), peer, slot };
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(app.limits.head_timeout)
        .max_buf_size(app.limits.bytes_per_head.max(8192))
        .serve_connection(
            TokioIo::new(RateCheckedStream::new(Transport::new(stream, tls), app.limits.min_transfer_rate())),
            routes,
        )
}
