//! Chance that is the same in every run.

use std::sync::atomic::{AtomicU64, Ordering};

use mailbell::ids::Entropy;

/// A counter in the place of chance: never the same twice, always the same in every run.
#[derive(Default)]
pub struct Counting(AtomicU64);

impl Counting {
    /// One that begins elsewhere: a second process must not make the first one's secrets.
    pub fn starting_at(count: u64) -> Self {
        Self(AtomicU64::new(count))
    }
}

impl Entropy for Counting {
    fn fill(&self, bytes: &mut [u8]) {
        let mut state = self.0.fetch_add(1, Ordering::Relaxed);
        for byte in bytes {
            // splitmix64: spreads a counter over all bits.
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            *byte = (mixed >> 56) as u8;
        }
    }
}
