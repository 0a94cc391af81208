//! The upkeep of webhooks and deliveries, as rows.

use std::collections::BTreeMap;

use async_trait::async_trait;
use sqlx::{Row as _, SqliteConnection};

use super::{
    MailStore,
    deliveries::{COLUMNS, delivery},
    lines, pauses,
    running::EXPIRES_AT,
};
use crate::{
    domain::{
        clock::UnixMillis,
        id::{DeliveryId, WebhookId},
        secret::Secret,
    },
    store::{
        StoreError,
        deliveries::{Answer, Delivery, State},
        failed,
        upkeep::{COUNTED_MAX, GivenUp, Health, Replayed, Rotated, Upkeep},
    },
};

async fn rotate(
    conn: &mut SqliteConnection,
    webhook: &str,
    secret: &Secret,
    now: UnixMillis,
    retire_at: Option<UnixMillis>,
    live_max: u32,
) -> Result<Rotated, StoreError> {
    let known: bool = sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM webhook WHERE id = ?1)")
        .bind(webhook)
        .fetch_one(&mut *conn)
        .await
        .map_err(failed("look a webhook up"))?;
    if !known {
        return Ok(Rotated::Unknown);
    }
    sqlx::query("DELETE FROM webhook_secret WHERE webhook_id = ?1 AND (?2 IS NULL OR retires_at <= ?3)")
        .bind(webhook)
        .bind(retire_at.map(|at| at.0))
        .bind(now.0)
        .execute(&mut *conn)
        .await
        .map_err(failed("forget the secrets of a webhook"))?;
    let beside: u32 = sqlx::query_scalar("SELECT count(*) FROM webhook_secret WHERE webhook_id = ?1")
        .bind(webhook)
        .fetch_one(&mut *conn)
        .await
        .map_err(failed("count the secrets of a webhook"))?;
    if beside >= live_max {
        return Ok(Rotated::Full);
    }
    // Those that retire already keep their time, unless this one is shorter.
    sqlx::query(
        "UPDATE webhook_secret SET retires_at = min(coalesce(retires_at, ?2), ?2) WHERE webhook_id = ?1 AND ?2 IS NOT NULL",
    )
    .bind(webhook)
    .bind(retire_at.map(|at| at.0))
    .execute(&mut *conn)
    .await
    .map_err(failed("let the secrets of a webhook retire"))?;
    sqlx::query(
        "INSERT INTO webhook_secret (webhook_id, place, secret, created_at)
         VALUES (?1, coalesce((SELECT max(place) FROM webhook_secret WHERE webhook_id = ?1), 0) + 1, ?2, ?3)",
    )
    .bind(webhook)
    .bind(secret.expose())
    .bind(now.0)
    .execute(conn)
    .await
    .map_err(failed("store the new secret of a webhook"))?;
    Ok(Rotated::Done { beside })
}

/// A delivery as it stands inside the transaction, without its tries.
async fn look(conn: &mut SqliteConnection, id: &DeliveryId) -> Result<Option<Delivery>, StoreError> {
    let Some((created_at, seq)) = lines::place(id) else { return Ok(None) };
    one(conn, "d.seq = ?1 AND d.created_at = ?2", seq, created_at).await
}

async fn one<'c>(
    conn: impl sqlx::SqliteExecutor<'c>,
    condition: &str,
    first: i64,
    second: i64,
) -> Result<Option<Delivery>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM delivery d JOIN line l ON l.id = d.line_id WHERE {condition} LIMIT 1");
    let row = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(first).bind(second).fetch_optional(conn).await;
    row.map_err(failed("look a delivery up"))?.map(|row| delivery(&row, Vec::new())).transpose()
}

