//! Adding, changing and removing mailboxes, as the operator does.

use super::{Upstream, UpstreamError, wire};
use crate::domain::{address::Address, id::MailboxId, oversight::Change};

impl Upstream {
    /// Adds a mailbox; answers with its id. One that is there already is an error of the API's.
    pub async fn add_mailbox(&self, address: &Address, display_name: Option<&str>) -> Result<MailboxId, UpstreamError> {
        // The API's descriptions disagree on which of the two it is; the unknown one is passed over.
        let body = serde_json::json!({
            "address": address, "address_local": address.local(), "display_name": display_name,
        });
        let made: wire::MailboxBody = self.change(Change::new("POST", &["v1", "mailboxes"], body)).await?;
        self.known().mailboxes.clear();
        Ok(super::Mailbox::from(made).id)
    }

    /// Turns tracking images in what the mailbox of that address or id sends on or off, unless a message says otherwise.
    pub async fn track_opens(&self, named: &str, on: bool) -> Result<(), UpstreamError> {
        let mailbox = self.mailbox_at(named).await?;
        let body = serde_json::json!({ "track_opens": on });
        let path = ["v1", "mailboxes", mailbox.id.as_str()];
        self.change::<serde::de::IgnoredAny>(Change::new("PATCH", &path, body).of(&mailbox.address)).await.map(drop)
    }

    /// Removes the mailbox of that address or id, with all its mail.
    pub async fn remove_mailbox(&self, named: &str) -> Result<(), UpstreamError> {
        self.known().mailboxes.clear();
        let mailbox = self.mailbox_at(named).await?;
        let path = ["v1", "mailboxes", mailbox.id.as_str()];
        let change = Change::new("DELETE", &path, serde_json::Value::Null).of(&mailbox.address);
        self.change::<serde::de::IgnoredAny>(change).await?;
        self.known().mailboxes.clear();
        Ok(())
    }
}
