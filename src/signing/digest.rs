//! SHA-256 of bytes, as a name for them.

use ring::digest::{Context, SHA256, digest};

/// The SHA-256 of `bytes`: stands in for tokens where they are kept, and tells bodies apart.
pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    digest(&SHA256, bytes).as_ref().try_into().expect("a SHA-256 has 32 bytes (FIPS 180-4)")
}

/// The same in lower-case hexadecimal: 64 characters.
pub fn sha256_hex(bytes: &[u8]) -> String {
    hex::encode(sha256(bytes))
}

/// The SHA-256 of what comes in pieces.
pub struct Sha256Stream(Context);

impl Default for Sha256Stream {
    fn default() -> Self {
        Self(Context::new(&SHA256))
    }
}

impl Sha256Stream {
    /// Goes on with `piece`.
    pub fn add(&mut self, piece: &[u8]) {
        self.0.update(piece);
    }

    /// The digest of all pieces, in lower-case hexadecimal.
    pub fn hex(self) -> String {
        hex::encode(self.0.finish())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_standard_s_example_holds() {
        // FIPS 180-2, appendix B.1.
        let digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(sha256_hex(b"abc"), digest);
        let mut stream = Sha256Stream::default();
        stream.add(b"a");
        stream.add(b"bc");
        assert_eq!(stream.hex(), digest);
    }
}
