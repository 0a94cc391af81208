//! The list of addresses that we no longer write to.

use async_trait::async_trait;

use super::StoreError;
use crate::domain::{address::Address, suppression::Suppression};

/// The suppression list.
#[async_trait]
pub trait Suppressions: Send + Sync + 'static {
    /// Puts an address on the list and cancels what is queued for it; answers with its entry, which may have been there
    /// before.
    async fn suppress(&self, suppression: &Suppression) -> Result<Suppression, StoreError>;
    /// The entry of an address.
    async fn suppression_of(&self, address: &Address) -> Result<Option<Suppression>, StoreError>;
    /// A page of the list, the newest first: those older than the entry `before`, at most `limit`.
    async fn suppressions(&self, before: Option<&str>, limit: u32) -> Result<Vec<Suppression>, StoreError>;
    /// Takes an address off the list; false if it was not on it.
    async fn lift(&self, address: &Address) -> Result<bool, StoreError>;
}
