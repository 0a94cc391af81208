//! Sources and their secrets, as rows.

use async_trait::async_trait;
use sqlx::SqliteConnection;

use super::{BellStore, sql};
use crate::{
    domain::{
        clock::UnixMillis,
        id::{SourceName, WebhookId},
        secret::Secret,
    },
    store::{
        StoreError, failed,
        sources::{SECRETS_PER_SOURCE_MAX, Source, SourceError, Sources},
    },
};

#[async_trait]
impl Sources for BellStore {
    async fn add_source(
        &self,
        name: &SourceName,
        dialect: &str,
        secret: Option<&Secret>,
        now: UnixMillis,
    ) -> Result<(), SourceError> {
        let (name, dialect, secret) = (name.clone(), dialect.to_owned(), secret.cloned());
        self.change(move |conn| {
            let (name, dialect, secret) = (name.clone(), dialect.clone(), secret.clone());
            Box::pin(async move {
                // Checked first: a refusal must leave nothing of this piece in a transaction that others share.
                if let Some(secret) = &secret
                    && let Some(refused) = secret_refused(conn, &name, secret).await?
                {
                    return Ok(Err(refused));
                }
                let add = sqlx::query(sql::sources::ADD_SOURCE).bind(name.as_str()).bind(dialect).bind(now.0);
                let added = add.execute(&mut *conn).await.map_err(failed("add a source"))?;
                if added.rows_affected() == 0 {
                    return Ok(Err(SourceError::Exists(name)));
                }
                if let Some(secret) = &secret {
                    insert_secret(conn, &name, secret, None, now).await?;
                }
                raise_version(conn).await.map(Ok)
            })
        })
        .await
    }

    async fn add_secret(
        &self,
        name: &SourceName,
        secret: &Secret,
        webhook: Option<&WebhookId>,
        now: UnixMillis,
    ) -> Result<(), SourceError> {
        let (name, secret, webhook) = (name.clone(), secret.clone(), webhook.cloned());
        self.change(move |conn| {
            let (name, secret, webhook) = (name.clone(), secret.clone(), webhook.clone());
            Box::pin(async move {
                if read(conn, &name).await?.is_none() {
                    return Ok(Err(SourceError::Unknown(name)));
                }
                if let Some(refused) = secret_refused(conn, &name, &secret).await? {
                    return Ok(Err(refused));
                }
                insert_secret(conn, &name, &secret, webhook.as_ref(), now).await?;
                raise_version(conn).await.map(Ok)
            })
        })
        .await
    }

    async fn retire_secrets(&self, name: &SourceName, until: UnixMillis, now: UnixMillis) -> Result<(), SourceError> {
        let name = name.clone();
        self.change(move |conn| {
            let name = name.clone();
            Box::pin(async move {
                if read(conn, &name).await?.is_none() {
                    return Ok(Err(SourceError::Unknown(name)));
                }
                let rows = rows(conn, &name).await?;
                let retiring = rows.iter().filter(|row| row.webhook.is_none());
                let sooner = retiring.map(|row| (row.id, Some(row.until.map_or(until, |at| at.min(until)))));
                end_secrets(conn, &name, sooner.collect(), now).await?;
                raise_version(conn).await.map(Ok)
            })
        })
        .await
    }

    async fn set_api_key(&self, name: &SourceName, key: Option<&Secret>) -> Result<(), SourceError> {
        self.set(sql::sources::SET_API_KEY, name, key.map(|key| key.expose().to_owned())).await
    }

    async fn set_up(&self, name: &SourceName, settings: &str) -> Result<(), SourceError> {
        self.set(sql::sources::SET_UP_SOURCE, name, Some(settings.to_owned())).await
    }

    async fn has_secret_of(&self, webhook: &WebhookId) -> Result<bool, StoreError> {
        let found = sqlx::query_scalar::<_, i64>(sql::sources::HAS_SECRET_OF).bind(webhook.as_str());
        let found = found.fetch_optional(&self.database.readers).await;
        Ok(found.map_err(failed("look for the secret of a webhook"))?.is_some())
    }

