//! The SMTP and LMTP listeners (RFC 5321, RFC 2033): take mail for mailboxes here, and are never a relay.
//!
//! [`server`] accepts, [`connection`] reads and writes, [`session`] decides what to answer and does no I/O, [`content`]
//! undoes the framing of a message. Extensions: SIZE (RFC 1870), 8BITMIME (RFC 6152), PIPELINING (RFC 2920),
//! ENHANCEDSTATUSCODES (RFC 2034), SMTPUTF8 (RFC 6531).
//!
//! # What LMTP changes
//!
//! The greeting is LHLO, and after the message comes one reply for each RCPT that was taken, in their order, also where
//! two of them name one mailbox (RFC 2033 section 4.2). A message is still stored for all mailboxes at once or for none,
//! so those replies differ in nothing but the id.
//!
//! # Why only CRLF.CRLF ends a message
//!
//! Servers that also end it at a bare line feed can be made to see a second message inside the first (SMTP smuggling).
//! Here a bare LF or CR in a message is kept as sent and means nothing. Commands may end with a bare LF, for people at
//! a terminal: no command can be hidden in another.
//!
//! # What is put before a message
//!
//! The raw bytes that are stored are `Return-Path` and `Received` (RFC 5321 section 4.4), then the message byte for
//! byte as sent, dots unstuffed. It names no recipient, so that mailboxes can share the bytes and none learns of
//! another.

mod connection;
mod content;
mod dialect;
mod limits;
mod lines;
mod reply;
mod server;
mod session;
mod trace;

pub use limits::SmtpLimits;
pub use server::{serve, serve_lmtp};
