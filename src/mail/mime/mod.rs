//! Reads a raw message: who wrote to whom about what, the text, and what came as files.
//!
//! mail-parser reads headers, encodings and charsets; the tree of parts is walked here, because mail-parser has no
//! limits of its own and keeps nested messages in a recursive structure, whose destruction overflows the stack for a
//! mail of a few megabytes of `Content-Type: message/rfc822`, and a stack overflow ends the process. Here a nested
//! message is an attachment and is never opened, and the walk ends at [`limits`]. Whatever is over a limit, broken or
//! missing: every byte string is some message, what could be read is told, and a note says what could not.

mod answering;
mod auto;
mod block;
mod decode;
mod entity;
mod headers;
pub mod limits;
mod multipart;
mod snippet;
mod text;
mod uuencode;
mod walk;

use crate::domain::message::Attachment;

pub use answering::{Answering, answering};
pub use walk::attachment;

/// What a raw message says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Reading {
    /// The subject, decoded, on one line; empty if there is none.
    pub subject: String,
    /// The address in `From` (or else `Sender`).
    pub from: Option<String>,
    /// The name beside it.
    pub from_name: Option<String>,
    /// The addresses in `To`.
    pub to: Vec<String>,
    /// The addresses in `Cc`.
    pub cc: Vec<String>,
    /// Its Message-ID, without angle brackets.
    pub internet_id: Option<String>,
    /// The Message-IDs in `In-Reply-To`.
    pub in_reply_to: Vec<String>,
    /// The Message-IDs in `References`.
    pub references: Vec<String>,
    /// Whether it is an automatic reply (RFC 3834).
    pub auto: bool,
    /// The text: the plain parts, or HTML parts as text where there is no plain alternative.
    pub text: String,
    /// The first 200 characters of it, without the links that are listed under HTML.
    pub snippet: String,
    /// What came as files.
    pub attachments: Vec<Attachment>,
    /// What a person should know of how it was read.
    pub notes: Vec<String>,
}

/// Reads `raw`. It takes time in proportion to its length, but for 25 MB that is too long for an async thread.
pub fn read(raw: &[u8]) -> Reading {
    let raw = text::with_line_feeds(raw);
    let root = entity::Entity::root(&raw);
    let mut reading = Reading::default();
    headers::read(&root, &mut reading);
    walk::read(&root, &mut reading);
    reading
}

#[cfg(test)]
mod tests;
