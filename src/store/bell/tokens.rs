//! Tokens, as rows with hashes.

use async_trait::async_trait;

use super::{BellStore, sql};
use crate::{
    domain::clock::UnixMillis,
    store::{
        StoreError, failed,
        tokens::{Principal, TokenHash, TokenScope, Tokens},
    },
};

#[async_trait]
impl Tokens for BellStore {
    async fn put_token(&self, principal: &Principal, hash: TokenHash, now: UnixMillis) -> Result<(), StoreError> {
        let Principal { name, scope } = principal.clone();
        self.database
            .writer
            .write(move |conn| {
                let name = name.clone();
                Box::pin(async move {
                    let put =
                        sqlx::query(sql::PUT_TOKEN).bind(name).bind(scope.as_str()).bind(hash.to_vec()).bind(now.0);
                    put.execute(conn).await.map_err(failed("keep a token")).map(drop)
                })
            })
            .await
    }

    async fn has_token(&self, name: &str) -> Result<bool, StoreError> {
        let found: Option<i64> = sqlx::query_scalar(sql::HAS_TOKEN)
            .bind(name)
            .fetch_optional(&self.database.readers)
            .await
            .map_err(failed("look for a token"))?;
        Ok(found.is_some())
    }

    async fn principal(&self, hash: TokenHash) -> Result<Option<Principal>, StoreError> {
        let found: Option<(String, String)> = sqlx::query_as(sql::PRINCIPAL)
            .bind(hash.to_vec())
            .fetch_optional(&self.database.readers)
            .await
            .map_err(failed("look for a token"))?;
        let Some((name, scope)) = found else { return Ok(None) };
        let scope = [TokenScope::Mcp, TokenScope::Operator]
            .into_iter()
            .find(|known| known.as_str() == scope)
            .ok_or_else(|| StoreError::Corrupt { table: "tokens", row: name.clone(), why: "its scope is unknown" })?;
        Ok(Some(Principal { name, scope }))
    }
}
