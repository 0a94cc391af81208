//! The keys of the API, as rows.

use std::collections::{BTreeSet, HashMap};

use async_trait::async_trait;
use sqlx::{Row as _, sqlite::SqliteRow};

use super::MailStore;
use crate::{
    domain::{clock::UnixMillis, key::ApiKey},
    store::{
        StoreError, failed,
        keys::{ApiKeys, KeyAdded, TokenHash},
        readers::Readers,
    },
};

/// Those with the hashes of a JSON list.
const OF: &str = "SELECT hash, id, prefix, name, scopes, created_at FROM api_key
                  WHERE hash IN (SELECT unhex(value) FROM json_each(?1))";

fn key(row: &SqliteRow) -> Result<ApiKey, StoreError> {
    let name: String = row.get("name");
    let scopes = row.get::<&str, _>("scopes").split_ascii_whitespace().map(str::parse).collect::<Result<_, _>>();
    let scopes = scopes.map_err(|_| StoreError::Corrupt {
        table: "api_key",
        row: name.clone(),
        why: "it has a scope that is none",
    })?;
    Ok(ApiKey {
        id: row.get("id"),
        prefix: row.get("prefix"),
        name,
        scopes,
        created_at: UnixMillis(row.get("created_at")),
    })
}

fn words(key: &ApiKey) -> String {
    let scopes: Vec<_> = key.scopes.iter().map(|scope| scope.as_str()).collect();
    scopes.join(" ")
}

/// The keys of these hashes, in their order.
async fn keys_of(
    readers: &Readers,
    hashes: Vec<TokenHash>,
) -> Result<Vec<Result<Option<ApiKey>, StoreError>>, StoreError> {
    let asked = serde_json::json!(hashes.iter().map(hex::encode).collect::<BTreeSet<_>>()).to_string();
    let rows = sqlx::query(OF).bind(asked).fetch_all(readers).await.map_err(failed("look an API key up"))?;
    let found: HashMap<&[u8], &SqliteRow> = rows.iter().map(|row| (row.get("hash"), row)).collect();
    Ok(hashes.iter().map(|hash| found.get(hash.as_slice()).map(|row| key(row)).transpose()).collect())
}

#[async_trait]
impl ApiKeys for MailStore {
    async fn put_key(&self, key: &ApiKey, hash: &TokenHash) -> Result<(), StoreError> {
        let (key, hash) = (key.clone(), hash.to_vec());
        let write = self.database.writer.write(move |conn| {
            let (key, hash) = (key.clone(), hash.clone());
            Box::pin(async move {
                sqlx::query(
                    "INSERT INTO api_key (name, hash, scopes, created_at, id, prefix) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
                     ON CONFLICT (name) DO UPDATE SET hash = ?2, scopes = ?3, created_at = ?4, prefix = ?6",
                )
                .bind(&key.name)
                .bind(hash)
                .bind(words(&key))
                .bind(key.created_at.0)
                .bind(&key.id)
                .bind(&key.prefix)
                .execute(conn)
                .await
                .map_err(failed("store an API key"))?;
                Ok(())
            })
        });
        write.await
    }

    async fn add_key(&self, key: &ApiKey, hash: &TokenHash, most: u32) -> Result<KeyAdded, StoreError> {
        let (key, hash) = (key.clone(), hash.to_vec());
        let write = self.database.writer.write(move |conn| {
            let (key, hash) = (key.clone(), hash.clone());
            Box::pin(async move {
                let count = sqlx::query_scalar("SELECT count(*) FROM api_key").fetch_one(&mut *conn).await;
                let count: u32 = count.map_err(failed("count the API keys"))?;
                if count >= most {
                    return Ok(KeyAdded::Full);
                }
                let added = sqlx::query(
                    "INSERT INTO api_key (name, hash, scopes, created_at, id, prefix) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
                     ON CONFLICT (name) DO NOTHING",
                )
                .bind(&key.name)
                .bind(hash)
                .bind(words(&key))
                .bind(key.created_at.0)
                .bind(&key.id)
                .bind(&key.prefix)
                .execute(conn)
                .await
                .map_err(failed("add an API key"))?;
                Ok(if added.rows_affected() == 1 { KeyAdded::Done } else { KeyAdded::NameTaken })
            })
        });
        write.await
    }

    async fn change_key(&self, key: &ApiKey) -> Result<KeyAdded, StoreError> {
        let key = key.clone();
        let write = self.database.writer.write(move |conn| {
            let key = key.clone();
            Box::pin(async move {
                let changed = sqlx::query("UPDATE OR IGNORE api_key SET name = ?2, scopes = ?3 WHERE id = ?1")
                    .bind(&key.id)
                    .bind(&key.name)
                    .bind(words(&key))
                    .execute(conn)
                    .await
                    .map_err(failed("change an API key"))?;
                Ok(if changed.rows_affected() == 1 { KeyAdded::Done } else { KeyAdded::NameTaken })
            })
        });
        write.await
    }

    async fn key_of(&self, hash: &TokenHash) -> Result<Option<ApiKey>, StoreError> {
        let readers = self.database.readers.clone();
        self.looks.keys.ask(*hash, move |hashes| async move { keys_of(&readers, hashes).await }).await?
    }

    async fn keys(&self) -> Result<Vec<ApiKey>, StoreError> {
        let rows = sqlx::query("SELECT id, prefix, name, scopes, created_at FROM api_key ORDER BY name")
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
