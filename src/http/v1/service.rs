//! Whether the service is well, and whose it is.

use std::sync::Arc;

use axum::extract::State;
use schemars::JsonSchema;
use serde::Serialize;

use super::{
    answer::{Answer, Done, Either, Failure},
    auth::Caller,
};
use crate::mail::api::Api;

/// How the service is.
#[derive(Serialize, JsonSchema)]
pub(super) struct Health {
    /// `ok`, or `degraded` where the store does not answer.
    status: &'static str,
}

/// `GET /health`
pub(super) async fn health(State(api): State<Arc<Api>>) -> Either<Done<Health>, Answer<503, Health>> {
    if api.is_healthy().await {
        Either::One(Answer(Health { status: "ok" }))
    } else {
        Either::Other(Answer(Health { status: "degraded" }))
    }
}

/// Whose service this is.
#[derive(Serialize, JsonSchema)]
pub(super) struct Account {
    id: &'static str,
    name: &'static str,
    slug: &'static str,
    plan: &'static str,
    is_active: bool,
    sending_disabled: bool,
    mailboxes: usize,
    key: Asker,
}

/// Who asks.
#[derive(Serialize, JsonSchema)]
struct Asker {
    name: String,
    scopes: Vec<&'static str>,
}

/// `GET /v1/account`: there is one, and it is the machine's.
pub(super) async fn account(State(api): State<Arc<Api>>, Caller(key): Caller) -> Result<Done<Account>, Failure> {
    let mailboxes = api.mailboxes(&key).await?;
    let scopes = key.scopes.iter().map(|scope| scope.as_str()).collect();
    Ok(Answer(Account {
        id: "local",
        name: "mailbell",
        slug: "mailbell",
        plan: "embedded",
        is_active: true,
        sending_disabled: false,
        mailboxes: mailboxes.len(),
        key: Asker { name: key.name, scopes },
    }))
}
