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
    store::{
        StoreError,
        keys::{ApiKeys, KeyAdded},
    },
};

/// What the `api` token may: all but deciding what waits for the operator.
pub const HOUSE_SCOPES: [KeyScope; 4] = [KeyScope::Read, KeyScope::Send, KeyScope::Admin, KeyScope::OversightRead];
/// No token is longer; a longer one is not even hashed.
const TOKEN_BYTES_MAX: usize = 256;

/// Keys that there may be: one for each of a crowd of agents.
pub const KEYS_MAX: u32 = 100;
/// Characters of a token's chance that are shown, beside what it is for: they leave 232 bits.
const PREFIX_CHARS: usize = 6;

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
        let key = self.key(name, token, scopes);
        self.store.put_key(&key, &sha256(token.expose().as_bytes())).await
    }

    fn key(&self, name: &str, token: &Secret, scopes: &[KeyScope]) -> ApiKey {
        ApiKey {
            id: self.ids.next("key_"),
            prefix: prefix(token.expose()),
            name: name.to_owned(),
            scopes: sorted(scopes),
            created_at: self.clock.now(),
        }
    }

    /// Makes a key of a name that no other has, unless there are [`KEYS_MAX`]; answers with it and its token.
    pub async fn add(&self, name: &str, scopes: &[KeyScope]) -> Result<(KeyAdded, ApiKey, Secret), StoreError> {
        // The most that it may is what its finder should know.
        let widest = scopes.iter().max().copied().unwrap_or(KeyScope::Read);
        let token = Secret::new(self.ids.secret(&format!("mb_{widest}_")));
        let key = self.key(name, &token, scopes);
        let added = self.store.add_key(&key, &sha256(token.expose().as_bytes()), KEYS_MAX).await?;
        Ok((added, key, token))
    }

    /// Calls a key so, with these scopes.
    pub async fn change(&self, key: &ApiKey) -> Result<KeyAdded, StoreError> {
        self.store.change_key(&ApiKey { scopes: sorted(&key.scopes), ..key.clone() }).await
    }

    /// Every key, by name.
    pub async fn list(&self) -> Result<Vec<ApiKey>, StoreError> {
        self.store.keys().await
    }

    /// Ends a key; false if there was none.
    pub async fn remove(&self, key: &ApiKey) -> Result<bool, StoreError> {
        self.store.remove_key(&key.name).await
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

fn sorted(scopes: &[KeyScope]) -> Vec<KeyScope> {
    let mut scopes = scopes.to_vec();
    scopes.sort_unstable();
    scopes.dedup();
    scopes
}

fn prefix(token: &str) -> String {
    let chance = token.rfind('_').map_or(0, |at| at + 1);
    // Never most of a token, however short somebody chose theirs.
    token.chars().take((chance + PREFIX_CHARS).min(token.chars().count() / 2)).collect()
}
