//! Contacts.

use super::{Api, ApiError, must};
use crate::{
    domain::{
        key::{ApiKey, KeyScope},
        office::Contact,
    },
    store::office::ContactAdded,
};

/// Contacts that there may be, and that one answer lists: an address book, not a mailing list.
pub const CONTACTS_MAX: u32 = 1_000;
/// Characters of a name.
const NAME_CHARS_MAX: usize = 200;
/// Tags of one contact.
const TAGS_MAX: usize = 20;
/// Characters of a tag.
const TAG_CHARS_MAX: usize = 64;

/// A contact to be.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NewContact {
    /// The name.
    pub name: String,
    /// The address.
    pub email: String,
    /// Words to find them by.
    pub tags: Vec<String>,
}

impl Api {
    /// The contacts whose name, address or tags hold `part` in any case, by name.
    pub async fn contacts(&self, key: &ApiKey, part: Option<&str>, limit: u32) -> Result<Vec<Contact>, ApiError> {
        must(key, KeyScope::Read)?;
        Ok(self.office.contacts(part, limit.clamp(1, CONTACTS_MAX)).await?)
    }

    /// Adds a contact.
    pub async fn add_contact(&self, key: &ApiKey, new: NewContact) -> Result<Contact, ApiError> {
        must(key, KeyScope::Send)?;
        let fits =
            |text: &str, max| !text.is_empty() && text.chars().count() <= max && !text.chars().any(char::is_control);
        let name = new.name.trim().to_owned();
        if !fits(&name, NAME_CHARS_MAX) {
            return Err(ApiError::Invalid(format!(
                "`name` has 1 to {NAME_CHARS_MAX} characters, none of them control"
            )));
        }
        if new.tags.len() > TAGS_MAX || !new.tags.iter().all(|tag| fits(tag, TAG_CHARS_MAX)) {
            return Err(ApiError::Invalid(format!(
                "`tags` has {TAGS_MAX} texts at most, of 1 to {TAG_CHARS_MAX} characters"
            )));
        }
        let email = new
            .email
            .trim()
            .parse()
            .map_err(|error| ApiError::Invalid(format!("`email` must be an address: {error}")))?;
        let contact = Contact { id: self.ids.next("con_"), name, email, tags: new.tags, created_at: self.clock.now() };
        match self.office.add_contact(&contact, CONTACTS_MAX).await? {
            ContactAdded::Fresh => Ok(contact),
            ContactAdded::Exists(there) => Err(ApiError::Conflict(format!(
                "{} is a contact already, with the id {}; remove that one to change it",
                there.email, there.id
            ))),
            ContactAdded::Full => Err(ApiError::Conflict(format!(
                "there are {CONTACTS_MAX} contacts, and no more are kept; remove some that nobody needs"
            ))),
        }
    }

    /// Removes a contact.
    pub async fn remove_contact(&self, key: &ApiKey, id: &str) -> Result<(), ApiError> {
        must(key, KeyScope::Send)?;
        if self.office.remove_contact(id).await? {
            return Ok(());
        }
        Err(ApiError::NotFound("there is no such contact; GET /v1/contacts lists them with their ids".into()))
    }
}
