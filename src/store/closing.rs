//! Closing the account: all of it is erased, in small transactions, by whoever is the keeper until it is done.

use async_trait::async_trait;

use super::StoreError;
use crate::domain::clock::UnixMillis;

/// Erases what belongs to the account: mailboxes with their mail, what is to be sent, webhooks and what they are owed, keys,
/// contacts, domains that were added, and what the account is called.
///
/// What is the house's own stays: its key, its own receiver's webhook with what that is still owed, and the domains of the
/// settings. So does the suppression list, which others asked to be on.
#[async_trait]
pub trait Closing: Send + Sync + 'static {
    /// Notes that the account is being closed.
    async fn begin_closing(&self, now: UnixMillis) -> Result<(), StoreError>;
    /// Whether it is, and was not closed yet.
    async fn is_closing(&self) -> Result<bool, StoreError>;
    /// Erases a bounded number of rows of each sort, in one transaction; false once nothing was left.
    async fn erase_some(&self) -> Result<bool, StoreError>;
    /// Notes that it is closed.
    async fn end_closing(&self) -> Result<(), StoreError>;
}
