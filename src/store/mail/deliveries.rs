//! Deliveries: the contract over lines, heads and records, and the list for whoever asks what became of them.

use async_trait::async_trait;
use futures::future::BoxFuture;
use sqlx::{Row as _, sqlite::SqliteRow};

use super::{MailStore, fanout::fan_out, lines, record::Record};
use crate::{
    domain::{
        clock::UnixMillis,
        event::NewEvent,
        id::{EventId, WebhookId},
        message::Mailbox,
    },
    store::{
        StoreError,
        deliveries::{
            ATTEMPTS_SHOWN_MAX, Answer, Attempt, ClaimLines, ClaimedLines, Deliveries, Delivery, DeliveryFilter, Owed,
            Recorded, State, Stay, Verdict,
        },
        failed,
    },
};

/// What [`delivery`] reads. Only the head of a line has a next time.
pub(super) const COLUMNS: &str = "d.seq, d.webhook_id, l.endpoint, l.mailbox, d.event_id, d.event_type, d.state, d.attempts, \
                       d.created_at, d.last_attempt_at, d.replay_of, \
                       (SELECT o.created_at FROM delivery o WHERE o.seq = d.replay_of) AS replay_of_created_at, \
                       CASE WHEN d.state = 'pending' AND d.paused = 0 AND NOT EXISTS \
                           (SELECT 1 FROM delivery e WHERE e.line_id = d.line_id AND e.state = 'pending' \
                                                       AND e.paused = 0 AND e.seq < d.seq) \
                       THEN l.due_at END AS next_attempt_at";

pub(super) fn delivery(row: &SqliteRow, tries: Vec<Attempt>) -> Result<Delivery, StoreError> {
    let (seq, created_at): (i64, i64) = (row.get("seq"), row.get("created_at"));
    let corrupt = |why| StoreError::Corrupt { table: "delivery", row: seq.to_string(), why };
    Ok(Delivery {
        id: lines::delivery_id(created_at, seq),
        seq,
        webhook: WebhookId::new(row.get::<String, _>("webhook_id")),
        endpoint: row.get::<&str, _>("endpoint").parse().map_err(|_| corrupt("its endpoint is no URL"))?,
        mailbox: row.get("mailbox"),
        event_id: EventId::new(row.get::<String, _>("event_id")),
        event_type: row.get("event_type"),
        replay_of: lines::replay_of(row),
        state: match row.get::<&str, _>("state") {
            "pending" => State::Pending,
            "delivered" => State::Delivered,
            _ => State::Dead,
        },
        attempts: row.get("attempts"),
        created_at: UnixMillis(created_at),
        last_attempt_at: row.get::<Option<i64>, _>("last_attempt_at").map(UnixMillis),
        next_attempt_at: row.get::<Option<i64>, _>("next_attempt_at").map(UnixMillis),
        tries,
    })
}

fn attempt(row: &SqliteRow) -> Attempt {
    Attempt {
        number: row.get("number"),
        at: UnixMillis(row.get("at")),
        answer: match row.get::<Option<u16>, _>("status") {
            Some(status) => Answer::Status(status),
            None => Answer::Fault(row.get("fault")),
        },
        duration_millis: row.get("duration_millis"),
        response_bytes: u64::try_from(row.get::<i64, _>("response_bytes")).unwrap_or(0),
    }
}

impl MailStore {
    /// The last tries of a delivery, the oldest first.
    pub(super) async fn tries(&self, seq: i64) -> Result<Vec<Attempt>, StoreError> {
        let rows = sqlx::query(
            "SELECT number, at, status, fault, duration_millis, response_bytes FROM attempt
             WHERE delivery_seq = ?1 ORDER BY number DESC LIMIT +?2",
        )
        .bind(seq)
        .bind(ATTEMPTS_SHOWN_MAX)
        .fetch_all(&self.database.readers)
        .await
        .map_err(failed("list the attempts of a delivery"))?;
        Ok(rows.iter().rev().map(attempt).collect())
    }
}

#[async_trait]
impl Deliveries for MailStore {
    async fn owe(&self, mailbox: &Mailbox, event: &NewEvent) -> Result<u32, StoreError> {
        let (mailbox, event) = (mailbox.clone(), event.clone());
        let write = self.database.writer.write(move |conn| {
            let (mailbox, event) = (mailbox.clone(), event.clone());
            Box::pin(async move { fan_out(conn, &mailbox, &event).await })
        });
        write.await
    }

    async fn claim_lines(&self, claim: &ClaimLines) -> Result<ClaimedLines, StoreError> {
        let claim = claim.clone();
        let write = self.database.writer.write_as_usual(move |turn| {
            let claim = claim.clone();
            Box::pin(async move { lines::claim(turn.conn().await?, &claim).await })
        });
        write.await
    }

