//! What readers of mailboxes elsewhere bring, as rows: a message, its events and how far its folder is read are one
//! transaction, so that each message is told once however often its reader is killed. What webhooks bring is in [`bringing`].

pub(super) mod bringing;
mod reading;
pub(super) mod sql;

use std::{collections::HashSet, sync::Arc};

use async_trait::async_trait;
use sqlx::SqliteConnection;

use super::{BellStore, append::Post};
use crate::{
    domain::{
        clock::UnixMillis,
        event::{Auth, NewEvent},
        id::{MessageId, SourceName, ThreadId},
    },
    store::{
        Refusal, StoreError, failed,
        log::Ingested,
        received::{FolderState, Folders, Haul, Identity, NewMessage, NewReceived, Place, Watched},
        term,
        turn::Turn,
    },
};

/// Folder, validity, last UID, news from, not before, looked at, trouble, since when.
type FolderRow = (String, Option<i64>, i64, i64, i64, Option<i64>, Option<String>, Option<i64>);

#[async_trait]
impl Folders for BellStore {
    async fn folders(&self, source: &SourceName) -> Result<Vec<FolderState>, StoreError> {
        let rows: Vec<FolderRow> = sqlx::query_as(sql::FOLDERS)
            .bind(source.as_str())
            .fetch_all(&self.database.readers)
            .await
            .map_err(failed("read how far folders were read"))?;
        rows.into_iter().map(folder).collect()
    }

    async fn known(&self, source: &SourceName, identities: &[Identity]) -> Result<HashSet<Identity>, StoreError> {
        let asked: Vec<String> = identities.iter().map(hex::encode).collect();
        let asked = serde_json::to_string(&asked).expect("a list of texts is JSON");
        let found: Vec<Vec<u8>> = sqlx::query_scalar(sql::KNOWN_IDS)
            .bind(asked)
            .bind(source.as_str())
            .fetch_all(&self.database.readers)
            .await
            .map_err(failed("look up which messages are known"))?;
        Ok(found.into_iter().filter_map(|identity| identity.try_into().ok()).collect())
    }

    async fn take(&self, haul: Haul) -> Result<Vec<String>, StoreError> {
        let (haul, inserter) = (Arc::new(haul), self.appender.inserter());
        let taken = self.database.writer.write(move |conn| {
            let (haul, inserter) = (haul.clone(), inserter.clone());
            Box::pin(async move {
                check(conn, &haul.watched).await?;
                for identity in &haul.no_news {
                    add_identity(conn, &haul.watched.source, identity).await?;
                }
                let mut events = Vec::new();
                for message in &haul.messages {
                    if add_identity(conn, &haul.watched.source, &message.identity).await? {
                        let NewReceived { message: new, .. } = message;
                        let thread = thread_of(conn, new).await?;
                        add(conn, &haul.watched.source, (&new.id, &thread), new).await?;
                        let told = message.events.iter().cloned();
                        events.extend(told.map(|event| NewEvent { thread_id: Some(thread.clone()), ..event }));
                    }
                }
                let mailboxes: Vec<_> = events.iter().map(|event| event.mailbox.clone().unwrap_or_default()).collect();
                let posts = [Arc::new(Post::new(&haul.told_by, Auth::Api, haul.now, events))];
                let endings = inserter.insert(&mut Turn::within(conn), &posts).await?;
                keep_place(conn, &haul).await?;
                let mut ingested = Vec::new();
                for ending in endings {
                    ingested.extend(ending.ingested()?.unwrap_or_default());
                }
                let fresh = ingested.into_iter().zip(mailboxes);
                Ok(fresh
                    .filter(|(ending, _)| matches!(ending, Ingested::Fresh(_)))
                    .map(|(_, mailbox)| mailbox)
                    .collect())
            })
        });
        taken.await
    }

    async fn keep_trouble(&self, watched: &Watched, trouble: &str, now: UnixMillis) -> Result<(), StoreError> {
        let (watched, trouble) = (watched.clone(), trouble.to_owned());
        let kept = self.database.writer.write(move |conn| {
            let (watched, trouble) = (watched.clone(), trouble.clone());
            Box::pin(async move {
                check(conn, &watched).await?;
                let keep = sqlx::query(sql::KEEP_TROUBLE).bind(watched.source.as_str()).bind(&watched.folder);
                let keep = keep.bind(trouble).bind(now.0).execute(conn).await;
                keep.map_err(failed("keep why a folder is not read"))?;
                Ok(())
            })
        });
        kept.await
    }
}

