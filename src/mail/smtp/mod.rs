//! The SMTP listener (RFC 5321): takes mail for mailboxes here, and is never a relay.
//!
//! [`server`] accepts, [`connection`] reads and writes, [`session`] decides what to answer and does no I/O, [`content`]
//! undoes the framing of a message. Extensions: SIZE (RFC 1870), 8BITMIME (RFC 6152), PIPELINING (RFC 2920),
//! ENHANCEDSTATUSCODES (RFC 2034).
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
//! byte as sent, dots unstuffed. It names no recipient, so that mailboxes can share the file and none learns of
//! another.

mod connection;
mod content;
mod limits;
mod lines;
mod reply;
mod server;
mod session;
mod trace;

pub use limits::SmtpLimits;
pub use server::serve;
