//! How a mailbox is set, and what that means for what it sends.

use super::{Api, ApiError, must};
use crate::{
    domain::{
        address::Address,
        key::{ApiKey, KeyScope},
        message::Mailbox,
        office::MailboxSettings,
    },
    mail::{mailroom::display_name, submission::Letter},
};

/// Characters of what stands under a letter.
pub const SIGNATURE_CHARS_MAX: usize = 200;

/// What of a mailbox is to be changed. An empty text takes away what was there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MailboxChange {
    /// The name beside the address.
    pub display_name: Option<String>,
    /// Who gets a copy of all it sends.
    pub auto_cc: Option<String>,
    /// Who gets a hidden one.
    pub auto_bcc: Option<String>,
    /// What stands under all it sends.
    pub signature_block: Option<String>,
    /// Whether what it sends carries tracking images.
    pub track_opens: Option<bool>,
}

impl Api {
    /// How a mailbox is set.
    pub async fn settings(&self, mailbox: &Mailbox) -> Result<MailboxSettings, ApiError> {
        Ok(self.office.settings(&mailbox.id).await?)
    }

    /// Changes a mailbox; all of it or nothing.
    pub async fn change_mailbox(&self, key: &ApiKey, named: &str, change: MailboxChange) -> Result<(), ApiError> {
        must(key, KeyScope::Admin)?;
        let mailbox = self.find(named).await?;
        let mut settings = self.office.settings(&mailbox.id).await?;
        if let Some(text) = change.auto_cc {
            settings.auto_cc = address("auto_cc", &text)?;
        }
        if let Some(text) = change.auto_bcc {
            settings.auto_bcc = address("auto_bcc", &text)?;
        }
        if let Some(text) = change.signature_block {
            let text = text.trim_end();
            if text.chars().count() > SIGNATURE_CHARS_MAX {
                return Err(ApiError::Invalid(format!(
                    "`signature_block` has {SIGNATURE_CHARS_MAX} characters at most"
                )));
            }
            settings.signature_block = Some(text.to_owned()).filter(|text| !text.is_empty());
        }
        let name = match change.display_name {
            Some(name) => display_name(Some(name))?,
            None => mailbox.display_name,
        };
        self.office.set(&mailbox.id, name.as_deref(), &settings).await?;
        if let Some(on) = change.track_opens {
            self.opens.track_opens(&mailbox.id, on).await?;
        }
        Ok(())
    }

    /// `letter` as its mailbox has it sent: with its copies and its signature. What an operator was shown stays as it was.
    pub(super) async fn as_set(&self, mailbox: &Mailbox, mut letter: Letter) -> Result<Letter, ApiError> {
        if letter.shown.is_some() {
            return Ok(letter);
        }
        let settings = self.office.settings(&mailbox.id).await?;
        let named = |letter: &Letter, address: &Address| {
            let all = letter.to.iter().chain(&letter.cc).chain(&letter.bcc);
            all.into_iter().any(|text| text.to_lowercase().contains(address.as_str()))
        };
        for (copy, hidden) in [(settings.auto_cc, false), (settings.auto_bcc, true)] {
            let Some(address) = copy.filter(|address| !named(&letter, address)) else { continue };
            let list = if hidden { &mut letter.bcc } else { &mut letter.cc };
            list.push(address.to_string());
        }
        if let Some(signature) = settings.signature_block.filter(|_| !letter.markdown.trim().is_empty()) {
            // The mark that mail programs know a signature by (RFC 3676 section 4.3).
            letter.markdown.push_str("\n\n-- \n");
            letter.markdown.push_str(&signature);
        }
        Ok(letter)
    }
}

fn address(name: &str, text: &str) -> Result<Option<Address>, ApiError> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(None);
    }
    text.parse().map(Some).map_err(|error| ApiError::Invalid(format!("`{name}` must be an address, or empty: {error}")))
}
