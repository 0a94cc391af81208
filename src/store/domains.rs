//! The domains whose mail is taken, as rows.

use async_trait::async_trait;

use super::StoreError;
use crate::domain::{clock::UnixMillis, office::HomeDomain};

/// What became of a domain to be added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DomainAdded {
    /// It is there now.
    Fresh,
    /// It was there already.
    Exists,
    /// There are as many as there may be.
    Full,
}

/// What became of a domain to be removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DomainRemoved {
    /// It is gone.
    Done,
    /// There is none of that name.
    Unknown,
    /// The settings name it.
    OfTheSettings,
    /// So many mailboxes stand in it.
    Inhabited(u32),
}

/// The domains whose mail is taken; names are lower-cased, in A-labels.
#[async_trait]
pub trait HomeDomains: Send + Sync + 'static {
    /// Takes `named` as those that the settings name, in this order, in the place of those they named before.
    async fn seed_domains(&self, named: &[String]) -> Result<(), StoreError>;
    /// Every domain: those of the settings in their order, then the others, the oldest first.
    async fn domains(&self) -> Result<Vec<HomeDomain>, StoreError>;
    /// Adds a domain, unless `most` were added already.
    async fn add_domain(&self, name: &str, now: UnixMillis, most: u32) -> Result<DomainAdded, StoreError>;
    /// Removes a domain that was added and in which no mailbox stands.
    async fn remove_domain(&self, name: &str) -> Result<DomainRemoved, StoreError>;
}
