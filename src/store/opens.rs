//! Tracking images and what was fetched of them.

use async_trait::async_trait;

use super::StoreError;
use crate::domain::{
    clock::UnixMillis,
    id::{EventId, MailboxId, MessageId},
};

/// SHA-256 of an image's token.
pub type TokenHash = [u8; 32];

/// Fetches of one recipient and day that are counted; what comes after them is a mail program gone wild, or somebody
/// who wants to see us write.
pub const FETCHES_COUNTED_MAX: u32 = 1_000;

/// An image that a message carries.
#[derive(Debug, Clone)]
pub struct Image {
    /// What its URL is known by.
    pub token_hash: TokenHash,
    /// The mailbox that sends the message.
    pub mailbox: MailboxId,
    /// The message.
    pub message: MessageId,
    /// Who gets it; none where the same image goes to several.
    pub recipient: Option<String>,
    /// When it was made.
    pub created_at: UnixMillis,
}

/// Somebody fetched an image.
#[derive(Debug, Clone)]
pub struct Fetch {
    /// Which.
    pub token_hash: TokenHash,
    /// When.
    pub at: UnixMillis,
    /// Whether a machine did, as far as can be known.
    pub machine: Option<bool>,
    /// The id of the event, if this makes one.
    pub event_id: EventId,
}

/// What became of a fetch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fetched {
    /// There is no such image.
    Unknown,
    /// The first of its recipient and day: an `open` event is owed to the webhooks that want it.
    First,
    /// Another one of that day: counted, no event.
    Repeat,
}

/// The fetches of one recipient on one day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenDay {
    /// Who got the message; none where that cannot be known.
    pub recipient: Option<String>,
    /// How often the image was fetched, up to [`FETCHES_COUNTED_MAX`].
    pub fetches: u32,
    /// How many of those were a machine's.
    pub by_machines: u32,
    /// The first of them.
    pub first_at: UnixMillis,
    /// The last of them that was counted.
    pub last_at: UnixMillis,
}

/// Tracking images.
#[async_trait]
pub trait Opens: Send + Sync + 'static {
    /// Adds an image.
    async fn add_image(&self, image: &Image) -> Result<(), StoreError>;
    /// Counts a fetch; the first of its recipient and UTC day owes an `open` event, in the same transaction.
    async fn fetched(&self, fetch: &Fetch) -> Result<Fetched, StoreError>;
    /// The fetches of a message, by day and recipient.
    async fn opens_of(&self, message: &MessageId) -> Result<Vec<OpenDay>, StoreError>;
    /// Whether messages of this mailbox carry an image unless they say otherwise.
    async fn tracks_opens(&self, mailbox: &MailboxId) -> Result<bool, StoreError>;
    /// Turns that on or off; false if there is no such mailbox.
    async fn track_opens(&self, mailbox: &MailboxId, on: bool) -> Result<bool, StoreError>;
}
