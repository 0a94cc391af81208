//! The two languages of the one engine.

/// Which protocol a listener speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    /// RFC 5321.
    Smtp,
    /// RFC 2033.
    Lmtp,
}

impl Dialect {
    /// What the greeting calls it.
    pub(super) fn in_greeting(self) -> &'static str {
        match self {
            Self::Smtp => "ESMTP",
            Self::Lmtp => "LMTP",
        }
    }

    /// What a peer says first.
    pub(super) fn hello(self) -> &'static str {
        match self {
            Self::Smtp => "EHLO",
            Self::Lmtp => "LHLO",
        }
    }

    /// How a message came in, for `Received` (RFC 3848, RFC 6531 section 4.3).
    pub(super) fn with(self, extended: bool, utf8: bool) -> &'static str {
        match (self, extended, utf8) {
            (Self::Smtp, _, true) => "UTF8SMTP",
            (Self::Smtp, true, false) => "ESMTP",
            (Self::Smtp, false, false) => "SMTP",
            (Self::Lmtp, _, true) => "UTF8LMTP",
            (Self::Lmtp, _, false) => "LMTP",
        }
    }
}
