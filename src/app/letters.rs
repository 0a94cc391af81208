//! The mail wing's reader, handed to the bell wing: how what it finds is called there.

use crate::{
    bell::letter::{Letter, LetterFile, Room},
    mail::{
        elsewhere::{self, Found},
        mime::attachment,
        quoted,
    },
    store::received::File,
};

/// Reads the bytes of a message that is not in the mail wing.
pub fn read(raw: &[u8]) -> Letter {
    let Found { reading, ancestors, reports } = elsewhere::read(raw);
    let mut room = Room::default();
    let files = reading.attachments.into_iter().map(|file| {
        // Asked for by its name, which is its own.
        let fits = usize::try_from(file.size_bytes).is_ok_and(|size| room.take(size));
        let bytes = if fits { attachment(raw, &file.name).map(|(_, bytes)| bytes) } else { None };
        let file = File { name: file.name, content_type: file.content_type, size_bytes: file.size_bytes };
        LetterFile { file, bytes }
    });
    let files = files.collect();
    Letter {
        from: reading.from,
        from_name: reading.from_name,
        to: reading.to,
        cc: reading.cc,
        subject: reading.subject,
        internet_id: reading.internet_id,
        ancestors,
        auto: reading.auto,
        reply: Some(quoted::reply_of(&reading.text)),
        text: reading.text,
        snippet: reading.snippet,
        files,
        notes: reading.notes,
        reports,
    }
}
