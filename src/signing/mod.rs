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

use ring::hmac;

/// The HMAC of `parts`, one after the other, under `key`.
fn hmac(algorithm: hmac::Algorithm, key: &[u8], parts: &[&[u8]]) -> hmac::Tag {
    let mut context = hmac::Context::with_key(&hmac::Key::new(algorithm, key));
    for part in parts {
        context.update(part);
    }
    context.sign()
}

/// The same by SHA-256.
fn hmac_sha256(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    hmac(hmac::HMAC_SHA256, key, parts).as_ref().try_into().expect("an HMAC-SHA256 has 32 bytes (RFC 4231)")
}
