//! What a call has to pass before a tool acts: whether its principal may change anything, has calls left, and may see the
//! mailbox that the call is about.
//!
//! What a principal may not see is answered as if it were not there.

use super::{Arguments, Failure, Rooms, Tool};
use crate::{
    bell::upstream::UpstreamError,
    domain::{
        consumer::LeaseToken,
        grant::{Mailboxes, May},
        id::{MessageId, ThreadId, WebhookId},
    },
    mcp::{
        Principal,
        present::{Sentence, sentence},
    },
};

/// How a tool's arguments say which mailboxes a call is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reach {
    /// By filters; the tool takes the rest of the narrowing from its call.
    Mailbox,
    /// By `message_id`.
    Message,
    /// By `thread_id`.
    Thread,
    /// By `lease_token`: a lease is its holder's.
    Lease,
    /// By `webhook_id`.
    Webhook,
    /// Not at all: it is about the whole account.
    Account,
}

/// Lets a call pass, or tells why not.
pub(super) async fn pass(
    tool: &Tool,
    rooms: &Rooms,
    arguments: &Arguments,
    principal: &Principal,
) -> Result<(), Failure> {
    principal.count_call(&*rooms.clock).map_err(Failure::Told)?;
    let grant = principal.grant();
    if (grant.may == May::Read || rooms.toolsets.read_only) && changes(tool, arguments) {
        return Err(Failure::Told(match tool.name {
            "wait_for_event" => sentence!(
                "{} may only read, and a worker takes events from others: pass `after` (`now`, `earliest` or a cursor) to look \
                 on without a lease",
                if rooms.toolsets.read_only { "an agent of this server (toolset `read-only`)" } else { "this token" }
            ),
            name => sentence!(
                "nothing was done: this token may only read, and {} changes something; the operator makes one that may act \
                 with `mailbell token create NAME --scope act`",
                name
            ),
        }));
    }
    if let Some(name) = principal.name()
        && let Some(token) = arguments.text("lease_token")
        && let Some(owner) = rooms.settling.principal_of(&LeaseToken::new(token)).await?
        && owner != name
    {
        return Err(Failure::Told(
            "nothing was done: the lease of this lease_token belongs to another token's bearer. Call wait_for_event for leases \
             of your own"
                .into(),
        ));
    }
    match grant.mailboxes.named() {
        Some(_) => narrowed(tool, rooms, arguments, &grant.mailboxes).await,
        None => Ok(()),
    }
}

/// Lets a call pass where this server has the tool, or tells where it belongs.
pub(super) fn offered(tool: &Tool, rooms: &Rooms) -> Result<(), Failure> {
    let toolsets = rooms.toolsets;
    if tool.is_in(toolsets) {
        return Ok(());
    }
    let has = Sentence::joined(toolsets.words(), ",");
    Err(Failure::Told(if toolsets.hold(tool.toolset) {
        sentence!(
            "nothing was done: {} changes something, and this server has the toolsets {}; the operator lets it by leaving out \
             `read-only` in `mcp.toolsets` or --toolsets",
            tool.name,
            has
        )
    } else {
        sentence!(
            "nothing was done: {0} is in the toolset `{1}`, and this server has {2}; the operator adds it in `mcp.toolsets` or \
             with --toolsets {2},{1}",
            tool.name,
            tool.toolset.as_str(),
            has
        )
    }))
}

/// Whether a call changes anything.
fn changes(tool: &Tool, arguments: &Arguments) -> bool {
    match tool.name {
        "wait_for_event" => !arguments.has("after"),
        _ => !tool.can_only_read(),
    }
}

async fn narrowed(tool: &Tool, rooms: &Rooms, arguments: &Arguments, seen: &Mailboxes) -> Result<(), Failure> {
    if let Some(mailbox) = arguments.text("mailbox") {
        let address = super::filter::address(mailbox)?;
        if !seen.holds(&address) {
            return Err(UpstreamError::NoMailbox(address).into());
        }
    }
    match tool.reach {
        Reach::Mailbox | Reach::Lease => Ok(()),
        Reach::Message => {
            let id = MessageId::new(arguments.text("message_id").unwrap_or_default());
            message(rooms, &id, seen).await
        }
        Reach::Thread => thread(rooms, &ThreadId::new(arguments.text("thread_id").unwrap_or_default()), seen).await,
        Reach::Webhook => match arguments.text("webhook_id") {
            Some(id) => webhook(rooms, &WebhookId::new(id), seen).await,
            None if tool.name == "register_webhook" && arguments.has("mailbox") && !arguments.has("domain") => Ok(()),
            None => Err(Failure::Told(sentence!(
                "nothing was done: this token is narrowed to some mailboxes, so {} needs {}",
                tool.name,
                if tool.name == "register_webhook" {
                    "one of them as `mailbox`"
                } else {
                    "the `webhook_id` of one of them"
                }
            ))),
        },
        Reach::Account => Err(Failure::Told(sentence!(
            "nothing was done: {} is about the whole account, and this token is narrowed to some mailboxes; the operator can \
             do it",
            tool.name
        ))),
    }
}

/// That a message is in one of these mailboxes.
pub(in crate::mcp) async fn message(rooms: &Rooms, id: &MessageId, seen: &Mailboxes) -> Result<(), Failure> {
    if seen.named().is_some() && !seen.holds(&rooms.upstream.mailbox_of(id).await?.address) {
        return Err(UpstreamError::NoMessage(id.clone()).into());
    }
    Ok(())
}

/// That a thread has messages in these mailboxes alone.
pub(in crate::mcp) async fn thread(rooms: &Rooms, id: &ThreadId, seen: &Mailboxes) -> Result<(), Failure> {
    if seen.named().is_some() {
        let thread = rooms.upstream.thread(id).await?;
        if !thread.messages.iter().all(|message| seen.holds(&message.mailbox.address)) {
            return Err(UpstreamError::NoThread(id.clone()).into());
        }
    }
    Ok(())
}

/// That a webhook is told of one of these mailboxes alone.
pub(in crate::mcp) async fn webhook(rooms: &Rooms, id: &WebhookId, seen: &Mailboxes) -> Result<(), Failure> {
    if seen.named().is_some() {
        let all = rooms.webhooks.list().await?;
        let fits =
            |webhook: &crate::bell::upstream::Webhook| webhook.id == *id && is_of(webhook.mailbox.as_deref(), seen);
        if !all.iter().any(fits) {
            return Err(UpstreamError::NoWebhook(id.clone()).into());
        }
    }
    Ok(())
}

/// Whether a webhook that is told of `mailbox`, or of all without one, is one of these mailboxes' alone.
pub(in crate::mcp) fn is_of(mailbox: Option<&str>, seen: &Mailboxes) -> bool {
    seen.hold_event_of(mailbox)
}
