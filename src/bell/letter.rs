//! A message that is read here, and not by a mail API: what the mail wing's reader finds in its bytes, and what is kept of it.

use std::{sync::Arc, time::Duration};

use crate::{
    domain::{clock::Clock, event::Detail},
    store::received::{Content, Fields, File},
};

/// Characters of a text that are kept: what an agent reads in 100 calls.
const TEXT_CHARS_MAX: usize = 1 << 20;
/// The largest file whose bytes are kept: the largest that an agent is given.
pub const FILE_BYTES_MAX: usize = 1 << 20;
/// Bytes of a message's files that are kept.
pub const FILES_BYTES_MAX: usize = 8 << 20;
/// Files of a message that are kept, the first.
pub const FILES_MAX: usize = 10;
/// Files of a message that are told of.
const FILES_TOLD_MAX: usize = 200;

/// What a message says, as the mail wing's reader finds it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Letter {
    /// The sender's address, if any is named.
    pub from: Option<String>,
    /// The sender's name.
    pub from_name: Option<String>,
    /// The addresses in `To`.
    pub to: Vec<String>,
    /// The addresses in `Cc`.
    pub cc: Vec<String>,
    /// The subject.
    pub subject: String,
    /// Its Message-ID.
    pub internet_id: Option<String>,
    /// The Message-IDs that it is about, answers or refers to, the nearest first.
    pub ancestors: Vec<String>,
    /// Whether it is an automatic reply.
    pub auto: bool,
    /// The text.
    pub text: String,
    /// The text without what it quotes.
    pub reply: Option<String>,
    /// The beginning of the text.
    pub snippet: String,
    /// The files.
    pub files: Vec<LetterFile>,
    /// What a person should know of how it was read.
    pub notes: Vec<String>,
    /// What it reports on another message; empty where it is mail like any other.
    pub reports: Vec<Detail>,
}

/// A file that came with a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LetterFile {
    /// What is told of it.
    pub file: File,
    /// Its bytes, where it is one of those that are kept.
    pub bytes: Option<Vec<u8>>,
}

/// Reads the bytes of a message. The wings meet only on the wire, so `app` hands the mail wing's reader in.
pub type ReadLetter = fn(&[u8]) -> Letter;

/// Which of a message's files are kept: asked for each in turn, with its size.
#[derive(Debug, Default)]
pub struct Room {
    files: usize,
    bytes: usize,
}

impl Room {
    /// Whether there is room for the bytes of a file of that size, which then is taken.
    pub fn take(&mut self, bytes: usize) -> bool {
        let fits = bytes <= FILE_BYTES_MAX && self.files < FILES_MAX && self.bytes + bytes <= FILES_BYTES_MAX;
        if fits {
            self.files += 1;
            self.bytes += bytes;
        }
        fits
    }
}

/// Reads a message on a thread where that may take its time, and no longer than `time_max`; `unread` says what else then.
pub(super) async fn read(
    read: ReadLetter,
    raw: Vec<u8>,
    clock: &Arc<dyn Clock>,
    time_max: Duration,
    unread: &str,
) -> Letter {
    let without = |why: &str| Letter { notes: vec![format!("{why}; {unread}")], ..Letter::default() };
    tokio::select! {
        read = tokio::task::spawn_blocking(move || read(&raw)) => {
            read.unwrap_or_else(|_| without("the message could not be read"))
        }
        () = clock.sleep(time_max) => without("reading the message took too long"),
    }
}

impl Letter {
    /// What is kept of it.
    pub(super) fn kept(self) -> (Fields, Content) {
        let mut notes = self.notes;
        let (body, cut) = within(self.text);
        if cut {
            notes.push(format!("the text was cut at {TEXT_CHARS_MAX} characters"));
        }
        if self.files.len() > FILES_TOLD_MAX {
            notes.push(format!("of {} files the first {FILES_TOLD_MAX} are told of", self.files.len()));
        }
        let (mut files, mut kept) = (Vec::new(), Vec::new());
        for (place, LetterFile { file, bytes }) in self.files.into_iter().take(FILES_TOLD_MAX).enumerate() {
            files.push(file);
            kept.extend(bytes.map(|bytes| (place, bytes)));
        }
        let fields = Fields {
            from: self.from.unwrap_or_default(),
            from_name: self.from_name,
            to: self.to,
            cc: self.cc,
            subject: self.subject,
            snippet: self.snippet,
            auto: self.auto,
            files,
            notes,
        };
        (fields, Content { body, reply: self.reply.map(|reply| within(reply).0), files: kept })
    }
}

fn within(text: String) -> (String, bool) {
    match text.char_indices().nth(TEXT_CHARS_MAX) {
        Some((end, _)) => (text[..end].to_owned(), true),
        None => (text, false),
    }
}
