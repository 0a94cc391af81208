//! What a backup tells of itself.

use serde::{Deserialize, Serialize};

use super::Progress;
use crate::domain::{clock::UnixMillis, cursor::Seq};

/// The format of a backup; a greater one is another mailbell's.
pub const FORMAT: u32 = 1;

/// The last file of a backup that is written; what it does not list is not restored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// [`FORMAT`].
    pub format: u32,
    /// The moment that the databases are of, to within the time it took to get there.
    pub at: UnixMillis,
    /// The version of mailbell that made it.
    pub version: String,
    /// The id of the log.
    pub log: String,
    /// The newest event.
    pub head: Seq,
    /// How many events there are.
    pub events: i64,
    /// The end of the audit record, as `mailbell audit verify --head` takes it.
    pub audit_head: Option<String>,
    /// The schema of `bell.db`.
    pub bell_schema: i64,
    /// The schema of `mail.db`, where there is an embedded mail service.
    pub mail_schema: Option<i64>,
    /// Messages.
    pub messages: i64,
    /// Raw messages in files that their SHA-256 names; `mail.db` has the small ones.
    pub raw_mail: RawMail,
    /// Whether secrets are in it.
    pub with_secrets: bool,
    /// All other files.
    pub files: Vec<Listed>,
}

/// Raw messages.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RawMail {
    /// How many files.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Those that a message has and that were missing or damaged when the backup was made.
    pub lost: Vec<String>,
}

/// A file of a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listed {
    /// Its name, below the directory.
    pub name: String,
    /// Its bytes.
    pub bytes: u64,
    /// Its SHA-256, in hexadecimal.
    pub sha256: String,
}

impl Progress {
    pub(super) fn of_tables(copied: crate::store::snapshot::Copied) -> Self {
        Self { doing: "tables", done: copied.tables as u64, of: copied.of as u64 }
    }

    pub(super) fn of_mail(done: usize, of: usize) -> Self {
        Self { doing: "messages", done: done as u64, of: of as u64 }
    }
}
