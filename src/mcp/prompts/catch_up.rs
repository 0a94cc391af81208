//! `catch_up`: back after a while.

use super::{
    super::{failure::Failure, present::sentence},
    Ask, MAILBOX, Prompt, RULES, Told,
};
use crate::config::Toolset;

pub(super) const PROMPT: Prompt = Prompt {
    name: "catch_up",
    title: "Catch up after downtime",
    about: "Works through what happened while nobody looked: complaints and bounces first, then mail, the oldest first.",
    needs: &[Toolset::Events, Toolset::Mail, Toolset::Suppression],
    kind: None,
    parameters: &[MAILBOX],
    make: |ask| Box::pin(std::future::ready(make(ask))),
};

fn make(ask: &Ask<'_>) -> Result<Told, Failure> {
    let mailbox = ask.mailbox()?;
    let says = sentence!(
        "Catch up with what happened while nobody looked. Nothing was lost: events wait for you.\n\n\
         1. See what waits: wait_for_event(timeout_secs: 0, limit: 1{0}) tells in `backlog` how much of each kind; a `gap` \
         says that older events are gone, so look through check_inbox(unhandled_only: true{0}) as well. Give the event back \
         for now: ack_event(lease_token, action: \"release\").\n\
         2. Complaints first, for each is an opt-out: wait_for_event(event_types: [\"complaint\"], timeout_secs: 0{0}), then \
         suppress_address(address, reason: \"complaint\", lease_token) where `tied` is not `headers` or `none`, and \
         ack_event(lease_token).\n\
         3. Bounces, before anything is sent again: wait_for_event(event_types: [\"bounce\"], timeout_secs: 0{0}). Soft: \
         tag_email(message_id, tags: [\"soft-bounce\", \"pending-retry\"], lease_token). Hard: \
         tag_email(message_id, tags: [\"hard-bounce\"], lease_token), and tell the operator. Then ack_event(lease_token).\n\
         4. Mail, the oldest first: wait_for_event(event_types: [\"inbound\"], timeout_secs: 0{0}). Read it with \
         read_email(message_id). Before you answer, get_thread(thread_id): somebody may have answered, or written again, \
         meanwhile. A question from days ago may need no answer any more. Then \
         tag_email(message_id, tags: [\"handled\"], lease_token).\n\
         5. What is left, until a wait returns no event: wait_for_event(timeout_secs: 0{0}), and ack_event(lease_token).\n\n\
         {1}",
        mailbox,
        RULES
    );
    Ok(Told { says, event: None })
}
