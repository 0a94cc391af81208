//! Tokens of the bell wing: kept as hashes, so that the database gives none away.

use async_trait::async_trait;

use super::StoreError;
use crate::domain::clock::UnixMillis;

/// What a token lets its bearer do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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

    /// Whom a token speaks for, if it is one of ours.
    async fn principal(&self, hash: TokenHash) -> Result<Option<Principal>, StoreError>;
}