async fn replay(
    conn: &mut SqliteConnection,
    id: &DeliveryId,
    now: UnixMillis,
    pending_max: u32,
) -> Result<Replayed, StoreError> {
    let Some(original) = look(conn, id).await? else { return Ok(Replayed::Unknown) };
    if original.state == State::Pending {
        return Ok(Replayed::UnderWay(original));
    }
    let under_way = one(&mut *conn, "d.replay_of = ?1 AND d.state = 'pending' AND d.seq > ?2", original.seq, 0).await?;
    if let Some(under_way) = under_way {
        return Ok(Replayed::UnderWay(under_way));
    }
    let enabled: Option<bool> = sqlx::query_scalar("SELECT disabled_at IS NULL FROM webhook WHERE id = ?1")
        .bind(original.webhook.as_str())
        .fetch_optional(&mut *conn)
        .await
        .map_err(failed("look a webhook up"))?;
    match enabled {
        None => return Ok(Replayed::NoWebhook(original.webhook)),
        Some(false) => return Ok(Replayed::Disabled(original.webhook)),
        Some(true) => {}
    }
    let (endpoint, pending) = (original.endpoint.to_string(), i64::from(pending_max));
    let owed: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM (SELECT 1 FROM line l JOIN delivery d ON d.line_id = l.id
                               WHERE l.endpoint = ?1 AND l.replays = 1 AND d.state = 'pending' LIMIT +?2)",
    )
    .bind(&endpoint)
    .bind(pending)
    .fetch_one(&mut *conn)
    .await
    .map_err(failed("count the replays of an endpoint"))?;
    if owed >= pending {
        return Ok(Replayed::Full);
    }
    let line: i64 = sqlx::query_scalar(
        "INSERT INTO line (endpoint, mailbox, replays, due_at) VALUES (?1, ?2, 1, ?3)
         ON CONFLICT (endpoint, mailbox, replays) DO UPDATE SET due_at = coalesce(due_at, excluded.due_at)
         RETURNING id",
    )
    .bind(endpoint)
    .bind(&original.mailbox)
    .bind(now.0)
    .fetch_one(&mut *conn)
    .await
    .map_err(failed("find the line of a replay"))?;
    let sql = format!(
        "INSERT INTO delivery (line_id, webhook_id, event_id, event_type, created_at, body, replay_of, expires_at)
         SELECT ?2, webhook_id, event_id, event_type, ?3, body, seq, {EXPIRES_AT} FROM delivery WHERE seq = ?1 RETURNING seq",
        EXPIRES_AT = *EXPIRES_AT
    );
    let seq: i64 = sqlx::query_scalar(sqlx::AssertSqlSafe(sql))
        .bind(original.seq)
        .bind(line)
        .bind(now.0)
        .fetch_one(&mut *conn)
        .await
        .map_err(failed("owe a replay"))?;
    let fresh = one(conn, "d.seq = ?1 AND d.created_at = ?2", seq, now.0).await?;
    let corrupt =
        StoreError::Corrupt { table: "delivery", row: seq.to_string(), why: "it was just made and is not there" };
    fresh.map(Replayed::Fresh).ok_or(corrupt)
}

async fn give_up(conn: &mut SqliteConnection, id: &DeliveryId, now: UnixMillis) -> Result<GivenUp, StoreError> {
    let Some(found) = look(conn, id).await? else { return Ok(GivenUp::Unknown) };
    if found.state != State::Pending {
        return Ok(GivenUp::Over(found));
    }
    let line: i64 = sqlx::query_scalar("UPDATE delivery SET state = 'dead' WHERE seq = ?1 RETURNING line_id")
        .bind(found.seq)
        .fetch_one(&mut *conn)
        .await
        .map_err(failed("give a delivery up"))?;
    lines::settle(conn, line).await?;
    if found.next_attempt_at.is_some() {
        // It headed the line: whoever waited for it is not what failed.
        sqlx::query("UPDATE line SET due_at = min(due_at, ?2) WHERE id = ?1 AND due_at IS NOT NULL")
            .bind(line)
            .bind(now.0)
            .execute(&mut *conn)
            .await
            .map_err(failed("let a line go on"))?;
    }
    Ok(look(conn, id).await?.map_or(GivenUp::Unknown, GivenUp::Dead))
}

