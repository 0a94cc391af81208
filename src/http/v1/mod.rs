//! `/v1`, the embedded mail service's API, in the shapes that MultiMail's own clients expect.
//!
//! What they depend on: every answer but the bytes of a file is JSON, errors, deletes and unknown paths included; never a 204; a POST without a body
//! is fine whatever its Content-Type says; an error is `{"error": "a sentence"}`. Everything but `/health` needs a key, or for a file a
//! link that this API made.
//! There are no CORS headers, and a request that names a host by a foreign name is refused: a page in a browser on this
//! machine must not reach the API by pointing its own name at us.
#![expect(clippy::struct_field_names, reason = "the names on the wire are those that clients look for")]

mod account;
mod answer;
mod api_keys;
mod attachments;
mod audit_log;
mod auth;
mod contacts;
mod deliveries;
mod document;
mod domains;
mod emails;
mod flat;
mod gating;
mod input;
mod mailboxes;
pub mod manual;
mod oversight;
mod previews;
mod recording;
mod scopes;
mod sending;
mod service;
mod shapes;
mod suppressions;
mod tags;
mod upkeep;
mod webhooks;

use std::{sync::Arc, time::Duration};

use aide::{
    axum::{
        ApiRouter,
        routing::{delete_with, get_with, patch_with, post_with},
    },
    openapi::OpenApi,
};
use axum::{Extension, Router, middleware};
use document::{Document, says};

use crate::{bell::oversight::Oversight, mail::api::Api};

/// The largest request body taken, in bytes: 1 MiB, far above a webhook or a map of tags.
pub const BODY_BYTES_MAX: usize = 1 << 20;
/// The largest request body with a letter in it, in bytes: 36 MiB, a message of 25 MiB with its files in Base64.
pub const LETTER_BYTES_MAX: usize = 36 << 20;

/// How long a request body may take to come: 36 MiB over a line of 5 Mbit/s. One that takes longer holds a connection for
/// nothing.
pub const BODY_TIME_MAX: Duration = Duration::from_mins(1);

/// The API, whose changes pass the gate of `oversight`. `allowed_hosts` are the names, beside `localhost` and any address, that a request may call us by.
pub fn router(api: Arc<Api>, oversight: Arc<Oversight>, allowed_hosts: &[String]) -> Router {
    router_within(api, oversight, allowed_hosts, BODY_TIME_MAX)
}

/// The same, where a request body may take `body_time` to come.
pub fn router_within(
    api: Arc<Api>,
    oversight: Arc<Oversight>,
    allowed_hosts: &[String],
    body_time: Duration,
) -> Router {
    let gate = Arc::new(auth::Gate::new(api.clone(), oversight.clone(), allowed_hosts, body_time));
    let overseen = Arc::new(gating::Gate { api: api.clone(), oversight: oversight.clone() });
    let mut document = OpenApi::default();
    routes()
        .finish_api_with(&mut document, document::head)
        .fallback(answer::no_such_path)
        .method_not_allowed_fallback(answer::no_such_method)
        .layer(Extension(Document::of(&document)))
        .layer(Extension(oversight))
        .layer(middleware::from_fn_with_state(overseen, gating::pass))
        .layer(middleware::from_fn_with_state(gate, auth::pass))
        .layer(middleware::from_fn(auth::catch))
        .with_state(api)
}

/// Every route, once: what serves it, what the document calls it, and what it is for.
fn routes() -> ApiRouter<Arc<Api>> {
    ApiRouter::new()
        .api_route("/health", get_with(service::health, says("health", "Tells whether the service is well.")))
        .api_route("/v1/openapi.json", get_with(document::show, says("openapi", "Shows this document.")))
        .merge(of_the_account())
        .merge(of_mailboxes())
        .merge(of_emails())
        .merge(of_webhooks())
        .merge(upkeep::routes())
        .merge(oversight::routes())
}

