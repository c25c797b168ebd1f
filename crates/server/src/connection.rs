//! Connections: accepting them, and keeping slow ones from holding anything for long.
//!
//! Bounds: connections at once; bytes and seconds for the head of a request (which also ends idle
//! connections); seconds for a client that does not read. The body has its own bounds where it is
//! read.

use crate::app::App;
use axum::Router;
use axum::response::Response;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::Service;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{Instant, Sleep};

/// Where a request comes from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer(pub(crate) SocketAddr);

/// After an accept that failed (too many open files, say).
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Accepts until `stopped`, then lets running requests finish within the stop timeout.
pub(crate) async fn accept(
    listener: TcpListener,
    router: Router,
    app: &Arc<App>,
    stopped: impl Future<Output = ()>,
) {
    let slots = Arc::new(Semaphore::new(app.limits.connections));
    let graceful = GracefulShutdown::new();
    let mut stopped = pin!(stopped);
    loop {
        let slot = tokio::select! {
            slot = Arc::clone(&slots).acquire_owned() => slot,
            () = &mut stopped => break,
        };
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
        let connection = graceful.watch(connect(stream, peer, router.clone(), app));
        let app = Arc::clone(app);
        tokio::spawn(async move {
            let _slot = slot;
            app.metrics.connections.fetch_add(1, Ordering::Relaxed);
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection ended early");
            }
            app.metrics.connections.fetch_sub(1, Ordering::Relaxed);
        });
    }
    drop(listener);
    if tokio::time::timeout(app.limits.stop_timeout, graceful.shutdown()).await.is_err() {
        tracing::warn!("some requests did not finish in time and were ended");
    }
}

type Answer = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

/// The routes, for the requests of one connection.
struct Routes {
    inner: TowerToHyperService<Router>,
    peer: SocketAddr,
}

impl Service<Request<Incoming>> for Routes {
    type Response = Response;
    type Error = Infallible;
    type Future = Answer;

    fn call(&self, mut request: Request<Incoming>) -> Answer {
        request.extensions_mut().insert(Peer(self.peer));
        Box::pin(self.inner.call(request))
    }
}

fn connect(
    stream: TcpStream,
    peer: SocketAddr,
    router: Router,
    app: &App,
) -> http1::Connection<TokioIo<Deadline<TcpStream>>, Routes> {
    // Small answers must not wait for the client's acknowledgements.
    let _ = stream.set_nodelay(true);
    let routes = Routes { inner: TowerToHyperService::new(router), peer };
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(app.limits.head_timeout)
        .max_buf_size(app.limits.bytes_per_head.max(8192))
        .serve_connection(TokioIo::new(Deadline::new(stream, app.limits.write_timeout)), routes)
}

/// A stream whose writes fail when the other side reads nothing for too long.
struct Deadline<S> {
    stream: S,
    patience: Duration,
    waiting: Pin<Box<Sleep>>,
    is_waiting: bool,
}

impl<S> Deadline<S> {
    fn new(stream: S, patience: Duration) -> Self {
        Self { stream, patience, waiting: Box::pin(tokio::time::sleep(patience)), is_waiting: false }
    }

    fn judge<T>(&mut self, context: &mut Context<'_>, poll: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if poll.is_ready() {
            self.is_waiting = false;
            return poll;
        }
        if !self.is_waiting {
            self.is_waiting = true;
            self.waiting.as_mut().reset(Instant::now() + self.patience);
        }
        match self.waiting.as_mut().poll(context) {
            Poll::Ready(()) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Deadline<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Deadline<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let poll = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.judge(context, poll)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let poll = Pin::new(&mut self.stream).poll_write_vectored(context, parts);
        self.judge(context, poll)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let poll = Pin::new(&mut self.stream).poll_flush(context);
        self.judge(context, poll)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncWriteExt;

    #[tokio::test(start_paused = true)]
    async fn a_client_that_does_not_read_is_let_go() {
        let (ours, _theirs) = tokio::io::duplex(64);
        let mut stream = Deadline::new(ours, Duration::from_secs(5));
        let error = stream.write_all(&[0; 4096]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_reads_slowly_is_served() {
        let (ours, theirs) = tokio::io::duplex(64);
        let reader = tokio::spawn(async move {
            let (mut theirs, mut got) = (theirs, 0);
            let mut buffer = [0; 64];
            while got < 640 {
                tokio::time::sleep(Duration::from_secs(4)).await;
                got += tokio::io::AsyncReadExt::read(&mut theirs, &mut buffer).await.unwrap();
            }
        });
        let mut stream = Deadline::new(ours, Duration::from_secs(5));
        stream.write_all(&[0; 640]).await.unwrap();
        reader.await.unwrap();
    }
}