    async fn remove_secret_of(&self, webhook: &WebhookId) -> Result<bool, StoreError> {
        self.remove(sql::sources::REMOVE_SECRET_OF, webhook.as_str().to_owned()).await
    }

    async fn remove_secret(&self, name: &SourceName, secret: &Secret) -> Result<bool, StoreError> {
        let (name, secret) = (name.clone(), secret.clone());
        let write = self.database.writer.write(move |conn| {
            let (name, secret) = (name.clone(), secret.clone());
            Box::pin(async move {
                let gone = sqlx::query(sql::sources::REMOVE_SECRET).bind(name.as_str()).bind(secret.expose());
                let gone = gone.execute(&mut *conn).await.map_err(failed("remove a secret"))?.rows_affected() > 0;
                if gone {
                    raise_version(conn).await?;
                }
                Ok(gone)
            })
        });
        write.await
    }

    async fn settle_secrets(
        &self,
        name: &SourceName,
        live: &[(Secret, Option<UnixMillis>)],
        prefix: &'static str,
        now: UnixMillis,
    ) -> Result<(), SourceError> {
        let mut conn = self.database.readers.acquire().await.map_err(failed("read a source"))?;
        read(&mut conn, name).await?.ok_or_else(|| SourceError::Unknown(name.clone()))?;
        let known = rows(&mut conn, name).await?;
        let kept = live.iter().all(|(secret, _)| known.iter().any(|row| row.secret == secret.expose()));
        if kept && settled(&known, live, prefix, now).is_empty() {
            // As nearly always: nothing to write.
            return Ok(());
        }
        drop(conn);
        let (name, live) = (name.clone(), live.to_vec());
        self.change(move |conn| {
            let (name, live) = (name.clone(), live.clone());
            Box::pin(async move {
                let known = rows(conn, &name).await?;
                end_secrets(conn, &name, settled(&known, &live, prefix, now), now).await?;
                for (secret, until) in live.iter().rev() {
                    if secrets(conn, name.as_str()).await?.iter().any(|(one, _)| one == secret.expose()) {
                        continue;
                    }
                    if let Some(refused) = secret_refused(conn, &name, secret).await? {
                        // What was done before it holds in any case.
                        raise_version(conn).await?;
                        return Ok(Err(refused));
                    }
                    insert_secret(conn, &name, secret, None, now).await?;
                    if until.is_some() {
                        let added = rows(conn, &name).await?.into_iter().filter(|row| row.secret == secret.expose());
                        end_secrets(conn, &name, added.map(|row| (row.id, *until)).collect(), now).await?;
                    }
                }
                raise_version(conn).await.map(Ok)
            })
        })
        .await
    }

    async fn remove_source(&self, name: &SourceName) -> Result<bool, StoreError> {
        self.remove(sql::sources::REMOVE_SOURCE, name.as_str().to_owned()).await
    }

    async fn source(&self, name: &SourceName) -> Result<Option<Source>, StoreError> {
        let mut conn = self.database.readers.acquire().await.map_err(failed("read a source"))?;
        read(&mut conn, name).await
    }

    async fn sources(&self) -> Result<Vec<Source>, StoreError> {
        let mut conn = self.database.readers.acquire().await.map_err(failed("read the sources"))?;
        let rows: Vec<SourceRow> =
            sqlx::query_as(sql::sources::SOURCES).fetch_all(&mut *conn).await.map_err(failed("read the sources"))?;
        let mut sources = Vec::with_capacity(rows.len());
        for row in rows {
            sources.push(with_secrets(&mut conn, row).await?);
        }
        Ok(sources)
    }

    async fn version(&self) -> Result<i64, StoreError> {
        let version = sqlx::query_scalar(sql::sources::ROSTER_VERSION).fetch_one(&self.database.readers).await;
        version.map_err(failed("read whether the sources changed"))
    }
}

