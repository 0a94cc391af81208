//! The keys of the API, as rows.

use async_trait::async_trait;
use sqlx::{Row as _, sqlite::SqliteRow};

use super::MailStore;
use crate::{
    domain::{clock::UnixMillis, key::ApiKey},
    store::{
        StoreError, failed,
        keys::{ApiKeys, TokenHash},
    },
};

fn key(row: &SqliteRow) -> Result<ApiKey, StoreError> {
    let name: String = row.get("name");
    let scopes = row.get::<&str, _>("scopes").split_ascii_whitespace().map(str::parse).collect::<Result<_, _>>();
    let scopes = scopes.map_err(|_| StoreError::Corrupt {
        table: "api_key",
        row: name.clone(),
        why: "it has a scope that is none",
    })?;
    Ok(ApiKey { name, scopes, created_at: UnixMillis(row.get("created_at")) })
}

#[async_trait]
impl ApiKeys for MailStore {
    async fn put_key(&self, key: &ApiKey, hash: &TokenHash) -> Result<(), StoreError> {
        let (key, hash) = (key.clone(), hash.to_vec());
        let write = self.database.writer.write(move |conn| {
            let (key, hash) = (key.clone(), hash.clone());
            Box::pin(async move {
                let scopes: Vec<_> = key.scopes.iter().map(|scope| scope.as_str()).collect();
                sqlx::query(
                    "INSERT INTO api_key (name, hash, scopes, created_at) VALUES (?1, ?2, ?3, ?4)
                     ON CONFLICT (name) DO UPDATE SET hash = ?2, scopes = ?3, created_at = ?4",
                )
                .bind(key.name)
                .bind(hash)
                .bind(scopes.join(" "))
                .bind(key.created_at.0)
                .execute(conn)
                .await
                .map_err(failed("store an API key"))?;
                Ok(())
            })
        });
        write.await
    }

    async fn key_of(&self, hash: &TokenHash) -> Result<Option<ApiKey>, StoreError> {
        sqlx::query("SELECT name, scopes, created_at FROM api_key WHERE hash = ?1")
            .bind(hash.as_slice())
            .fetch_optional(&self.database.readers)
            .await
            .map_err(failed("look an API key up"))?
            .map(|row| key(&row))
            .transpose()
    }

    async fn keys(&self) -> Result<Vec<ApiKey>, StoreError> {
        let rows = sqlx::query("SELECT name, scopes, created_at FROM api_key ORDER BY name")
            .fetch_all(&self.database.readers)
            .await
            .map_err(failed("list the API keys"))?;
        rows.iter().map(key).collect()
    }

    async fn remove_key(&self, name: &str) -> Result<bool, StoreError> {
        let name = name.to_owned();
        let write = self.database.writer.write(move |conn| {
            let name = name.clone();
            Box::pin(async move {
                let done = sqlx::query("DELETE FROM api_key WHERE name = ?1")
                    .bind(name)
                    .execute(conn)
                    .await
                    .map_err(failed("remove an API key"))?;
                Ok(done.rows_affected() > 0)
            })
        });
        write.await
    }
}
