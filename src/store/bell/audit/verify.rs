//! Checking the record from its first entry to its last, against the key and against a head that was kept elsewhere.

use sqlx::Connection as _;

use super::{super::sql, BellStore, Link, START, link};
use crate::{
    signing::chain::same,
    store::{
        StoreError,
        audit::{Fault, Head, Verdict},
        failed,
    },
};

/// A sealed segment: first, last, the last entry's link, seal.
type Segment = (i64, i64, Vec<u8>, Vec<u8>);

impl BellStore {
    pub(super) async fn check_audit(&self, kept: Option<&Head>) -> Result<Verdict, StoreError> {
        // First: what retention removes while this reads is then no gap.
        let mut reader = self.database.readers.acquire().await.map_err(failed("read the audit record"))?;
        let mut reader = reader.begin().await.map_err(failed("read the audit record"))?;
        let segments: Vec<Segment> = sqlx::query_as(sql::audit::SEGMENTS)
            .fetch_all(&mut *reader)
            .await
            .map_err(failed("read the audit segments"))?;
        let (mut at, mut before, mut seal) = (0, START, START);
        for (first, last, mac, stored) in segments {
            let now = self.auditor.seal(&seal, first, last, &mac);
            if !same(&now, &stored) {
                return Ok(Verdict::Broken { id: last, why: Fault::Seal });
            }
            if first != at + 1 {
                return Ok(Verdict::Broken { id: at + 1, why: Fault::Missing });
            }
            (at, before, seal) = (last, link(Some(&mac)), now);
        }
        let first = at + 1;
        let mut of_kept: Option<Link> = kept.filter(|kept| kept.id == at).map(|_| before);
        loop {
            let page = sqlx::query_as::<_, super::Stored>(sql::audit::AUDIT_AFTER).bind(at).bind(super::PAGE);
            let page = page.fetch_all(&mut *reader).await.map_err(failed("read the audit record"))?;
            if page.is_empty() {
                break;
            }
            for row in page {
                if row.id != at + 1 {
                    return Ok(Verdict::Broken { id: at + 1, why: Fault::Missing });
                }
                let now = self.auditor.link(&before, row.id, row.at, &row.what, &row.entry);
                if !same(&now, &row.mac) {
                    return Ok(Verdict::Broken { id: row.id, why: Fault::Changed });
                }
                (at, before) = (row.id, now);
                if kept.is_some_and(|kept| kept.id == at) {
                    of_kept = Some(before);
                }
            }
        }
        if let Some(kept) = kept {
            if kept.id > at {
                return Ok(Verdict::Broken { id: at + 1, why: Fault::Missing });
            }
            if of_kept.is_some_and(|link| !same(&link, &kept.mac)) {
                return Ok(Verdict::Broken { id: kept.id, why: Fault::OtherHead });
            }
        }
        Ok(Verdict::Whole {
            entries: (at + 1 - first).unsigned_abs(),
            first,
            head: Head { id: at, mac: before },
            head_is_sealed: kept.is_some() && of_kept.is_none(),
        })
    }
}
