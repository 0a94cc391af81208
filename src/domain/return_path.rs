//! The secret address that a message of ours comes back to: `b+TOKEN` at its mailbox's domain.
//!
//! Only the servers and the recipients that a message passed by know its token, so what arrives there is about that
//! message; everything else in a report can be made up by anyone.

use super::address::{Address, NotAnAddress};

/// What the local part of a return path begins with.
const PREFIX: &str = "b+";
/// Hexadecimal digits of a token, 160 random bits: `b+` and they fit into a local part of 64 bytes.
pub const TOKEN_CHARS: usize = 40;

/// The return path of a message with this token, sent from an address of `domain`.
pub fn return_path(token: &str, domain: &str) -> Result<Address, NotAnAddress> {
    format!("{PREFIX}{token}@{domain}").parse()
}

/// The token in `address`, if it has the form of a return path.
pub fn token(address: &Address) -> Option<&str> {
    let token = address.local().strip_prefix(PREFIX)?;
    (token.len() == TOKEN_CHARS && token.bytes().all(|byte| byte.is_ascii_hexdigit())).then_some(token)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_return_path_is_read_back_and_nothing_else_is_one() {
        let secret = "0123456789abcdef0123456789abcdef01234567";
        let address = return_path(secret, "mailbell.test").expect("an address");
        assert_eq!(token(&address), Some(secret));
        for other in
            ["agent@mailbell.test", "b+short@mailbell.test", "c+0123456789abcdef0123456789abcdef01234567@b.test"]
        {
            assert_eq!(token(&other.parse().expect("an address")), None, "{other}");
        }
    }
}
