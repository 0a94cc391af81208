//! What an answer means: the whole of the retry rule as one table, without a clock, a socket or a row.

use std::time::Duration;

use crate::{domain::clock::UnixMillis, store::deliveries::Verdict};

/// The first wait is between this and twice as long: a restart of the endpoint takes no longer.
const FIRST_WAIT: Duration = Duration::from_secs(5);
/// Waits double until they lie between this and twice as long, that is, until an hour at most.
const LAST_WAIT: Duration = Duration::from_mins(30);
/// An endpoint that asks for more patience gets no more than this: its header is not a promise we must keep for a year.
pub const RETRY_AFTER_MAX: Duration = Duration::from_hours(1);
/// No wait is longer, whoever chose it.
pub const WAIT_MAX: Duration = RETRY_AFTER_MAX;

/// What came back from one try, as far as it matters here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// A response.
    Responded {
        /// Its status.
        status: u16,
        /// How long its `Retry-After` asks us to wait.
        retry_after: Option<Duration>,
    },
    /// No response.
    Failed,
}

/// How things stand with the delivery and its line, before this try is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// How often in a row the line has failed.
    pub failures: u32,
    /// Whether the delivery's time was over when the try began.
    pub last: bool,
}

/// The verdict on a try that ended at `now`; `chance` spreads the waits of lines that failed together, and is asked for those alone.
pub fn verdict(outcome: Outcome, standing: Standing, now: UnixMillis, chance: impl FnOnce() -> u16) -> Verdict {
    let wait = || wait(standing.failures, chance());
    let next_at = match outcome {
        Outcome::Responded { status: 200..=299, .. } => return Verdict::Delivered,
        Outcome::Responded { status: 410, .. } => return Verdict::Gone,
        Outcome::Responded { retry_after: Some(asked), .. } => now.plus(asked.min(RETRY_AFTER_MAX).max(wait())),
        Outcome::Responded { retry_after: None, .. } | Outcome::Failed => now.plus(wait()),
    };
    if standing.last { Verdict::Dead { next_at } } else { Verdict::RetryAt(next_at) }
}

/// 5 to 10 s after the first failure, twice as much after each further one, 30 to 60 min from the tenth on. Where in that
/// span, `chance` says.
fn wait(failures: u32, chance: u16) -> Duration {
    let base = FIRST_WAIT.saturating_mul(2_u32.saturating_pow(failures.min(16))).min(LAST_WAIT);
    base + base * u32::from(chance) / u32::from(u16::MAX)
}

