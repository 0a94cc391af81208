//! Mailboxes: list, add, show, remove.

use super::{Api, ApiError, FeatureChange, MailboxChange, features::decides, must};
use crate::{
    domain::{
        key::{ApiKey, KeyScope},
        message::Mailbox,
    },
    mail::mailroom::NotAdded,
    store::mailroom::Added,
};

impl Api {
    /// Every mailbox, by address.
    pub async fn mailboxes(&self, key: &ApiKey) -> Result<Vec<Mailbox>, ApiError> {
        must(key, KeyScope::Read)?;
        Ok(self.mailroom.mailboxes().await?)
    }

    /// The mailbox of that address or id.
    pub async fn mailbox(&self, key: &ApiKey, named: &str) -> Result<Mailbox, ApiError> {
        must(key, KeyScope::Read)?;
        self.find(named).await
    }

    /// Adds a mailbox: `address` is a whole address of one of our domains, or a local part for the first of them. What happens
    /// to it is told at `webhook_url`; where that cannot be, there is no mailbox either.
    pub async fn add_mailbox(
        &self,
        key: &ApiKey,
        address: &str,
        display_name: Option<String>,
        webhook_url: Option<String>,
    ) -> Result<Mailbox, ApiError> {
        must(key, KeyScope::Admin)?;
        let webhook_url = webhook_url.filter(|url| !url.trim().is_empty());
        if webhook_url.is_some() {
            decides(key, "webhook_url")?;
        }
        let address = self.mailboxes.address(address.trim())?;
        match self.mailboxes.add(address, display_name).await? {
            Added::Fresh(mailbox) => {
                let features = FeatureChange { webhook_url, ..FeatureChange::default() };
                if features != FeatureChange::default() {
                    let change = MailboxChange { features, ..MailboxChange::default() };
                    if let Err(error) = self.change_mailbox(key, mailbox.id.as_str(), change).await {
                        self.mailroom.remove_mailbox(&mailbox.id).await?;
                        return Err(error);
                    }
                }
                Ok(mailbox)
            }
            Added::Exists(there) => Err(ApiError::Conflict(format!(
                "the mailbox {} exists already, with the id {}; use that one or choose another address",
                there.address, there.id
            ))),
        }
    }

    /// Removes a mailbox, its messages, and the webhooks that were told of it alone.
    pub async fn remove_mailbox(&self, key: &ApiKey, named: &str) -> Result<(), ApiError> {
        must(key, KeyScope::Admin)?;
        let mailbox = self.find(named).await?;
        self.registry.remove_of(&mailbox).await?;
        self.mailroom.remove_mailbox(&mailbox.id).await?;
        Ok(())
    }
}

impl From<NotAdded> for ApiError {
    fn from(error: NotAdded) -> Self {
        match error {
            NotAdded::Store(error) => error.into(),
            NotAdded::Address(_) | NotAdded::ForeignDomain { .. } | NotAdded::DisplayName => {
                Self::Invalid(error.to_string())
            }
        }
    }
}
