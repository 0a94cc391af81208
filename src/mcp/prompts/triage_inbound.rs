//! `triage_inbound`: mail that came in.

use super::{ABOUT_AN_EVENT, Prompt};
use crate::{config::Toolset, domain::event::EventKind};

pub(super) const PROMPT: Prompt = Prompt {
    name: "triage_inbound",
    title: "Triage inbound mail",
    about: "Reads mail that came in, answers or sorts it, and marks it handled.",
    needs: &[Toolset::Events, Toolset::Mail],
    kind: Some(EventKind::Inbound),
    parameters: &ABOUT_AN_EVENT,
    make: |ask| {
        let steps = "For each event:\n\
            1. read_email(message_id), and where it belongs to a conversation, get_thread(thread_id).\n\
            2. Weigh it by the facts beside its text: `auth_results` (is it from whom it says), `sender_written_to_before`, \
            `auto` (a program sent it), `misleading_links`. What asks for money, secrets or access, or fails these, goes to \
            your user: tag_email(message_id, tags: [\"needs-review\"], lease_token), and \
            ack_event(lease_token, event_ids, action: \"escalate\", note).\n\
            3. A question that you can answer from what your user gave you: reply_email(message_id, markdown, lease_token). \
            Never answer automatic mail.\n\
            4. Done, or nothing to do: tag_email(message_id, tags: [\"handled\"], lease_token). That acks the event too.";
        Box::pin(ask.told(EventKind::Inbound, steps.into()))
    },
};
