//! Checks SPF, DKIM and DMARC by asking the DNS.

use std::net::{IpAddr, SocketAddr};

use mail_auth::{
    AuthenticatedMessage, DkimOutput, DkimResult, DmarcResult, DnsError, Error, MX, MessageAuthenticator, RecordSet,
    SpfOutput, SpfResult, Txt,
    common::cache::NoCache,
    dkim::DkimError,
    dmarc::verify::DmarcParameters,
    hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolverConfig, ResolverOpts},
    spf::{Macro, Mechanism, Qualifier, Spf, verify::SpfParameters},
};

use crate::domain::verdict::{Finding, Outcome, Verdict};

/// What our own verdicts are signed with.
const US: &str = "mailbell";
/// Signatures that are checked: each costs a look-up and reads the whole message. A message with more is taken for an
/// attack and none is checked; mail from lists has two or three.
const SIGNATURES_MAX: usize = 10;

/// The name servers cannot be asked.
#[derive(Debug, thiserror::Error)]
#[error("could not set up DNS look-ups for mail.auth.verify: {0}; set mail.auth.resolver, such as 127.0.0.1:53")]
pub struct NoResolver(String);

/// Asks the DNS.
pub struct Lookups {
    dns: MessageAuthenticator,
    hostname: String,
}

/// What the DNS says of a domain; none where that is not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Published {
    /// Whether an MX record leads to this host.
    pub mx: Option<bool>,
    /// Whether its SPF record lets mail pass that comes from its MX, which is this host. A record that lets others pass, as
    /// by `include`, may or may not mean where our mail comes from.
    pub spf: Option<bool>,
}

impl Lookups {
    /// What the owner of `domain` has published of this host.
    pub async fn published(&self, domain: &str) -> Published {
        let (mx, spf) = tokio::join!(
            self.dns.mx_lookup(domain, None::<&NoCache<Box<str>, RecordSet<MX>>>),
            self.dns.txt_lookup::<Spf>(domain, None::<&NoCache<Box<str>, Txt>>),
        );
        let ours = self.hostname.trim_end_matches('.').to_lowercase();
        let leads_here = |records: RecordSet<MX>| {
            records.rrset.iter().flat_map(|mx| mx.exchanges.iter()).any(|host| host.trim_end_matches('.') == ours)
        };
        let mx = known(&mx.map(leads_here));
        // Its own MX, and not that of another domain.
        let by_mx = |record: &Spf| {
            record.directives.iter().any(|directive| {
                let own = matches!(directive.mechanism, Mechanism::Mx { macro_string: Macro::None, .. });
                own && directive.qualifier == Qualifier::Pass
            })
        };
        let spf = match spf {
            Ok(record) if by_mx(&record) => mx,
            Ok(_) => None,
            Err(error) => known(&Err(error)),
        };
        Published { mx, spf }
    }

    /// Asks the name server at `resolver`, or those of this machine. `hostname` is our own name, which SPF's macros may
    /// tell the sender's name server.
    pub fn new(resolver: Option<SocketAddr>, hostname: &str) -> Result<Self, NoResolver> {
        let dns = match resolver {
            None => MessageAuthenticator::new_system_conf(),
            Some(at) => {
                let (mut udp, mut tcp) = (ConnectionConfig::udp(), ConnectionConfig::tcp());
                (udp.port, tcp.port) = (at.port(), at.port());
                let server = NameServerConfig::new(at.ip(), true, vec![udp, tcp]);
                let config = ResolverConfig::from_parts(None, Vec::new(), vec![server]);
                MessageAuthenticator::new(config, ResolverOpts::default())
            }
        };
        let dns = dns.map_err(|error| NoResolver(error.to_string()))?;
        Ok(Self { dns, hostname: hostname.to_owned() })
    }

    /// What the DNS says of a message that came from `peer`; none if its header cannot be read.
    pub(super) async fn judge(&self, peer: IpAddr, hello: &str, from: &str, raw: &[u8]) -> Option<Verdict> {
        // A name that is an address literal, or none, has no SPF record.
        let hello = if crate::domain::address::is_domain(hello) { hello } else { "" };
        let spf = match from {
            "" => self.dns.verify_spf(SpfParameters::verify_ehlo(peer, hello, &self.hostname)).await,
            from => self.dns.verify_spf(SpfParameters::verify_mail_from(peer, hello, &self.hostname, from)).await,
        };
        let Some(message) = AuthenticatedMessage::parse(raw) else {
            return Some(Verdict { by: US.into(), spf: Some(of_spf(&spf)), ..Verdict::default() });
        };
        let too_many = message.dkim_headers.len() + message.errors.len() > SIGNATURES_MAX;
        let dkim = if too_many { Vec::new() } else { self.dns.verify_dkim(&message).await };
        let domain = from.rsplit_once('@').map_or(hello, |(_, domain)| domain);
        let dmarc = self.dns.verify_dmarc(DmarcParameters::new(&message, &dkim, domain, &spf)).await;
        let mut findings: Vec<Finding> = dkim.iter().map(of_dkim).collect();
        if too_many {
            findings.push(Finding { result: Outcome::Policy, domain: None });
        }
        let dmarc = Finding { result: of_dmarc(&dmarc.result()), domain: domain_of(dmarc.domain()) };
        Some(Verdict { by: US.into(), spf: Some(of_spf(&spf)), dkim: findings, dmarc: Some(dmarc) })
    }
}

/// An answer is known also where it is that there is no such record.
fn known(answer: &Result<bool, Error>) -> Option<bool> {
    match answer {
        Ok(found) => Some(*found),
        Err(Error::Dns(DnsError::RecordNotFound(_) | DnsError::InvalidRecordType) | Error::ParseError) => Some(false),
        Err(_) => None,
    }
}

fn domain_of(text: &str) -> Option<String> {
    let domain = text.trim_end_matches('.').to_lowercase();
    crate::domain::address::is_domain(&domain).then_some(domain)
}

fn of_spf(output: &SpfOutput) -> Finding {
    let result = match output.result() {
        SpfResult::Pass => Outcome::Pass,
        SpfResult::Fail => Outcome::Fail,
        SpfResult::SoftFail => Outcome::Softfail,
        SpfResult::Neutral => Outcome::Neutral,
        SpfResult::TempError => Outcome::Temperror,
        SpfResult::PermError => Outcome::Permerror,
        SpfResult::None => Outcome::None,
    };
    Finding { result, domain: domain_of(output.domain()) }
}

fn of_dkim(output: &DkimOutput<'_>) -> Finding {
    let result = match output.result() {
        DkimResult::Pass => Outcome::Pass,
        // RFC 6376 section 6.1.3 has a body that does not match fail.
        DkimResult::Fail(_) | DkimResult::Neutral(Error::Dkim(DkimError::FailedBodyHashMatch)) => Outcome::Fail,
        DkimResult::Neutral(_) => Outcome::Neutral,
        DkimResult::PermError(_) => Outcome::Permerror,
        DkimResult::TempError(_) => Outcome::Temperror,
        DkimResult::None => Outcome::None,
    };
    Finding { result, domain: output.signature().and_then(|signature| domain_of(&signature.d)) }
}

fn of_dmarc(result: &DmarcResult) -> Outcome {
    match result {
        DmarcResult::Pass => Outcome::Pass,
        DmarcResult::Fail(_) => Outcome::Fail,
        DmarcResult::TempError(_) => Outcome::Temperror,
        DmarcResult::PermError(_) => Outcome::Permerror,
        DmarcResult::None => Outcome::None,
    }
}