fn of_the_account() -> ApiRouter<Arc<Api>> {
    ApiRouter::new()
        .api_route(
            "/v1/account",
            get_with(account::show, says("get_account", "Shows whose service this is."))
                .patch_with(account::change, says("update_account", "Changes what the account is called."))
                .delete_with(account::close, says("delete_account", "Closes the account: all of it is erased.")),
        )
        .api_route("/v1/usage", get_with(account::usage, says("get_usage", "Counts what was used.")))
        .api_route(
            "/v1/api-keys",
            get_with(api_keys::list, says("list_api_keys", "Lists the keys."))
                .post_with(api_keys::add, says("create_api_key", "Makes a key; shows its token, once.")),
        )
        .api_route(
            "/v1/api-keys/{key}",
            patch_with(api_keys::change, says("update_api_key", "Changes a key's name or scopes."))
                .delete_with(api_keys::remove, says("delete_api_key", "Ends a key.")),
        )
        .api_route(
            "/v1/contacts",
            get_with(contacts::list, says("list_contacts", "Lists the contacts."))
                .post_with(contacts::add, says("create_contact", "Adds a contact.")),
        )
        .api_route(
            "/v1/contacts/{contact}",
            delete_with(contacts::remove, says("delete_contact", "Removes a contact.")),
        )
        .api_route(
            "/v1/domains",
            get_with(domains::list, says("list_domains", "Lists the domains of this service."))
                .post_with(domains::add, says("create_domain", "Adds a domain; its mail is taken at once.")),
        )
        .api_route(
            "/v1/domains/{domain}",
            get_with(domains::show, says("get_domain", "Shows a domain."))
                .delete_with(domains::remove, says("delete_domain", "Removes a domain that was added.")),
        )
        .api_route(
            "/v1/domains/{domain}/verify",
            post_with(domains::verify, says("verify_domain", "Asks the DNS about a domain, and shows what it says.")),
        )
        .api_route(
            "/v1/suppression",
            get_with(suppressions::list, says("list_suppressions", "Lists the addresses that are not written to."))
                .post_with(suppressions::add, says("suppress_address", "Adds an address to the suppression list.")),
        )
        .api_route(
            "/v1/suppression/{address}",
            delete_with(suppressions::lift, says("lift_suppression", "Takes an address off the suppression list.")),
        )
}

fn of_mailboxes() -> ApiRouter<Arc<Api>> {
    ApiRouter::new()
        .api_route(
            "/v1/mailboxes",
            get_with(mailboxes::list, says("list_mailboxes", "Lists the mailboxes."))
                .post_with(mailboxes::add, says("create_mailbox", "Makes a mailbox.")),
        )
        .api_route(
            "/v1/mailboxes/{mailbox}",
            get_with(mailboxes::show, says("get_mailbox", "Shows a mailbox."))
                .patch_with(mailboxes::change, says("update_mailbox", "Changes a mailbox."))
                .delete_with(mailboxes::remove, says("delete_mailbox", "Removes a mailbox and its emails.")),
        )
        .api_route(
            "/v1/mailboxes/{mailbox}/configure",
            patch_with(
                mailboxes::change,
                says("configure_mailbox", "Changes a mailbox, as MultiMail's MCP server asks."),
            ),
        )
        .api_route(
            "/v1/mailboxes/{mailbox}/emails",
            get_with(emails::list, says("list_emails", "Lists a mailbox's emails, the newest first.")),
        )
        .api_route(
            "/v1/mailboxes/{mailbox}/emails/{email}",
            get_with(emails::read, says("read_email", "Shows an email with its text, and marks it read.")),
        )
        .api_route(
            "/v1/mailboxes/{mailbox}/emails/{email}/attachments/{filename}",
            get_with(attachments::bytes, says("get_attachment", "Sends the bytes of an attachment.")),
        )
        .api_route(
            "/v1/mailboxes/{mailbox}/emails/{email}/attachments/{filename}/url",
            get_with(attachments::link, says("get_attachment_url", "Makes a URL that needs no key for a while.")),
        )
        .api_route(
            "/v1/mailboxes/{mailbox}/emails/{email}/tags",
            get_with(tags::list, says("get_tags", "Shows an email's tags."))
                .put_with(tags::put, says("set_tags", "Adds tags to an email, or replaces them.")),
        )
        .api_route(
            "/v1/mailboxes/{mailbox}/emails/{email}/tags/{key}",
            delete_with(tags::remove, says("delete_tag", "Removes a tag of an email.")),
        )
        .api_route(
            "/v1/mailboxes/{mailbox}/emails/{email}/cancel",
            post_with(sending::cancel, says("cancel_email", "Takes a scheduled email back.")),
        )
        .api_route(
            "/v1/mailboxes/{mailbox}/emails/{email}/schedule",
            patch_with(sending::change, says("change_scheduled_email", "Changes a scheduled email.")),
        )
        .api_route(
            "/v1/mailboxes/{mailbox}/emails/{email}/retry",
            post_with(sending::retry, says("retry_recipient", "Tries one recipient of an email again.")),
        )
        .api_route(
            "/v1/mailboxes/{mailbox}/send",
            post_with(sending::send, says("send_email", "Sends an email, or schedules it.")),
        )
        .api_route(
            "/v1/mailboxes/{mailbox}/reply/{email}",
            post_with(sending::reply, says("reply_email", "Replies to an email, in its thread.")),
        )
        .api_route(
            "/v1/mailboxes/{mailbox}/preview",
            post_with(previews::of_send, says("preview_email", "Shows an email as it would be sent; sends nothing.")),
        )
        .api_route(
            "/v1/mailboxes/{mailbox}/preview/{email}",
            post_with(previews::of_reply, says("preview_reply", "Shows a reply as it would be sent; sends nothing.")),
        )
        .api_route(
            "/v1/mailboxes/{mailbox}/threads/{thread}",
            get_with(emails::thread, says("get_thread", "Shows a thread's emails, the oldest first.")),
        )
}

