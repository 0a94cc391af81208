//! Which scope each operation of the document asks a key for. The use cases of `mail::api` enforce it; a story holds this
//! table to what they do.

use aide::openapi::Operation;

use crate::domain::key::KeyScope;

/// Operations for whoever has a key at all.
const ANY_KEY: [&str; 2] = ["postmark_events", "postmark_inbound"];

/// Says in the description of an operation what its key needs.
pub(super) fn tell(operation: &mut Operation) {
    if operation.security.is_empty() {
        return;
    }
    let name = operation.operation_id.as_deref().unwrap_or_default();
    let needs = if ANY_KEY.contains(&name) {
        "Needs a key.".to_owned()
    } else {
        format!("Needs a key with the scope `{}`.", scope(name))
    };
    operation.description = Some(match operation.description.take() {
        Some(told) => format!("{told} {needs}"),
        None => needs,
    });
}

/// What an operation needs: `admin`, unless it is named here.
fn scope(operation: &str) -> KeyScope {
    match operation {
        "get_account" | "get_usage" | "list_contacts" | "list_domains" | "get_domain" | "verify_domain"
        | "list_suppressions" | "list_mailboxes" | "get_mailbox" | "list_emails" | "read_email" | "get_attachment"
        | "get_attachment_url" | "get_tags" | "get_thread" | "check_inbox" | "zapier_inbox" | "zapier_thread"
        | "list_spam" | "get_email" => KeyScope::Read,
        "create_contact"
        | "delete_contact"
        | "suppress_address"
        | "set_tags"
        | "delete_tag"
        | "cancel_email"
        | "change_scheduled_email"
        | "retry_recipient"
        | "send_email"
        | "preview_email"
        | "preview_reply"
        | "reply_email"
        | "zapier_send"
        | "zapier_reply"
        | "tag_email"
        | "report_spam"
        | "report_not_spam" => KeyScope::Send,
        "list_pending" | "zapier_pending" => KeyScope::OversightRead,
        "lift_suppression" | "decide" | "zapier_decide" => KeyScope::Oversight,
        _ => KeyScope::Admin,
    }
}
