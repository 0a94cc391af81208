//! What was called spam.

use sqlx::{Executor, Sqlite, SqliteConnection};

use super::super::rows::{SUMMARY, SummaryRow};
use crate::{
    domain::{
        id::MessageId,
        message::{MessageSummary, Status},
    },
    store::{StoreError, failed},
};

const CALL: &str = "UPDATE message SET status = ?2 WHERE id = ?1 AND direction = 'inbound'";

/// A partial index is only found by its own words, so they are not bound.
fn page_sql() -> String {
    format!(
        "SELECT {SUMMARY} FROM message m INDEXED BY message_spam WHERE m.status = 'spam_quarantined' \
         AND m.seq < iif(?1 IS NULL, 9223372036854775807, (SELECT seq FROM message WHERE id = ?1)) ORDER BY m.seq DESC LIMIT +?2"
    )
}

pub(super) async fn page<'e>(
    db: impl Executor<'e, Database = Sqlite>,
    before: Option<&MessageId>,
    limit: u32,
) -> Result<Vec<MessageSummary>, StoreError> {
    let rows: Vec<SummaryRow> = sqlx::query_as(sqlx::AssertSqlSafe(page_sql()))
        .bind(before.map(MessageId::as_str))
        .bind(limit)
        .fetch_all(db)
        .await
        .map_err(failed("list the spam"))?;
    rows.into_iter().map(SummaryRow::read).collect()
}

pub(super) async fn call(conn: &mut SqliteConnection, id: &MessageId, spam: bool) -> Result<bool, StoreError> {
    let status = if spam { Status::SpamQuarantined } else { Status::Unread };
    let called = sqlx::query(CALL).bind(id.as_str()).bind(status.as_str()).execute(conn).await;
    Ok(called.map_err(failed("call a message spam, or not"))?.rows_affected() == 1)
}
