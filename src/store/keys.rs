//! The keys of the mail API, by hash.

use async_trait::async_trait;

use super::StoreError;
use crate::domain::key::ApiKey;

/// The SHA-256 of a key's token. The token itself is nowhere in the store.
pub type TokenHash = [u8; 32];

/// What became of a key's new name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyAdded {
    /// It has it.
    Done,
    /// Another has it.
    NameTaken,
    /// There are as many keys as there may be.
    Full,
}

/// The keys.
#[async_trait]
pub trait ApiKeys: Send + Sync + 'static {
    /// Puts a key into the place of the one of its name, or adds it.
    async fn put_key(&self, key: &ApiKey, hash: &TokenHash) -> Result<(), StoreError>;
    /// Adds a key, unless there are `most` or one has its name.
    async fn add_key(&self, key: &ApiKey, hash: &TokenHash, most: u32) -> Result<KeyAdded, StoreError>;
    /// Calls the key of that id so, with these scopes; its token stays.
    async fn change_key(&self, key: &ApiKey) -> Result<KeyAdded, StoreError>;
    /// The key whose token has this hash.
    async fn key_of(&self, hash: &TokenHash) -> Result<Option<ApiKey>, StoreError>;
    /// Every key, by name.
    async fn keys(&self) -> Result<Vec<ApiKey>, StoreError>;
    /// Removes a key; false if there was none.
    async fn remove_key(&self, name: &str) -> Result<bool, StoreError>;
}
