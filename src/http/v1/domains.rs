//! `/v1/domains`: those of the settings. Nobody asks the DNS about them, and the answers say so: what is not known is null.

use std::sync::Arc;

use axum::extract::State;
use schemars::JsonSchema;
use serde::Serialize;

use super::{
    answer::{Answer, Done, Failure, Gone, gone},
    auth::Caller,
    input::At,
};
use crate::mail::api::{Api, DomainView};

/// What there is to say of a domain that lives in the settings.
const NOTE: &str = "The domain is in this service's settings. Its DNS records are the operator's, and nobody here looks at \
                    them: what is null is not known.";

/// A domain of this service.
#[derive(Serialize, JsonSchema)]
pub(super) struct Domain {
    id: String,
    domain: String,
    /// Always `configured`.
    status: &'static str,
    dkim_verified: Option<bool>,
    spf_verified: Option<bool>,
    mx_verified: Option<bool>,
    return_path_verified: Option<bool>,
    dns_records: Vec<String>,
    mailboxes: usize,
    note: &'static str,
}

impl From<DomainView> for Domain {
    fn from(domain: DomainView) -> Self {
        Self {
            id: domain.name.clone(),
            domain: domain.name,
            status: "configured",
            dkim_verified: None,
            spf_verified: None,
            mx_verified: None,
            return_path_verified: None,
            dns_records: Vec::new(),
            mailboxes: domain.mailboxes,
            note: NOTE,
        }
    }
}

/// Every domain of this service.
#[derive(Serialize, JsonSchema)]
pub(super) struct Domains {
    domains: Vec<Domain>,
}

pub(super) async fn list(State(api): State<Arc<Api>>, Caller(key): Caller) -> Result<Done<Domains>, Failure> {
    Ok(Answer(Domains { domains: api.domains(&key).await?.into_iter().map(Domain::from).collect() }))
}

/// Shows a domain; asked to verify it, there is no more to say.
pub(super) async fn show(
    State(api): State<Arc<Api>>,
    Caller(key): Caller,
    At(domain): At<String>,
) -> Result<Done<Domain>, Failure> {
    Ok(Answer(api.domain(&key, &domain).await?.into()))
}

pub(super) async fn add(State(api): State<Arc<Api>>, Caller(key): Caller) -> Result<Done<Gone>, Failure> {
    api.change_domains(&key)?;
    Ok(gone())
}

pub(super) async fn remove(
    State(api): State<Arc<Api>>,
    Caller(key): Caller,
    At(_): At<String>,
) -> Result<Done<Gone>, Failure> {
    api.change_domains(&key)?;
    Ok(gone())
}
