//! Whose service this is, and what was used of it.

use std::sync::Mutex;

use super::{Api, ApiError, must};
use crate::{
    domain::{
        address::Address,
        clock::UnixMillis,
        key::{ApiKey, KeyScope},
        office::{Account, DAY_MILLIS, Usage, UsageDay},
    },
    mail::closing::Ends,
};

/// Days that one answer counts, at most: a leap year and the day it ends on.
pub const USAGE_DAYS_MAX: i64 = 367;
/// Characters of each of the account's texts.
const TEXT_CHARS_MAX: usize = 500;
/// Requests are written down once a minute, so that none of them waits for the disk.
const TALLY_MILLIS: i64 = 60_000;

/// Requests that were counted and are not in the store yet. A process that is killed forgets a minute of them.
#[derive(Default)]
pub(super) struct Tally(Mutex<Counted>);

#[derive(Default)]
struct Counted {
    day: i64,
    calls: u64,
    written_at: i64,
}

impl Tally {
    /// Counts one request, or with `calls` of 0 none; answers with what is to be written now: a day, and its requests.
    fn count(&self, now: UnixMillis, calls: u64, all: bool) -> Option<(i64, u64)> {
        let mut counted = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let day = now.0.div_euclid(DAY_MILLIS);
        let due = all || counted.day != day || now.0 - counted.written_at >= TALLY_MILLIS;
        let owed = (counted.day, counted.calls);
        if due {
            *counted = Counted { day, calls: 0, written_at: now.0 };
        }
        counted.calls += calls;
        (due && owed.1 > 0).then_some(owed)
    }
}

/// What of the account is to be changed. An empty text takes away what was there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AccountChange {
    /// Its name.
    pub name: Option<String>,
    /// Where the person in charge is reached.
    pub oversight_email: Option<String>,
    /// The postal address that commercial mail must carry.
    pub physical_address: Option<String>,
}

/// A span of time, from its first moment until before its last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// Its first moment.
    pub from: UnixMillis,
    /// The moment it ends before.
    pub to: UnixMillis,
}

impl Api {
    /// Counts a request. That must not fail it, so a store that takes no writes loses the count.
    pub async fn count_call(&self) {
        if let Some((day, calls)) = self.tally.count(self.clock.now(), 1, false)
            && let Err(error) = self.office.count_calls(day, calls).await
        {
            tracing::warn!(%error, calls, "could not count API requests");
        }
    }

    /// What the account is called, what was used of it this month, and how many bytes its mail has in all.
    pub async fn account(&self, key: &ApiKey) -> Result<(Account, Usage, u64), ApiError> {
        must(key, KeyScope::Read)?;
        let now = self.clock.now();
        let month = self.office.usage(month_of(now), now.plus(std::time::Duration::from_millis(1))).await?;
        let month = month.into_iter().map(|day: UsageDay| day.usage).sum();
        Ok((self.office.account().await?, month, self.office.stored_bytes().await?))
    }

    /// Changes what the account is called.
    pub async fn change_account(&self, key: &ApiKey, change: AccountChange) -> Result<(), ApiError> {
        must(key, KeyScope::Admin)?;
        let mut account = self.office.account().await?;
        if let Some(text) = &change.oversight_email
            && !text.trim().is_empty()
        {
            text.trim().parse::<Address>().map_err(|error| {
                ApiError::Invalid(format!("`oversight_email` must be an address, or empty: {error}"))
            })?;
        }
        for (text, place) in [
            (change.name, &mut account.name),
            (change.oversight_email, &mut account.oversight_email),
            (change.physical_address, &mut account.physical_address),
        ] {
            let Some(text) = text else { continue };
            let text = text.trim();
            if text.chars().count() > TEXT_CHARS_MAX {
                return Err(ApiError::Invalid(format!("each of these has {TEXT_CHARS_MAX} characters at most")));
            }
            *place = Some(text.to_owned()).filter(|text| !text.is_empty());
        }
        Ok(self.office.put_account(&account).await?)
    }

    /// Closes the account; answers when nothing of it is left, and `ends` is done: what others keep of it. Once begun it goes
    /// on, whether or not the caller waits.
    pub async fn close_account(&self, key: &ApiKey, ends: impl Ends + 'static) -> Result<(), ApiError> {
        must(key, KeyScope::Admin)?;
        let closing = self.closing.clone();
        let closed = tokio::spawn(async move { closing.close(ends).await }).await;
        let closed = closed.map_err(|error| {
            tracing::error!(%error, "closing the account failed; it goes on at the next start");
            ApiError::Broken
        })?;
        Ok(closed?)
    }

    /// What was used, by day; this month where no span is given. Answers with the span too.
    pub async fn usage(
        &self,
        key: &ApiKey,
        from: Option<UnixMillis>,
        to: Option<UnixMillis>,
    ) -> Result<(Span, Vec<UsageDay>), ApiError> {
        must(key, KeyScope::Read)?;
        let now = self.clock.now();
        let to = to.unwrap_or_else(|| now.plus(std::time::Duration::from_millis(1)));
        let from = from.unwrap_or_else(|| month_of(to));
        if from.0 < 0 || from >= to || to.0 - from.0 > USAGE_DAYS_MAX * DAY_MILLIS {
            return Err(ApiError::Invalid(format!(
                "`from` must be before `to`, both in Unix milliseconds, and {USAGE_DAYS_MAX} days apart at most"
            )));
        }
        if let Some((day, calls)) = self.tally.count(now, 0, true) {
            self.office.count_calls(day, calls).await?;
        }
        Ok((Span { from, to }, self.office.usage(from, to).await?))
    }

    /// Whether `key` may see what waits for an operator.
    pub fn pending(&self, key: &ApiKey) -> Result<(), ApiError> {
        must(key, KeyScope::OversightRead)
    }

    /// Whether `key` may see what was done.
    pub fn audit(&self, key: &ApiKey) -> Result<(), ApiError> {
        must(key, KeyScope::Admin)
    }
}

/// When the month of `at` began, in UTC.
fn month_of(at: UnixMillis) -> UnixMillis {
    // Of `2026-11-24T…` the month ends with the seventh character.
    let text = at.to_string();
    let first = text.get(..7).and_then(|month| format!("{month}-01T00:00:00Z").parse().ok());
    first.unwrap_or(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_written_down_by_the_minute_and_by_the_day() {
        let tally = Tally::default();
        let at = |day: i64, millis: i64| UnixMillis(day * DAY_MILLIS + millis);
        assert_eq!(tally.count(at(20_000, 0), 1, false), None, "the first");
        assert_eq!(tally.count(at(20_000, 59_999), 1, false), None);
        assert_eq!(tally.count(at(20_000, 60_000), 1, false), Some((20_000, 2)));
        assert_eq!(tally.count(at(20_001, 0), 1, false), Some((20_000, 1)), "a day's requests stay that day's");
        assert_eq!(tally.count(at(20_001, 1), 0, true), Some((20_001, 1)), "when somebody asks");
        assert_eq!(tally.count(at(20_001, 2), 0, true), None);
    }

    #[test]
    fn a_month_begins_on_its_first() {
        let at: UnixMillis = "2026-11-24T10:00:00.000Z".parse().expect("a moment");
        assert_eq!(month_of(at).to_string(), "2026-11-01T00:00:00.000Z");
    }
}
