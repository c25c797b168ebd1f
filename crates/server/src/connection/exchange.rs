//! One request and its answer as bytes, without a socket.

use super::ConnectionRoutes;
use super::registry::{ConnectionLimits, Registry};
use crate::app::App;
use crate::origin::ClientOrigin;
use axum::Router;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper::server::conn::http1;
use hyper_util::rt::TokioTimer;
use hyper_util::service::TowerToHyperService;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll};

/// Serves the requests that `request` holds, from an address of this machine, and returns the answers. The parser, its
/// bounds and the routes are those of a connection.
pub(crate) async fn exchange(request: Vec<u8>, router: Router, app: &App) -> Vec<u8> {
    let peer = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let registry = Registry::new(ConnectionLimits { total: 1, per_origin: 1 });
    let Some(admitted) = registry.admit(ClientOrigin::of(peer.ip()), false) else { return Vec::new() };
    let routes = ConnectionRoutes { inner: TowerToHyperService::new(router), peer, slot: admitted.slot };
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(app.limits.head_timeout)
        .max_buf_size(app.limits.bytes_per_head.max(8192))
        .half_close(true)
        .serve_connection(Bytes { request, read: 0, answer: Vec::new() }, routes)
        .without_shutdown()
        .await;
    served.map_or_else(|_| Vec::new(), |parts| parts.io.answer)
}

/// The bytes of a connection: the client has sent all of its own.
struct Bytes {
    request: Vec<u8>,
    read: usize,
    answer: Vec<u8>,
}

impl Read for Bytes {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        mut into: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let left = self.request.get(self.read..).unwrap_or_default();
        let taken = left.len().min(into.remaining());
        into.put_slice(left.get(..taken).unwrap_or_default());
        self.read += taken;
        Poll::Ready(Ok(()))
    }
}

impl Write for Bytes {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.answer.extend_from_slice(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
