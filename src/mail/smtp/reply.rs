//! Replies (RFC 5321 section 4.2) with enhanced status codes (RFC 2034).

use std::borrow::Cow;

use super::{dialect::Dialect, limits::SmtpLimits};
use crate::mail::reception::{Receipt, Refusal, Unreachable};

/// A reply: its code, its enhanced status code where it has one, and its lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reply {
    code: u16,
    pub(super) enhanced: &'static str,
    pub(super) lines: Vec<Cow<'static, str>>,
}

impl Reply {
    pub(super) fn new(code: u16, enhanced: &'static str, text: impl Into<Cow<'static, str>>) -> Self {
        Self { code, enhanced, lines: vec![text.into()] }
    }

    #[cfg(test)]
    pub(super) fn code(&self) -> u16 {
        self.code
    }

    /// The enhanced status code with which it refuses something, if it does.
    pub(super) fn refusal(&self) -> Option<&'static str> {
        (self.code >= 400).then_some(self.enhanced)
    }

    /// Writes the reply at the end of `out`.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        let last = self.lines.len().saturating_sub(1);
        for (index, line) in self.lines.iter().enumerate() {
            let mark = if index == last { ' ' } else { '-' };
            out.extend_from_slice(format!("{}{mark}", self.code).as_bytes());
            if !self.enhanced.is_empty() {
                out.extend_from_slice(self.enhanced.as_bytes());
                out.push(b' ');
            }
            // A text that quotes the peer must not start a new line of ours.
            out.extend(line.bytes().map(|byte| if byte.is_ascii_control() { b'?' } else { byte }));
            out.extend_from_slice(b"\r\n");
        }
    }

    pub(super) fn greeting(dialect: Dialect, limits: &SmtpLimits) -> Self {
        Self::new(220, "", format!("{} {} mailbell", limits.hostname, dialect.in_greeting()))
    }

    /// To EHLO or LHLO: the name and the extensions. These lines carry no enhanced code (RFC 2034 section 4).
    pub(super) fn extensions(limits: &SmtpLimits) -> Self {
        let lines = [
            limits.hostname.clone(),
            format!("SIZE {}", limits.message_bytes_max),
            "8BITMIME".into(),
            "PIPELINING".into(),
            "ENHANCEDSTATUSCODES".into(),
            "SMTPUTF8".into(),
        ];
        Self { code: 250, enhanced: "", lines: lines.into_iter().map(Cow::Owned).collect() }
    }

    pub(super) fn hello(limits: &SmtpLimits) -> Self {
        Self::new(250, "", limits.hostname.clone())
    }

    pub(super) fn too_big(limits: &SmtpLimits) -> Self {
        Self::new(552, "5.3.4", format!("the message is larger than {} bytes", limits.message_bytes_max))
    }

    pub(super) fn ending(limits: &SmtpLimits) -> Self {
        Self::new(421, "4.3.2", format!("{} is ending; try again later", limits.hostname))
    }

    pub(super) fn idle(limits: &SmtpLimits) -> Self {
        Self::new(421, "4.4.2", format!("{} has waited too long for you; closing", limits.hostname))
    }

    pub(super) fn too_many_connections(limits: &SmtpLimits) -> Self {
        Self::new(421, "4.3.2", format!("{} has too many connections; try again later", limits.hostname))
    }

    /// To a recipient that is not taken.
    pub(super) fn unreachable(why: &Unreachable) -> Self {
        match why {
            Unreachable::Foreign(_) => Self::new(550, "5.7.1", why.to_string()),
            Unreachable::NoMailbox(_) => Self::new(550, "5.1.1", why.to_string()),
            Unreachable::Store(_) => Self::new(451, "4.3.0", "cannot look up mailboxes at the moment; try again later"),
        }
    }

    /// To a message that was taken in.
    pub(super) fn stored(receipt: &Receipt) -> Self {
        let first = receipt.messages.first().map_or("", |id| id.as_str());
        let text = match receipt.messages.len() {
            0 | 1 => format!("stored as {first}"),
            many => format!("stored as {first} and {} more", many - 1),
        };
        Self::new(250, "2.0.0", text)
    }

    /// To a recipient by LMTP, whose mailbox stands at `place` in the envelope, of a message that was taken in.
    pub(super) fn stored_one(receipt: &Receipt, place: usize) -> Self {
        let id = receipt.messages.get(place).map_or("", |id| id.as_str());
        Self::new(250, "2.0.0", format!("stored as {id}"))
    }

    /// To a message that was not taken in.
    pub(super) fn refused(why: &Refusal) -> Self {
        match why {
            Refusal::NoSpace => Self::new(452, "4.3.1", why.to_string()),
            Refusal::NotWritten(_) | Refusal::NotStored(_) => {
                Self::new(451, "4.3.0", "the message could not be stored; try again later")
            }
        }
    }
}
