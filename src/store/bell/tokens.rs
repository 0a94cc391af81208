//! Tokens, as rows with hashes.

use std::collections::{BTreeSet, HashMap};

use async_trait::async_trait;
use serde_json::json;
use sqlx::SqliteConnection;

use super::{BellStore, audit::Auditor, settle::tell_taken_back, sql};
use crate::{
    domain::{
        clock::UnixMillis,
        grant::{Grant, Mailboxes, May},
    },
    store::{
        StoreError,
        audit::Entry,
        failed,
        readers::Readers,
        tokens::{Listed, Made, Principal, TOKENS_MAX, TokenHash, TokenScope, Tokens},
    },
};

#[async_trait]
impl Tokens for BellStore {
    async fn put_token(&self, principal: &Principal, hash: TokenHash, now: UnixMillis) -> Result<(), StoreError> {
        let (principal, auditor) = (principal.clone(), self.auditor.clone());
        self.database
            .writer
            .write(move |conn| {
                let (principal, auditor) = (principal.clone(), auditor.clone());
                Box::pin(async move {
                    let Principal { name, scope, .. } = principal;
                    let put = sqlx::query(sql::tokens::PUT_TOKEN)
                        .bind(name)
                        .bind(scope.as_str())
                        .bind(hash.to_vec())
                        .bind(now.0);
                    put.execute(&mut *conn).await.map_err(failed("keep a token"))?;
                    // The agents' own is put back at every start.
                    if scope == TokenScope::Operator {
                        let entry = Entry::Operator { command: "token operator", about: json!({}) };
                        auditor.record(conn, now, &entry).await?;
                    }
                    Ok(())
                })
            })
            .await
    }

    async fn has_token(&self, name: &str) -> Result<bool, StoreError> {
        let found: Option<i64> = sqlx::query_scalar(sql::tokens::HAS_TOKEN)
            .bind(name)
            .fetch_optional(&self.database.readers)
            .await
            .map_err(failed("look for a token"))?;
        Ok(found.is_some())
    }

    async fn add_token(&self, name: &str, grant: &Grant, hash: TokenHash, now: UnixMillis) -> Result<Made, StoreError> {
        let (name, grant, auditor) = (name.to_owned(), grant.clone(), self.auditor.clone());
        self.database
            .writer
            .write(move |conn| {
                let (name, grant, auditor) = (name.clone(), grant.clone(), auditor.clone());
                Box::pin(async move {
                    let count: i64 = sqlx::query_scalar(sql::tokens::COUNT_TOKENS)
                        .fetch_one(&mut *conn)
                        .await
                        .map_err(failed("count the tokens"))?;
                    if count >= TOKENS_MAX {
                        return Ok(Made::TooMany);
                    }
                    let add = sqlx::query(sql::tokens::ADD_TOKEN)
                        .bind(&name)
                        .bind(hash.to_vec())
                        .bind(now.0)
                        .bind(grant.may.as_str())
                        .bind(grant.mailboxes.named().map(|named| named.join(" ")))
                        .bind(grant.human_present)
                        .bind(grant.expires_at.map(|at| at.0));
                    if add.execute(&mut *conn).await.map_err(failed("keep a token"))?.rows_affected() == 0 {
                        return Ok(Made::Exists);
                    }
                    let about = json!({ "name": name, "grant": grant });
                    auditor.record(conn, now, &Entry::Operator { command: "token create", about }).await?;
                    Ok(Made::Made)
                })
            })
            .await
    }

    async fn tokens(&self) -> Result<Vec<Listed>, StoreError> {
        let rows: Vec<Row> = sqlx::query_as(sql::tokens::TOKENS)
            .fetch_all(&self.database.readers)
            .await
            .map_err(failed("list the tokens"))?;
        rows.into_iter().map(Row::listed).collect()
    }

    async fn token_hashes(&self) -> Result<HashMap<TokenHash, Option<UnixMillis>>, StoreError> {
        let rows: Vec<(Vec<u8>, Option<i64>)> = sqlx::query_as(sql::tokens::TOKEN_HASHES)
            .fetch_all(&self.database.readers)
            .await
            .map_err(failed("look the tokens up"))?;
        let hash = |(hash, ends): (Vec<u8>, Option<i64>)| Some((hash.try_into().ok()?, ends.map(UnixMillis)));
        Ok(rows.into_iter().filter_map(hash).collect())
    }

