//! The domains this service is at home in: those of the settings, and those that the API added.
//!
//! One thing knows them, and whoever takes mail in, sends it or makes a mailbox asks it. It holds what the rows say, because
//! only a keeper has a mail service, and a keeper whose term is over writes no row.

use std::{
    net::IpAddr,
    sync::{Arc, PoisonError, RwLock},
};

use tokio::sync::{Mutex, MutexGuard};

use super::simulator;
use crate::{
    domain::{
        address::{ascii_domain, is_domain},
        clock::UnixMillis,
        office::HomeDomain,
    },
    store::{
        StoreError,
        domains::{DomainAdded, DomainRemoved, HomeDomains},
    },
};

/// Domains that the API may add, beside those of the settings: each recipient of a mail that comes in is held to all of
/// them, and a person looks through them.
pub const DOMAINS_MAX: u32 = 100;
/// The longest domain, in bytes: its mailboxes and their return paths (RFC 5321 section 4.5.3.1.3) must fit beside it.
const NAME_BYTES_MAX: usize = 189;

/// A text that is no domain to be at home in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotADomain {
    /// It has the form of none.
    #[error(
        "`domain` must be a domain name of two labels or more and {NAME_BYTES_MAX} bytes at most, such as mail.example.com"
    )]
    Form,
    /// It is an address of a host.
    #[error("`domain` must be a domain name, and this is an IP address; name the domain whose MX record leads here")]
    IpAddress,
    /// Mail to it is played.
    #[error(
        "mail to {} is played by the simulator, so nobody is at home there; choose another domain",
        simulator::DOMAIN
    )]
    Simulator,
    /// Others register names under it.
    #[error("this is a suffix under which anybody registers names, and nobody's own; add a domain under it")]
    PublicSuffix,
}

/// The domain that `text` names, lower-cased, in A-labels.
pub fn domain_name(text: &str) -> Result<String, NotADomain> {
    let text = text.trim().to_lowercase();
    let text = text.strip_suffix('.').unwrap_or(&text);
    let bare = text.trim_start_matches('[').trim_end_matches(']');
    if bare.trim_start_matches("ipv6:").parse::<IpAddr>().is_ok() {
        return Err(NotADomain::IpAddress);
    }
    let name = ascii_domain(text).into_owned();
    let last = name.rsplit('.').next().unwrap_or_default();
    // A name whose last label is a number is read as an IP address by many.
    let numeric = last.bytes().all(|byte| byte.is_ascii_digit()) || last.starts_with("0x");
    if !name.is_ascii() || !is_domain(&name) || name.contains('_') || numeric || name.len() > NAME_BYTES_MAX {
        return Err(NotADomain::Form);
    }
    if name == simulator::DOMAIN || name.strip_suffix(simulator::DOMAIN).is_some_and(|rest| rest.ends_with('.')) {
        return Err(NotADomain::Simulator);
    }
    if !name.contains('.') {
        return Err(NotADomain::Form);
    }
    if psl::domain_str(&name).is_none() {
        return Err(NotADomain::PublicSuffix);
    }
    Ok(name)
}

/// The domains whose mail is taken here.
pub struct Domains {
    store: Arc<dyn HomeDomains>,
    known: RwLock<Arc<[HomeDomain]>>,
    changing: Mutex<()>,
}

impl Domains {
    /// Those of `store`, once the settings' are the ones that `named` has.
    pub async fn open(store: Arc<dyn HomeDomains>, named: &[String]) -> Result<Arc<Self>, StoreError> {
        let named: Vec<String> = named.iter().map(|name| ascii_domain(name).into_owned()).collect();
        store.seed_domains(&named).await?;
        let known = RwLock::new(store.domains().await?.into());
        Ok(Arc::new(Self { store, known, changing: Mutex::new(()) }))
    }

    /// Every domain: those of the settings in their order, then the others, the oldest first.
    pub fn all(&self) -> Arc<[HomeDomain]> {
        self.known.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether mail for this domain, lower-cased and in A-labels, is taken here.
    pub fn holds(&self, name: &str) -> bool {
        self.all().iter().any(|domain| domain.name == name)
    }

    /// The one that a bare local part gets.
    pub fn first(&self) -> Option<String> {
        self.all().first().map(|domain| domain.name.clone())
    }

    /// Keeps the domains as they are while it is held: whoever makes a mailbox looks and writes under it.
    pub async fn unchanged(&self) -> MutexGuard<'_, ()> {
        self.changing.lock().await
    }

    /// Adds a domain; from then on its mail is taken.
    pub async fn add(&self, name: &str, now: UnixMillis) -> Result<DomainAdded, StoreError> {
        let _alone = self.unchanged().await;
        let added = self.store.add_domain(name, now, DOMAINS_MAX).await?;
        self.look().await?;
        Ok(added)
    }

    /// Removes a domain that was added; from then on its mail is not taken.
    pub async fn remove(&self, name: &str) -> Result<DomainRemoved, StoreError> {
        let _alone = self.unchanged().await;
        let removed = self.store.remove_domain(name).await?;
        self.look().await?;
        Ok(removed)
    }

    /// Learns what the rows say, after somebody changed them under [`Self::unchanged`].
    pub(super) async fn look(&self) -> Result<(), StoreError> {
        let known = self.store.domains().await?.into();
        *self.known.write().unwrap_or_else(PoisonError::into_inner) = known;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_a_domain_to_be_at_home_in() {
        for (text, name) in [
            ("agents.test", "agents.test"),
            (" Agents.Test. ", "agents.test"),
            ("bücher.example", "xn--bcher-kva.example"),
            ("mail.example.co.uk", "mail.example.co.uk"),
            ("mailbell.test", "mailbell.test"),
        ] {
            assert_eq!(domain_name(text).as_deref(), Ok(name), "{text}");
        }
    }

    #[test]
    fn what_is_none() {
        let long = format!("{}.test", ["a"; 95].join("."));
        for (text, why) in [
            ("", NotADomain::Form),
            ("test", NotADomain::Form),
            ("localhost", NotADomain::Form),
            ("a@b.test", NotADomain::Form),
            ("https://b.test/", NotADomain::Form),
            ("a..test", NotADomain::Form),
            ("-a.test", NotADomain::Form),
            ("a_b.test", NotADomain::Form),
            ("%.test", NotADomain::Form),
            ("a b.test", NotADomain::Form),
            ("a\u{0}.test", NotADomain::Form),
            ("1.2.3", NotADomain::Form),
            ("a.0x7f", NotADomain::Form),
            (long.as_str(), NotADomain::Form),
            ("127.0.0.1", NotADomain::IpAddress),
            ("[127.0.0.1]", NotADomain::IpAddress),
            ("[IPv6:::1]", NotADomain::IpAddress),
            ("::1", NotADomain::IpAddress),
            ("simulator.mailbell.test", NotADomain::Simulator),
            ("a.simulator.mailbell.test", NotADomain::Simulator),
            ("co.uk", NotADomain::PublicSuffix),
            ("github.io", NotADomain::PublicSuffix),
        ] {
            assert_eq!(domain_name(text), Err(why), "{text:?}");
        }
    }
}
