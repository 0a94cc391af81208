//! ECDSA on P-256 with SHA-256, as webhooks are signed with it: the public key as SPKI, the signature as DER, both in base64.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use ring::signature::{ECDSA_P256_SHA256_ASN1, UnparsedPublicKey};

use crate::domain::secret::Secret;

/// What stands before the 65 bytes of the point in the SPKI of every P-256 key (RFC 5480 section 2): nothing else is taken.
const SPKI_PREFIX: &[u8] = &[
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce,
    0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];
/// An uncompressed point: its mark and two coordinates.
const POINT_BYTES: usize = 65;

/// The point of a public key: base64 of its SPKI, with or without the lines of PEM around it. None if it is no such key.
pub fn public_key(text: &Secret) -> Option<Vec<u8>> {
    let plain: String = text.expose().lines().filter(|line| !line.starts_with("-----")).flat_map(str::chars).collect();
    let plain: String = plain.chars().filter(|c| !c.is_whitespace()).collect();
    let spki = STANDARD.decode(plain).ok()?;
    let point = spki.strip_prefix(SPKI_PREFIX)?;
    (point.len() == POINT_BYTES && point[0] == 4).then(|| point.to_vec())
}

/// A public key as [`public_key`] reads it, from its point.
pub fn public_key_text(point: &[u8]) -> String {
    STANDARD.encode([SPKI_PREFIX, point].concat())
}

/// Whether `signature` is that of `parts`, one after the other, under the key at `point`.
pub fn verify(point: &[u8], parts: &[&[u8]], signature: &str) -> bool {
    let Ok(signature) = STANDARD.decode(signature) else { return false };
    UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, point).verify(&parts.concat(), &signature).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_keys_of_the_curve_are_taken() {
        let point = [&[4][..], &[7; 64]].concat();
        let text = public_key_text(&point);
        assert_eq!(public_key(&Secret::new(&text)), Some(point));
        let pem = format!("-----BEGIN PUBLIC KEY-----\n{}\n{}\n-----END PUBLIC KEY-----\n", &text[..64], &text[64..]);
        assert!(public_key(&Secret::new(pem)).is_some());
        for wrong in ["", "whsec_test", &text[4..], "MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE="] {
            assert_eq!(public_key(&Secret::new(wrong)), None, "{wrong}");
        }
    }
}
