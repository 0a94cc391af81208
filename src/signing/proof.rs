//! Proof that whoever answers at an address has read a secret in the data directory.
//!
//! A port that a keeper listened at can be taken by anybody once the keeper is gone. Before a token goes there, the one who
//! listens has to answer a nonce with an HMAC over it and over the address that was asked: so a stranger can neither make
//! the answer nor fetch it from the real keeper, which speaks for its own address alone.

use subtle::ConstantTimeEq;

use super::hmac_sha256;
use crate::domain::secret::Secret;

/// Keeps these answers apart from everything else that the secret may ever sign.
const PURPOSE: &[u8] = b"mailbell: I keep this data directory and listen at\n";

/// The answer to `nonce` of whoever knows `secret` and listens at `address`, such as `http://127.0.0.1:7413`.
pub fn answer(secret: &Secret, address: &str, nonce: &str) -> String {
    let parts: [&[u8]; 4] = [PURPOSE, address.as_bytes(), b"\n", nonce.as_bytes()];
    hex::encode(hmac_sha256(secret.expose().as_bytes(), &parts))
}

/// Whether `answered` is that answer.
pub fn holds(secret: &Secret, address: &str, nonce: &str, answered: &str) -> bool {
    bool::from(answer(secret, address, nonce).as_bytes().ct_eq(answered.trim().as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_for_one_secret_one_address_and_one_nonce() {
        let secret = Secret::new("s");
        let answered = answer(&secret, "http://127.0.0.1:7413", "n");
        assert!(holds(&secret, "http://127.0.0.1:7413", "n", &answered));
        assert!(!holds(&Secret::new("t"), "http://127.0.0.1:7413", "n", &answered));
        assert!(!holds(&secret, "http://127.0.0.1:7414", "n", &answered));
        assert!(!holds(&secret, "http://127.0.0.1:7413", "m", &answered));
        assert!(!holds(&secret, "http://127.0.0.1:7413", "n", ""));
    }
}
