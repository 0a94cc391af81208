//! The certificate that a provider's signatures are checked with. Whoever fetched it answers for where it is from.

use x509_parser::{
    extensions::GeneralName, oid_registry::OID_PKCS1_RSAENCRYPTION, parse_x509_certificate, pem::parse_x509_pem,
};

use crate::domain::clock::UnixMillis;

/// What of a certificate counts here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    rsa_key: Vec<u8>,
    names: Vec<String>,
    from: UnixMillis,
    until: UnixMillis,
}

impl Certificate {
    /// The first certificate in `pem` (RFC 7468), if it is one of an RSA key.
    pub fn read(pem: &[u8]) -> Option<Self> {
        let (_, pem) = parse_x509_pem(pem).ok().filter(|(_, pem)| pem.label == "CERTIFICATE")?;
        let (rest, read) = parse_x509_certificate(&pem.contents).ok()?;
        let key = read.public_key();
        if !rest.is_empty() || key.algorithm.algorithm != OID_PKCS1_RSAENCRYPTION {
            return None;
        }
        let listed = read.subject_alternative_name().ok()?.map(|listed| &listed.value.general_names);
        let mut names: Vec<String> = listed
            .into_iter()
            .flatten()
            .filter_map(|name| if let GeneralName::DNSName(name) = name { Some((*name).to_owned()) } else { None })
            .collect();
        if names.is_empty() {
            names.extend(read.subject().iter_common_name().filter_map(|name| name.as_str().ok()).map(str::to_owned));
        }
        let moment = |secs: i64| UnixMillis(secs.saturating_mul(1000));
        let validity = read.validity();
        Some(Self {
            rsa_key: key.subject_public_key.data.to_vec(),
            names,
            from: moment(validity.not_before.timestamp()),
            until: moment(validity.not_after.timestamp()),
        })
    }

    /// Whom it names: host names.
    pub(super) fn names(&self) -> &[String] {
        &self.names
    }

    /// Its key, as `signing::rsa` takes it.
    pub(super) fn rsa_key(&self) -> &[u8] {
        &self.rsa_key
    }

    /// Whether it is valid at `now`.
    pub fn is_valid(&self, now: UnixMillis) -> bool {
        self.from <= now && now <= self.until
    }
}
