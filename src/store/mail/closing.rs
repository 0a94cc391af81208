//! Erasing the account, a few rows of each sort a transaction. What is to be sent goes first.

use async_trait::async_trait;
use sqlx::SqliteConnection;

use super::{MailStore, lines, webhooks};
use crate::{
    domain::{clock::UnixMillis, key::ApiKey},
    store::{StoreError, closing::Closing, failed},
};

/// Rows of one sort that a transaction erases at most.
const ROWS_MAX: u32 = 200;
/// Webhooks that a transaction ends at most: each brings its lines to rest.
const WEBHOOKS_MAX: u32 = 20;

const BEGIN: &str = "INSERT INTO closing (one, asked_at) VALUES (1, ?1) ON CONFLICT (one) DO NOTHING";
const BEGUN: &str = "SELECT EXISTS (SELECT 1 FROM closing)";
const END: &str = "DELETE FROM closing";

/// What is still to be sent.
const QUEUED: &str =
    "DELETE FROM message WHERE id IN (SELECT message_id FROM recipient WHERE due_at IS NOT NULL LIMIT +?1)";
/// Our own receiver's webhook for everything is the house's.
const OWED: &str = "UPDATE delivery SET state = 'dead' WHERE seq IN (SELECT seq FROM delivery WHERE state = 'pending' \
     AND webhook_id NOT IN (SELECT id FROM webhook WHERE endpoint = 'self' AND scope = 'account') ORDER BY seq LIMIT +?1) \
     RETURNING line_id";
const WEBHOOKS: &str = "SELECT id FROM webhook WHERE NOT (endpoint = 'self' AND scope = 'account') LIMIT +?1";
/// A worker that comes back with an answer then finds that it holds nothing any more.
const LEASES: &str = "UPDATE line SET lease_token = NULL, lease_boot = NULL, lease_until = NULL \
     WHERE endpoint <> 'self' AND lease_token IS NOT NULL";
/// What one of our own receiver's lines is at is left to it, and later to retention.
const OVER: &str = "DELETE FROM delivery WHERE seq IN (SELECT d.seq FROM delivery d JOIN line l ON l.id = d.line_id \
     WHERE d.state <> 'pending' AND l.lease_token IS NULL ORDER BY d.seq LIMIT +?1)";
const LINES: &str = "DELETE FROM line WHERE id IN (SELECT id FROM line WHERE endpoint <> 'self' \
     AND NOT EXISTS (SELECT 1 FROM delivery WHERE line_id = line.id) LIMIT +?1)";

/// What hangs on mailboxes, each sort before what it would go with.
const OF_MAILBOXES: [&str; 4] = [
    "DELETE FROM message WHERE seq IN (SELECT seq FROM message ORDER BY seq LIMIT +?1)",
    "DELETE FROM thread_name WHERE (mailbox_id, internet_id) IN (SELECT mailbox_id, internet_id FROM thread_name LIMIT +?1)",
    "DELETE FROM tracking_image WHERE token_hash IN (SELECT token_hash FROM tracking_image LIMIT +?1)",
    "DELETE FROM open_day WHERE (message_id, recipient, day) IN (SELECT message_id, recipient, day FROM open_day LIMIT +?1)",
];
const MAILBOXES: &str = "DELETE FROM mailbox WHERE id IN (SELECT id FROM mailbox LIMIT +?1)";
const DOMAINS: [&str; 2] = [
    "DELETE FROM domain WHERE name IN (SELECT name FROM domain WHERE place IS NULL LIMIT +?1)",
    "UPDATE domain SET added_at = NULL WHERE name IN (SELECT name FROM domain WHERE added_at IS NOT NULL \
         AND place IS NOT NULL LIMIT +?1)",
];
const BESIDE: [&str; 4] = [
    "DELETE FROM contact WHERE id IN (SELECT id FROM contact LIMIT +?1)",
    "DELETE FROM approved_host WHERE host IN (SELECT host FROM approved_host LIMIT +?1)",
    "DELETE FROM api_calls WHERE day IN (SELECT day FROM api_calls LIMIT +?1)",
    "DELETE FROM account WHERE one IN (SELECT one FROM account LIMIT +?1)",
];
const KEYS: &str = "DELETE FROM api_key WHERE name IN (SELECT name FROM api_key WHERE name <> ?2 LIMIT +?1)";

