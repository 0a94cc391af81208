//! Tokens of the bell wing: kept as hashes, so that the database gives none away.

use std::collections::HashMap;

use async_trait::async_trait;
use serde::Serialize;

use super::StoreError;
use crate::domain::{clock::UnixMillis, grant::Grant};

/// Tokens at once: far more than agents on one machine, few enough to be looked through.
pub const TOKENS_MAX: i64 = 1_000;

/// What a token lets its bearer do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TokenScope {
    /// Speak MCP, as an agent.
    Mcp,
    /// Decide, as the person in charge.
    Operator,
}

impl TokenScope {
    /// The word for it, in tokens (`mb_<scope>_…`) and in the store.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Mcp => "mcp",
            Self::Operator => "operator",
        }
    }
}

/// Who a token speaks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    /// The token's name, unique.
    pub name: String,
    /// What it may do.
    pub scope: TokenScope,
    /// Of an agent's token: how much of that.
    pub grant: Grant,
}

/// A token as it is listed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Listed {
    /// Its name.
    pub name: String,
    /// What it may do.
    pub scope: TokenScope,
    /// How much of that.
    #[serde(flatten)]
    pub grant: Grant,
    /// When it was made.
    pub created_at: UnixMillis,
}

/// What came of making a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Made {
    /// It is there.
    Made,
    /// There is one of that name.
    Exists,
    /// There are [`TOKENS_MAX`] already.
    TooMany,
}

/// The SHA-256 of a token. Tokens hold 256 random bits, so a plain hash cannot be searched back.
pub type TokenHash = [u8; 32];

/// The tokens.
#[async_trait]
pub trait Tokens: Send + Sync + 'static {
    /// Keeps a token of that name, in the place of any other of the name.
    async fn put_token(&self, principal: &Principal, hash: TokenHash, now: UnixMillis) -> Result<(), StoreError>;

    /// Whether there is a token of that name.
    async fn has_token(&self, name: &str) -> Result<bool, StoreError>;

    /// Makes a token for agents, unless there is one of the name.
    async fn add_token(&self, name: &str, grant: &Grant, hash: TokenHash, now: UnixMillis) -> Result<Made, StoreError>;

    /// Every token, by name.
    async fn tokens(&self) -> Result<Vec<Listed>, StoreError>;

    /// The hashes of all tokens, with when they end.
    async fn token_hashes(&self) -> Result<HashMap<TokenHash, Option<UnixMillis>>, StoreError>;

    /// Removes the token of that name and gives back what is leased in its name; whether there was one.
    async fn revoke_token(&self, name: &str, now: UnixMillis) -> Result<bool, StoreError>;

    /// Gives back what is leased in the name of the token, which has ended, once nothing of its bearer's is in progress.
    async fn free_leases_of(&self, name: &str, now: UnixMillis) -> Result<(), StoreError>;

    /// Whom a token speaks for, if it is one of ours.
    async fn principal(&self, hash: TokenHash) -> Result<Option<Principal>, StoreError>;
}
