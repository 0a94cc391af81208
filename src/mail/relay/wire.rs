//! Listens in on what a server says, between the socket and the client crate.
//!
//! Why: the crate joins the lines of a refusal into one and drops codes that repeat, and it ends a conversation over a
//! word that is not UTF-8. Its words are evidence, so they are kept here as they came; the crate gets only ASCII.

use std::{
    fmt, io,
    net::SocketAddr,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, ready},
};

use lettre::transport::smtp::client::AsyncTokioStream;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::Answer;

/// What is kept of what a server says between two commands, in bytes: as much as the client crate reads of one reply.
const SAID_BYTES_MAX: usize = 1 << 20;
/// After STARTTLS a server does not greet again (RFC 3207 section 4.2), and the client crate waits for a greeting on
/// every stream that it is given: this one is ours.
const GREETING: &[u8] = b"220 \r\n";

/// A socket, or TLS over one.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Sync + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Sync + Unpin> Stream for S {}

/// A connection. Of its two clones one is the client crate's, the other is asked for what was said.
#[derive(Clone)]
pub(super) struct Wire {
    peer: SocketAddr,
    inner: Arc<Mutex<Inner>>,
}

struct Inner {
    stream: Box<dyn Stream>,
    /// Whether our own greeting is still to be read.
    greets: bool,
    said: Vec<u8>,
}

impl Wire {
    pub(super) fn new(stream: Box<dyn Stream>, peer: SocketAddr, greets: bool) -> Self {
        Self { peer, inner: Arc::new(Mutex::new(Inner { stream, greets, said: Vec::new() })) }
    }

    fn with<T>(&self, act: impl FnOnce(&mut Inner) -> T) -> T {
        act(&mut self.inner.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Forgets what was said until now.
    pub(super) fn forget(&self) {
        self.with(|inner| inner.said.clear());
    }

    /// The stream and who is at its end, once nobody else holds a clone.
    pub(super) fn into_stream(self) -> Option<(Box<dyn Stream>, SocketAddr)> {
        let inner = Arc::into_inner(self.inner)?.into_inner().unwrap_or_else(PoisonError::into_inner);
        Some((inner.stream, self.peer))
    }

    /// The replies since then, in order.
    pub(super) fn replies(&self) -> Vec<Answer> {
        self.with(|inner| replies(&String::from_utf8_lossy(&inner.said)))
    }
}

/// Reads whole replies (RFC 5321 section 4.2.1): lines with a hyphen behind the code, and one without.
fn replies(said: &str) -> Vec<Answer> {
    let (mut replies, mut lines) = (Vec::new(), Vec::new());
    for line in said.lines() {
        let Some(code) = line.get(..3).and_then(|code| code.parse().ok()) else { continue };
        lines.push(line.get(4..).unwrap_or(""));
        if line.as_bytes().get(3) != Some(&b'-') {
            replies.push(Answer { code, text: lines.join("\n") });
            lines.clear();
        }
    }
    replies
}

impl fmt::Debug for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wire").field("peer", &self.peer).finish_non_exhaustive()
    }
}

impl AsyncTokioStream for Wire {
    fn peer_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.peer)
    }
}

impl AsyncRead for Wire {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.with(|inner| {
            if inner.greets && buf.remaining() >= GREETING.len() {
                inner.greets = false;
                buf.put_slice(GREETING);
                return Poll::Ready(Ok(()));
            }
            let before = buf.filled().len();
            ready!(Pin::new(&mut inner.stream).poll_read(cx, buf))?;
            let fresh = &mut buf.filled_mut()[before..];
            let room = SAID_BYTES_MAX.saturating_sub(inner.said.len()).min(fresh.len());
            inner.said.extend_from_slice(&fresh[..room]);
            for byte in fresh.iter_mut().filter(|byte| !byte.is_ascii()) {
                *byte = b'?';
            }
            Poll::Ready(Ok(()))
        })
    }
}

impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.with(|inner| Pin::new(&mut inner.stream).poll_write(cx, bytes))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.with(|inner| Pin::new(&mut inner.stream).poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.with(|inner| Pin::new(&mut inner.stream).poll_shutdown(cx))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_keep_every_line_and_what_is_none_is_left_out() {
        let answer = |code, text: &str| Answer { code, text: text.into() };
        for (said, expected) in [
            ("250 ok\r\n", vec![answer(250, "ok")]),
            (
                "550-5.1.1 no\r\n550-5.1.1  such\r\n550 5.1.1 user\r\n",
                vec![answer(550, "5.1.1 no\n5.1.1  such\n5.1.1 user")],
            ),
            ("220 hi\r\n554\r\n", vec![answer(220, "hi"), answer(554, "")]),
            ("550-half of it\r\n", vec![]),
            ("ü50 x\r\nhello\r\n\r\n250ü\r\n", vec![answer(250, "")]),
        ] {
            assert_eq!(replies(said), expected, "{said:?}");
        }
    }
}
