//! How a mailbox is set, and what that means for what it sends.

use super::{
    AI_DISCLOSURE_LINE, Api, ApiError, FeatureChange,
    features::{Changing, decides},
    must,
};
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
    /// What else it is to have.
    pub features: FeatureChange,
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
            settings.auto_cc = copied(key, "auto_cc", &text, settings.auto_cc.as_ref())?;
        }
        if let Some(text) = change.auto_bcc {
            settings.auto_bcc = copied(key, "auto_bcc", &text, settings.auto_bcc.as_ref())?;
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
        let features = std::mem::take(&mut settings.features);
        let named = Mailbox { display_name: name, ..mailbox };
        let Changing { features, made, replaced } = self.changing(key, &named, features, change.features).await?;
        settings.features = features;
        if let Err(error) = self.office.set(&named.id, named.display_name.as_deref(), &settings).await {
            if let Some(made) = made {
                self.registry.remove(&made).await?;
            }
            return Err(error.into());
        }
        if let Some(replaced) = replaced {
            self.registry.remove(&replaced).await?;
        }
        if let Some(on) = change.track_opens {
            self.opens.track_opens(&named.id, on).await?;
        }
        Ok(())
    }

    /// `letter` as its mailbox has it sent: with its copies and its signature. What an operator was shown stays as it was.
    pub(super) async fn as_set(&self, mailbox: &Mailbox, mut letter: Letter) -> Result<Letter, ApiError> {
        let settings = self.office.settings(&mailbox.id).await?;
        letter.ai_disclosure = settings.features.ai_disclosure;
        if letter.shown.is_some() {
            return Ok(letter);
        }
        may_schedule(mailbox, &settings, letter.send_at.is_some())?;
        letter.gate_timing = letter.gate_timing.or(settings.features.gate_timing);
        let named = |letter: &Letter, address: &Address| {
            let all = letter.to.iter().chain(&letter.cc).chain(&letter.bcc);
            all.into_iter().any(|text| text.to_lowercase().contains(address.as_str()))
        };
        for (copy, hidden) in [(settings.auto_cc, false), (settings.auto_bcc, true)] {
            let Some(address) = copy.filter(|address| !named(&letter, address)) else { continue };
            let list = if hidden { &mut letter.bcc } else { &mut letter.cc };
            list.push(address.to_string());
        }
        if letter.ai_disclosure && !letter.markdown.trim().is_empty() {
            letter.markdown.push_str("\n\n");
            letter.markdown.push_str(AI_DISCLOSURE_LINE);
        }
        if let Some(signature) = settings.signature_block.filter(|_| !letter.markdown.trim().is_empty()) {
            // The mark that mail programs know a signature by (RFC 3676 section 4.3).
            letter.markdown.push_str("\n\n-- \n");
            letter.markdown.push_str(&signature);
        }
        Ok(letter)
    }
}

/// Refuses to send later where the mailbox sends at once or not at all.
pub(super) fn may_schedule(mailbox: &Mailbox, settings: &MailboxSettings, later: bool) -> Result<(), ApiError> {
    if later && !settings.features.scheduling {
        return Err(ApiError::Withheld(format!(
            "{} does not send later (`scheduling_enabled` is 0): leave `send_at` out, or set `scheduling_enabled` to 1",
            mailbox.address
        )));
    }
    Ok(())
}

/// Who gets a copy from now on.
fn copied(key: &ApiKey, name: &str, text: &str, before: Option<&Address>) -> Result<Option<Address>, ApiError> {
    let address = address(name, text)?;
    if address.is_some() && address.as_ref() != before {
        decides(key, name)?;
    }
    Ok(address)
}

fn address(name: &str, text: &str) -> Result<Option<Address>, ApiError> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(None);
    }
    text.parse().map(Some).map_err(|error| ApiError::Invalid(format!("`{name}` must be an address, or empty: {error}")))
}
