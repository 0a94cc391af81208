//! Retention in `mail.db`: old messages, where the settings want that, and deliveries that are over.

use async_trait::async_trait;

use super::MailStore;
use crate::{
    domain::clock::UnixMillis,
    store::{
        StoreError, failed,
        retention::{MailPolicy, MailRetention},
        sqlite,
    },
};

/// Rows of one sort that a transaction removes at most.
const ROWS_MAX: i64 = 200;

/// Deliveries that are over since before ?1.
const OVER: &str = "DELETE FROM delivery WHERE seq IN (SELECT seq FROM (SELECT seq, state, \
     coalesce(last_attempt_at, created_at) AS at FROM delivery ORDER BY seq LIMIT +?2) WHERE state <> 'pending' AND at < ?1)";
/// The oldest messages that are not to be sent any more: received before ?1, or while all have more bytes than ?3.
const OLD: &str = "DELETE FROM message WHERE seq IN (SELECT m.seq FROM (SELECT seq, id, received_at FROM message \
     ORDER BY seq LIMIT +?2) m WHERE (m.received_at < ?1 OR (?3 > 0 AND (SELECT message_bytes FROM weight) > ?3)) \
     AND NOT EXISTS (SELECT 1 FROM recipient r WHERE r.message_id = m.id AND r.state = 'queued'))";
const ORPHANS: &str =
    "SELECT value FROM json_each(?1) WHERE NOT EXISTS (SELECT 1 FROM message WHERE message.blob = value)";

#[async_trait]
impl MailRetention for MailStore {
    async fn sweep(&self, policy: &MailPolicy, now: UnixMillis) -> Result<u64, StoreError> {
        let policy = *policy;
        let before = move |span: i64| if span > 0 { now.0.saturating_sub(span) } else { i64::MIN };
        let swept = self.database.writer.write(move |conn| {
            Box::pin(async move {
                let over = sqlx::query(OVER).bind(before(policy.attempts_millis)).bind(ROWS_MAX).execute(&mut *conn);
                let over = over.await.map_err(failed("remove deliveries that are over"))?;
                let old = sqlx::query(OLD).bind(before(policy.mail_millis)).bind(ROWS_MAX).bind(policy.mail_bytes_max);
                let old = old.execute(&mut *conn).await.map_err(failed("remove old messages"))?;
                let swept = over.rows_affected() + old.rows_affected();
                if swept > 0 {
                    sqlite::give_pages_back(conn).await?;
                }
                Ok(swept)
            })
        });
        swept.await
    }

    async fn orphans(&self, names: Vec<String>) -> Result<Vec<String>, StoreError> {
        let names = serde_json::Value::from(names).to_string();
        let orphans = sqlx::query_scalar(ORPHANS).bind(names).fetch_all(&self.database.readers);
        orphans.await.map_err(failed("look for raw messages that nobody has"))
    }
}
