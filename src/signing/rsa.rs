//! RSA signatures (PKCS #1 v1.5) by a key that only the sender has.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use ring::signature::{
    RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY, RSA_PKCS1_2048_8192_SHA256, RsaParameters, UnparsedPublicKey,
};

/// What of the message is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Digest {
    /// Its SHA-1, as the oldest schemes have it: a forger would need a second message of the same digest, which nobody can make yet.
    Sha1,
    /// Its SHA-256.
    Sha256,
}

/// Whether `signature`, in base64, is that of `message` under `key`: an `RSAPublicKey` in DER, of 2048 to 8192 bits.
pub fn verify(key: &[u8], digest: Digest, message: &[u8], signature: &str) -> bool {
    let parameters: &'static RsaParameters = match digest {
        Digest::Sha1 => &RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY,
        Digest::Sha256 => &RSA_PKCS1_2048_8192_SHA256,
    };
    let Ok(signature) = STANDARD.decode(signature) else { return false };
    UnparsedPublicKey::new(parameters, key).verify(message, &signature).is_ok()
}