fn folder(row: FolderRow) -> Result<FolderState, StoreError> {
    let (folder, validity, last_uid, news_from, not_before, looked_at, trouble, since) = row;
    let small = |number: i64, row: &str| {
        let corrupt = |_| StoreError::Corrupt {
            table: "watched_folders",
            row: row.to_owned(),
            why: "a UID and its validity are numbers of 32 bits",
        };
        u32::try_from(number).map_err(corrupt)
    };
    let place = match validity {
        Some(validity) => Some(Place {
            uid_validity: small(validity, &folder)?,
            last_uid: small(last_uid, &folder)?,
            news_from: small(news_from, &folder)?,
            not_before: UnixMillis(not_before),
        }),
        None => None,
    };
    let trouble = trouble.zip(since.map(UnixMillis));
    Ok(FolderState { folder, place, looked_at: looked_at.map(UnixMillis), trouble })
}

/// That the term and the source are still those in which the folder is read.
async fn check(conn: &mut SqliteConnection, watched: &Watched) -> Result<(), StoreError> {
    let here = sqlx::query_scalar::<_, i64>(sql::SOURCE_IS).bind(watched.source.as_str()).bind(watched.added_at.0);
    let here = here.fetch_optional(&mut *conn).await.map_err(failed("look a source up"))?;
    if here.is_some() && term::epoch(conn).await? == watched.epoch {
        return Ok(());
    }
    Err(StoreError::Refused(Refusal::Superseded))
}

/// Whether the identity is new.
async fn add_identity(
    conn: &mut SqliteConnection,
    source: &SourceName,
    identity: &Identity,
) -> Result<bool, StoreError> {
    let add = sqlx::query(sql::ADD_ID).bind(source.as_str()).bind(identity.to_vec()).execute(conn).await;
    Ok(add.map_err(failed("remember a message"))?.rows_affected() > 0)
}

/// The thread that a message belongs to: that of one that it answers, in its mailbox, or one of its own.
async fn thread_of(conn: &mut SqliteConnection, new: &NewMessage) -> Result<ThreadId, StoreError> {
    for ancestor in &new.ancestors {
        let find = sqlx::query_scalar::<_, String>(sql::THREAD_OF).bind(ancestor).bind(&new.mailbox);
        let found = find.fetch_optional(&mut *conn).await.map_err(failed("find a message's thread"))?;
        if let Some(thread) = found {
            return Ok(ThreadId::new(thread));
        }
    }
    Ok(new.thread_id.clone())
}

/// Keeps a message under this id and in this thread.
async fn add(
    conn: &mut SqliteConnection,
    source: &SourceName,
    (id, thread): (&MessageId, &ThreadId),
    new: &NewMessage,
) -> Result<(), StoreError> {
    let row: i64 = sqlx::query_scalar(sql::ADD_MESSAGE)
        .bind(id.as_str())
        .bind(source.as_str())
        .bind(&new.mailbox)
        .bind(thread.as_str())
        .bind(new.internet_id.as_deref())
        .bind(new.received_at.0)
        .bind(new.report)
        .bind(serde_json::to_string(&new.fields).expect("texts and numbers make JSON"))
        .bind(&new.content.body)
        .bind(new.content.reply.as_deref())
        .bind(new.with_id.as_deref())
        .bind(new.whole)
        .fetch_one(&mut *conn)
        .await
        .map_err(failed("keep a message"))?;
    for (place, bytes) in &new.content.files {
        add_file(conn, row, *place, bytes).await?;
    }
    Ok(())
}

async fn add_file(conn: &mut SqliteConnection, row: i64, place: usize, bytes: &[u8]) -> Result<(), StoreError> {
    let place = i64::try_from(place).unwrap_or(i64::MAX);
    let add = sqlx::query(sql::ADD_FILE).bind(row).bind(place).bind(bytes).execute(conn).await;
    add.map_err(failed("keep a file of a message"))?;
    Ok(())
}

async fn keep_place(conn: &mut SqliteConnection, haul: &Haul) -> Result<(), StoreError> {
    let Haul { watched, place, now, .. } = haul;
    let keep = sqlx::query(sql::KEEP_PLACE)
        .bind(watched.source.as_str())
        .bind(&watched.folder)
        .bind(i64::from(place.uid_validity))
        .bind(i64::from(place.last_uid))
        .bind(i64::from(place.news_from))
        .bind(place.not_before.0)
        .bind(now.0);
    keep.execute(conn).await.map_err(failed("keep how far a folder is read"))?;
    Ok(())
}