/// The flat dialects: no mailbox in the path.
fn of_emails() -> ApiRouter<Arc<Api>> {
    ApiRouter::new()
        .api_route("/v1/inbox", get_with(flat::inbox, says("check_inbox", "Lists a mailbox's emails.")))
        .api_route("/v1/emails/inbox", get_with(flat::inbox, says("zapier_inbox", "The same as /v1/inbox.")))
        .api_route("/v1/emails/send", post_with(flat::send, says("zapier_send", "Sends an email.")))
        .api_route(
            "/v1/emails/thread/{thread}",
            get_with(flat::thread, says("zapier_thread", "Shows a thread's emails.")),
        )
        .api_route("/v1/emails", get_with(flat::spam, says("list_spam", "Lists what was called spam.")))
        .api_route("/v1/emails/{email}", get_with(flat::read, says("get_email", "Shows an email, and marks it read.")))
        .api_route("/v1/emails/{email}/tag", post_with(flat::tag, says("tag_email", "Adds tags to an email.")))
        .api_route("/v1/emails/{email}/reply", post_with(flat::reply, says("zapier_reply", "Replies to an email.")))
        .api_route(
            "/v1/emails/{email}/report-spam",
            post_with(flat::report_spam, says("report_spam", "Calls an email spam.")),
        )
        .api_route(
            "/v1/emails/{email}/not-spam",
            post_with(flat::not_spam, says("report_not_spam", "Brings an email back that was called spam.")),
        )
}

fn of_webhooks() -> ApiRouter<Arc<Api>> {
    ApiRouter::new()
        .api_route(
            "/v1/webhooks",
            get_with(webhooks::list, says("list_webhooks", "Lists the webhooks."))
                .post_with(webhooks::register, says("create_webhook", "Registers a webhook; shows its secret.")),
        )
        .api_route(
            "/v1/webhooks/{webhook}",
            get_with(webhooks::show, says("get_webhook", "Shows a webhook with its secret."))
                .delete_with(webhooks::remove, says("delete_webhook", "Ends a webhook.")),
        )
        .api_route(
            "/v1/webhooks/postmark",
            post_with(webhooks::postmark, says("postmark_events", "Says where a provider's events go.")),
        )
        .api_route(
            "/v1/webhooks/postmark-inbound",
            post_with(webhooks::postmark, says("postmark_inbound", "Says where mail comes in.")),
        )
        .api_route(
            "/v1/webhook-deliveries",
            get_with(deliveries::list, says("list_webhook_deliveries", "Lists deliveries, the newest first.")),
        )
}
