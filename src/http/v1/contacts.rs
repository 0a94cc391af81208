//! `/v1/contacts`

use std::sync::Arc;

use axum::extract::State;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    answer::{Answer, Created, Done, Failure, Gone, gone},
    auth::Caller,
    input::{At, JsonBody, Query, Within},
};
use crate::{
    domain::office,
    mail::api::{Api, CONTACTS_MAX, NewContact},
};

/// Somebody to write to.
#[derive(Serialize, JsonSchema)]
pub(super) struct Contact {
    id: String,
    name: String,
    email: String,
    tags: Vec<String>,
    /// Unix milliseconds, as the service documents it.
    created_at: i64,
}

impl From<&office::Contact> for Contact {
    fn from(contact: &office::Contact) -> Self {
        Self {
            id: contact.id.clone(),
            name: contact.name.clone(),
            email: contact.email.to_string(),
            tags: contact.tags.clone(),
            created_at: contact.created_at.0,
        }
    }
}

/// Contacts, by name.
#[derive(Serialize, JsonSchema)]
pub(super) struct Contacts {
    contacts: Vec<Contact>,
}

#[derive(Deserialize, JsonSchema)]
pub(super) struct Which {
    /// Part of the name, the address or a tag, in any case.
    q: Option<String>,
    /// The same.
    query: Option<String>,
    limit: Option<Within<1, CONTACTS_MAX>>,
}

#[derive(Deserialize, JsonSchema)]
pub(super) struct ContactWords {
    name: String,
    email: String,
    #[serde(default)]
    tags: Option<Vec<String>>,
}

pub(super) async fn list(
    State(api): State<Arc<Api>>,
    Caller(key): Caller,
    Query(which): Query<Which>,
) -> Result<Done<Contacts>, Failure> {
    let limit = which.limit.map_or(CONTACTS_MAX, |Within(limit)| limit);
    let found = api.contacts(&key, which.q.or(which.query).as_deref(), limit).await?;
    Ok(Answer(Contacts { contacts: found.iter().map(Contact::from).collect() }))
}

pub(super) async fn add(
    State(api): State<Arc<Api>>,
    Caller(key): Caller,
    JsonBody(words): JsonBody<ContactWords>,
) -> Result<Created<Contact>, Failure> {
    let ContactWords { name, email, tags } = words;
    let made = api.add_contact(&key, NewContact { name, email, tags: tags.unwrap_or_default() }).await?;
    Ok(Answer(Contact::from(&made)))
}

pub(super) async fn remove(
    State(api): State<Arc<Api>>,
    Caller(key): Caller,
    At(contact): At<String>,
) -> Result<Done<Gone>, Failure> {
    api.remove_contact(&key, &contact).await?;
    Ok(gone())
}
