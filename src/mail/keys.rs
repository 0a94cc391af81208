//! API keys: made from chance, shown once, kept as a hash.

use std::sync::Arc;

use crate::{
    domain::{
        clock::Clock,
        key::{ApiKey, KeyScope},
        secret::Secret,
    },
    ids::Ids,
    signing::digest::sha256,
    store::{StoreError, keys::ApiKeys},
};

/// What the `api` token may: all but deciding what waits for the operator.
pub const HOUSE_SCOPES: [KeyScope; 4] = [KeyScope::Read, KeyScope::Send, KeyScope::Admin, KeyScope::OversightRead];
/// No token is longer; a longer one is not even hashed.
const TOKEN_BYTES_MAX: usize = 256;

/// The keys of the mail API.
pub struct Keys {
    store: Arc<dyn ApiKeys>,
    clock: Arc<dyn Clock>,
    ids: Arc<Ids>,
}

impl Keys {
    /// The keys in `store`.
    pub fn new(store: Arc<dyn ApiKeys>, clock: Arc<dyn Clock>, ids: Arc<Ids>) -> Self {
        Self { store, clock, ids }
    }

    /// Takes `token` as the key of that name, in the place of the one before. The house's own token comes from a file, so
    /// that it stays the same.
    pub async fn install(&self, name: &str, token: &Secret, scopes: &[KeyScope]) -> Result<(), StoreError> {
        let mut scopes = scopes.to_vec();
        scopes.sort_unstable();
        scopes.dedup();
        let key = ApiKey { name: name.to_owned(), scopes, created_at: self.clock.now() };
        self.store.put_key(&key, &sha256(token.expose().as_bytes())).await
    }

    /// Makes a token and installs it as the key of that name.
    pub async fn make(&self, name: &str, scopes: &[KeyScope]) -> Result<Secret, StoreError> {
        let token = Secret::new(self.ids.secret(&format!("mb_{name}_")));
        self.install(name, &token, scopes).await?;
        Ok(token)
    }

    /// The key that `token` is, if it is one. It is looked up by its hash, so the time that takes tells nothing of it.
    pub async fn authenticate(&self, token: &str) -> Result<Option<ApiKey>, StoreError> {
        if token.is_empty() || token.len() > TOKEN_BYTES_MAX {
            return Ok(None);
        }
        self.store.key_of(&sha256(token.as_bytes())).await
    }
}
