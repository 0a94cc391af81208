//! Makes ids and tokens: a prefix and a monotonic ULID for ids, a prefix and 256 random bits for tokens, or 128 where a
//! model has to read and write them.
//!
//! Ids sort by the time they were made, also within a millisecond, so that an index over them grows at its end.

use std::sync::{Arc, Mutex, PoisonError};

use ulid::Ulid;

use crate::domain::clock::Clock;

/// Where chance comes from; production takes the operating system's.
pub trait Entropy: Send + Sync + 'static {
    /// Fills `bytes` with chance that nobody can guess.
    fn fill(&self, bytes: &mut [u8]);
}

/// The one maker of ids and tokens in a process.
pub struct Ids {
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    last: Mutex<Ulid>,
}

impl Ids {
    /// A maker that takes its time from `clock` and its chance from `entropy`.
    pub fn new(clock: Arc<dyn Clock>, entropy: Arc<dyn Entropy>) -> Self {
        Self { clock, entropy, last: Mutex::new(Ulid::nil()) }
    }

    /// A new id: `prefix` (such as `em_`) and a ULID in lower case that is greater than every one made before.
    pub fn next(&self, prefix: &str) -> String {
        let millis = u64::try_from(self.clock.now().0).unwrap_or(0);
        let mut random = [0u8; 16];
        self.entropy.fill(&mut random);
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        // A wall clock that stands or steps back goes on from the last id; only the overflow of 80 random bits
        // within one millisecond, which no machine reaches, starts over.
        let fresh = Ulid::from_parts(millis, u128::from_be_bytes(random));
        let next = if millis > last.timestamp_ms() { fresh } else { last.increment().unwrap_or(fresh) };
        *last = next;
        format!("{prefix}{}", next.to_string().to_lowercase())
    }

    /// A new secret: `prefix` (such as `whsec_`) and 256 random bits in hexadecimal.
    pub fn secret(&self, prefix: &str) -> String {
        self.random::<32>(prefix)
    }

    /// A new secret that a model passes on, and pays for each time: `prefix` (such as `lease_`) and 128 random bits in
    /// hexadecimal, which nobody guesses either.
    pub fn short_secret(&self, prefix: &str) -> String {
        self.random::<16>(prefix)
    }

    /// `prefix`, and so many random bytes in hexadecimal.
    pub fn random<const BYTES: usize>(&self, prefix: &str) -> String {
        let mut random = [0u8; BYTES];
        self.entropy.fill(&mut random);
        format!("{prefix}{}", hex::encode(random))
    }
}

#[cfg(test)]
pub(crate) mod still {
    //! Ids for tests that do not look at them: time stands still, and chance is always the same.

    use std::{future::pending, pin::Pin, sync::Arc, time::Duration};

    use super::{Entropy, Ids};
    use crate::domain::clock::{BootTime, Clock, UnixMillis};

    struct Still {
        byte: u8,
    }

    /// A maker whose chance is made of `byte`.
    pub(crate) fn ids(byte: u8) -> Ids {
        Ids::new(Arc::new(Still { byte }), Arc::new(Still { byte }))
    }

    impl Clock for Still {
        fn now(&self) -> UnixMillis {
            UnixMillis(0)
        }

        fn boot_time(&self) -> BootTime {
            BootTime { boot_id: "boot".into(), millis: 0 }
        }

        fn sleep(&self, _: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>> {
            Box::pin(pending())
        }
    }

    impl Entropy for Still {
        fn fill(&self, bytes: &mut [u8]) {
            bytes.fill(self.byte);
        }
    }
}
