//! A mailbox.

use schemars::JsonSchema;
use serde::Serialize;

use crate::domain::{
    message,
    office::{GateTiming, MailboxSettings},
    oversight::OversightMode,
};

/// A mailbox. Flags are 0 or 1, as the service documents them.
#[derive(Serialize, JsonSchema)]
pub(in super::super) struct Mailbox {
    id: String,
    mailbox_id: String,
    tenant_id: &'static str,
    address: String,
    display_name: Option<String>,
    oversight_mode: &'static str,
    auto_cc: Option<String>,
    auto_bcc: Option<String>,
    forward_inbound: u8,
    /// The endpoint that is told of all that happens to it.
    webhook_url: Option<String>,
    /// The webhook that `webhook_url` made; it has the signing secret.
    webhook_id: Option<String>,
    /// Kept; nothing is posted to it yet.
    oversight_webhook_url: Option<String>,
    signature_block: Option<String>,
    /// `gate_first` or `schedule_first`.
    default_gate_timing: Option<&'static str>,
    /// 0 where it does not take `send_at`.
    scheduling_enabled: u8,
    /// 1 where what it sends has the header `X-AI-Disclosure` and a line under its text.
    ai_disclosure: u8,
    /// Unix milliseconds, unlike every other time of this API.
    created_at: i64,
    is_active: u8,
    /// 1 unless somebody set it to 0: then MultiMail's MCP server asks for a setup in every result.
    mcp_configured: u8,
    /// Whether what it sends carries a tracking image unless the message says otherwise.
    track_opens: bool,
}

impl Mailbox {
    pub(in super::super) fn of(
        mailbox: &message::Mailbox,
        settings: &MailboxSettings,
        mode: OversightMode,
        track_opens: bool,
    ) -> Self {
        let features = &settings.features;
        Self {
            id: mailbox.id.to_string(),
            mailbox_id: mailbox.id.to_string(),
            tenant_id: "local",
            address: mailbox.address.to_string(),
            display_name: mailbox.display_name.clone(),
            oversight_mode: mode.as_str(),
            auto_cc: settings.auto_cc.as_ref().map(ToString::to_string),
            auto_bcc: settings.auto_bcc.as_ref().map(ToString::to_string),
            forward_inbound: 0,
            webhook_url: features.webhook.as_ref().map(|(_, endpoint)| endpoint.to_string()),
            webhook_id: features.webhook.as_ref().map(|(id, _)| id.to_string()),
            oversight_webhook_url: features.oversight_webhook.as_ref().map(ToString::to_string),
            signature_block: settings.signature_block.clone(),
            default_gate_timing: features.gate_timing.map(GateTiming::as_str),
            scheduling_enabled: features.scheduling.into(),
            ai_disclosure: features.ai_disclosure.into(),
            created_at: mailbox.created_at.0,
            is_active: 1,
            mcp_configured: features.mcp_configured.into(),
            track_opens,
        }
    }
}
