//! The end of the record, as it is kept elsewhere.

use std::{fmt, str::FromStr};

/// The end of the record. Kept elsewhere, it shows later whether all up to it is still there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// The place of the last entry, 0 for none.
    pub id: i64,
    /// Its link.
    pub mac: [u8; 32],
}

impl fmt::Display for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.id, hex::encode(self.mac))
    }
}

/// A text that is no head.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a head is what `mailbell audit head` prints: a number, a dot and 64 hexadecimal digits")]
pub struct NotAHead;

impl FromStr for Head {
    type Err = NotAHead;

    fn from_str(text: &str) -> Result<Self, NotAHead> {
        let (id, mac) = text.trim().split_once('.').ok_or(NotAHead)?;
        let mut head = Self { id: id.parse().map_err(|_| NotAHead)?, mac: [0; 32] };
        hex::decode_to_slice(mac, &mut head.mac).map_err(|_| NotAHead)?;
        if head.id < 0 { Err(NotAHead) } else { Ok(head) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_reads_as_it_is_printed() {
        let head = Head { id: 7, mac: [0xab; 32] };
        assert_eq!(head.to_string().parse(), Ok(head));
        for wrong in ["", "7", "7.ab", "x.00", &format!("-1.{}", "00".repeat(32))] {
            assert_eq!(wrong.parse::<Head>(), Err(NotAHead), "{wrong}");
        }
    }
}
