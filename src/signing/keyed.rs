//! HMAC by whichever digest a sender has chosen, for those whose scheme is a setting of ours.

use ring::hmac::{Algorithm, HMAC_SHA1_FOR_LEGACY_USE_ONLY, HMAC_SHA256, HMAC_SHA512};
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;

use super::hmac;
use crate::domain::secret::Secret;

/// The digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Digest {
    /// SHA-1, for senders that never moved on; as an HMAC it still holds.
    Sha1,
    /// SHA-256.
    #[default]
    Sha256,
    /// SHA-512.
    Sha512,
}

impl Digest {
    fn algorithm(self) -> Algorithm {
        match self {
            Self::Sha1 => HMAC_SHA1_FOR_LEGACY_USE_ONLY,
            Self::Sha256 => HMAC_SHA256,
            Self::Sha512 => HMAC_SHA512,
        }
    }
}

/// The HMAC of `parts`, one after the other: 20, 32 or 64 bytes.
pub fn sign(digest: Digest, secret: &Secret, parts: &[&[u8]]) -> Vec<u8> {
    hmac(digest.algorithm(), secret.expose().as_bytes(), parts).as_ref().to_vec()
}

/// Whether two HMACs are the same, in a time that does not tell where they differ; of different length they are not.
pub fn is_same(one: &[u8], other: &[u8]) -> bool {
    bool::from(one.ct_eq(other))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_standards_examples_hold() {
        // RFC 2202 section 3 case 2, RFC 4231 section 4.3.
        let (secret, text) = (Secret::new("Jefe"), b"what do ya want for nothing?");
        for (digest, tag) in [
            (Digest::Sha1, "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79"),
            (Digest::Sha256, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"),
            (
                Digest::Sha512,
                "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea2505549758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737",
            ),
        ] {
            let (tag, (first, rest)) = (hex::decode(tag).expect("hex"), text.split_at(5));
            let made = sign(digest, &secret, &[first, rest]);
            assert!(is_same(&made, &tag), "{digest:?}");
            assert!(!is_same(&made, &tag[..tag.len() - 1]), "{digest:?}");
            assert!(!is_same(&sign(digest, &Secret::new("jefe"), &[text]), &tag), "{digest:?}");
        }
    }
}
