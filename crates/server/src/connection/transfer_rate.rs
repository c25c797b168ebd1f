//! Minimum transfer rate: deadlines for uploads and for answers that are read slowly.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

/// After `grace`, a transfer must average `bytes_per_second` since its start.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MinTransferRate {
    pub(crate) grace: Duration,
    pub(crate) bytes_per_second: u64,
}

impl MinTransferRate {
    /// Deadline for the next byte of a transfer that has moved `bytes` since `started`.
    pub(crate) fn deadline(&self, started: Instant, bytes: usize) -> Instant {
        let earned = Duration::from_secs_f64(bytes as f64 / self.bytes_per_second.max(1) as f64);
        started + self.grace + earned
    }
}

/// A stream whose writes fail when the peer reads slower than the minimum rate. A transfer begins when
/// the first write has to wait and ends when everything was flushed.
pub(super) struct RateCheckedStream<S> {
    stream: S,
    rate: MinTransferRate,
    waiting: Pin<Box<Sleep>>,
    /// Start of the current transfer, and its bytes written.
    transfer: Option<(Instant, usize)>,
}

impl<S> RateCheckedStream<S> {
    pub(super) fn new(stream: S, rate: MinTransferRate) -> Self {
        let waiting = Box::pin(tokio::time::sleep(rate.grace));
        Self { stream, rate, waiting, transfer: None }
    }

    /// Fails once the current transfer is below the minimum rate.
    fn check<T>(&mut self, context: &mut Context<'_>, poll: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if poll.is_ready() {
            return poll;
        }
        let (started, bytes) = *self.transfer.get_or_insert_with(|| (Instant::now(), 0));
        self.waiting.as_mut().reset(self.rate.deadline(started, bytes));
        match self.waiting.as_mut().poll(context) {
            Poll::Ready(()) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            Poll::Pending => Poll::Pending,
        }
    }

    fn count(&mut self, poll: &Poll<io::Result<usize>>) {
        if let (Poll::Ready(Ok(written)), Some((_, bytes))) = (poll, &mut self.transfer) {
            *bytes += written;
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for RateCheckedStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for RateCheckedStream<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let poll = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.count(&poll);
        self.check(context, poll)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let poll = Pin::new(&mut self.stream).poll_write_vectored(context, parts);
        self.count(&poll);
        self.check(context, poll)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let poll = Pin::new(&mut self.stream).poll_flush(context);
        if poll.is_ready() {
            self.transfer = None;
        }
        self.check(context, poll)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    const RATE: MinTransferRate = MinTransferRate { grace: Duration::from_secs(5), bytes_per_second: 16 };

    async fn read_in_steps(theirs: tokio::io::DuplexStream, step: Duration, bytes: usize) {
        let (mut theirs, mut got) = (theirs, 0);
        let mut buffer = vec![0; bytes];
        while got < 6400 {
            tokio::time::sleep(step).await;
            match theirs.read(&mut buffer).await {
                Ok(0) | Err(_) => return,
                Ok(count) => got += count,
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn client_that_does_not_read_times_out() {
        let (ours, _theirs) = tokio::io::duplex(64);
        let mut stream = RateCheckedStream::new(ours, RATE);
        let error = stream.write_all(&[0; 4096]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test(start_paused = true)]
    async fn client_at_the_minimum_rate_is_served() {
        let (ours, theirs) = tokio::io::duplex(64);
        let reader = tokio::spawn(read_in_steps(theirs, Duration::from_secs(4), 64));
        let mut stream = RateCheckedStream::new(ours, RATE);
        stream.write_all(&[0; 6400]).await.unwrap();
        reader.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn client_below_the_minimum_rate_times_out() {
        let (ours, theirs) = tokio::io::duplex(64);
        // One byte a second never lets a write wait for long, and never ends either.
        let reader = tokio::spawn(read_in_steps(theirs, Duration::from_secs(1), 1));
        let mut stream = RateCheckedStream::new(ours, RATE);
        let error = stream.write_all(&[0; 6400]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        drop(stream);
        reader.await.unwrap();
    }
}
