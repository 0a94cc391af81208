//! `handle_complaint`: somebody called our mail spam.

use super::{ABOUT_AN_EVENT, Prompt};
use crate::{config::Toolset, domain::event::EventKind};

pub(super) const PROMPT: Prompt = Prompt {
    name: "handle_complaint",
    title: "Handle a complaint",
    about: "Opts the recipient out at once, and tells the operator.",
    needs: &[Toolset::Events, Toolset::Mail, Toolset::Suppression],
    kind: Some(EventKind::Complaint),
    parameters: &ABOUT_AN_EVENT,
    make: |ask| {
        let steps = "A complaint is an opt-out, and it counts at once. For each event:\n\
            1. With a `recipient`: suppress_address(address, reason: \"complaint\", lease_token), before anything else, unless \
            `tied` is `headers` or `none`, which anybody can forge: then leave it to the operator. Without one, read_email(message_id) \
            tells whom the message went to; do not guess among several.\n\
            2. tag_email(message_id, tags: [\"complaint\"], lease_token), where there is a message.\n\
            3. Write to that person no more, not even to apologise, and cancel what you meant to send.\n\
            4. Tell the operator who complained about which message: ack_event(lease_token, event_ids, action: \"escalate\", note) \
            if something is left for them to decide, else ack_event(lease_token, event_ids).";
        Box::pin(ask.told(EventKind::Complaint, steps.into()))
    },
};
