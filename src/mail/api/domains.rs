//! The domains of this service: shown, added and removed.

use super::{Api, ApiError, must, verifying::Look};
use crate::{
    domain::{
        clock::UnixMillis,
        key::{ApiKey, KeyScope},
        message::Mailbox,
        office::HomeDomain,
    },
    mail::domains::{DOMAINS_MAX, NotADomain, domain_name},
    store::domains::{DomainAdded, DomainRemoved},
};

/// A record that the domain's owner publishes in the DNS, so that mail comes here and is believed to come from here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DnsRecord {
    /// `MX` or `TXT`.
    pub kind: &'static str,
    /// Whose record it is.
    pub name: String,
    /// What it says.
    pub value: String,
    /// Of an MX record: the lower, the sooner.
    pub priority: Option<u16>,
    /// What it is for.
    pub purpose: &'static str,
}

/// A domain of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DomainView {
    /// The domain.
    pub name: String,
    /// Whether the settings name it.
    pub of_the_settings: bool,
    /// When it was added, where that was by the API.
    pub added_at: Option<UnixMillis>,
    /// Mailboxes in it.
    pub mailboxes: usize,
    /// What its owner publishes.
    pub records: Vec<DnsRecord>,
    /// What the DNS said of it when it was last asked, by this process.
    pub look: Look,
}

impl Api {
    /// The domains of this service.
    pub async fn domains(&self, key: &ApiKey) -> Result<Vec<DomainView>, ApiError> {
        must(key, KeyScope::Read)?;
        let mailboxes = self.mailroom.mailboxes().await?;
        Ok(self.domains.all().iter().map(|domain| self.view(domain, &mailboxes)).collect())
    }

    /// One of them, by name.
    pub async fn domain(&self, key: &ApiKey, name: &str) -> Result<DomainView, ApiError> {
        must(key, KeyScope::Read)?;
        self.known(name).await?.ok_or_else(unknown)
    }

    /// One of them, once the DNS was asked about it.
    pub async fn verify_domain(&self, key: &ApiKey, name: &str) -> Result<DomainView, ApiError> {
        let domain = self.domain(key, name).await?;
        let look = self.verifying.look(&domain.name, &*self.clock).await?;
        Ok(DomainView { look, ..domain })
    }

    /// Adds a domain: its mail is taken at once, and it may have mailboxes.
    pub async fn add_domain(&self, key: &ApiKey, text: &str) -> Result<DomainView, ApiError> {
        must(key, KeyScope::Admin)?;
        let name = domain_name(text)?;
        match self.domains.add(&name, self.clock.now()).await? {
            DomainAdded::Fresh => self.known(&name).await?.ok_or(ApiError::Broken),
            DomainAdded::Exists => Err(ApiError::Conflict(format!(
                "{name} is a domain of this service already; GET /v1/domains/{name} shows it"
            ))),
            DomainAdded::Full => Err(ApiError::Conflict(format!(
                "{DOMAINS_MAX} domains were added already, and there may be no more; delete one first"
            ))),
        }
    }

    /// Removes a domain that was added and in which no mailbox stands.
    pub async fn remove_domain(&self, key: &ApiKey, name: &str) -> Result<(), ApiError> {
        must(key, KeyScope::Admin)?;
        let name = domain_name(name).unwrap_or_else(|_| name.to_lowercase());
        match self.domains.remove(&name).await? {
            DomainRemoved::Done => {
                self.verifying.forget(&name);
                Ok(())
            }
            DomainRemoved::Unknown => Err(unknown()),
            DomainRemoved::OfTheSettings => Err(ApiError::Refused(format!(
                "{name} is a domain of this service's settings: only the operator takes it away, from mail.domains in \
                 config.toml, and starts the service again"
            ))),
            DomainRemoved::Inhabited(mailboxes) => Err(ApiError::Conflict(format!(
                "mailboxes stand in {name} ({mailboxes}); delete them first, with the mail in them"
            ))),
        }
    }

    async fn known(&self, name: &str) -> Result<Option<DomainView>, ApiError> {
        // The settings may name what the API would not add, such as one label alone.
        let name = domain_name(name).unwrap_or_else(|_| name.to_lowercase());
        let all = self.domains.all();
        let Some(domain) = all.iter().find(|domain| domain.name == name) else { return Ok(None) };
        Ok(Some(self.view(domain, &self.mailroom.mailboxes().await?)))
    }

    fn view(&self, domain: &HomeDomain, mailboxes: &[Mailbox]) -> DomainView {
        let HomeDomain { name, of_the_settings, added_at } = domain.clone();
        DomainView {
            mailboxes: mailboxes.iter().filter(|mailbox| mailbox.address.domain() == name).count(),
            records: self.records(&name),
            look: self.verifying.last(&name),
            name,
            of_the_settings,
            added_at,
        }
    }

    /// What leads mail for the domain here, and says that mail from it may come from here.
    fn records(&self, name: &str) -> Vec<DnsRecord> {
        let mx = DnsRecord {
            kind: "MX",
            name: name.to_owned(),
            value: self.hostname.clone(),
            priority: Some(10),
            purpose: "mail for the domain comes to this service, which is called so by smtp.hostname",
        };
        let spf = DnsRecord {
            kind: "TXT",
            name: name.to_owned(),
            value: "v=spf1 mx ~all".to_owned(),
            priority: None,
            purpose: "mail from the domain comes from its MX; add the `include:` of the relay, if one sends it",
        };
        vec![mx, spf]
    }
}

fn unknown() -> ApiError {
    ApiError::NotFound("this is no domain of this service; GET /v1/domains lists those there are".into())
}

impl From<NotADomain> for ApiError {
    fn from(error: NotADomain) -> Self {
        Self::Invalid(error.to_string())
    }
}
