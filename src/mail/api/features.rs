//! What a mailbox has beside its copies and its signature: webhooks of its own, scheduling, disclosure.

use super::{Api, ApiError, webhooks::asker};
use crate::{
    domain::{
        event::EventKind,
        id::WebhookId,
        key::{ApiKey, KeyScope},
        message::Mailbox,
        office::MailboxFeatures,
        webhook::Endpoint,
    },
    mail::webhooks::{registry::NewWebhook, targets::Asker},
};

/// What stands under the text of a letter whose mailbox discloses that an AI writes.
pub const AI_DISCLOSURE_LINE: &str = "This email was written by an AI agent.";

/// What of it is to be changed. An empty text takes away what was there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FeatureChange {
    /// Who is told of everything that happens to the mailbox.
    pub webhook_url: Option<String>,
    /// Who is told of what waits for an operator.
    pub oversight_webhook_url: Option<String>,
    /// Whether what comes in is passed on to the person in charge.
    pub forward_inbound: Option<bool>,
    /// What comes first, the approval or the moment to send at.
    pub default_gate_timing: Option<String>,
    /// Whether it may send later.
    pub scheduling_enabled: Option<bool>,
    /// Whether what it sends says that an AI wrote it.
    pub ai_disclosure: Option<bool>,
    /// Whether it was set up, for clients that ask.
    pub mcp_configured: Option<bool>,
}

/// What a mailbox is to have, and which of its webhooks come and go with that.
pub(super) struct Changing {
    pub(super) features: MailboxFeatures,
    /// Made already; nobody's where the change does not come about.
    pub(super) made: Option<WebhookId>,
    /// No longer anybody's once it has.
    pub(super) replaced: Option<WebhookId>,
}

/// What widens who learns of this house's mail, or loosens who watches it, is not an agent's to do.
pub(super) fn decides(key: &ApiKey, field: &str) -> Result<(), ApiError> {
    if key.may(KeyScope::Oversight) {
        return Ok(());
    }
    Err(ApiError::Withheld(format!(
        "`{field}` decides who learns of this mailbox's mail or watches over it, so it takes a key with the scope \
         `oversight`: ask the operator to send the same request with theirs"
    )))
}

impl Api {
    /// `features` with `change` made. What is refused is refused before a webhook is made.
    pub(super) async fn changing(
        &self,
        key: &ApiKey,
        mailbox: &Mailbox,
        mut features: MailboxFeatures,
        change: FeatureChange,
    ) -> Result<Changing, ApiError> {
        let by = asker(key);
        if change.forward_inbound == Some(true) {
            decides(key, "forward_inbound")?;
            return Err(ApiError::Refused(
                "`forward_inbound` stays 0: mail that comes in by SMTP is never sent on, so that nobody mails others through \
                 this service; set `webhook_url` to be told of it, and read it through this API"
                    .into(),
            ));
        }
        if let Some(text) = change.default_gate_timing.as_deref().map(str::trim) {
            let timing = (!text.is_empty()).then(|| text.parse()).transpose();
            features.gate_timing = timing.map_err(|error: crate::domain::office::NotAGateTiming| {
                ApiError::Invalid(format!("`default_gate_timing`: {error}"))
            })?;
        }
        if change.ai_disclosure == Some(false) && features.ai_disclosure {
            decides(key, "ai_disclosure")?;
        }
        features.ai_disclosure = change.ai_disclosure.unwrap_or(features.ai_disclosure);
        features.scheduling = change.scheduling_enabled.unwrap_or(features.scheduling);
        features.mcp_configured = change.mcp_configured.unwrap_or(features.mcp_configured);
        let shown = |endpoint: Option<&Endpoint>| endpoint.map(ToString::to_string).unwrap_or_default();
        if let Some(text) = change.oversight_webhook_url.as_deref().map(str::trim)
            && text != shown(features.oversight_webhook.as_ref())
        {
            decides(key, "oversight_webhook_url")?;
            features.oversight_webhook = self.target(text, by).await?;
        }
        let (mut made, mut replaced) = (None, None);
        let before = features.webhook.as_ref().map(|(_, endpoint)| endpoint);
        if let Some(text) = change.webhook_url.as_deref().map(str::trim)
            && text != shown(before)
        {
            if !text.is_empty() {
                decides(key, "webhook_url")?;
            }
            let target = self.target(text, by).await?;
            if target.as_ref() != before {
                replaced = features.webhook.take().map(|(id, _)| id);
                if let Some(target) = target {
                    let id = self.webhook_of(mailbox, &target, by).await?;
                    made = Some(id.clone());
                    features.webhook = Some((id, target));
                }
            }
        }
        Ok(Changing { features, made, replaced })
    }

    /// Where `text` leads, if it leads anywhere.
    async fn target(&self, text: &str, by: Asker) -> Result<Option<Endpoint>, ApiError> {
        if text.is_empty() { Ok(None) } else { Ok(Some(self.registry.endpoint(text, by).await?)) }
    }

    async fn webhook_of(&self, mailbox: &Mailbox, target: &Endpoint, by: Asker) -> Result<WebhookId, ApiError> {
        let asked = NewWebhook {
            endpoint: target.to_string(),
            mailbox: Some(mailbox.id.to_string()),
            events: EventKind::OF_WEBHOOKS.map(|kind| kind.as_str().to_owned()).to_vec(),
            description: Some("the mailbox's `webhook_url`".to_owned()),
            ..NewWebhook::default()
        };
        Ok(self.registry.register(asked, by).await?.0.id)
    }
}
