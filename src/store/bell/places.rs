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
        fn so_many_places_follow_that_were_not_skipped(gaps in prop::collection::vec((1..9_i64, 0..4_i64), 0..6), beyond in 0..9_i64, many in 1..60_i64) {
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
            prop_assume!(!given.is_empty());
            let last = *given.last().expect("some");
            let back = Skipped(skipped).back(last, many);
            let follow = given.iter().filter(|place| **place > back).count();
            prop_assert_eq!(follow, given.len().min(usize::try_from(many).expect("fits")));
        }
    }
}
