//! Forgetting the ids of removed events.
//!
//! Ids of others are random: those of events that came one after the other lie on as many pages of their index. So they are not
//! forgotten as they come to be too old or too many, but an eighth of all at a time, on one walk through the index, on which many of
//! them share a page. The walk takes small steps; where the process ends on it, the next one begins anew.

use super::{BellStore, places::Skipped, retention::limit, sql};
use crate::{
    domain::clock::UnixMillis,
    store::{
        StoreError,
        audit::Entry,
        failed,
        retention::{BellPolicy, IdWalk},
        turn::Bound,
    },
};

/// Which part of the ids that may be kept goes at once: more of them would share more pages, and need more room until then.
const SHARE: i64 = 8;
/// How long ids that are too old wait for others that are: a walk passes by all that stay.
const WAIT_MILLIS: i64 = 24 * 3_600_000;
/// Ids that a step looks at; where all of them go, the writer is held for some milliseconds.
const STEP: i64 = 2_048;

const LOOKING: &str = "look for ids to forget";

impl BellStore {
    pub(super) async fn ids_to_forget(
        &self,
        policy: &BellPolicy,
        now: UnixMillis,
    ) -> Result<Option<IdWalk>, StoreError> {
        let mut conn = self.database.readers.acquire().await.map_err(failed(LOOKING))?;
        let oldest: Option<(i64, i64)> =
            sqlx::query_as(sql::retention::FIRST_REMOVAL).fetch_optional(&mut *conn).await.map_err(failed(LOOKING))?;
        let Some((first, removed_at)) = oldest else { return Ok(None) };

        let tail: i64 =
            sqlx::query_scalar(sql::retention::TAIL).fetch_one(&mut *conn).await.map_err(failed(LOOKING))?;
        let skipped = Skipped::read(&mut conn).await?;
        let before_last = |many: i64| if policy.ids_max > 0 { skipped.back(tail - 1, many) } else { 0 };
        let too_old = limit(policy.ids_millis, now);
        let is_due = before_last(policy.ids_max.saturating_add(policy.ids_max / SHARE)) >= first
            || too_old.is_some_and(|before| removed_at < before.saturating_sub(WAIT_MILLIS));
        if !is_due {
            return Ok(None);
        }
        let old: Option<i64> = match too_old {
            Some(before) => sqlx::query_scalar(sql::retention::LAST_BEFORE)
                .bind(before)
                .fetch_one(&mut *conn)
                .await
                .map_err(failed(LOOKING))?,
            None => None,
        };
        let through = before_last(policy.ids_max).max(old.unwrap_or(0));
        Ok(Some(IdWalk { through, origin: i64::MIN, after: String::new() }))
    }

    pub(super) async fn forget_some_ids(&self, walk: &IdWalk, now: UnixMillis) -> Result<Option<IdWalk>, StoreError> {
        let readers = &self.database.readers;
        let (last, go): (Option<String>, i64) = sqlx::query_as(sql::retention::NEXT_IDS)
            .bind(walk.through)
            .bind(walk.origin)
            .bind(&walk.after)
            .bind(STEP)
            .fetch_one(readers)
            .await
            .map_err(failed(LOOKING))?;
        if let Some(last) = last {
            if go > 0 {
                self.forget_until(walk, &last).await?;
            }
            return Ok(Some(IdWalk { after: last, ..*walk }));
        }
        let origin: Option<i64> = sqlx::query_scalar(sql::retention::NEXT_ORIGIN)
            .bind(walk.origin)
            .fetch_one(readers)
            .await
            .map_err(failed(LOOKING))?;
        if let Some(origin) = origin {
            return Ok(Some(IdWalk { origin, after: String::new(), ..*walk }));
        }
        self.note_forgotten(walk.through, now).await.map(|()| None)
    }

    async fn forget_until(&self, walk: &IdWalk, last: &str) -> Result<(), StoreError> {
        let (walk, last) = (walk.clone(), last.to_owned());
        let forget = self.database.writer.write_unseen(move |turn| {
            let (walk, last) = (walk.clone(), last.clone());
            Box::pin(async move {
                let bind =
                    |query: Bound<'static>| query.bind(walk.origin).bind(walk.after).bind(last).bind(walk.through);
                turn.run(sql::retention::FORGET_IDS, true, "forget ids of removed events", bind).await.map(drop)
            })
        });
        forget.await
    }

    /// The end of a walk: from here on they are not looked for again. The record tells of those of walks that were broken off, too.
    async fn note_forgotten(&self, through: i64, now: UnixMillis) -> Result<(), StoreError> {
        let auditor = self.auditor.clone();
        let noted = self.database.writer.write(move |conn| {
            let auditor = auditor.clone();
            Box::pin(async move {
                let doing = "note which ids are forgotten";
                let first: Option<(i64, i64)> = sqlx::query_as(sql::retention::FIRST_REMOVAL)
                    .fetch_optional(&mut *conn)
                    .await
                    .map_err(failed(doing))?;
                let given = Skipped::read(conn).await?.given(first.map_or(through + 1, |(first, _)| first), through);
                for note in sql::retention::NOTE_FORGOTTEN {
                    sqlx::query(note).bind(through).execute(&mut *conn).await.map_err(failed(doing))?;
                }
                if let Ok(rows @ 1..) = u64::try_from(given) {
                    let removed = Entry::Removed { store: "ids", rows, through: Some(through) };
                    auditor.record(conn, now, &removed).await?;
                }
                Ok(())
            })
        });
        noted.await
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::upgraded;

    #[tokio::test]
    async fn what_an_older_version_removed_is_noted_by_its_places() {
        let removed = "WITH RECURSIVE places(seq) AS (SELECT 3 UNION ALL SELECT seq + 1 FROM places WHERE seq < 1200) \
                       INSERT INTO removed_ids (seq, origin, event_id, removed_at) \
                       SELECT seq + iif(seq > 1100, 2000000, 0), 1, 'evt_' || seq, seq FROM places";
        let (_directory, store) = upgraded(25, &[removed]).await;
        let removals: Vec<(i64, i64, i64)> =
            sqlx::query_as("SELECT first, through, removed_at FROM removals ORDER BY first")
                .fetch_all(&store.database.readers)
                .await
                .expect("read");
        let rows = [(3, 511, 511), (512, 1_023, 1_023), (1_024, 1_100, 1_100), (2_000_896, 2_001_200, 1_200)];
        assert_eq!(removals, rows);
    }
}
