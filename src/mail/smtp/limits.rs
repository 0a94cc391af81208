//! How much a peer may ask for.

use std::time::Duration;

use crate::config;

/// Recipients of one message (RFC 5321 section 4.5.3.1.8 asks for at least 100).
pub(super) const RECIPIENTS_MAX: usize = 100;
/// The longest command line, in bytes with its end: what smtp-proto reads. RFC 5321 asks for 512.
pub(super) const COMMAND_BYTES_MAX: usize = 4_096;
/// Commands that were no good, before the peer is sent away: Postfix allows as many.
pub(super) const COMPLAINTS_MAX: u32 = 20;
/// Commands between two messages: a message takes about three and one for each recipient.
pub(super) const COMMANDS_BETWEEN_MAX: u32 = 1_000;
/// Commands of one connection.
pub(super) const COMMANDS_MAX: u32 = 10_000;
/// `Received` fields, before a message is taken to go round in circles (RFC 5321 section 6.3 asks for at least 100 hops
/// by any count; Postfix and Stalwart end at 50).
pub(super) const RECEIVED_MAX: usize = 50;
/// Bytes of messages that all connections of a listener hold at once: 256 MiB, ten messages of the largest size.
pub(super) const IN_FLIGHT_BYTES_MAX: usize = 256 << 20;
/// How long a message may take to come in (RFC 5321 section 4.5.3.2.5 gives each block three minutes): else a few slow
/// peers could hold every connection.
pub(super) const CONTENT_TIME_MAX: Duration = Duration::from_mins(30);
/// How long a message that is coming in when the service ends may still take.
pub(super) const GRACE: Duration = Duration::from_secs(2);
/// How long the end of the service waits for connections.
pub(super) const END_TIME_MAX: Duration = Duration::from_secs(3);

/// The limits that an operator sets.
#[derive(Debug, Clone)]
pub struct SmtpLimits {
    /// The name in the greeting.
    pub hostname: String,
    /// The largest message, in bytes as sent, dots unstuffed.
    pub message_bytes_max: usize,
    /// Connections at once.
    pub connections_max: usize,
    /// How long a peer may be silent.
    pub idle: Duration,
}

impl From<&config::Smtp> for SmtpLimits {
    fn from(settings: &config::Smtp) -> Self {
        Self {
            hostname: settings.hostname.clone(),
            message_bytes_max: settings.message_bytes_max,
            connections_max: settings.connections_max,
            idle: Duration::from_secs(settings.idle_secs),
        }
    }
}