#[async_trait]
impl Upkeep for MailStore {
    async fn health(&self) -> Result<BTreeMap<WebhookId, Health>, StoreError> {
        let rows = sqlx::query(
            "SELECT w.id,
                    (SELECT min(failing_since) FROM line WHERE endpoint = w.endpoint AND failing_since IS NOT NULL) AS since,
                    l.failed_at, l.failed_status, l.failed_fault,
                    (SELECT count(*) FROM (SELECT 1 FROM delivery
                                           WHERE webhook_id = w.id AND state = 'pending' LIMIT +?1)) AS pending,
                    (SELECT count(*) FROM (SELECT 1 FROM delivery
                                           WHERE webhook_id = w.id AND state = 'dead' LIMIT +?1)) AS dead
             FROM webhook w LEFT JOIN line l
                  ON l.id = (SELECT id FROM line WHERE endpoint = w.endpoint AND failing_since IS NOT NULL
                             ORDER BY failed_at DESC LIMIT 1)",
        )
        .bind(COUNTED_MAX)
        .fetch_all(&self.database.readers)
        .await
        .map_err(failed("see how the webhooks fare"))?;
        let health = rows.iter().map(|row| {
            let answer =
                match (row.get::<Option<u16>, _>("failed_status"), row.get::<Option<String>, _>("failed_fault")) {
                    (Some(status), _) => Some(Answer::Status(status)),
                    (None, fault) => fault.map(Answer::Fault),
                };
            let at = row.get::<Option<i64>, _>("failed_at").map(UnixMillis);
            let health = Health {
                failing_since: row.get::<Option<i64>, _>("since").map(UnixMillis),
                last_failure: at.zip(answer),
                pending: row.get("pending"),
                dead: row.get("dead"),
            };
            (WebhookId::new(row.get::<String, _>("id")), health)
        });
        Ok(health.collect())
    }

    async fn rotate(
        &self,
        webhook: &WebhookId,
        secret: &Secret,
        now: UnixMillis,
        retire_at: Option<UnixMillis>,
        live_max: u32,
    ) -> Result<Rotated, StoreError> {
        let (webhook, secret) = (webhook.clone(), secret.clone());
        let write = self.database.writer.write(move |conn| {
            let (webhook, secret) = (webhook.clone(), secret.clone());
            Box::pin(async move { rotate(conn, webhook.as_str(), &secret, now, retire_at, live_max).await })
        });
        write.await
    }

    async fn disable(&self, webhook: &WebhookId, why: &str, now: UnixMillis) -> Result<bool, StoreError> {
        let (webhook, why) = (webhook.clone(), why.to_owned());
        let write = self.database.writer.write(move |conn| {
            let (webhook, why) = (webhook.clone(), why.clone());
            Box::pin(async move { pauses::switch_off(conn, webhook.as_str(), &why, now).await })
        });
        write.await
    }

    async fn enable(&self, webhook: &WebhookId, now: UnixMillis) -> Result<bool, StoreError> {
        let webhook = webhook.clone();
        let write = self.database.writer.write(move |conn| {
            let webhook = webhook.clone();
            Box::pin(async move { pauses::switch_on(conn, webhook.as_str(), now).await })
        });
        write.await
    }

    async fn delivery(&self, id: &DeliveryId) -> Result<Option<Delivery>, StoreError> {
        let Some((created_at, seq)) = lines::place(id) else { return Ok(None) };
        let found = one(&self.database.readers, "d.seq = ?1 AND d.created_at = ?2", seq, created_at).await?;
        let Some(found) = found else { return Ok(None) };
        let tries = self.tries(found.seq).await?;
        Ok(Some(Delivery { tries, ..found }))
    }

    async fn replay(&self, id: &DeliveryId, now: UnixMillis, pending_max: u32) -> Result<Replayed, StoreError> {
        let id = id.clone();
        let write = self.database.writer.write(move |conn| {
            let id = id.clone();
            Box::pin(async move { replay(conn, &id, now, pending_max).await })
        });
        write.await
    }

    async fn give_up(&self, id: &DeliveryId, now: UnixMillis) -> Result<GivenUp, StoreError> {
        let id = id.clone();
        let write = self.database.writer.write(move |conn| {
            let id = id.clone();
            Box::pin(async move { give_up(conn, &id, now).await })
        });
        write.await
    }
}
