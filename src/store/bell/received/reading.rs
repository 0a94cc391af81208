//! Received messages, for those who read them.

use std::{collections::BTreeMap, sync::Arc};

use async_trait::async_trait;
use sqlx::{Row as _, sqlite::SqliteRow};

use super::{super::BellStore, add_file, sql};
use crate::{
    domain::{
        clock::UnixMillis,
        id::{MessageId, SourceName, ThreadId},
    },
    store::{
        StoreError, failed,
        received::{AtProvider, Content, Fields, Received, ReceivedMail, ReceivedQuery, ReceivedText},
    },
};

/// Messages of a thread that are shown: the newest. Longer ones are lists that nobody answers.
const THREAD_MAX: i64 = 500;

#[async_trait]
impl ReceivedMail for BellStore {
    async fn received_mailboxes(&self) -> Result<Vec<String>, StoreError> {
        let readers = self.database.readers.clone();
        let listed = self.looks.received_mailboxes.ask((), move |asked| async move {
            let all: Vec<String> = sqlx::query_scalar(sql::MAILBOXES)
                .fetch_all(&readers)
                .await
                .map_err(failed("list the mailboxes of received messages"))?;
            Ok(vec![all; asked.len()])
        });
        listed.await
    }

    async fn received(&self, id: &MessageId) -> Result<Option<Received>, StoreError> {
        let row = sqlx::query(sql::MESSAGE).bind(id.as_str()).fetch_optional(&self.database.readers).await;
        row.map_err(failed("read a received message"))?.as_ref().map(message).transpose()
    }

    async fn received_text(&self, id: &MessageId) -> Result<Option<ReceivedText>, StoreError> {
        let doing = "read a received message";
        let row = sqlx::query(sql::TEXT).bind(id.as_str()).fetch_optional(&self.database.readers).await;
        let Some(row) = row.map_err(failed(doing))? else { return Ok(None) };
        let body = row.try_get("body").map_err(failed(doing))?;
        let reply = row.try_get("reply").map_err(failed(doing))?;
        Ok(Some(ReceivedText { message: message(&row)?, body, reply }))
    }

    async fn received_file(&self, id: &MessageId, place: usize) -> Result<Option<Vec<u8>>, StoreError> {
        let place = i64::try_from(place).unwrap_or(i64::MAX);
        let bytes =
            sqlx::query_scalar(sql::FILE).bind(id.as_str()).bind(place).fetch_optional(&self.database.readers).await;
        bytes.map_err(failed("read a file of a received message"))
    }

    async fn at_provider(&self, id: &MessageId) -> Result<Option<AtProvider>, StoreError> {
        let row: Option<(String, String, bool)> = sqlx::query_as(sql::AT_PROVIDER)
            .bind(id.as_str())
            .fetch_optional(&self.database.readers)
            .await
            .map_err(failed("look where more of a message is"))?;
        Ok(row.map(|(source, id, whole)| AtProvider { source: SourceName::new(source), id, whole }))
    }

    async fn complete_received(&self, id: &MessageId, fields: &Fields, content: &Content) -> Result<(), StoreError> {
        let (id, fields) = (id.clone(), serde_json::to_string(fields).expect("texts and numbers make JSON"));
        let content = Arc::new(content.clone());
        let completed = self.database.writer.write(move |conn| {
            let (id, fields, content) = (id.clone(), fields.clone(), content.clone());
            Box::pin(async move {
                let row: Option<i64> = sqlx::query_scalar(sql::COMPLETE)
                    .bind(id.as_str())
                    .bind(fields)
                    .bind(&content.body)
                    .bind(content.reply.as_deref())
                    .fetch_optional(&mut *conn)
                    .await
                    .map_err(failed("complete a received message"))?;
                let Some(row) = row else { return Ok(()) };
                for (place, bytes) in &content.files {
                    add_file(conn, row, *place, bytes).await?;
                }
                Ok(())
            })
        });
        completed.await
    }

    async fn keep_received_file(&self, id: &MessageId, place: usize, bytes: &[u8]) -> Result<(), StoreError> {
        let (id, bytes): (_, Arc<[u8]>) = (id.clone(), bytes.into());
        let kept = self.database.writer.write(move |conn| {
            let (id, bytes) = (id.clone(), bytes.clone());
            Box::pin(async move {
                let row = sqlx::query_scalar(sql::ROW_OF).bind(id.as_str()).fetch_optional(&mut *conn).await;
                match row.map_err(failed("look a received message up"))? {
                    Some(row) => add_file(conn, row, place, &bytes).await,
                    None => Ok(()),
                }
            })
        });
        kept.await
    }

