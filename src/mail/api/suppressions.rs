//! The suppression list: shown, added to; taken from by the operator alone.

use super::{Api, ApiError, ECHO_CHARS_MAX, must, unknown_cursor};
use crate::domain::{
    address::Address,
    key::{ApiKey, KeyScope},
    suppression::{Suppression, SuppressionReason},
};

/// Entries in a page, at most.
pub const SUPPRESSIONS_MAX: u32 = 100;
/// How the id of an entry begins.
const ID: &str = "sup_";
/// Characters of a note.
const NOTE_CHARS_MAX: usize = 500;

impl Api {
    /// A page of the list, the newest first, and the cursor of the next one.
    pub async fn suppressions(
        &self,
        key: &ApiKey,
        before: Option<&str>,
        limit: u32,
    ) -> Result<(Vec<Suppression>, Option<String>), ApiError> {
        must(key, KeyScope::Read)?;
        // The entry that it names may be lifted by now; the place in the order stays.
        if before.is_some_and(|cursor| !cursor.starts_with(ID)) {
            return Err(unknown_cursor());
        }
        let limit = limit.clamp(1, SUPPRESSIONS_MAX);
        let mut page = self.suppressions.suppressions(before, limit + 1).await?;
        let shown = usize::try_from(limit).unwrap_or(usize::MAX);
        let more = page.len() > shown;
        page.truncate(shown);
        let cursor = page.last().filter(|_| more).map(|last| last.id.clone());
        Ok((page, cursor))
    }

    /// Puts an address on the list and cancels what is queued for it; answers with its entry.
    pub async fn suppress(&self, key: &ApiKey, address: &str, note: Option<String>) -> Result<Suppression, ApiError> {
        must(key, KeyScope::Send)?;
        let address = read(address)?;
        let note = note.map(|note| note.trim().to_owned()).filter(|note| !note.is_empty());
        if note.as_ref().is_some_and(|note| note.chars().count() > NOTE_CHARS_MAX) {
            return Err(ApiError::Invalid(format!("`reason` has {NOTE_CHARS_MAX} characters at most")));
        }
        let suppression = Suppression {
            id: self.ids.next(ID),
            address,
            reason: SuppressionReason::Manual,
            note,
            mailbox: None,
            message: None,
            created_at: self.clock.now(),
        };
        Ok(self.suppressions.suppress(&suppression).await?)
    }

    /// Takes an address off the list. An agent's key cannot: whoever bounced or complained must not depend on its judgement.
    pub async fn lift(&self, key: &ApiKey, address: &str) -> Result<(), ApiError> {
        must(key, KeyScope::Oversight)?;
        let address = read(address)?;
        if self.suppressions.lift(&address).await? {
            Ok(())
        } else {
            Err(ApiError::NotFound(format!("{address} is not on the suppression list; GET /v1/suppression shows it")))
        }
    }
}

fn read(address: &str) -> Result<Address, ApiError> {
    address.trim().parse().map_err(|error| {
        let shown: String = address.chars().take(ECHO_CHARS_MAX).collect();
        ApiError::Invalid(format!("`{shown}` is no address: {error}"))
    })
}
