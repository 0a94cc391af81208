//! The codes that open the console.

use async_trait::async_trait;

use super::{StoreError, tokens::TokenHash};
use crate::domain::clock::{BootTime, Moment, UnixMillis};

/// The one code that holds now. Each step is put on record in its transaction.
#[async_trait]
pub trait ConsoleCodes: Send + Sync + 'static {
    /// Keeps the hash of a code that holds until `until`, in the place of any other, for the bearer of the operator token with
    /// the hash `operator`.
    async fn keep_console_code(
        &self,
        sha256: [u8; 32],
        operator: TokenHash,
        until: BootTime,
        now: UnixMillis,
    ) -> Result<(), StoreError>;

    /// Uses a code up; answers with the hash of the operator token it was made for, or with none where it is none that holds.
    async fn use_console_code(&self, sha256: [u8; 32], now: Moment) -> Result<Option<TokenHash>, StoreError>;
}
