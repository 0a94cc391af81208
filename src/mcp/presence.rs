//! Who is still there to be answered.
//!
//! Why: rmcp lets the calls of a client that has left go on for up to five seconds, so that answers already made can be
//! sent. A wait that leases an event in that time hands it to nobody, and it is lost to others until the lease runs out. So
//! a wait ends as soon as its client closes stdin, or ends its session by DELETE.

use std::{
    collections::HashMap,
    io,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
};

use tokio::io::{AsyncRead, ReadBuf};
use tokio_util::sync::CancellationToken;

/// The sessions that have a call in progress; clones share them.
#[derive(Debug, Clone, Default)]
pub(super) struct Sessions {
    busy: Arc<Mutex<HashMap<String, Busy>>>,
}

#[derive(Debug, Default)]
struct Busy {
    ended: CancellationToken,
    calls: usize,
}

impl Sessions {
    /// A call in `session` begins; it lasts until the answer is dropped.
    pub(super) fn enter(&self, session: &str) -> Present {
        let mut busy = self.busy();
        let entry = busy.entry(session.to_owned()).or_default();
        entry.calls += 1;
        Present { sessions: self.clone(), session: session.to_owned(), ended: entry.ended.clone() }
    }

    /// The client has ended `session`.
    pub(super) fn end(&self, session: &str) {
        if let Some(busy) = self.busy().get(session) {
            busy.ended.cancel();
        }
    }

    fn busy(&self) -> MutexGuard<'_, HashMap<String, Busy>> {
        self.busy.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A call whose client was there when it began.
pub(super) struct Present {
    sessions: Sessions,
    session: String,
    /// Cancelled when the client leaves.
    pub(super) ended: CancellationToken,
}

impl Drop for Present {
    fn drop(&mut self) {
        let mut busy = self.sessions.busy();
        if let Some(entry) = busy.get_mut(&self.session) {
            entry.calls -= 1;
            if entry.calls == 0 {
                busy.remove(&self.session);
            }
        }
    }
}

/// Reads from `inner`, and cancels `ended` where that ends.
pub(super) struct UntilEnd<R> {
    inner: R,
    ended: CancellationToken,
}

impl<R> UntilEnd<R> {
    pub(super) fn new(inner: R, ended: CancellationToken) -> Self {
        Self { inner, ended }
    }
}

impl<R: AsyncRead + Unpin> AsyncRead for UntilEnd<R> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = Pin::new(&mut self.inner).poll_read(cx, buf);
        let over = match &read {
            Poll::Ready(Ok(())) => buf.filled().len() == before && buf.remaining() > 0,
            Poll::Ready(Err(_)) => true,
            Poll::Pending => false,
        };
        if over {
            self.ended.cancel();
        }
        read
    }
}
