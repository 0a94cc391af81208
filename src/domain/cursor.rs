//! A place in the log that an agent can keep: opaque outside, (version, log, seq) inside.

use std::{fmt, str::FromStr};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};

use super::id::LogId;

/// An event's place in the log. It rises in commit order, may skip and never repeats; the first is 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Seq(pub i64);

impl Seq {
    /// Before the first event.
    pub const ZERO: Self = Self(0);
}

impl fmt::Display for Seq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// "Everything up to and with `seq` of this log has been seen."
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor {
    /// The log it belongs to.
    pub log: LogId,
    /// The last event seen.
    pub seq: Seq,
}

/// A text that is no cursor of ours.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("this is not a cursor of mailbell: pass the `cursor` of an earlier result unchanged, or `now` or `earliest`")]
pub struct NotACursor;

const VERSION: &str = "1";

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&URL_SAFE_NO_PAD.encode(format!("{VERSION}:{}:{}", self.log, self.seq)))
    }
}

impl FromStr for Cursor {
    type Err = NotACursor;

    fn from_str(text: &str) -> Result<Self, NotACursor> {
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| NotACursor)?;
        let plain = String::from_utf8(bytes).map_err(|_| NotACursor)?;
        let mut parts = plain.splitn(3, ':');
        match (parts.next(), parts.next(), parts.next()) {
            (Some(VERSION), Some(log), Some(seq)) if !log.is_empty() => {
                let seq = seq.parse().ok().filter(|seq| *seq >= 0).ok_or(NotACursor)?;
                Ok(Self { log: LogId::new(log), seq: Seq(seq) })
            }
            _ => Err(NotACursor),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_cursor_is_read_back(log in "[a-z0-9]{1,26}", seq in 0..i64::MAX) {
            let cursor = Cursor { log: LogId::new(log), seq: Seq(seq) };
            prop_assert_eq!(cursor.to_string().parse(), Ok(cursor));
        }

        #[test]
        fn no_text_panics(text in ".*") {
            let _ = text.parse::<Cursor>();
        }
    }
}
