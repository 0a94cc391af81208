//! A mailbox.

use schemars::JsonSchema;
use serde::Serialize;

use crate::domain::{message, office::MailboxSettings, oversight::OversightMode};

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
    webhook_url: Option<String>,
    oversight_webhook_url: Option<String>,
    signature_block: Option<String>,
    default_gate_timing: Option<String>,
    /// Unix milliseconds, unlike every other time of this API.
    created_at: i64,
    is_active: u8,
    /// Always 1: without it MultiMail's MCP server nags about setup in every result.
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
            webhook_url: None,
            oversight_webhook_url: None,
            signature_block: settings.signature_block.clone(),
            default_gate_timing: None,
            created_at: mailbox.created_at.0,
            is_active: 1,
            mcp_configured: 1,
            track_opens,
        }
    }
}
