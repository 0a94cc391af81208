//! Whether a mailbox's messages carry tracking images, and who opened one.

use super::{Api, ApiError, must};
use crate::{
    domain::{
        id::MessageId,
        key::{ApiKey, KeyScope},
        message::Mailbox,
    },
    store::opens::OpenDay,
};

impl Api {
    /// The opens of an email, by day and recipient.
    pub async fn opens(&self, key: &ApiKey, id: &MessageId) -> Result<Vec<OpenDay>, ApiError> {
        must(key, KeyScope::Read)?;
        Ok(self.opens.opens_of(id).await?)
    }

    /// Whether the messages of a mailbox carry a tracking image unless they say otherwise.
    pub async fn tracks_opens(&self, mailbox: &Mailbox) -> Result<bool, ApiError> {
        Ok(self.opens.tracks_opens(&mailbox.id).await?)
    }
}
