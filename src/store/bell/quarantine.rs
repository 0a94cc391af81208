//! Signed bodies that were not taken, as rows: capped in number and in bytes.

use async_trait::async_trait;

use super::{BellStore, sql};
use crate::{
    domain::{clock::UnixMillis, id::SourceName},
    store::{
        StoreError, failed,
        sources::{Quarantine, Quarantined},
    },
};

/// Bodies kept at most: more than an operator will look through.
const ROWS_MAX: i64 = 1_000;
/// Bytes of bodies kept at most: 64 MiB, which no disk misses.
const BYTES_MAX: i64 = 64 << 20;

#[async_trait]
impl Quarantine for BellStore {
    async fn quarantine(
        &self,
        source: &SourceName,
        reason: &str,
        body: &[u8],
        body_sha256: [u8; 32],
        now: UnixMillis,
    ) -> Result<(), StoreError> {
        let (source, reason, body) = (source.as_str().to_owned(), reason.to_owned(), body.to_vec());
        let kept = self.database.writer.write(move |conn| {
            let (source, reason, body) = (source.clone(), reason.clone(), body.clone());
            Box::pin(async move {
                let keep = sqlx::query(sql::sources::QUARANTINE)
                    .bind(source)
                    .bind(body_sha256.to_vec())
                    .bind(reason)
                    .bind(body)
                    .bind(now.0);
                keep.execute(&mut *conn).await.map_err(failed("quarantine a body"))?;
                let cap = sqlx::query(sql::sources::CAP_QUARANTINE).bind(ROWS_MAX).bind(BYTES_MAX);
                cap.execute(conn).await.map_err(failed("cap the quarantine"))?;
                Ok(())
            })
        });
        kept.await
    }

    async fn quarantined(&self, limit: u32) -> Result<Vec<Quarantined>, StoreError> {
        let rows: Vec<(String, String, Vec<u8>, i64, i64)> = sqlx::query_as(sql::sources::QUARANTINED)
            .bind(limit)
            .fetch_all(&self.database.readers)
            .await
            .map_err(failed("read the quarantine"))?;
        let kept = rows.into_iter().map(|(source, reason, body, last_at, times)| Quarantined {
            source: SourceName::new(source),
            reason,
            body,
            last_at: UnixMillis(last_at),
            times,
        });
        Ok(kept.collect())
    }
}
