//! The heads of lines: the oldest pending delivery of each, as it is taken to be sent.

use std::collections::HashMap;

use sqlx::{Row as _, SqliteConnection, sqlite::SqliteRow};

use super::{
    lines::{delivery_id, replay_of},
    webhooks::signature_format,
};
use crate::{
    domain::{
        id::{EventId, WebhookId},
        secret::Secret,
        webhook::Endpoint,
    },
    store::{
        StoreError,
        deliveries::{ALONG_BYTES_MAX, ALONG_MAX, Along, Owed},
        failed,
        many::{self, Many},
    },
};

static HEADS: Many = Many::new(|| many::sizes().map(heads_sql).collect());

/// Begins an attempt at the head of each of so many lines.
pub(super) fn heads_sql(lines: usize) -> String {
    format!(
        "UPDATE delivery SET attempts = attempts + 1
         WHERE seq IN (SELECT (SELECT d.seq FROM delivery d
                               WHERE d.line_id = lines.column1 AND d.state = 'pending' AND d.paused = 0
                               ORDER BY d.seq LIMIT 1)
                       FROM (VALUES {}) lines)
         RETURNING seq, line_id, webhook_id, event_id, attempts, created_at, body, replay_of,
                   coalesce(expires_at <= (SELECT millis FROM running_time WHERE id = 1), FALSE) AS last,
                   (SELECT o.created_at FROM delivery o WHERE o.seq = delivery.replay_of) AS replay_of_created_at,
                   (SELECT endpoint FROM line WHERE id = delivery.line_id) AS endpoint,
                   (SELECT failures FROM line WHERE id = delivery.line_id) AS failures,
                   (SELECT failed_at IS NOT NULL FROM line WHERE id = delivery.line_id) AS failed,
                   (SELECT signature_format FROM webhook WHERE webhook.id = delivery.webhook_id) AS signature_format,
                   (SELECT json_group_array(secret ORDER BY place DESC) FROM webhook_secret s
                    WHERE s.webhook_id = delivery.webhook_id) AS secrets",
        many::rows("(?)", lines)
    )
}

/// Begins a first attempt at what follows the head of a line (`?1`, `?2`), as far as it is for the same webhook (`?3`): so many
/// (`?4`), as long as they weigh no more than that (`?5`).
pub(super) const ALONG: &str = "UPDATE delivery SET attempts = 1
     WHERE seq IN (SELECT seq FROM (
         SELECT seq, min(attempts = 0 AND webhook_id = ?3 AND replay_of IS NULL) OVER (ORDER BY seq) AS alike,
                sum(length(body)) OVER (ORDER BY seq) AS weight
         FROM (SELECT * FROM delivery WHERE line_id = ?1 AND state = 'pending' AND paused = 0 AND seq > ?2
               ORDER BY seq LIMIT +?4)) WHERE alike AND weight <= ?5)
     RETURNING seq, body";

/// A line that a token holds.
#[derive(Clone, Copy)]
pub(super) struct Held<'a> {
    pub(super) line: i64,
    pub(super) token: &'a str,
}

/// Begins an attempt at the oldest pending delivery of each of `lines`; those with nothing pending are left out. The heads
/// come in the order of their lines.
pub(super) async fn heads(conn: &mut SqliteConnection, lines: &[Held<'_>]) -> Result<Vec<Owed>, StoreError> {
    let mut rows = HashMap::with_capacity(lines.len());
    let mut rest = lines;
    while let Some((text, now, later)) = HEADS.next(rest) {
        rest = later;
        let query = now.iter().fold(sqlx::query(text), |query, held| query.bind(held.line));
        let found = query.fetch_all(&mut *conn).await.map_err(failed("take the heads of lines"))?;
        rows.extend(found.into_iter().map(|row| (row.get::<i64, _>("line_id"), row)));
    }
    let mut heads = Vec::with_capacity(rows.len());
    for held in lines {
        let Some(row) = rows.get(&held.line) else { continue };
        let mut head = owed(row, held.token)?;
        // What was tried before, or may be tried only once more, goes alone: one that nobody takes holds up no others.
        let untried = head.attempt == 1 && head.failures == 0 && !head.last;
        if head.endpoint == Endpoint::Own && untried && head.replay_of.is_none() {
            head.along = along(conn, &head).await?;
        }
        heads.push(head);
    }
    Ok(heads)
}

/// Begins an attempt at those that may go along with `head`.
async fn along(conn: &mut SqliteConnection, head: &Owed) -> Result<Vec<Along>, StoreError> {
    let rows = sqlx::query(ALONG)
        .bind(head.line)
        .bind(head.seq)
        .bind(head.webhook.as_str())
        .bind(ALONG_MAX)
        .bind(ALONG_BYTES_MAX)
        .fetch_all(conn)
        .await
        .map_err(failed("take what goes along with the head of a line"))?;
    let mut along: Vec<_> = rows.iter().map(|row| Along { seq: row.get("seq"), body: row.get("body") }).collect();
    along.sort_unstable_by_key(|one| one.seq);
    Ok(along)
}

fn owed(row: &SqliteRow, token: &str) -> Result<Owed, StoreError> {
    let (seq, created_at): (i64, i64) = (row.get("seq"), row.get("created_at"));
    let corrupt = |why| StoreError::Corrupt { table: "delivery", row: seq.to_string(), why };
    let secrets: Vec<String> =
        serde_json::from_str(row.get("secrets")).map_err(|_| corrupt("its webhook has no secrets"))?;
    Ok(Owed {
        id: delivery_id(created_at, seq),
        seq,
        line: row.get("line_id"),
        token: token.to_owned(),
        endpoint: row.get::<&str, _>("endpoint").parse().map_err(|_| corrupt("its endpoint is no URL"))?,
        webhook: WebhookId::new(row.get::<String, _>("webhook_id")),
        secrets: secrets.into_iter().map(Secret::new).collect(),
        signature_format: signature_format(row).ok_or_else(|| corrupt("its webhook has no signature format"))?,
        event_id: EventId::new(row.get::<String, _>("event_id")),
        body: row.get("body"),
        attempt: row.get("attempts"),
        last: row.get("last"),
        replay_of: replay_of(row),
        failures: row.get("failures"),
        failed: row.get("failed"),
        along: Vec::new(),
    })
}
