//! Hosted mail APIs, as rows.

use async_trait::async_trait;
use sqlx::{Row as _, sqlite::SqliteRow};

use super::{BellStore, sql};
use crate::{
    domain::{
        clock::UnixMillis,
        id::{MailboxId, MessageId, WebhookId},
    },
    store::{
        StoreError, failed,
        hosted::{HostedApi, HostedApis, Mark},
    },
};

#[async_trait]
impl HostedApis for BellStore {
    async fn hosted(&self, api: &str) -> Result<Option<HostedApi>, StoreError> {
        let row = sqlx::query(sql::sources::HOSTED).bind(api).fetch_optional(&self.database.readers).await;
        row.and_then(|row| row.as_ref().map(read).transpose()).map_err(failed("read what is known of the mail API"))
    }

    async fn hosted_in_use(&self) -> Result<Option<HostedApi>, StoreError> {
        let row = sqlx::query(sql::sources::HOSTED_IN_USE).fetch_optional(&self.database.readers).await;
        row.and_then(|row| row.as_ref().map(read).transpose()).map_err(failed("read which mail API is in use"))
    }

    async fn none_in_use(&self) -> Result<(), StoreError> {
        if self.hosted_in_use().await?.is_none() {
            return Ok(());
        }
        let none = self.database.writer.write(|conn| {
            Box::pin(async move {
                let none = sqlx::query(sql::sources::HOSTED_NOT_IN_USE).bind("").execute(conn).await;
                none.map(drop).map_err(failed("say that no hosted mail API is in use"))
            })
        });
        none.await
    }

    async fn keep_webhook(&self, api: &str, webhook: Option<&WebhookId>) -> Result<(), StoreError> {
        let (api, webhook) = (api.to_owned(), webhook.map(|id| id.as_str().to_owned()));
        let kept = self.database.writer.write(move |conn| {
            let (api, webhook) = (api.clone(), webhook.clone());
            Box::pin(async move {
                let keep = sqlx::query(sql::sources::KEEP_HOSTED_WEBHOOK).bind(api).bind(webhook).execute(conn).await;
                keep.map(drop).map_err(failed("keep which webhook at the mail API is ours"))
            })
        });
        kept.await
    }

    async fn keep_look(
        &self,
        api: &str,
        now: UnixMillis,
        trouble: Option<&str>,
        began: Option<UnixMillis>,
    ) -> Result<(), StoreError> {
        let (api, trouble) = (api.to_owned(), trouble.map(str::to_owned));
        let kept = self.database.writer.write(move |conn| {
            let (api, trouble) = (api.clone(), trouble.clone());
            Box::pin(async move {
                let others = sqlx::query(sql::sources::HOSTED_NOT_IN_USE).bind(api.clone()).execute(&mut *conn);
                others.await.map_err(failed("say which mail API is in use"))?;
                let keep = sqlx::query(sql::sources::KEEP_HOSTED_LOOK)
                    .bind(api)
                    .bind(now.0)
                    .bind(trouble)
                    .bind(began.map(|at| at.0));
                keep.execute(conn).await.map(drop).map_err(failed("keep how the mail API does"))
            })
        });
        kept.await
    }

    async fn mark(&self, api: &str, mailbox: &MailboxId) -> Result<Option<Mark>, StoreError> {
        let row: Option<(Option<String>, Option<i64>)> = sqlx::query_as(sql::sources::HOSTED_MARK)
            .bind(api)
            .bind(mailbox.as_str())
            .fetch_optional(&self.database.readers)
            .await
            .map_err(failed("read how far a mailbox was looked through"))?;
        Ok(row.map(|(newest, received_at)| Mark {
            newest: newest.map(MessageId::new),
            received_at: received_at.map(UnixMillis),
        }))
    }

    async fn keep_mark(&self, api: &str, mailbox: &MailboxId, mark: &Mark) -> Result<(), StoreError> {
        let (api, mailbox, mark) = (api.to_owned(), mailbox.as_str().to_owned(), mark.clone());
        let kept = self.database.writer.write(move |conn| {
            let (api, mailbox, mark) = (api.clone(), mailbox.clone(), mark.clone());
            Box::pin(async move {
                let keep = sqlx::query(sql::sources::KEEP_HOSTED_MARK)
                    .bind(api)
                    .bind(mailbox)
                    .bind(mark.newest.as_ref().map(|id| id.as_str().to_owned()))
                    .bind(mark.received_at.map(|at| at.0));
                keep.execute(conn).await.map(drop).map_err(failed("keep how far a mailbox was looked through"))
            })
        });
        kept.await
    }
}

fn read(row: &SqliteRow) -> Result<HostedApi, sqlx::Error> {
    Ok(HostedApi {
        api: row.try_get(0)?,
        webhook: row.try_get::<Option<String>, _>(1)?.map(WebhookId::new),
        looked_at: row.try_get::<Option<i64>, _>(2)?.map(UnixMillis),
        tried_at: row.try_get::<Option<i64>, _>(3)?.map(UnixMillis),
        trouble: row.try_get(4)?,
    })
}
