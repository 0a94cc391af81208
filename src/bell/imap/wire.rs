//! The connection as the IMAP parser gets to see it: no more bytes than a command may be answered with, no literal larger than
//! was asked for, no nesting that a parser would recurse into.
//!
//! Why here: the client crate sets memory aside for a literal as soon as one is announced, up to 512 MiB, and its parser
//! recurses.

use std::{
    fmt, io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Parentheses within parentheses: what we ask for has three.
const DEPTH_MAX: u32 = 64;

/// A line without its literals, in bytes: a list of 100,000 UIDs. The client crate reads a line anew with each 4 KiB of it, so
/// a longer one costs it minutes.
const LINE_BYTES_MAX: usize = 1 << 20;

/// A socket, or TLS over one.
pub(super) trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Duplex for S {}

/// What the answers to the command in progress may be, in bytes.
#[derive(Debug, Default)]
pub(super) struct Allowance {
    left: AtomicU64,
    literal: AtomicU64,
}

impl Allowance {
    /// From now on `all` bytes may come, in literals of at most `literal` each.
    pub(super) fn set(&self, all: u64, literal: u64) {
        self.left.store(all, Ordering::Relaxed);
        self.literal.store(literal, Ordering::Relaxed);
    }
}

/// A connection under limits.
pub(super) struct Wire {
    inner: Box<dyn Duplex>,
    allowance: Arc<Allowance>,
    scan: Scan,
}

impl fmt::Debug for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Wire")
    }
}

impl Wire {
    pub(super) fn new(inner: Box<dyn Duplex>, allowance: Arc<Allowance>) -> Self {
        Self { inner, allowance, scan: Scan::default() }
    }

    pub(super) fn into_inner(self) -> Box<dyn Duplex> {
        self.inner
    }
}

/// Where in the server's words we are.
#[derive(Debug, Default)]
struct Scan {
    /// Bytes left of a literal: these are nobody's syntax.
    literal: u64,
    depth: u32,
    line_bytes: usize,
    end: End,
}

/// How far a literal's announcement at the end of a line was seen (RFC 3501 section 4.3).
#[derive(Debug, Default, Clone, Copy)]
enum End {
    #[default]
    Text,
    Digits(u64),
    Closed(u64),
    Return(u64),
}

impl Scan {
    /// Whether `bytes` may follow what came before.
    fn admits(&mut self, mut bytes: &[u8], literal_max: u64) -> bool {
        while !bytes.is_empty() {
            if self.literal > 0 {
                let skipped = usize::try_from(self.literal).unwrap_or(usize::MAX).min(bytes.len());
                self.literal -= skipped as u64;
                bytes = &bytes[skipped..];
                continue;
            }
            let byte = bytes[0];
            bytes = &bytes[1..];
            self.end = match (self.end, byte) {
                (_, b'{') => End::Digits(0),
                (End::Digits(size), b'0'..=b'9') => {
                    End::Digits(size.saturating_mul(10).saturating_add(u64::from(byte - b'0')))
                }
                (End::Digits(size), b'}') => End::Closed(size),
                (End::Closed(size), b'\r') => End::Return(size),
                (End::Return(size), b'\n') => {
                    if size > literal_max {
                        return false;
                    }
                    self.literal = size;
                    End::Text
                }
                (_, b'\n') => {
                    (self.depth, self.line_bytes) = (0, 0);
                    End::Text
                }
                _ => End::Text,
            };
            match byte {
                b'(' => self.depth += 1,
                b')' => self.depth = self.depth.saturating_sub(1),
                _ => {}
            }
            self.line_bytes += 1;
            if self.depth > DEPTH_MAX || self.line_bytes > LINE_BYTES_MAX {
                return false;
            }
        }
        true
    }
}

impl AsyncRead for Wire {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let before = buf.filled().len();
        ready!(Pin::new(&mut this.inner).poll_read(cx, buf))?;
        let came = &buf.filled()[before..];
        let left = this.allowance.left.load(Ordering::Relaxed).checked_sub(came.len() as u64);
        let literal_max = this.allowance.literal.load(Ordering::Relaxed);
        let Some(left) = left.filter(|_| this.scan.admits(came, literal_max)) else {
            return Poll::Ready(Err(io::ErrorKind::InvalidData.into()));
        };
        this.allowance.left.store(left, Ordering::Relaxed);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_literal_is_let_through_up_to_its_limit_and_nothing_in_it_counts() {
        let deep = "(".repeat(1000);
        let line = format!("* 1 FETCH (BODY[] {{1013}}\r\n{deep}{{999999}}\r\n...)\r\n* 2 EXISTS\r\n");
        for size in 1..40 {
            let mut scan = Scan::default();
            assert!(line.as_bytes().chunks(size).all(|some| scan.admits(some, 1013)));
        }
        assert!(!Scan::default().admits(line.as_bytes(), 1012));
        assert!(!Scan::default().admits(b"* 1 FETCH (BODY[] {99999999999999999999999}\r\n", 1 << 40));
    }

    #[test]
    fn nesting_has_an_end() {
        assert!(!Scan::default().admits(format!("* 1 FETCH {}", "(".repeat(65)).as_bytes(), 0));
        assert!(Scan::default().admits("* OK (\r\n".repeat(1000).as_bytes(), 0));
    }

    proptest! {
        #[test]
        fn no_bytes_panic(pieces in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..50), 0..20)) {
            let mut scan = Scan::default();
            for piece in pieces {
                scan.admits(&piece, 10);
            }
        }
    }
}
