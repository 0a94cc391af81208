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

/// The HMAC-SHA256 of `parts`, one after the other, under `key`.
fn hmac_sha256(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, key));
    for part in parts {
        context.update(part);
    }
    context.sign().as_ref().try_into().expect("an HMAC-SHA256 has 32 bytes (RFC 4231)")
}
