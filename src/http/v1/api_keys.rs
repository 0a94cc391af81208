//! `/v1/api-keys`

use std::sync::Arc;

use axum::extract::State;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    answer::{Answer, Created, Done, Failure, Gone, gone},
    auth::Caller,
    input::{At, JsonBody},
    shapes::Moment,
};
use crate::{
    domain::key,
    mail::api::{Api, KeyChange},
};

/// A key, without its token.
#[derive(Serialize, JsonSchema)]
pub(super) struct ApiKey {
    id: String,
    /// How its token begins.
    prefix: String,
    name: String,
    scopes: Vec<&'static str>,
    created_at: Moment,
    /// The token; only where the key is made, and never again.
    #[serde(skip_serializing_if = "Option::is_none")]
    api_key: Option<String>,
}

impl From<&key::ApiKey> for ApiKey {
    fn from(key: &key::ApiKey) -> Self {
        Self {
            id: key.id.clone(),
            prefix: key.prefix.clone(),
            name: key.name.clone(),
            scopes: key.scopes.iter().map(|scope| scope.as_str()).collect(),
            created_at: key.created_at.into(),
            api_key: None,
        }
    }
}

/// Every key, by name.
#[derive(Serialize, JsonSchema)]
pub(super) struct ApiKeys {
    api_keys: Vec<ApiKey>,
}

#[derive(Deserialize, JsonSchema)]
pub(super) struct NewKey {
    name: String,
    /// Of `read`, `send`, `admin`, `oversight_read` and `oversight`; `read` when left out.
    scopes: Option<Vec<String>>,
}

#[derive(Deserialize, JsonSchema)]
pub(super) struct KeyWords {
    name: Option<String>,
    scopes: Option<Vec<String>>,
}

pub(super) async fn list(State(api): State<Arc<Api>>, Caller(key): Caller) -> Result<Done<ApiKeys>, Failure> {
    Ok(Answer(ApiKeys { api_keys: api.api_keys(&key).await?.iter().map(ApiKey::from).collect() }))
}

pub(super) async fn add(
    State(api): State<Arc<Api>>,
    Caller(key): Caller,
    JsonBody(new): JsonBody<NewKey>,
) -> Result<Created<ApiKey>, Failure> {
    let (made, token) = api.add_api_key(&key, &new.name, new.scopes).await?;
    Ok(Answer(ApiKey { api_key: Some(token.expose().to_owned()), ..ApiKey::from(&made) }))
}

pub(super) async fn change(
    State(api): State<Arc<Api>>,
    Caller(key): Caller,
    At(id): At<String>,
    JsonBody(KeyWords { name, scopes }): JsonBody<KeyWords>,
) -> Result<Done<ApiKey>, Failure> {
    Ok(Answer((&api.change_api_key(&key, &id, KeyChange { name, scopes }).await?).into()))
}

pub(super) async fn remove(
    State(api): State<Arc<Api>>,
    Caller(key): Caller,
    At(id): At<String>,
) -> Result<Done<Gone>, Failure> {
    api.remove_api_key(&key, &id).await?;
    Ok(gone())
}
