//! Tags of an email: key and value, merged or replaced.

use std::collections::BTreeMap;

use super::{Api, ApiError, must, no_message};
use crate::domain::{
    id::MessageId,
    key::{ApiKey, KeyScope},
    message::Mailbox,
};

/// Tags by key.
pub type Tags = BTreeMap<String, String>;

/// Tags of one email.
const TAGS_MAX: usize = 50;
/// Characters of a tag's key.
const KEY_CHARS_MAX: usize = 64;
/// Characters of a tag's value.
const VALUE_CHARS_MAX: usize = 256;

impl Api {
    /// The tags of an email.
    pub async fn tags(&self, key: &ApiKey, mailbox: &str, id: &MessageId) -> Result<Tags, ApiError> {
        must(key, KeyScope::Read)?;
        let mailbox = self.find(mailbox).await?;
        let message = self.mailroom.message(&mailbox.id, id).await?;
        Ok(message.ok_or_else(|| no_message(id, &mailbox))?.summary.tags)
    }

    /// The same, for the house's own rules; whoever asks need not be let read them.
    pub async fn tags_of(&self, mailbox: &Mailbox, id: &MessageId) -> Result<Tags, ApiError> {
        let message = self.mailroom.message(&mailbox.id, id).await?;
        Ok(message.ok_or_else(|| no_message(id, mailbox))?.summary.tags)
    }

    /// Adds tags to an email, or with `replace` puts them in the place of all it has; answers with what it then has.
    pub async fn put_tags(
        &self,
        key: &ApiKey,
        mailbox: &str,
        id: &MessageId,
        tags: &Tags,
        replace: bool,
    ) -> Result<Tags, ApiError> {
        must(key, KeyScope::Send)?;
        check(tags)?;
        let mailbox = self.find(mailbox).await?;
        if !replace {
            let there = self.mailroom.message(&mailbox.id, id).await?.ok_or_else(|| no_message(id, &mailbox))?;
            let fresh = tags.keys().filter(|key| !there.summary.tags.contains_key(*key)).count();
            if there.summary.tags.len() + fresh > TAGS_MAX {
                return Err(ApiError::Invalid(format!(
                    "an email carries {TAGS_MAX} tags at most; remove some, or replace all with ?mode=replace"
                )));
            }
        }
        let written = self.mailroom.put_tags(&mailbox.id, id, tags, replace).await?;
        written.ok_or_else(|| no_message(id, &mailbox))
    }

    /// Removes a tag of an email.
    pub async fn delete_tag(&self, key: &ApiKey, mailbox: &str, id: &MessageId, tag: &str) -> Result<(), ApiError> {
        must(key, KeyScope::Send)?;
        let mailbox = self.find(mailbox).await?;
        if self.mailroom.delete_tag(&mailbox.id, id, tag).await? {
            return Ok(());
        }
        Err(ApiError::NotFound("this email does not carry that tag; GET its `tags` to see those it has".into()))
    }
}

fn check(tags: &Tags) -> Result<(), ApiError> {
    let fits = |text: &str, max| text.chars().count() <= max && !text.chars().any(char::is_control);
    let good =
        |(key, value): (&String, &String)| !key.is_empty() && fits(key, KEY_CHARS_MAX) && fits(value, VALUE_CHARS_MAX);
    if tags.len() <= TAGS_MAX && tags.iter().all(good) {
        return Ok(());
    }
    Err(ApiError::Invalid(format!(
        "`tags` may have {TAGS_MAX} entries, each with a key of 1 to {KEY_CHARS_MAX} characters and a value of up to \
         {VALUE_CHARS_MAX}, without control characters"
    )))
}
