//! `/v1`, the embedded mail service's API, in the shapes that MultiMail's own clients expect.
//!
//! What they depend on: every answer but the bytes of a file is JSON, errors, deletes and unknown paths included; never a 204; a POST without a body
//! is fine whatever its Content-Type says; an error is `{"error": "a sentence"}`. Everything but `/health` needs a key, or for a file a
//! link that this API made.
//! There are no CORS headers, and a request that names a host by a foreign name is refused: a page in a browser on this
//! machine must not reach the API by pointing its own name at us.

mod answer;
mod attachments;
mod auth;
mod deliveries;
mod emails;
mod input;
mod mailboxes;
mod sending;
mod service;
mod shapes;
mod suppressions;
mod tags;
mod webhooks;

use std::sync::Arc;

use axum::{
    Router, middleware,
    routing::{delete, get, patch, post},
};

use crate::mail::api::Api;

/// The largest request body taken, in bytes: 1 MiB, far above a webhook or a map of tags.
pub const BODY_BYTES_MAX: usize = 1 << 20;
/// The largest request body with a letter in it, in bytes: 36 MiB, a message of 25 MiB with its files in Base64.
pub const LETTER_BYTES_MAX: usize = 36 << 20;

/// The routes. `allowed_hosts` are the names, beside `localhost` and any address, that a request may call us by.
pub fn router(api: Arc<Api>, allowed_hosts: &[String]) -> Router {
    let gate = Arc::new(auth::Gate::new(api.clone(), allowed_hosts));
    Router::new()
        .route("/health", get(service::health))
        .route("/v1/account", get(service::account))
        .route("/v1/mailboxes", get(mailboxes::list).post(mailboxes::add))
        .route("/v1/mailboxes/{mailbox}", get(mailboxes::show).patch(mailboxes::change).delete(mailboxes::remove))
        .route("/v1/mailboxes/{mailbox}/emails", get(emails::list))
        .route("/v1/mailboxes/{mailbox}/emails/{email}", get(emails::read))
        .route("/v1/mailboxes/{mailbox}/emails/{email}/attachments/{filename}", get(attachments::bytes))
        .route("/v1/mailboxes/{mailbox}/emails/{email}/attachments/{filename}/url", get(attachments::link))
        .route("/v1/mailboxes/{mailbox}/emails/{email}/tags", get(tags::list).put(tags::put))
        .route("/v1/mailboxes/{mailbox}/emails/{email}/tags/{key}", delete(tags::remove))
        .route("/v1/mailboxes/{mailbox}/emails/{email}/cancel", post(sending::cancel))
        .route("/v1/mailboxes/{mailbox}/emails/{email}/schedule", patch(sending::change))
        .route("/v1/mailboxes/{mailbox}/emails/{email}/retry", post(sending::retry))
        .route("/v1/mailboxes/{mailbox}/send", post(sending::send))
        .route("/v1/mailboxes/{mailbox}/reply/{email}", post(sending::reply))
        .route("/v1/mailboxes/{mailbox}/threads/{thread}", get(emails::thread))
        .route("/v1/suppression", get(suppressions::list).post(suppressions::add))
        .route("/v1/suppression/{address}", delete(suppressions::lift))
        .route("/v1/webhooks", get(webhooks::list).post(webhooks::register))
        .route("/v1/webhooks/{webhook}", get(webhooks::show).delete(webhooks::remove))
        .route("/v1/webhook-deliveries", get(deliveries::list))
        .fallback(answer::no_such_path)
        .method_not_allowed_fallback(answer::no_such_method)
        .layer(middleware::from_fn_with_state(gate, auth::pass))
        .with_state(api)
}
