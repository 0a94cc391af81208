//! Mailgun's signature: an HMAC-SHA256 over a timestamp and a token that comes along. It does not cover the body, so a token
//! must count once.

use subtle::ConstantTimeEq;

use super::hmac_sha256;
use crate::domain::secret::Secret;

/// The signature of a timestamp and a token: lower-case hexadecimal.
pub fn sign(secret: &Secret, timestamp: &str, token: &str) -> String {
    let mac = hmac_sha256(secret.expose().as_bytes(), &[timestamp.as_bytes(), token.as_bytes()]);
    hex::encode(mac)
}

/// Whether `signature` is that of the timestamp and the token.
pub fn verify(secret: &Secret, timestamp: &str, token: &str, signature: &str) -> bool {
    let mut digest = [0; 32];
    if hex::decode_to_slice(signature, &mut digest).is_err() {
        return false;
    }
    let mac = hmac_sha256(secret.expose().as_bytes(), &[timestamp.as_bytes(), token.as_bytes()]);
    bool::from(mac.ct_eq(&digest))
}

/// Whether two secrets are the same, in a time that does not tell where they differ.
pub fn is_same(one: &str, other: &str) -> bool {
    // Of digests, so that their lengths do not tell either.
    bool::from(super::digest::sha256(one.as_bytes()).ct_eq(&super::digest::sha256(other.as_bytes())))
}
