//! `register_webhook`: has the mail service tell an endpoint, by default our own receiver, of what happens.

use rmcp::model::CallToolResult;

use super::{
    super::{
        arguments::{Kind, Parameter},
        failure::Failure,
        present::{self, Clip, Part, WebhookView, shown},
        server::Rooms,
    },
    Call, Effect, Output, Reach, Tool, Toolset, filter,
};
use crate::{
    bell::{upstream::WebhookScope, webhooks::Registration},
    domain::{event::EventKind, webhook::Endpoint},
};

/// The words for the kinds that webhooks carry.
const KINDS: &[&str] = &["inbound", "delivery", "bounce", "complaint", "open"];

pub(super) const TOOL: Tool = Tool {
    name: "register_webhook",
    title: "Register a webhook",
    toolset: Toolset::Webhooks,
    about: "Sends events of a mailbox or domain to this server (default), where wait_for_event finds them, or to \
            `endpoint_url`. Events for this server are on from the start; you rarely need this. The signing secret is \
            never shown.",
    parameters: &[
        filter::MAILBOX,
        filter::DOMAIN,
        Parameter::new("events", Kind::Words(KINDS), "default all"),
        Parameter::new("description", Kind::Text, ""),
        Parameter::new("endpoint_url", Kind::Text, "allowed hosts only"),
    ],
    output: &[
        Output("webhook_id", "string", false),
        Output("endpoint_url", "string", false),
        Output("events", "array", false),
        Output("mailbox", "string", false),
        Output("domain", "string", false),
        Output("description", "string", false),
        Output("created_at", "string", false),
        Output("status", "string", true),
        Output("note", "string", false),
    ],
    reach: Reach::Webhook,
    effect: Effect::Adds { idempotent: false },
    run: |rooms, call| Box::pin(run(rooms, call)),
};

shown! {
    struct Answer {
        #[serde(flatten)]
        webhook: Option<Part>,
        status: &'static str,
        note: Option<&'static str>,
    }
}

async fn run(rooms: &Rooms, call: Call) -> Result<CallToolResult, Failure> {
    let Call { arguments, fence, .. } = call;
    let scope = match (arguments.text("mailbox"), arguments.text("domain")) {
        (Some(_), Some(_)) => {
            return Err(Failure::Told(
                "`mailbox` and `domain` exclude each other; pass one, or neither for all".into(),
            ));
        }
        (Some(mailbox), None) => WebhookScope::Mailbox(filter::address(mailbox)?),
        (None, Some(domain)) => WebhookScope::Domain(filter::domain(domain)?),
        (None, None) => WebhookScope::Account,
    };
    let mut events = filter::kinds(arguments.texts("events"));
    if events.is_empty() {
        events = EventKind::OF_WEBHOOKS.to_vec();
    }
    let elsewhere = arguments.has("endpoint_url");
    let registration = Registration {
        scope,
        events,
        description: arguments.text("description").map(str::to_owned),
        endpoint_url: arguments.text("endpoint_url").map(str::to_owned),
    };
    let answer = match rooms.webhooks.register(registration).await? {
        Some(webhook) => Answer {
            webhook: Some(WebhookView::json(&fence, &webhook, Clip::ROOMY)),
            status: "active",
            // Our own receiver knows its secret.
            note: (elsewhere && webhook.endpoint_url != Endpoint::OWN)
                .then_some("the operator reads its signing secret at GET /v1/webhooks/{webhook_id} with the api token"),
        },
        None => Answer { webhook: None, status: "pending_approval", note: Some("an operator must approve it first") },
    };
    Ok(present::result(&fence, answer))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_are_those_of_webhooks() {
        assert_eq!(EventKind::OF_WEBHOOKS.map(EventKind::as_str).as_slice(), KINDS);
    }
}
