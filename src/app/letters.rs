//! The mail wing's reader, handed to the bell wing: how what it finds is called there.

use crate::{
    bell::imap::Letter,
    mail::elsewhere::{self, Found},
};

/// Reads the bytes of a message in a mailbox elsewhere.
pub(super) fn read(raw: &[u8]) -> Letter {
    let Found { reading, ancestors, reports } = elsewhere::read(raw);
    Letter {
        from: reading.from,
        from_name: reading.from_name,
        to: reading.to,
        cc: reading.cc,
        subject: reading.subject,
        internet_id: reading.internet_id,
        ancestors,
        auto: reading.auto,
        text: reading.text,
        snippet: reading.snippet,
        files: reading.attachments,
        notes: reading.notes,
        reports,
    }
}
