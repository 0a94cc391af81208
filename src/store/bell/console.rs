//! The console's code, as the one row that there may be.

use async_trait::async_trait;
use serde_json::json;

use super::{BellStore, sql};
use crate::{
    domain::clock::{BootTime, Moment, UnixMillis},
    store::{StoreError, audit::Entry, console::ConsoleCodes, failed, tokens::TokenHash},
};

#[async_trait]
impl ConsoleCodes for BellStore {
    async fn keep_console_code(
        &self,
        sha256: [u8; 32],
        operator: TokenHash,
        until: BootTime,
        now: UnixMillis,
    ) -> Result<(), StoreError> {
        let auditor = self.auditor.clone();
        let kept = self.database.writer.write(move |conn| {
            let (auditor, until) = (auditor.clone(), until.clone());
            Box::pin(async move {
                let keep = sqlx::query(sql::tokens::KEEP_CONSOLE_CODE)
                    .bind(sha256.to_vec())
                    .bind(operator.to_vec())
                    .bind(until.boot_id)
                    .bind(until.millis);
                keep.execute(&mut *conn).await.map_err(failed("keep a code for the console"))?;
                let entry = Entry::Operator { command: "console", about: json!({ "by": "cli" }) };
                auditor.record(conn, now, &entry).await.map(drop)
            })
        });
        kept.await
    }

    async fn use_console_code(&self, sha256: [u8; 32], now: Moment) -> Result<Option<TokenHash>, StoreError> {
        let used = self.database.writer.write(move |conn| {
            let now = now.clone();
            Box::pin(async move {
                let found: Option<Vec<u8>> = sqlx::query_scalar(sql::tokens::USE_CONSOLE_CODE)
                    .bind(sha256.to_vec())
                    .bind(now.boot.boot_id)
                    .bind(now.boot.millis)
                    .fetch_optional(conn)
                    .await
                    .map_err(failed("use a code for the console"))?;
                Ok(found.and_then(|operator| operator.try_into().ok()))
            })
        });
        used.await
    }
}