impl BellStore {
    async fn change<F>(&self, work: F) -> Result<(), SourceError>
    where
        F: for<'c> FnMut(
                &'c mut SqliteConnection,
            ) -> futures::future::BoxFuture<'c, Result<Result<(), SourceError>, StoreError>>
            + Send
            + 'static,
    {
        self.database.writer.write(work).await?
    }

    async fn set(&self, statement: &'static str, name: &SourceName, to: Option<String>) -> Result<(), SourceError> {
        let name = name.clone();
        self.change(move |conn| {
            let (name, to) = (name.clone(), to.clone());
            Box::pin(async move {
                let set = sqlx::query(statement).bind(to).bind(name.as_str());
                let set = set.execute(&mut *conn).await.map_err(failed("set a source up"))?;
                if set.rows_affected() == 0 {
                    return Ok(Err(SourceError::Unknown(name)));
                }
                raise_version(conn).await.map(Ok)
            })
        })
        .await
    }

    async fn remove(&self, statement: &'static str, key: String) -> Result<bool, StoreError> {
        let removed = self.database.writer.write(move |conn| {
            let key = key.clone();
            Box::pin(async move {
                let gone = sqlx::query(statement).bind(key).execute(&mut *conn).await;
                let gone = gone.map_err(failed("remove a source or its secret"))?.rows_affected() > 0;
                if gone {
                    raise_version(conn).await?;
                }
                Ok(gone)
            })
        });
        removed.await
    }
}

/// Name, dialect, created at, settings, API key.
type SourceRow = (String, String, i64, String, Option<String>);

async fn read(conn: &mut SqliteConnection, name: &SourceName) -> Result<Option<Source>, StoreError> {
    let row: Option<SourceRow> = sqlx::query_as(sql::sources::SOURCE)
        .bind(name.as_str())
        .fetch_optional(&mut *conn)
        .await
        .map_err(failed("read a source"))?;
    match row {
        Some(row) => with_secrets(conn, row).await.map(Some),
        None => Ok(None),
    }
}

async fn with_secrets(
    conn: &mut SqliteConnection,
    (name, dialect, created_at, settings, api_key): SourceRow,
) -> Result<Source, StoreError> {
    let (mut lasting, mut retiring) = (Vec::new(), Vec::new());
    for (secret, expires_at) in secrets(conn, &name).await? {
        match expires_at {
            None => lasting.push(Secret::new(secret)),
            Some(at) => retiring.push((Secret::new(secret), UnixMillis(at))),
        }
    }
    let (name, created_at) = (SourceName::new(name), UnixMillis(created_at));
    let api_key = api_key.map(Secret::new);
    Ok(Source { name, dialect, secrets: lasting, retiring, api_key, settings, created_at })
}

/// The secrets of a source, the newest first, each once, with the moment it ends.
async fn secrets(conn: &mut SqliteConnection, source: &str) -> Result<Vec<(String, Option<i64>)>, StoreError> {
    let all: Vec<(String, Option<i64>)> =
        sqlx::query_as(sql::sources::SECRETS).bind(source).fetch_all(conn).await.map_err(failed("read secrets"))?;
    let mut once: Vec<(String, Option<i64>)> = Vec::with_capacity(all.len());
    for (secret, expires_at) in all {
        if !once.iter().any(|(known, _)| *known == secret) {
            once.push((secret, expires_at));
        }
    }
    Ok(once)
}

/// A secret, as a row.
struct SecretRow {
    id: i64,
    secret: String,
    webhook: Option<String>,
    until: Option<UnixMillis>,
}

async fn rows(conn: &mut SqliteConnection, source: &SourceName) -> Result<Vec<SecretRow>, StoreError> {
    let rows: Vec<(i64, String, Option<String>, Option<i64>)> = sqlx::query_as(sql::sources::SECRETS_WITH_TIES)
        .bind(source.as_str())
        .fetch_all(conn)
        .await
        .map_err(failed("read secrets"))?;
    let row = |(id, secret, webhook, until): (_, _, _, Option<i64>)| SecretRow {
        id,
        secret,
        webhook,
        until: until.map(UnixMillis),
    };
    Ok(rows.into_iter().map(row).collect())
}

