//! Time as an argument: what the house asks instead of the operating system, so that a test can hold time still.

use std::{fmt, future::Future, pin::Pin, str::FromStr, time::Duration};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A moment on the wall clock, in whole milliseconds since 1970-01-01T00:00:00Z.
///
/// It is stored as an integer and shown as RFC 3339 with three decimals and `Z`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnixMillis(pub i64);

impl UnixMillis {
    /// This moment moved later by `span`, or earlier by its negative; the ends of time hold it.
    #[must_use]
    pub fn plus(self, span: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(span.as_millis()).unwrap_or(i64::MAX)))
    }

    /// This moment moved earlier by `span`.
    #[must_use]
    pub fn minus(self, span: Duration) -> Self {
        Self(self.0.saturating_sub(i64::try_from(span.as_millis()).unwrap_or(i64::MAX)))
    }
}

impl fmt::Display for UnixMillis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_millisecond(self.0) {
            Ok(at) => write!(f, "{at:.3}"),
            Err(_) => write!(f, "out of range ({} ms)", self.0),
        }
    }
}

/// A text that is no RFC 3339 timestamp.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a timestamp must be RFC 3339 with an offset, such as 2026-11-24T10:00:00.000Z")]
pub struct NotATimestamp;

impl FromStr for UnixMillis {
    type Err = NotATimestamp;

    fn from_str(text: &str) -> Result<Self, NotATimestamp> {
        let at: jiff::Timestamp = text.parse().map_err(|_| NotATimestamp)?;
        Ok(Self(at.as_millisecond()))
    }
}

impl Serialize for UnixMillis {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for UnixMillis {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// Milliseconds on the clock that starts with the machine and counts through suspension, with the boot it belongs to.
///
/// Lease deadlines are told in these, because nobody can set this clock; a deadline of an earlier boot is over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BootTime {
    /// Names the boot; a new one after every start of the machine.
    pub boot_id: String,
    /// Milliseconds since that boot.
    pub millis: i64,
}

impl BootTime {
    /// What stands for the name of the boot where the system has none: it may be the same one, or another.
    pub const UNKNOWN: &str = "unknown";
}

/// One moment on both clocks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moment {
    /// For what people read.
    pub wall: UnixMillis,
    /// For deadlines.
    pub boot: BootTime,
}

impl Moment {
    /// The boot clock so many milliseconds from now.
    pub fn boot_in(&self, millis: i64) -> i64 {
        self.boot.millis.saturating_add(millis)
    }
}

/// What the rest of the house knows of time.
pub trait Clock: Send + Sync + 'static {
    /// The wall clock: for what people and providers read, never for deadlines.
    fn now(&self) -> UnixMillis;

    /// The boot clock: for leases.
    fn boot_time(&self) -> BootTime;

    /// The boot clock without the name of the boot: for spans within one process.
    fn boot_millis(&self) -> i64 {
        self.boot_time().millis
    }

    /// Both.
    fn moment(&self) -> Moment {
        Moment { wall: self.now(), boot: self.boot_time() }
    }

    /// Resolves once `span` has passed on this clock. It may resolve late, never early.
    fn sleep(&self, span: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_shown_with_milliseconds_and_read_back() {
        let at = UnixMillis(1_764_000_000_007);
        assert_eq!(at.to_string(), "2025-11-24T16:00:00.007Z");
        assert_eq!(at.to_string().parse(), Ok(at));
        assert_eq!("2025-11-24T17:00:00.007+01:00".parse(), Ok(at));
        assert_eq!("yesterday".parse::<UnixMillis>(), Err(NotATimestamp));
    }
}
