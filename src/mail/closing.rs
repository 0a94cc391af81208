//! Closes the account: all that belongs to it is erased, and whoever is killed over it goes on at the next start.

use std::sync::Arc;

use super::domains::Domains;
use crate::{
    domain::clock::Clock,
    store::{self, StoreError},
};

/// What ends with the account and lies elsewhere, being ended.
pub trait Ends: Future<Output = Result<(), StoreError>> + Send {}

impl<T: Future<Output = Result<(), StoreError>> + Send> Ends for T {}

/// Closes the account.
#[derive(Clone)]
pub struct Closing {
    /// The rows.
    pub store: Arc<dyn store::closing::Closing>,
    /// No mailbox is made meanwhile, and no domain added.
    pub domains: Arc<Domains>,
    /// Time.
    pub clock: Arc<dyn Clock>,
}

impl Closing {
    /// Closes it; answers when nothing of it is left, and `ends` is done: what others keep of it. From the first moment on it
    /// will be closed, whatever happens here.
    pub async fn close(&self, ends: impl Ends) -> Result<(), StoreError> {
        let _unchanged = self.domains.unchanged().await;
        self.store.begin_closing(self.clock.now()).await?;
        tracing::warn!("the account is being closed: its mailboxes, mail, webhooks, keys and contacts are erased");
        self.erase(ends).await
    }

    /// Goes on with what an earlier process was at, if it was.
    pub async fn take_up(&self, ends: impl Ends) -> Result<(), StoreError> {
        if !self.store.is_closing().await? {
            return Ok(());
        }
        let _unchanged = self.domains.unchanged().await;
        tracing::warn!("the account was being closed when the process ended; going on with it");
        self.erase(ends).await
    }

    async fn erase(&self, ends: impl Ends) -> Result<(), StoreError> {
        // Between any two of these transactions those of others have their turn.
        while self.store.erase_some().await? {}
        ends.await?;
        self.store.end_closing().await?;
        self.domains.look().await?;
        tracing::warn!("the account is closed");
        Ok(())
    }
}
