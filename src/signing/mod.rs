//! Signatures over raw bytes, in both directions: one file per scheme.
//!
//! Comparison is in constant time, and a body is never parsed or written anew on the way to its signature.

pub mod chain;
pub mod digest;
pub mod ecdsa;
pub mod keyed;
pub mod multimail;
pub mod proof;
pub mod rsa;
pub mod standard_webhooks;
pub mod token;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// The HMAC-SHA256 of `parts`, one after the other, under `key`.
fn hmac_sha256(key: &[u8], parts: &[&[u8]]) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes a key of any length (RFC 2104 section 2)");
    for part in parts {
        mac.update(part);
    }
    mac
}
