//! How often an operator may be asked for another mode of a mailbox: whoever asks again and again hopes for a tired yes.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

/// So often within an hour for each mailbox, as at the service.
pub const ASKS_MAX: usize = 3;
/// The hour, in milliseconds.
const SPAN_MILLIS: i64 = 3_600_000;

/// When it was asked, by mailbox, on the boot clock. In memory: who starts the house anew is no agent.
#[derive(Debug, Default)]
pub(super) struct Asks(Mutex<HashMap<String, Vec<i64>>>);

impl Asks {
    /// Counts one; or says in how many seconds there is room for one.
    pub(super) fn count(&self, mailbox: &str, now_millis: i64) -> Result<(), u64> {
        let mut asks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        asks.retain(|_, times| {
            times.retain(|at| now_millis - at < SPAN_MILLIS);
            !times.is_empty()
        });
        let times = asks.entry(mailbox.to_lowercase()).or_default();
        match times.first() {
            Some(first) if times.len() >= ASKS_MAX => {
                Err((first + SPAN_MILLIS - now_millis).max(0).unsigned_abs().div_ceil(1000))
            }
            _ => {
                times.push(now_millis);
                Ok(())
            }
        }
    }
}
