//! The headers of the Standard Webhooks specification: id, timestamp and signature over all three of id, timestamp, body.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use hmac::Mac;
use subtle::ConstantTimeEq;

use super::hmac_sha256;
use crate::domain::secret::Secret;

/// Names the message; the same at every attempt.
pub const HEADER_ID: &str = "webhook-id";
/// Unix seconds of the attempt.
pub const HEADER_TIMESTAMP: &str = "webhook-timestamp";
/// One or more signatures, `v1,` and base64 each, with spaces between them.
pub const HEADER_SIGNATURE: &str = "webhook-signature";
/// How far a timestamp may lie from our clock, in seconds, either way.
pub const TOLERANCE_SECS: i64 = 300;

const VERSION: &str = "v1,";
const SECRET_PREFIX: &str = "whsec_";

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
    format!("{VERSION}{}", STANDARD.encode(mac.finalize().into_bytes()))
}

/// Whether one of the `signatures` in the header is that of `body` under `secret`. The timestamp's age is the caller's
/// to judge, against [`TOLERANCE_SECS`]. The body is read once, however many signatures are listed.
pub fn verify(secret: &Secret, id: &str, timestamp_secs: i64, body: &[u8], signatures: &str) -> bool {
    let timestamp = timestamp_secs.to_string();
    let mac = hmac_sha256(&key(secret), &[id.as_bytes(), b".", timestamp.as_bytes(), b".", body]);
    let expected = mac.finalize().into_bytes();
    signatures
        .split_ascii_whitespace()
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
