//! Messages that reached the bell wing without a mail API, by webhooks or from mailboxes elsewhere: what is kept of them, and
//! how far those mailboxes were read.

use std::collections::{BTreeMap, HashSet};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::StoreError;
use crate::domain::{
    clock::UnixMillis,
    event::NewEvent,
    id::{MessageId, SourceName, ThreadId},
};

/// What tells a message from all others of its source, wherever it lies: a SHA-256.
pub type Identity = [u8; 32];

/// What is kept of a message's headers and files.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Fields {
    /// The sender's address.
    pub from: String,
    /// The sender's name.
    pub from_name: Option<String>,
    /// The addresses in `To`.
    pub to: Vec<String>,
    /// The addresses in `Cc`.
    pub cc: Vec<String>,
    /// The subject, decoded.
    pub subject: String,
    /// The beginning of the text.
    pub snippet: String,
    /// Whether it is an automatic reply.
    pub auto: bool,
    /// The files that came with it, without their bytes.
    pub files: Vec<File>,
    /// What a reader should know of how it was read.
    pub notes: Vec<String>,
}

/// A file that came with a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct File {
    /// Its name.
    pub name: String,
    /// Its media type.
    pub content_type: String,
    /// Its size, decoded, in bytes.
    pub size_bytes: u64,
}

/// A message of a folder to be kept, with the events that tell of it.
#[derive(Debug, Clone)]
pub struct NewReceived {
    /// What it is known by.
    pub identity: Identity,
    /// The message.
    pub message: NewMessage,
    /// What to tell of it; the store adds the thread.
    pub events: Vec<NewEvent>,
}

/// An event that a webhook tells, with the message that it brings.
#[derive(Debug, Clone)]
pub struct Told {
    /// The event.
    pub event: NewEvent,
    /// The message, where it brings one. The store keeps it under the id that the event names, unless another message has
    /// that, and then under its own; and it adds the thread where the event names none.
    pub message: Option<NewMessage>,
}

/// A message to be kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewMessage {
    /// Its id here.
    pub id: MessageId,
    /// Whose it is, an address in lower case.
    pub mailbox: String,
    /// The thread that it begins, unless one of `ancestors` is in one.
    pub thread_id: ThreadId,
    /// Its Message-ID.
    pub internet_id: Option<String>,
    /// The Message-IDs that it answers or is about, the nearest first.
    pub ancestors: Vec<String>,
    /// When it came in.
    pub received_at: UnixMillis,
    /// Whether it reports on another message.
    pub report: bool,
    /// Its headers.
    pub fields: Fields,
    /// What it says.
    pub content: Content,
    /// The provider's id of it, where the provider's API has more of it.
    pub with_id: Option<String>,
    /// Whether the text is here, and not still with the provider.
    pub whole: bool,
}

/// What a message says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Content {
    /// Its text.
    pub body: String,
    /// The text without what it quotes.
    pub reply: Option<String>,
    /// The bytes of its files that are kept, by their place among [`Fields::files`].
    pub files: Vec<(usize, Vec<u8>)>,
}

impl NewMessage {
    /// Roughly what it weighs, in bytes.
    pub fn weight(&self) -> usize {
        let Content { body, reply, files } = &self.content;
        body.len() + reply.as_ref().map_or(0, String::len) + files.iter().map(|(_, bytes)| bytes.len()).sum::<usize>()
    }
}

/// A watched folder, by what names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Watched {
    /// Its source.
    pub source: SourceName,
    /// When that source was added: one that was removed and added anew is another.
    pub added_at: UnixMillis,
    /// The folder's name, as it was configured.
    pub folder: String,
    /// The epoch of the term in which it is read.
    pub epoch: i32,
}

/// How far a folder was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The validity of its UIDs (RFC 3501 section 2.3.1.1).
    pub uid_validity: u32,
    /// Up to this UID all is in the log.
    pub last_uid: u32,
    /// Messages below this UID are news only where they came in at or after `not_before`.
    pub news_from: u32,
    /// By the server's clock.
    pub not_before: UnixMillis,
}

/// How a folder does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FolderState {
    /// Its name.
    pub folder: String,
    /// How far it was read; none before the first look.
    pub place: Option<Place>,
    /// When it was last read without trouble.
    pub looked_at: Option<UnixMillis>,
    /// Why it is not read now, and since when.
    pub trouble: Option<(String, UnixMillis)>,
}

/// What a reader brings of a folder, stored as one.
#[derive(Debug, Clone)]
pub struct Haul {
    /// Of which folder.
    pub watched: Watched,
    /// Whose events these are, as the log names it.
    pub told_by: SourceName,
    /// How far the folder is read with it.
    pub place: Place,
    /// Messages that are known from now on, and were there before anybody looked.
    pub no_news: Vec<Identity>,
    /// Messages, the oldest first. Those that are known already are passed over.
    pub messages: Vec<NewReceived>,
    /// When it was brought.
    pub now: UnixMillis,
}