async fn erase(conn: &mut SqliteConnection, sql: &'static str) -> Result<u64, StoreError> {
    let erased = sqlx::query(sql).bind(ROWS_MAX).execute(conn).await;
    Ok(erased.map_err(failed("erase rows of an account"))?.rows_affected())
}

/// Gives up what webhooks are owed, and once that is little, ends them.
async fn end_webhooks(conn: &mut SqliteConnection) -> Result<u64, StoreError> {
    let mut lines: Vec<i64> = sqlx::query_scalar(OWED)
        .bind(ROWS_MAX)
        .fetch_all(&mut *conn)
        .await
        .map_err(failed("give up what an account's webhooks are owed"))?;
    let mut erased = lines.len() as u64;
    lines.sort_unstable();
    lines.dedup();
    for line in lines {
        lines::settle(conn, line).await?;
    }
    if erased < u64::from(ROWS_MAX) {
        let ids: Vec<String> = sqlx::query_scalar(WEBHOOKS)
            .bind(WEBHOOKS_MAX)
            .fetch_all(&mut *conn)
            .await
            .map_err(failed("find an account's webhooks"))?;
        for id in ids {
            erased += u64::from(webhooks::remove(conn, &id).await?);
        }
    }
    sqlx::query(LEASES).execute(&mut *conn).await.map_err(failed("let go of an account's lines"))?;
    let over = erase(conn, OVER).await?;
    let resting = if over == 0 { erase(conn, LINES).await? } else { 0 };
    Ok(erased + over + resting)
}

async fn erase_some(conn: &mut SqliteConnection) -> Result<bool, StoreError> {
    let mut erased = erase(conn, QUEUED).await?;
    erased += end_webhooks(conn).await?;
    let mut hanging = 0;
    for sql in OF_MAILBOXES {
        hanging = erase(conn, sql).await?.max(hanging);
    }
    erased += hanging;
    // Mail may come in until its mailbox is gone; with few rows left, the mailboxes go in the transaction that took the last.
    if hanging < u64::from(ROWS_MAX) {
        let mailboxes = erase(conn, MAILBOXES).await?;
        erased += mailboxes;
        if mailboxes == 0 {
            for sql in DOMAINS {
                erased += erase(conn, sql).await?;
            }
        }
    }
    for sql in BESIDE {
        erased += erase(conn, sql).await?;
    }
    let keys = sqlx::query(KEYS).bind(ROWS_MAX).bind(ApiKey::OF_THE_HOUSE).execute(&mut *conn).await;
    erased += keys.map_err(failed("end an account's keys"))?.rows_affected();
    Ok(erased > 0)
}

#[async_trait]
impl Closing for MailStore {
    async fn begin_closing(&self, now: UnixMillis) -> Result<(), StoreError> {
        let write = self.database.writer.write(move |conn| {
            Box::pin(async move {
                let begun = sqlx::query(BEGIN).bind(now.0).execute(conn).await;
                begun.map(drop).map_err(failed("note that an account is being closed"))
            })
        });
        write.await
    }

    async fn is_closing(&self) -> Result<bool, StoreError> {
        let begun = sqlx::query_scalar(BEGUN).fetch_one(&self.database.readers).await;
        begun.map_err(failed("look whether an account is being closed"))
    }

    async fn erase_some(&self) -> Result<bool, StoreError> {
        self.database.writer.write(move |conn| Box::pin(erase_some(conn))).await
    }

    async fn end_closing(&self) -> Result<(), StoreError> {
        let write = self.database.writer.write(move |conn| {
            Box::pin(async move {
                let ended = sqlx::query(END).execute(conn).await;
                ended.map(drop).map_err(failed("note that an account is closed"))
            })
        });
        write.await
    }
}
