//! Holding on: leases whose end moves because something is done under them, or waits for an operator.
//!
//! # How long a change that waits keeps its lease
//!
//! Who asks for a change under a lease has not handled the event until an operator has decided. So the lease runs on for as
//! long as the change may wait ([`BellStore::keep_for_action`]). Once the change is over, whichever way, the lease has
//! [`ANSWERED_MILLIS`] left: to hear of it and to ack, or, where nobody is left to hear, until another worker gets the event.

use sqlx::SqliteConnection;

use super::{
    BellStore,
    audit::Auditor,
    settle::{Leased, held, tell_settled},
    sql,
};
use crate::{
    domain::{
        clock::Moment,
        consumer::{Held, LeaseToken},
        id::{ActionId, ConsumerName, EventId, MessageId},
    },
    store::{StoreError, audit::Runs, failed, oversight::ANSWERED_MILLIS},
};

impl BellStore {
    pub(super) async fn hold_on(
        &self,
        token: &LeaseToken,
        message: Option<&MessageId>,
        millis: i64,
        now: Moment,
    ) -> Result<Option<Held>, StoreError> {
        let readers = &self.database.readers;
        let holding: Option<(String, bool)> = sqlx::query_as(sql::claims::HOLDING)
            .bind(&now.boot.boot_id)
            .bind(now.boot_in(millis))
            .bind(token.as_str())
            .fetch_optional(readers)
            .await
            .map_err(failed("look a lease up"))?;
        let Some((consumer, ends_early)) = holding else { return Ok(None) };
        if let Some(message) = message {
            let tokens =
                sqlx::query_scalar::<_, String>(sql::claims::TOKENS_OF_MESSAGE).bind(message.as_str()).bind(&consumer);
            let tokens = tokens.fetch_all(readers).await.map_err(failed("look a message's leases up"))?;
            if !tokens.is_empty() && tokens.iter().all(|other| other != token.as_str()) {
                return Ok(None);
            }
        }
        let rows = if ends_early {
            self.lengthen(token, millis, now).await?
        } else {
            let mut reader = readers.acquire().await.map_err(failed("look a lease up"))?;
            held(&mut reader, token).await?
        };
        let events: Vec<EventId> = rows.iter().map(Leased::event_id).collect();
        Ok((!events.is_empty()).then(|| Held { consumer: ConsumerName::new(consumer), events }))
    }

    /// Has no lease of `token` end before `millis` from now, and answers with what it still holds.
    async fn lengthen(&self, token: &LeaseToken, millis: i64, now: Moment) -> Result<Vec<Leased>, StoreError> {
        let (token, auditor) = (token.clone(), self.auditor.clone());
        let lengthened = self.database.writer.write(move |conn| {
            let (token, now, auditor) = (token.clone(), now.clone(), auditor.clone());
            Box::pin(async move { lengthen(conn, &auditor, &token, millis, &now).await })
        });
        lengthened.await
    }

    /// Has the lease of `token` run for as long as `action` may wait. False where one of them is over.
    pub(super) async fn keep_for_action(
        &self,
        token: &LeaseToken,
        action: &ActionId,
        now: Moment,
    ) -> Result<bool, StoreError> {
        let (action, token, auditor) = (action.clone(), token.clone(), self.auditor.clone());
        let kept = self.database.writer.write(move |conn| {
            let (action, token, now, auditor) = (action.clone(), token.clone(), now.clone(), auditor.clone());
            Box::pin(async move {
                if held(conn, &token).await?.is_empty() {
                    return Ok(false);
                }
                let expires_at: Option<i64> = sqlx::query_scalar(sql::claims::LEASE_OF_ACTION)
                    .bind(action.as_str())
                    .bind(token.as_str())
                    .fetch_optional(&mut *conn)
                    .await
                    .map_err(failed("keep a lease for an action"))?;
                let Some(expires_at) = expires_at else { return Ok(false) };
                let millis = expires_at.saturating_sub(now.wall.0).max(0).saturating_add(ANSWERED_MILLIS);
                lengthen(conn, &auditor, &token, millis, &now).await.map(|_| true)
            })
        });
        kept.await
    }
}

async fn lengthen(
    conn: &mut SqliteConnection,
    auditor: &Auditor,
    token: &LeaseToken,
    millis: i64,
    now: &Moment,
) -> Result<Vec<Leased>, StoreError> {
    let lengthen = sqlx::query(sql::claims::LENGTHEN)
        .bind(&now.boot.boot_id)
        .bind(now.boot_in(millis))
        .bind(token.as_str())
        .execute(&mut *conn);
    let longer = lengthen.await.map_err(failed("lengthen a lease"))?.rows_affected() > 0;
    let rows = held(conn, token).await?;
    if longer {
        tell_settled(conn, auditor, &rows, "hold", Some(Runs::on(now, millis)), |_| false, now.wall).await?;
    }
    Ok(rows)
}

/// In the transaction in which `action` is over: its lease ends soon, unless another action needs it.
pub(super) async fn let_go_of(
    conn: &mut SqliteConnection,
    auditor: &Auditor,
    action: &ActionId,
    now: &Moment,
) -> Result<(), StoreError> {
    let token: Option<String> = sqlx::query_scalar(sql::claims::SHORTEN)
        .bind(action.as_str())
        .bind(&now.boot.boot_id)
        .bind(now.boot_in(ANSWERED_MILLIS))
        .fetch_all(&mut *conn)
        .await
        .map_err(failed("let go of a lease"))?
        .pop();
    let Some(token) = token else { return Ok(()) };
    let rows = held(conn, &LeaseToken::new(token)).await?;
    let runs = Some(Runs::on(now, ANSWERED_MILLIS));
    tell_settled(conn, auditor, &rows, "hold", runs, |_| false, now.wall).await
}