/// Folders of mailboxes elsewhere, as their reader knows them.
#[async_trait]
pub trait Folders: Send + Sync + 'static {
    /// How the folders of a source do, by name.
    async fn folders(&self, source: &SourceName) -> Result<Vec<FolderState>, StoreError>;

    /// Those of `identities` that the source has told of.
    async fn known(&self, source: &SourceName, identities: &[Identity]) -> Result<HashSet<Identity>, StoreError>;

    /// Stores messages, their events and how far the folder is read in one transaction, and answers with the mailbox of each
    /// new event. Refused as superseded where the term or the source is no more.
    async fn take(&self, haul: Haul) -> Result<Vec<String>, StoreError>;

    /// Keeps why a folder is not read; it ends with the next [`Folders::take`].
    async fn keep_trouble(&self, watched: &Watched, trouble: &str, now: UnixMillis) -> Result<(), StoreError>;
}

/// A message with its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceivedText {
    /// All but the text.
    pub message: Received,
    /// The text.
    pub body: String,
    /// The text without what it quotes.
    pub reply: Option<String>,
}

/// Where a provider has more of a message than is here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AtProvider {
    /// The source that told of it.
    pub source: SourceName,
    /// The provider's id of it.
    pub id: String,
    /// Whether the text is here.
    pub whole: bool,
}

/// A message that is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "each as in `NewReceived`")]
pub struct Received {
    pub id: MessageId,
    pub mailbox: String,
    pub thread_id: ThreadId,
    pub received_at: UnixMillis,
    pub is_read: bool,
    pub report: bool,
    pub fields: Fields,
    pub tags: BTreeMap<String, String>,
}

/// Which of them to list, the newest first; each part narrows.
#[derive(Debug, Clone, Default)]
pub struct ReceivedQuery {
    /// Of the mailbox of this address, in lower case.
    pub mailbox: String,
    /// Received at or before this moment.
    pub until: Option<UnixMillis>,
    /// Of this thread.
    pub thread_id: Option<ThreadId>,
    /// Only unread ones.
    pub unread_only: bool,
    /// Whose sender's address or name contains this, in any case of ASCII letters.
    pub sender: Option<String>,
    /// Whose subject contains this, likewise.
    pub subject_contains: Option<String>,
    /// Carrying this tag.
    pub tag: Option<String>,
    /// Not carrying this tag.
    pub without_tag: Option<String>,
    /// At most so many.
    pub limit: u32,
}

/// What is kept, for those who read it.
#[async_trait]
pub trait ReceivedMail: Send + Sync + 'static {
    /// The addresses that messages came to, by name.
    async fn received_mailboxes(&self) -> Result<Vec<String>, StoreError>;

    /// A message, if it is one of these.
    async fn received(&self, id: &MessageId) -> Result<Option<Received>, StoreError>;

    /// The same with its text.
    async fn received_text(&self, id: &MessageId) -> Result<Option<ReceivedText>, StoreError>;

    /// The bytes of the file at `place`, from 0, where they are kept.
    async fn received_file(&self, id: &MessageId, place: usize) -> Result<Option<Vec<u8>>, StoreError>;

    /// Where a provider has more of it, if one does.
    async fn at_provider(&self, id: &MessageId) -> Result<Option<AtProvider>, StoreError>;

    /// Keeps what the provider said of a message whose text was there. One that has its text meanwhile stays as it is.
    async fn complete_received(&self, id: &MessageId, fields: &Fields, content: &Content) -> Result<(), StoreError>;

    /// Keeps the bytes of a file.
    async fn keep_received_file(&self, id: &MessageId, place: usize, bytes: &[u8]) -> Result<(), StoreError>;

    /// How many there are, with the bytes of their texts and of their files.
    async fn received_weight(&self) -> Result<(u64, u64, u64), StoreError>;

    /// Messages, the newest first.
    async fn list_received(&self, query: &ReceivedQuery) -> Result<Vec<Received>, StoreError>;

    /// The messages of a thread, the oldest first; none where it is no thread of these.
    async fn received_thread(&self, id: &ThreadId) -> Result<Vec<Received>, StoreError>;

    /// Marks a message read.
    async fn mark_received_read(&self, id: &MessageId) -> Result<(), StoreError>;

    /// Adds tags and takes some off; answers with all that the message has then, or none where it is not there.
    async fn tag_received(
        &self,
        id: &MessageId,
        add: &[String],
        remove: &[String],
    ) -> Result<Option<Vec<String>>, StoreError>;
}
