//! `/v1/domains`: those of the settings, and those that were added here. The DNS is asked about one where a request wants
//! that; what is not known is null, and the note says why.

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
use crate::mail::{
    api::{Api, DnsRecord, DomainView, Look},
    verdict::Published,
};

/// What there is to say of a domain whose records nobody has looked at, and where nobody can; and of what was found.
const NOT_YET: &str = "Mail for this domain is taken here. Its DNS records are its owner's to publish. Nobody has looked at \
                       them yet: POST /v1/domains/{domain}/verify does.";
const NO_RESOLVER: &str = "Mail for this domain is taken here. Its DNS records are its owner's to publish, and nobody here \
                           looks at them: what is null is not known. The operator has this service ask the DNS by setting \
                           mail.auth.resolver, such as \"127.0.0.1:53\", or mail.auth.verify = true.";
const LOOKED: &str = "What is true was found in the DNS at verified_at, what is false was not there, and what is null is not \
                      known: no name server answered, or an SPF record lets others pass than the domain's MX. Mail is \
                      not signed by DKIM here. Mail that bounces comes back to the domain's MX.";

/// A domain of this service.
#[derive(Serialize, JsonSchema)]
pub(super) struct Domain {
    /// Its name.
    id: String,
    domain: String,
    /// `configured` in this service's settings, which alone end it; or `added` by this API.
    status: &'static str,
    dkim_verified: Option<bool>,
    spf_verified: Option<bool>,
    mx_verified: Option<bool>,
    return_path_verified: Option<bool>,
    /// When the DNS was last asked about it.
    verified_at: Option<Moment>,
    /// What its owner publishes.
    dns_records: Vec<Record>,
    mailboxes: usize,
    /// When it was added by this API.
    created_at: Option<Moment>,
    note: &'static str,
}

/// A record for the DNS.
#[derive(Serialize, JsonSchema)]
struct Record {
    /// `MX` or `TXT`.
    r#type: &'static str,
    name: String,
    value: String,
    priority: Option<u16>,
    purpose: &'static str,
}

impl From<DnsRecord> for Record {
    fn from(DnsRecord { kind, name, value, priority, purpose }: DnsRecord) -> Self {
        Self { r#type: kind, name, value, priority, purpose }
    }
}

impl From<DomainView> for Domain {
    fn from(domain: DomainView) -> Self {
        let (found, verified_at, note) = match domain.look {
            Look::NoResolver => (Published::default(), None, NO_RESOLVER),
            Look::NotYet => (Published::default(), None, NOT_YET),
            Look::Done(found, at) => (found, Some(Moment::from(at)), LOOKED),
        };
        Self {
            id: domain.name.clone(),
            domain: domain.name,
            status: if domain.of_the_settings { "configured" } else { "added" },
            dkim_verified: None,
            spf_verified: found.spf,
            mx_verified: found.mx,
            return_path_verified: found.mx,
            verified_at,
            dns_records: domain.records.into_iter().map(Record::from).collect(),
            mailboxes: domain.mailboxes,
            created_at: domain.added_at.map(Moment::from),
            note,
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

/// Asks the DNS, and shows the domain.
pub(super) async fn verify(
    State(api): State<Arc<Api>>,
    Caller(key): Caller,
    At(domain): At<String>,
) -> Result<Done<Domain>, Failure> {
    Ok(Answer(api.verify_domain(&key, &domain).await?.into()))
}

/// Shows a domain.
pub(super) async fn show(
    State(api): State<Arc<Api>>,
    Caller(key): Caller,
    At(domain): At<String>,
) -> Result<Done<Domain>, Failure> {
    Ok(Answer(api.domain(&key, &domain).await?.into()))
}

#[derive(Deserialize, JsonSchema)]
pub(super) struct NewDomain {
    domain: String,
}

pub(super) async fn add(
    State(api): State<Arc<Api>>,
    Caller(key): Caller,
    JsonBody(new): JsonBody<NewDomain>,
) -> Result<Created<Domain>, Failure> {
    Ok(Answer(api.add_domain(&key, &new.domain).await?.into()))
}

pub(super) async fn remove(
    State(api): State<Arc<Api>>,
    Caller(key): Caller,
    At(domain): At<String>,
) -> Result<Done<Gone>, Failure> {
    api.remove_domain(&key, &domain).await?;
    Ok(gone())
}