    fn record(
        &self,
        owed: &Owed,
        attempt: &Attempt,
        verdict: &Verdict,
        stay: Option<&Stay>,
    ) -> BoxFuture<'static, Result<Recorded, StoreError>> {
        let recorded = self.records.write(Record::new(owed, attempt, verdict, stay));
        let (writer, gone) = (self.database.writer.clone(), *verdict == Verdict::Gone);
        Box::pin(async move {
            let recorded = recorded.await;
            if gone {
                // Its webhooks are off, whoever else is at work for them.
                writer.count_change();
            }
            recorded
        })
    }

    fn changes(&self) -> u64 {
        self.database.writer.changes()
    }

    async fn void_leases(&self) -> Result<(), StoreError> {
        let write = self.database.writer.write(move |conn| {
            Box::pin(async move {
                sqlx::query(
                    "UPDATE line SET lease_token = NULL, lease_boot = NULL, lease_until = NULL
                     WHERE lease_token IS NOT NULL",
                )
                .execute(conn)
                .await
                .map_err(failed("end the leases of lines"))?;
                Ok(())
            })
        });
        write.await
    }

    async fn check_term(&self) -> Result<(), StoreError> {
        MailStore::check_term(self).await
    }

    async fn deliveries(
        &self,
        filter: &DeliveryFilter,
        before: Option<i64>,
        limit: u32,
    ) -> Result<Vec<Delivery>, StoreError> {
        let sql = list(filter);
        let mut query = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(before.unwrap_or(i64::MAX)).bind(limit);
        if filter.webhook.is_some() || filter.events.is_some() {
            query = query.bind(filter.webhook.as_ref().map(|webhook| webhook.as_str().to_owned()));
        }
        if let Some(events) = &filter.events {
            query = query.bind(serde_json::json!(events).to_string());
        }
        let rows = query.fetch_all(&self.database.readers).await.map_err(failed("list the deliveries"))?;
        let mut deliveries = Vec::with_capacity(rows.len());
        for row in &rows {
            let tries = self.tries(row.get("seq")).await?;
            deliveries.push(delivery(row, tries)?);
        }
        Ok(deliveries)
    }
}

/// The statement for what is asked: not one for all, for `OR`, or a state that is bound, would keep the indexes from being used.
fn list(filter: &DeliveryFilter) -> String {
    let of_webhook = if filter.webhook.is_some() { "AND d.webhook_id = ?3" } else { "" };
    let of_state = match filter.state {
        None => "",
        Some(State::Pending) => "AND d.state = 'pending'",
        Some(State::Delivered) => "AND d.state = 'delivered'",
        Some(State::Dead) => "AND d.state = 'dead'",
    };
    // Walking back from the newest would come as far as there are deliveries, where an event has none.
    let (index, of_events) = match filter.events {
        Some(_) => ("INDEXED BY delivery_of_event", "AND d.event_id IN (SELECT value FROM json_each(?4))"),
        None => ("", ""),
    };
    format!(
        "SELECT {COLUMNS} FROM delivery d {index} JOIN line l ON l.id = d.line_id
         WHERE d.seq < ?1 {of_webhook} {of_state} {of_events} ORDER BY d.seq DESC LIMIT +?2"
    )
}

#[cfg(test)]
mod tests {
    use tokio_util::sync::CancellationToken;

    use super::*;

    #[tokio::test]
    async fn no_list_of_deliveries_walks_all_of_them() {
        let directory = tempfile::tempdir().expect("a directory");
        let store = MailStore::open(&directory.path().join("mail.db"), CancellationToken::new()).await.expect("opens");
        let all = DeliveryFilter::default();
        let webhook = DeliveryFilter { webhook: Some(WebhookId::new("wh_1")), ..all.clone() };
        let events = DeliveryFilter { events: Some(Vec::new()), ..all.clone() };
        let dead = DeliveryFilter { state: Some(State::Dead), ..all.clone() };
        let of_webhook = DeliveryFilter { state: Some(State::Pending), ..webhook.clone() };
        for (filter, by) in [
            // From the newest back, as many as are asked for.
            (all, "SEARCH d USING INTEGER PRIMARY KEY (rowid<?)"),
            (webhook, "delivery_of_webhook (webhook_id=? AND seq<?)"),
            (events, "delivery_of_event (event_id=? AND seq<?)"),
            (dead, "delivery_dead"),
            (of_webhook, "delivery_pending_of_webhook (webhook_id=? AND seq<?)"),
        ] {
            let sql = format!("EXPLAIN QUERY PLAN {}", list(&filter));
            let rows = sqlx::query(sqlx::AssertSqlSafe(sql)).fetch_all(&store.database.readers).await.expect("a plan");
            let plan = rows.iter().map(|row| row.get::<String, _>("detail")).collect::<Vec<_>>().join("\n");
            assert!(plan.contains(by) && !plan.contains("SCAN d"), "{filter:?}: {plan}");
        }
    }
}
