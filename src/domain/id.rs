//! Names of things: each kind of id is a type of its own, so that none is handed in where another is meant.
//!
//! Ids that we make are a prefix and a monotonic ULID, so they sort by the time they were made (see `crate::ids`);
//! ids of other systems are taken as they come.

use std::fmt;

use serde::{Deserialize, Serialize};

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// Takes `text` as this kind of id.
            pub fn new(text: impl Into<String>) -> Self {
                Self(text.into())
            }

            /// The id as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    )*};
}

ids! {
    /// Names an event within its source: `evt_…` where we made it.
    EventId;
    /// Names a message: `em_…` where we made it.
    MessageId;
    /// Names a thread of messages: `thr_…` where we made it.
    ThreadId;
    /// Names a mailbox at the mail API: `mbx_…` where we made it.
    MailboxId;
    /// Names a webhook (endpoint, subscription and secret): `wh_…` where we made it.
    WebhookId;
    /// Names a delivery of an event to an endpoint: `dlv_…` where we made it.
    DeliveryId;
    /// Names a change that an agent asked for: `act_…`.
    ActionId;
    /// Names a source of webhooks, such as `multimail`; it is the last part of the receiver's path.
    SourceName;
    /// Names a reader of the log that remembers what it has handled.
    ConsumerName;
    /// Names one log; a restored log has a new one, so that its cursors cannot be confused with the old ones.
    LogId;
}

/// An id that is longer may carry words.
const BARE_CHARS_MAX: usize = 128;

/// Whether `text` is an id, address or code that cannot be mistaken for words.
pub fn is_bare(text: &str) -> bool {
    (1..=BARE_CHARS_MAX).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._:@+-=$".contains(&byte))
}
