//! What sources sent and what of it was refused, as rows.

use async_trait::async_trait;

use super::{BellStore, sql};
use crate::{
    domain::{clock::UnixMillis, id::SourceName},
    store::{
        StoreError, failed,
        sources::{History, Records},
    },
};

#[async_trait]
impl Records for BellStore {
    async fn spend(
        &self,
        name: &SourceName,
        token: &str,
        told: [u8; 32],
        now: UnixMillis,
        forget_before: UnixMillis,
    ) -> Result<bool, StoreError> {
        let (name, token) = (name.as_str().to_owned(), token.to_owned());
        let spent = self.database.writer.write(move |conn| {
            let (name, token) = (name.clone(), token.clone());
            Box::pin(async move {
                let forget = sqlx::query(sql::sources::FORGET_TOKENS).bind(forget_before.0);
                forget.execute(&mut *conn).await.map_err(failed("forget old tokens"))?;
                let spend =
                    sqlx::query(sql::sources::SPEND_TOKEN).bind(&name).bind(&token).bind(told.to_vec()).bind(now.0);
                spend.execute(&mut *conn).await.map_err(failed("take a token as used"))?;
                let on = sqlx::query_scalar::<_, Vec<u8>>(sql::sources::SPENT_ON).bind(&name).bind(&token);
                let on = on.fetch_one(conn).await.map_err(failed("look a token up"))?;
                Ok(on == told)
            })
        });
        spent.await
    }

    async fn count_refusals(
        &self,
        refused: &[(SourceName, &'static str, u32)],
        now: UnixMillis,
    ) -> Result<(), StoreError> {
        let refused = refused.to_vec();
        let counted = self.database.writer.write(move |conn| {
            let refused = refused.clone();
            Box::pin(async move {
                for (name, reason, times) in refused {
                    let count = sqlx::query(sql::sources::COUNT_REFUSAL)
                        .bind(name.as_str())
                        .bind(reason)
                        .bind(times)
                        .bind(now.0);
                    count.execute(&mut *conn).await.map_err(failed("count refused requests"))?;
                }
                Ok(())
            })
        });
        counted.await
    }

    async fn refusals(&self, name: &SourceName) -> Result<Vec<(String, i64, UnixMillis)>, StoreError> {
        let refused: Vec<(String, i64, i64)> = sqlx::query_as(sql::sources::REFUSALS)
            .bind(name.as_str())
            .fetch_all(&self.database.readers)
            .await
            .map_err(failed("read a source's refused requests"))?;
        Ok(refused.into_iter().map(|(reason, times, at)| (reason, times, UnixMillis(at))).collect())
    }

    async fn history(&self, name: &SourceName) -> Result<History, StoreError> {
        let told: Vec<(String, Option<String>, i64, i64)> = sqlx::query_as(sql::sources::TOLD_BY)
            .bind(name.as_str())
            .fetch_all(&self.database.readers)
            .await
            .map_err(failed("count a source's events"))?;
        Ok(History {
            told: told.into_iter().map(|(kind, name, times, at)| (kind, name, times, UnixMillis(at))).collect(),
            refused: self.refusals(name).await?,
        })
    }
}