    async fn revoke_token(&self, name: &str, now: UnixMillis) -> Result<bool, StoreError> {
        let (name, auditor) = (name.to_owned(), self.auditor.clone());
        self.database
            .writer
            .write(move |conn| {
                let (name, auditor) = (name.clone(), auditor.clone());
                Box::pin(async move {
                    let gone = sqlx::query(sql::tokens::REMOVE_TOKEN).bind(&name).execute(&mut *conn).await;
                    if gone.map_err(failed("revoke a token"))?.rows_affected() == 0 {
                        return Ok(false);
                    }
                    let entry = Entry::Operator { command: "token revoke", about: json!({ "name": name }) };
                    auditor.record(conn, now, &entry).await?;
                    free_of(conn, &auditor, &name, now).await?;
                    Ok(true)
                })
            })
            .await
    }

    async fn free_leases_of(&self, name: &str, now: UnixMillis) -> Result<(), StoreError> {
        let (name, auditor) = (name.to_owned(), self.auditor.clone());
        let freed = self.database.writer.write(move |conn| {
            let (name, auditor) = (name.clone(), auditor.clone());
            Box::pin(async move { free_of(conn, &auditor, &name, now).await })
        });
        freed.await
    }

    async fn principal(&self, hash: TokenHash) -> Result<Option<Principal>, StoreError> {
        let readers = self.database.readers.clone();
        self.looks.bearers.ask(hash, move |hashes| async move { bearers(&readers, hashes).await }).await?
    }
}

/// Whom tokens stand for, in their order.
async fn bearers(
    readers: &Readers,
    hashes: Vec<TokenHash>,
) -> Result<Vec<Result<Option<Principal>, StoreError>>, StoreError> {
    // Most calls that come together are one agent's, or a few agents'.
    let asked = json!(hashes.iter().map(hex::encode).collect::<BTreeSet<_>>()).to_string();
    let rows: Vec<Bearer> = sqlx::query_as(sql::tokens::PRINCIPALS)
        .bind(asked)
        .fetch_all(readers)
        .await
        .map_err(failed("look for a token"))?;
    let found: HashMap<Vec<u8>, _> = rows
        .into_iter()
        .map(|Bearer { sha256, row }| {
            let principal = row.listed().map(|Listed { name, scope, grant, .. }| Principal { name, scope, grant });
            (sha256, principal)
        })
        .collect();
    // A row that cannot be read is its own bearer's trouble.
    Ok(hashes.iter().map(|hash| found.get(hash.as_slice()).cloned().transpose()).collect())
}

async fn free_of(
    conn: &mut SqliteConnection,
    auditor: &Auditor,
    name: &str,
    now: UnixMillis,
) -> Result<(), StoreError> {
    let freed: Vec<(i64, i64)> = sqlx::query_as(sql::claims::FREE_OF_PRINCIPAL)
        .bind(name)
        .bind(name)
        .fetch_all(&mut *conn)
        .await
        .map_err(failed("give back what a token held"))?;
    tell_taken_back(conn, auditor, freed, "its token was revoked", now).await
}

/// A token's row, with its hash.
#[derive(sqlx::FromRow)]
struct Bearer {
    sha256: Vec<u8>,
    #[sqlx(flatten)]
    row: Row,
}

/// A token's row.
#[derive(sqlx::FromRow)]
struct Row {
    name: String,
    scope: String,
    may: String,
    mailboxes: Option<String>,
    human_present: bool,
    expires_at: Option<i64>,
    created_at: i64,
}

impl Row {
    fn listed(self) -> Result<Listed, StoreError> {
        let corrupt = |why| StoreError::Corrupt { table: "tokens", row: self.name.clone(), why };
        let scope = [TokenScope::Mcp, TokenScope::Operator]
            .into_iter()
            .find(|known| known.as_str() == self.scope)
            .ok_or_else(|| corrupt("its scope is unknown"))?;
        let may = [May::Read, May::Act]
            .into_iter()
            .find(|known| known.as_str() == self.may)
            .ok_or_else(|| corrupt("what it may is unknown"))?;
        let mailboxes = match &self.mailboxes {
            None => Mailboxes::all(),
            Some(named) if named.is_empty() => return Err(corrupt("it names no mailbox")),
            Some(named) => Mailboxes::only(named.split(' ').map(str::to_owned).collect()),
        };
        let expires_at = self.expires_at.map(UnixMillis);
        let grant = Grant { may, mailboxes, human_present: self.human_present, expires_at };
        Ok(Listed { name: self.name, scope, grant, created_at: UnixMillis(self.created_at) })
    }
}