/// How long a `Retry-After` asks to wait (RFC 9110 section 10.2.3): seconds, or a date.
pub fn retry_after(header: &str, now: UnixMillis) -> Option<Duration> {
    let header = header.trim();
    if let Ok(secs) = header.parse::<u32>() {
        return Some(Duration::from_secs(secs.into()));
    }
    let date = jiff::fmt::rfc2822::parse(header).ok()?.timestamp().as_millisecond();
    Some(Duration::from_millis(u64::try_from(date.saturating_sub(now.0)).unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: UnixMillis = UnixMillis(1_795_514_400_000);
    const FRESH: Standing = Standing { failures: 0, last: false };

    fn responded(status: u16) -> Outcome {
        Outcome::Responded { status, retry_after: None }
    }

    fn asked(status: u16, secs: u64) -> Outcome {
        Outcome::Responded { status, retry_after: Some(Duration::from_secs(secs)) }
    }

    fn secs(verdict: &Verdict) -> f64 {
        match verdict {
            Verdict::RetryAt(at) | Verdict::Dead { next_at: at } => {
                Duration::from_millis((at.0 - NOW.0).try_into().expect("not in the past")).as_secs_f64()
            }
            other => panic!("no next time in {other:?}"),
        }
    }

    #[test]
    fn only_a_2xx_delivers_and_only_a_410_switches_the_endpoint_off() {
        for status in [200, 201, 202, 204, 299] {
            assert_eq!(verdict(responded(status), FRESH, NOW, || 0), Verdict::Delivered, "{status}");
        }
        assert_eq!(verdict(responded(410), FRESH, NOW, || 0), Verdict::Gone);
        for status in [100, 199, 300, 301, 307, 400, 401, 404, 413, 429, 500, 502, 503, 599] {
            assert_eq!(
                verdict(responded(status), FRESH, NOW, || 0),
                Verdict::RetryAt(NOW.plus(FIRST_WAIT)),
                "{status}"
            );
        }
        assert_eq!(verdict(Outcome::Failed, FRESH, NOW, || 0), Verdict::RetryAt(NOW.plus(FIRST_WAIT)));
    }

    #[test]
    fn waits_double_from_5_s_to_1_h() {
        let bases = [5.0, 10.0, 20.0, 40.0, 80.0, 160.0, 320.0, 640.0, 1280.0, 1800.0, 1800.0];
        for (failures, base) in (0..).zip(bases) {
            let standing = Standing { failures, ..FRESH };
            let least = secs(&verdict(Outcome::Failed, standing, NOW, || 0));
            let most = secs(&verdict(Outcome::Failed, standing, NOW, || u16::MAX));
            assert!((least - base).abs() < 0.01 && (most - 2.0 * base).abs() < 0.01, "{failures}: {least} to {most}");
        }
    }

    #[test]
    fn a_wish_for_patience_is_granted_within_bounds() {
        assert!((secs(&verdict(asked(503, 120), FRESH, NOW, || 0)) - 120.0).abs() < 0.01);
        assert!((secs(&verdict(asked(429, 1), FRESH, NOW, || 0)) - 5.0).abs() < 0.01, "no sooner than our own wait");
        assert!((secs(&verdict(asked(503, 31_536_000), FRESH, NOW, || 0)) - 3600.0).abs() < 0.01, "no year");
    }

    #[test]
    fn only_the_last_try_ends_in_a_dead_letter() {
        let last = Standing { failures: 30, last: true };
        let next_at = NOW.plus(LAST_WAIT);
        assert_eq!(verdict(Outcome::Failed, last, NOW, || 0), Verdict::Dead { next_at });
        assert_eq!(verdict(responded(500), last, NOW, || 0), Verdict::Dead { next_at });
        assert_eq!(verdict(responded(500), Standing { last: false, ..last }, NOW, || 0), Verdict::RetryAt(next_at));
        assert_eq!(verdict(responded(204), last, NOW, || 0), Verdict::Delivered);
        assert_eq!(verdict(responded(410), last, NOW, || 0), Verdict::Gone);
    }

    #[test]
    fn retry_after_is_read_in_both_forms() {
        assert_eq!(retry_after("120", NOW), Some(Duration::from_mins(2)));
        assert_eq!(retry_after(" 0 ", NOW), Some(Duration::ZERO));
        let epoch = UnixMillis(1_445_412_440_000);
        assert_eq!(retry_after("Wed, 21 Oct 2015 07:28:00 GMT", epoch), Some(Duration::from_secs(40)));
        assert_eq!(retry_after("Wed, 21 Oct 2015 07:28:00 GMT", NOW), Some(Duration::ZERO));
        for wrong in ["", "-1", "soon", "1.5e9", "99999999999999999999"] {
            assert_eq!(retry_after(wrong, NOW), None, "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn every_wait_lies_between_5_s_and_1_h(failures: u32, chance: u16, asked_secs: Option<u32>, status in 300u16..600) {
            prop_assume!(status != 410);
            let outcome = Outcome::Responded { status, retry_after: asked_secs.map(|secs| Duration::from_secs(secs.into())) };
            let wait = secs(&verdict(outcome, Standing { failures, ..FRESH }, NOW, || chance));
            prop_assert!((5.0..=3600.0).contains(&wait), "{}", wait);
        }

        #[test]
        fn no_header_panics(text in ".*") {
            let _ = retry_after(&text, NOW);
        }
    }
}
