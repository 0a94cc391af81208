//! The headers of the Standard Webhooks specification: id, timestamp and signature over all three of id, timestamp, body.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use ring::signature;
use subtle::ConstantTimeEq;

use super::hmac_sha256;
use crate::domain::secret::Secret;

/// Names the message; the same at every attempt.
pub const HEADER_ID: &str = "webhook-id";
/// Unix seconds of the attempt.
pub const HEADER_TIMESTAMP: &str = "webhook-timestamp";
/// One or more signatures, `v1,` and base64 each, with spaces between them.
pub const HEADER_SIGNATURE: &str = "webhook-signature";
/// Signatures in one header at most: one for each live secret, and secrets are two while they are rotated.
pub const SIGNATURES_MAX: usize = 16;

const VERSION: &str = "v1,";
const VERSION_ASYMMETRIC: &str = "v1a,";
const SECRET_PREFIX: &str = "whsec_";
const PUBLIC_KEY_PREFIX: &str = "whpk_";

/// The key that a secret stands for: what follows `whsec_` as base64, or else the text itself.
fn key(secret: &Secret) -> Vec<u8> {
    let text = secret.expose();
    let encoded = text.strip_prefix(SECRET_PREFIX).unwrap_or(text);
    STANDARD.decode(encoded).unwrap_or_else(|_| text.as_bytes().to_vec())
}

/// The signature of one attempt: `v1,` and base64.
pub fn sign(secret: &Secret, id: &str, timestamp_secs: i64, body: &[u8]) -> String {
    let timestamp = timestamp_secs.to_string();
    let mac = hmac_sha256(&key(secret), &[id.as_bytes(), b".", timestamp.as_bytes(), b".", body]);
    format!("{VERSION}{}", STANDARD.encode(mac))
}

/// Whether `secret` is a public key, which signs nothing and makes no HMAC: else anybody who knows it could.
pub fn is_public_key(secret: &Secret) -> bool {
    secret.expose().starts_with(PUBLIC_KEY_PREFIX)
}

/// Whether one of the `signatures` in the header is that of `body` under `secret`, of which only the first
/// [`SIGNATURES_MAX`] are looked at. The timestamp's age is the caller's to judge. For a secret the body is read once.
pub fn verify(secret: &Secret, id: &str, timestamp_secs: i64, body: &[u8], signatures: &str) -> bool {
    let timestamp = timestamp_secs.to_string();
    let signatures = || signatures.split_ascii_whitespace().take(SIGNATURES_MAX);
    if let Some(public) = secret.expose().strip_prefix(PUBLIC_KEY_PREFIX) {
        let Ok(public) = STANDARD.decode(public) else { return false };
        let public = signature::UnparsedPublicKey::new(&signature::ED25519, public);
        let signed = [id.as_bytes(), b".", timestamp.as_bytes(), b".", body].concat();
        return signatures()
            .filter_map(|one| one.strip_prefix(VERSION_ASYMMETRIC))
            .any(|one| STANDARD.decode(one).is_ok_and(|one| public.verify(&signed, &one).is_ok()));
    }
    let expected = hmac_sha256(&key(secret), &[id.as_bytes(), b".", timestamp.as_bytes(), b".", body]);
    signatures()
        .filter_map(|one| one.strip_prefix(VERSION))
        .any(|one| STANDARD.decode(one).is_ok_and(|digest| bool::from(digest.ct_eq(expected.as_slice()))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_specification_s_example_holds() {
        let secret = Secret::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
        let body = br#"{"test": 2432232314}"#;
        let signature = sign(&secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, body);
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
        let header = format!("v1a,AAAA v1,AAAA {signature}");
        assert!(verify(&secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, body, &header));
        assert!(!verify(&secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_331, body, &header));
        assert!(!verify(&secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, b"{}", &header));
    }
}
