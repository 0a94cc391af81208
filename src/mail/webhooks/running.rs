//! Running time: what passes while the worker is at work and something is owed. A delivery's day is measured on it, so that a
//! laptop that sleeps, a service that is stopped and a wall clock that is set cost nobody a try.
//!
//! The worker looks often while something is owed, and at each look the time since the one before is added to a counter in
//! the store; a day that begins between two looks is longer by what that may be. A longer pause than the worker ever makes by
//! itself was a sleep, and counts no more than a step. A crash loses what came after the last look: never too much is counted,
//! sometimes too little.

use std::time::Duration;

use crate::{
    domain::clock::{BootTime, Clock, UnixMillis},
    store::deliveries::COUNTED_MILLIS_MAX,
};

/// The worker looks at least so often while something is owed.
pub const LOOK_EVERY: Duration = Duration::from_mins(1);
/// A clock that is led back to the right time by less than this between two looks was not set.
const SET_MILLIS_MIN: i64 = 10_000;

/// When the worker looked, on both clocks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Look {
    pub(super) wall: UnixMillis,
    pub(super) boot: BootTime,
}

/// What passed between two looks, in milliseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Passed {
    /// Of running time.
    pub(super) ran: i64,
    /// By which the wall clock was set, either way.
    pub(super) stepped: i64,
}

impl Look {
    pub(super) fn now(clock: &dyn Clock) -> Self {
        Self { wall: clock.now(), boot: clock.boot_time() }
    }

    /// What passed since `last`; nothing is known of what lies before another boot.
    pub(super) fn since(&self, last: Option<&Self>) -> Passed {
        let Some(last) = last.filter(|last| last.boot.boot_id == self.boot.boot_id) else { return Passed::default() };
        let elapsed = self.boot.millis.saturating_sub(last.boot.millis).max(0);
        let stepped = self.wall.0.saturating_sub(last.wall.0).saturating_sub(elapsed);
        Passed {
            ran: elapsed.min(COUNTED_MILLIS_MAX),
            stepped: if stepped.saturating_abs() < SET_MILLIS_MIN { 0 } else { stepped },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(wall: i64, boot_id: &str, millis: i64) -> Look {
        Look { wall: UnixMillis(wall), boot: BootTime { boot_id: boot_id.into(), millis } }
    }

    #[test]
    fn work_counts_and_sleep_does_not() {
        let first = look(1_000_000, "a", 5_000);
        let passed = |wall, boot_id, millis| look(wall, boot_id, millis).since(Some(&first));
        assert_eq!(passed(1_060_000, "a", 65_000), Passed { ran: 60_000, stepped: 0 });
        let day = 86_400_000;
        assert_eq!(passed(1_000_000 + day, "a", 5_000 + day), Passed { ran: 90_000, stepped: 0 }, "asleep");
        assert_eq!(passed(1_060_000 + day, "a", 65_000), Passed { ran: 60_000, stepped: day }, "set forward");
        assert_eq!(passed(1_060_000 - day, "a", 65_000), Passed { ran: 60_000, stepped: -day }, "set back");
        assert_eq!(passed(1_063_000, "a", 65_000), Passed { ran: 60_000, stepped: 0 }, "led back to the right time");
        assert_eq!(passed(1_060_000, "b", 65_000), Passed::default(), "another boot");
        assert_eq!(first.since(None), Passed::default());
    }
}