/// Until when secrets vouch where `live` are those that are signed with, by row: of those alone that say otherwise now.
fn settled(
    rows: &[SecretRow],
    live: &[(Secret, Option<UnixMillis>)],
    prefix: &str,
    now: UnixMillis,
) -> Vec<(i64, Option<UnixMillis>)> {
    // The longest of them, where several webhooks are signed with the same.
    let end_of = |secret: &str| {
        let ends = live.iter().filter(|(one, _)| one.expose() == secret).map(|(_, until)| *until);
        ends.reduce(|one, other| one.zip(other).map(|(one, other)| one.max(other)))
    };
    let newest = rows.iter().filter(|row| end_of(&row.secret).is_some()).map(|row| row.id).max().unwrap_or(0);
    let ours = rows.iter().filter(|row| row.webhook.is_none() && row.secret.starts_with(prefix));
    let ends = ours.filter_map(|row| match end_of(&row.secret) {
        Some(until) => (until != row.until).then_some((row.id, until)),
        None => (row.id < newest).then_some((row.id, Some(now))),
    });
    ends.collect()
}

/// Has secrets vouch until then, by row, and removes those whose time is over. A secret ends in no other way by itself.
async fn end_secrets(
    conn: &mut SqliteConnection,
    source: &SourceName,
    ends: Vec<(i64, Option<UnixMillis>)>,
    now: UnixMillis,
) -> Result<(), StoreError> {
    for (id, until) in ends {
        let end = sqlx::query(sql::sources::END_SECRET).bind(until.map(|until| until.0)).bind(id);
        end.execute(&mut *conn).await.map_err(failed("let a secret end"))?;
    }
    let remove = sqlx::query(sql::sources::REMOVE_EXPIRED).bind(source.as_str()).bind(now.0);
    remove.execute(conn).await.map_err(failed("remove ended secrets"))?;
    Ok(())
}

/// Why `secret` may not be added to the source, if so. Two webhooks of one source may share a secret.
async fn secret_refused(
    conn: &mut SqliteConnection,
    source: &SourceName,
    secret: &Secret,
) -> Result<Option<SourceError>, StoreError> {
    let elsewhere: Option<String> = sqlx::query_scalar(sql::sources::SECRET_ELSEWHERE)
        .bind(secret.expose())
        .bind(source.as_str())
        .fetch_optional(&mut *conn)
        .await
        .map_err(failed("look for the secret elsewhere"))?;
    if let Some(other) = elsewhere {
        return Ok(Some(SourceError::SecretInUse(SourceName::new(other))));
    }
    let live = secrets(conn, source.as_str()).await?;
    let full = live.len() >= SECRETS_PER_SOURCE_MAX && !live.iter().any(|(one, _)| one == secret.expose());
    Ok(full.then(|| SourceError::TooManySecrets(source.clone())))
}

async fn insert_secret(
    conn: &mut SqliteConnection,
    source: &SourceName,
    secret: &Secret,
    webhook: Option<&WebhookId>,
    now: UnixMillis,
) -> Result<(), StoreError> {
    let add = sqlx::query(sql::sources::ADD_SECRET)
        .bind(source.as_str())
        .bind(secret.expose())
        .bind(webhook.map(WebhookId::as_str))
        .bind(now.0);
    add.execute(conn).await.map_err(failed("add a secret"))?;
    Ok(())
}

async fn raise_version(conn: &mut SqliteConnection) -> Result<(), StoreError> {
    sqlx::query(sql::sources::RAISE_ROSTER_VERSION)
        .execute(conn)
        .await
        .map_err(failed("tell that the sources changed"))?;
    Ok(())
}
