//! The mailboxes of the embedded service: made, listed and removed by those who may.

use std::sync::Arc;

use super::domains::Domains;
use crate::{
    domain::{
        address::{Address, NotAnAddress},
        clock::Clock,
        id::MailboxId,
        message::Mailbox,
    },
    ids::Ids,
    store::{
        StoreError,
        mailroom::{Added, Mailroom},
    },
};

/// The longest display name, in characters.
pub const DISPLAY_NAME_CHARS_MAX: usize = 200;

/// Domains that a sentence names.
const NAMED_MAX: usize = 5;

/// Why a mailbox was not added.
#[derive(Debug, thiserror::Error)]
pub enum NotAdded {
    /// Its domain is not one of ours.
    #[error(
        "{domain} is not a domain of this service; use one of: {ours}, or add it first: POST /v1/domains, or mail.domains \
         in config.toml"
    )]
    ForeignDomain {
        /// The domain that was asked for.
        domain: String,
        /// Those there are.
        ours: String,
    },
    /// Its address is none.
    #[error("`address`: {0}")]
    Address(#[from] NotAnAddress),
    /// Its display name is too long or holds control characters.
    #[error("a display name has at most {DISPLAY_NAME_CHARS_MAX} characters and no control characters")]
    DisplayName,
    /// The store did not take it.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Makes, lists and removes mailboxes.
pub struct Mailrooms {
    store: Arc<dyn Mailroom>,
    ids: Arc<Ids>,
    clock: Arc<dyn Clock>,
    domains: Arc<Domains>,
}

impl Mailrooms {
    /// Mailboxes in `store`, of addresses under `domains`.
    pub fn new(store: Arc<dyn Mailroom>, ids: Arc<Ids>, clock: Arc<dyn Clock>, domains: Arc<Domains>) -> Self {
        Self { store, ids, clock, domains }
    }

    /// The address that `text` means: a whole one, or a local part at the first of our domains.
    pub fn address(&self, text: &str) -> Result<Address, NotAdded> {
        match self.domains.first() {
            Some(first) if !text.contains('@') => Ok(format!("{text}@{first}").parse()?),
            _ => Ok(text.parse()?),
        }
    }

    /// Adds a mailbox, or finds the one that has the address already.
    pub async fn add(&self, address: Address, display_name: Option<String>) -> Result<Added, NotAdded> {
        // Held until the mailbox is there, so that its domain is not removed in between.
        let _unchanged = self.domains.unchanged().await;
        if !self.domains.holds(address.domain()) {
            let all = self.domains.all();
            let ours: Vec<&str> = all.iter().take(NAMED_MAX).map(|domain| domain.name.as_str()).collect();
            return Err(NotAdded::ForeignDomain { domain: address.domain().into(), ours: ours.join(", ") });
        }
        let display_name = self::display_name(display_name)?;
        let id = MailboxId::new(self.ids.next("mbx_"));
        let mailbox = Mailbox { id, address, display_name, created_at: self.clock.now() };
        Ok(self.store.add_mailbox(&mailbox).await?)
    }

    /// Every mailbox, by address.
    pub async fn list(&self) -> Result<Vec<Mailbox>, StoreError> {
        self.store.mailboxes().await
    }

    /// Removes a mailbox with its messages; false if there was none.
    pub async fn remove(&self, id: &MailboxId) -> Result<bool, StoreError> {
        self.store.remove_mailbox(id).await
    }
}

/// A display name as it is kept: trimmed, none where it is empty.
pub(super) fn display_name(name: Option<String>) -> Result<Option<String>, NotAdded> {
    let name = name.map(|name| name.trim().to_owned()).filter(|name| !name.is_empty());
    match &name {
        Some(name) if name.chars().count() > DISPLAY_NAME_CHARS_MAX || name.chars().any(char::is_control) => {
            Err(NotAdded::DisplayName)
        }
        _ => Ok(name),
    }
}
