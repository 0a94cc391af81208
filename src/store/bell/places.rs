//! Counting in places of the log: it skips some of them, and a number of events is not a number of places.

use sqlx::SqliteConnection;

use super::sql;
use crate::store::{StoreError, failed};

/// Where the log skipped places: after which one, and how many; the last of them first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Skipped(Vec<(i64, i64)>);

impl Skipped {
    pub(super) async fn read(conn: &mut SqliteConnection) -> Result<Self, StoreError> {
        let rows = sqlx::query_as(sql::log::SKIPPED).fetch_all(conn).await;
        rows.map(Self).map_err(failed("read which places were skipped"))
    }

    /// How many of these places were given.
    pub(super) fn given(&self, first: i64, last: i64) -> i64 {
        let within = |(after, places): &(i64, i64)| (last.min(after + places) - first.max(after + 1) + 1).max(0);
        last - first + 1 - self.0.iter().map(within).sum::<i64>()
    }

    /// The place from which `many` others lead to `last`, with it, that were not skipped.
    pub(super) fn back(&self, last: i64, mut many: i64) -> i64 {
        let before = self.0.iter().skip_while(|(after, _)| *after >= last);
        let mut last = last;
        for &(after, places) in before {
            let since = (last - after - places).max(0);
            if since >= many {
                break;
            }
            many -= since;
            last = after;
        }
        last.saturating_sub(many)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{super::tests::upgraded, *};

    #[tokio::test]
    async fn what_an_older_version_skipped_is_found() {
        let removed = "INSERT INTO removed_ids (seq, origin, event_id, removed_at) VALUES (7, 1, 'one', 5), (1000008, 1, 'two', 5)";
        let event = "INSERT INTO events (seq, origin, event_id, kind, timestamp, received_at, auth, detail) \
                     VALUES (3000000, 1, 'three', 'open', 5, 5, 'api', '{}')";
        let log = "INSERT INTO log (only, log_id, tail) VALUES (1, '01', 1000009)";
        let given = "INSERT INTO sqlite_sequence VALUES ('events', 5000000)";
        for (rows, skipped) in [
            (
                &[log, removed, event, "UPDATE sqlite_sequence SET seq = 4000000"][..],
                &[(3_000_000, 1_000_000), (1_000_008, 1_999_991), (7, 1_000_000)][..],
            ),
            (&[log, removed, given], &[(1_000_008, 3_999_992), (7, 1_000_000)]),
            (&["INSERT INTO log (only, log_id, tail) VALUES (1, '01', 1)"], &[]),
        ] {
            let (_directory, store) = upgraded(24, rows).await;
            let mut conn = store.database.readers.acquire().await.expect("a reader");
            assert_eq!(Skipped::read(&mut conn).await.expect("read").0, skipped);
        }
    }

    proptest! {
        #[test]
        fn places_are_counted_without_those_that_were_skipped(
            gaps in prop::collection::vec((0..9_i64, 0..4_i64), 0..6), beyond in 1..9_i64, at in any::<prop::sample::Index>(), many in 1..60_i64,
        ) {
            let (mut given, mut skipped, mut next) = (Vec::new(), Vec::new(), 1);
            for (some, places) in gaps {
                given.extend(next..next + some);
                next += some;
                if places > 0 {
                    skipped.insert(0, (next - 1, places));
                }
                next += places;
            }
            given.extend(next..next + beyond);
            let (skipped, last) = (Skipped(skipped), *at.get(&given));
            let before = given.iter().filter(|place| **place <= last).count();
            let back = skipped.back(last, many).max(0);
            let between = given.iter().filter(|place| (back + 1..=last).contains(*place)).count();
            prop_assert_eq!(between, before.min(usize::try_from(many).expect("fits")));
            prop_assert_eq!(skipped.given(back + 1, last), i64::try_from(between).expect("few"));
        }
    }
}