    async fn received_weight(&self) -> Result<(u64, u64, u64), StoreError> {
        let measure = sqlx::query_as::<_, (i64, i64, i64)>(sql::WEIGHT).fetch_one(&self.database.readers).await;
        let (messages, text, files) = measure.map_err(failed("weigh received messages"))?;
        Ok((messages.unsigned_abs(), text.unsigned_abs(), files.unsigned_abs()))
    }

    async fn list_received(&self, query: &ReceivedQuery) -> Result<Vec<Received>, StoreError> {
        let rows = sqlx::query(sql::LIST)
            .bind(&query.mailbox)
            .bind(query.until.map(|at| at.0))
            .bind(query.thread_id.as_ref().map(ThreadId::as_str))
            .bind(query.unread_only)
            .bind(query.sender.as_deref())
            .bind(query.subject_contains.as_deref())
            .bind(query.tag.as_deref())
            .bind(query.without_tag.as_deref())
            .bind(query.limit)
            .fetch_all(&self.database.readers)
            .await
            .map_err(failed("list received messages"))?;
        rows.iter().map(message).collect()
    }

    async fn received_thread(&self, id: &ThreadId) -> Result<Vec<Received>, StoreError> {
        let rows = sqlx::query(sql::THREAD).bind(id.as_str()).bind(THREAD_MAX).fetch_all(&self.database.readers).await;
        rows.map_err(failed("read a thread of received messages"))?.iter().map(message).collect()
    }

    async fn mark_received_read(&self, id: &MessageId) -> Result<(), StoreError> {
        let id = id.clone();
        let marked = self.database.writer.write(move |conn| {
            let id = id.clone();
            Box::pin(async move {
                let mark = sqlx::query(sql::MARK_READ).bind(id.as_str()).execute(conn).await;
                mark.map_err(failed("mark a message read"))?;
                Ok(())
            })
        });
        marked.await
    }

    async fn tag_received(
        &self,
        id: &MessageId,
        add: &[String],
        remove: &[String],
    ) -> Result<Option<Vec<String>>, StoreError> {
        let (id, add, remove) = (id.clone(), add.to_vec(), remove.to_vec());
        let tagged = self.database.writer.write(move |conn| {
            let (id, add, remove) = (id.clone(), add.clone(), remove.clone());
            Box::pin(async move {
                let doing = "tag a received message";
                let found: Option<String> = sqlx::query_scalar(sql::TAGS)
                    .bind(id.as_str())
                    .fetch_optional(&mut *conn)
                    .await
                    .map_err(failed(doing))?;
                let Some(found) = found else { return Ok(None) };
                let mut tags: BTreeMap<String, String> = serde_json::from_str(&found).map_err(|_| corrupt(&id))?;
                tags.extend(add.into_iter().map(|name| (name, "true".to_owned())));
                tags.retain(|name, _| !remove.contains(name));
                let text = serde_json::to_string(&tags).expect("texts make JSON");
                let set = sqlx::query(sql::SET_TAGS).bind(text).bind(id.as_str()).execute(conn).await;
                set.map_err(failed(doing))?;
                Ok(Some(tags.into_keys().collect()))
            })
        });
        tagged.await
    }
}

fn corrupt(id: &MessageId) -> StoreError {
    StoreError::Corrupt { table: "received_messages", row: id.to_string(), why: "its fields and tags are JSON" }
}

fn message(row: &SqliteRow) -> Result<Received, StoreError> {
    let doing = "read a received message";
    let text = |column: &str| row.try_get::<String, _>(column).map_err(failed(doing));
    let id = MessageId::new(text("message_id")?);
    Ok(Received {
        mailbox: text("mailbox")?,
        thread_id: ThreadId::new(text("thread_id")?),
        received_at: UnixMillis(row.try_get("received_at").map_err(failed(doing))?),
        is_read: row.try_get("is_read").map_err(failed(doing))?,
        report: row.try_get("report").map_err(failed(doing))?,
        fields: serde_json::from_str(&text("fields")?).map_err(|_| corrupt(&id))?,
        tags: serde_json::from_str(&text("tags")?).map_err(|_| corrupt(&id))?,
        id,
    })
}
