//! Reads a message out of what follows DATA: finds its end, unstuffs its dots, and keeps it within limits.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// What memory is reserved by, in bytes: 64 KiB.
const RESERVE_BYTES: usize = 64 * 1024;

/// Undoes the framing of RFC 5321 section 4.5.2. Only CRLF.CRLF ends a message (the line end of the DATA command counts
/// as the first CRLF); whatever else looks like an end is content.
///
/// smtp-proto has such a receiver too, but that one also ends a message at CRLF.CR CRLF.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unframe {
    /// After CRLF.
    LineStart,
    /// After CRLF and a dot, which is held back.
    Dot,
    /// After CRLF, a dot and CR, both held back.
    DotCr,
    /// After CR.
    Cr,
    /// Anywhere else.
    Inside,
}

impl Unframe {
    /// Hands the content in `input` to `keep`. Answers with what was used of `input` if the end was in it; else all
    /// was.
    fn feed(&mut self, input: &[u8], mut keep: impl FnMut(&[u8])) -> Option<usize> {
        let mut at = 0;
        while let Some(byte) = input.get(at) {
            match (*self, byte) {
                (Self::LineStart, b'.') => (*self, at) = (Self::Dot, at + 1),
                (Self::Dot, b'\r') => (*self, at) = (Self::DotCr, at + 1),
                (Self::DotCr, b'\n') => return Some(at + 1),
                (Self::DotCr, _) => {
                    // The dot was stuffing, the CR was not.
                    keep(b"\r");
                    *self = Self::Cr;
                }
                (Self::Cr, b'\n') => {
                    keep(b"\n");
                    (*self, at) = (Self::LineStart, at + 1);
                }
                (Self::LineStart | Self::Dot | Self::Cr | Self::Inside, _) => {
                    let rest = &input[at..];
                    let (length, next) = match rest.iter().position(|byte| *byte == b'\r') {
                        Some(cr) => (cr + 1, Self::Cr),
                        None => (rest.len(), Self::Inside),
                    };
                    keep(&rest[..length]);
                    (*self, at) = (next, at + length);
                }
            }
        }
        None
    }
}

/// Why a message that has come in is not kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Overflow {
    /// It is over the limit.
    TooBig,
    /// All connections together hold too much.
    NoMemory,
}

/// A message that is coming in. What is over a limit is read to its end and thrown away, so that the conversation can
/// go on.
pub(super) struct Content {
    unframe: Unframe,
    raw: Vec<u8>,
    /// Where the message begins in `raw`, after what we put before it.
    begins: usize,
    bytes_max: usize,
    memory: Arc<Semaphore>,
    held: Option<OwnedSemaphorePermit>,
    overflow: Option<Overflow>,
}

impl Content {
    /// A message of at most `bytes_max`, behind `trace`, for which memory is asked of `memory`.
    pub(super) fn new(trace: Vec<u8>, bytes_max: usize, memory: Arc<Semaphore>) -> Self {
        let begins = trace.len();
        Self { unframe: Unframe::LineStart, raw: trace, begins, bytes_max, memory, held: None, overflow: None }
    }

    /// The permits that stand for `bytes` of memory.
    pub(super) const fn permits(bytes: usize) -> usize {
        bytes.div_ceil(RESERVE_BYTES)
    }

    /// Takes what came in. Answers with what was used of it if the message ended in it; else all was.
    pub(super) fn feed(&mut self, input: &[u8]) -> Option<usize> {
        let Self { unframe, raw, begins, bytes_max, memory, held, overflow } = self;
        if overflow.is_none() {
            // At once, and not line by line.
            raw.reserve(input.len());
        }
        unframe.feed(input, |piece| {
            if overflow.is_some() {
                return;
            }
            if raw.len() - *begins + piece.len() > *bytes_max {
                *overflow = Some(Overflow::TooBig);
            } else if !reserve(memory, held, raw.len() + piece.len()) {
                *overflow = Some(Overflow::NoMemory);
            } else {
                raw.extend_from_slice(piece);
                return;
            }
            *raw = Vec::new();
            *held = None;
        })
    }

    /// The message as sent, without what we put before it.
    pub(super) fn as_sent(&self) -> &[u8] {
        self.raw.get(self.begins..).unwrap_or(&[])
    }

    /// The raw bytes, and the memory they stand for; or why there are none.
    pub(super) fn finish(self) -> Result<(Vec<u8>, Option<OwnedSemaphorePermit>), Overflow> {
        match self.overflow {
            None => Ok((self.raw, self.held)),
            Some(overflow) => Err(overflow),
        }
    }
}

/// Holds the permits for `bytes`, if they can be had.
fn reserve(memory: &Arc<Semaphore>, held: &mut Option<OwnedSemaphorePermit>, bytes: usize) -> bool {
    let have = held.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
    let lack = Content::permits(bytes).saturating_sub(have);
    if lack == 0 {
        return true;
    }
    let Some(more) = u32::try_from(lack).ok().and_then(|lack| memory.clone().try_acquire_many_owned(lack).ok()) else {
        return false;
    };
    match held {
        Some(held) => held.merge(more),
        None => *held = Some(more),
    }
    true
}

#[cfg(test)]
mod tests;
