//! A chain of HMACs over the rows of a record: whoever lacks the key can neither change a row, nor leave one out, nor put
//! one elsewhere, without the chain telling where.
//!
//! Each row's mac covers the mac before it. Every part is preceded by its length, so that no two rows read alike.

use subtle::ConstantTimeEq;

use super::hmac_sha256;
use crate::domain::secret::Secret;

/// A link of the chain.
pub type Link = [u8; 32];

/// What stands before the first row.
pub const START: Link = [0; 32];

/// Fewer characters than this are no key: they could be guessed.
pub const KEY_CHARS_MIN: usize = 32;

/// The key of a chain.
#[derive(Debug, Clone)]
pub struct ChainKey(Secret);

impl ChainKey {
    /// `text` as a key, if it is long enough for one.
    pub fn new(text: &str) -> Option<Self> {
        let text = text.trim();
        (text.len() >= KEY_CHARS_MIN).then(|| Self(Secret::new(text)))
    }

    /// The link of a row that follows `before` and says `parts`; `purpose` keeps different records apart.
    pub fn link(&self, purpose: &'static str, before: &Link, parts: &[&[u8]]) -> Link {
        let lengths: Vec<[u8; 8]> = parts.iter().map(|part| (part.len() as u64).to_be_bytes()).collect();
        let mut all: Vec<&[u8]> = vec![purpose.as_bytes(), b"\n", before];
        for (length, part) in lengths.iter().zip(parts) {
            all.extend([length.as_slice(), part]);
        }
        hmac_sha256(self.0.expose().as_bytes(), &all)
    }
}

/// Whether two links are the same.
pub fn same(one: &[u8], other: &[u8]) -> bool {
    bool::from(one.ct_eq(other))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_depends_on_the_key_on_what_was_before_and_on_where_parts_end() {
        let key = ChainKey::new(&"k".repeat(KEY_CHARS_MIN)).expect("long enough");
        let link = key.link("p", &START, &[b"ab", b"c"]);
        assert_eq!(link, key.link("p", &START, &[b"ab", b"c"]));
        let other = ChainKey::new(&"l".repeat(KEY_CHARS_MIN)).expect("long enough");
        assert_ne!(link, other.link("p", &START, &[b"ab", b"c"]));
        assert_ne!(link, key.link("q", &START, &[b"ab", b"c"]));
        assert_ne!(link, key.link("p", &[1; 32], &[b"ab", b"c"]));
        assert_ne!(link, key.link("p", &START, &[b"a", b"bc"]));
        assert!(ChainKey::new("short").is_none());
    }
}
