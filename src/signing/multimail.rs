//! `X-MultiMail-Signature`: the lowercase hex HMAC-SHA256 of the raw body, keyed with the signing secret as text.
//!
//! Two spellings are in use, the bare digest and `sha256=` before it; we send the bare one and take both.

use subtle::ConstantTimeEq;

use super::hmac_sha256;
use crate::domain::secret::Secret;

/// The header that carries the signature.
pub const HEADER: &str = "x-multimail-signature";
/// Its twin with `sha256=` before the digest, for receivers that expect that spelling.
pub const HEADER_SHA256: &str = "x-multimail-signature-256";
/// What the longer spelling begins with.
pub const SPELLING_PREFIX: &str = "sha256=";

/// The bare spelling of the signature of `body` under `secret`.
pub fn sign(secret: &Secret, body: &[u8]) -> String {
    hex::encode(hmac_sha256(secret.expose().as_bytes(), &[body]))
}

/// Whether one of the `signatures`, each in either spelling, is that of `body` under `secret`. Takes as long whichever
/// byte differs, and reads the body once, however many there are.
pub fn verify_any<'s>(secret: &Secret, body: &[u8], signatures: impl IntoIterator<Item = &'s str>) -> bool {
    let mut claimed = signatures.into_iter().filter_map(digest).peekable();
    if claimed.peek().is_none() {
        return false;
    }
    let expected = hmac_sha256(secret.expose().as_bytes(), &[body]);
    claimed.any(|digest| bool::from(digest.ct_eq(&expected)))
}

/// Whether `signature`, in either spelling, is that of `body` under `secret`.
pub fn verify(secret: &Secret, body: &[u8], signature: &str) -> bool {
    verify_any(secret, body, [signature])
}

/// The digest that a signature spells, where it spells one.
fn digest(signature: &str) -> Option<[u8; 32]> {
    let hex = signature.trim();
    let mut digest = [0; 32];
    hex::decode_to_slice(hex.strip_prefix(SPELLING_PREFIX).unwrap_or(hex), &mut digest).ok()?;
    Some(digest)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &[u8] = br#"{"event_type":"inbound","event_id":"evt_1"}"#;
    const DIGEST: &str = "9ad8beeb6bec1f3fa4eea0fa52e94ab63f4e7279c4c8f9a33c8ba66839ea3712";

    #[test]
    fn the_published_vector_holds() {
        assert_eq!(sign(&Secret::new("whsec_test"), BODY), DIGEST);
    }

    #[test]
    fn both_spellings_are_taken_and_nothing_else() {
        let secret = Secret::new("whsec_test");
        assert!(verify(&secret, BODY, DIGEST));
        assert!(verify(&secret, BODY, &format!("sha256={DIGEST}")));
        assert!(verify(&secret, BODY, &DIGEST.to_uppercase()));
        for wrong in ["", "sha256=", "sha1=00", &DIGEST[1..], &DIGEST[..62], "zz"] {
            assert!(!verify(&secret, BODY, wrong), "{wrong}");
        }
        assert!(!verify(&secret, &BODY[1..], DIGEST));
        assert!(!verify(&Secret::new("whsec_other"), BODY, DIGEST));
    }
}
