//! `handle_bounce`: mail that did not arrive.

use super::{ABOUT_AN_EVENT, Prompt};
use crate::{config::Toolset, domain::event::EventKind};

pub(super) const PROMPT: Prompt = Prompt {
    name: "handle_bounce",
    title: "Handle a bounce",
    about: "Soft: tags the message and schedules a retry. Hard: tags it, suppresses the address when that is safe, and tells \
            the operator.",
    needs: &[Toolset::Events, Toolset::Mail, Toolset::Suppression],
    kind: Some(EventKind::Bounce),
    parameters: &ABOUT_AN_EVENT,
    make: |ask| {
        let steps = "For each event, by its `bounce_type`:\n\
            - `soft` (the address may work later): tag_email(message_id, tags: [\"soft-bounce\", \"pending-retry\"], \
            lease_token). While `final` is false the service goes on trying by itself; once it is true, give it one more try in \
            an hour: schedule_retry(message_id, recipient, delay_secs: 3600, lease_token).\n\
            - `hard` (it will not): tag_email(message_id, tags: [\"hard-bounce\"], lease_token). Send nothing to the address \
            again. Suppress it only if `suppress_advised` is true, `suppressed` is not, and `tied` is `session`, `envelope` or \
            `token`; anybody can forge the others: suppress_address(address, reason: \"hard bounce\", lease_token). Tell the \
            operator which address failed and why: `bounce_code`, `reason`, `diagnostic`.\n\
            - An event without `message_id` or `recipient` is tied to nothing that you sent: change nothing, only tell of it.\n\
            Then ack_event(lease_token, event_ids), or with action: \"escalate\" and a note where the operator has to act: \
            ack_event(lease_token, event_ids, action: \"escalate\", note).";
        Box::pin(ask.told(EventKind::Bounce, steps.into()))
    },
};
