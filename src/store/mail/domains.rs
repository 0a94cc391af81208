//! The rows of the domains whose mail is taken.

use async_trait::async_trait;
use sqlx::SqliteConnection;

use super::MailStore;
use crate::{
    domain::{clock::UnixMillis, office::HomeDomain},
    store::{
        StoreError,
        domains::{DomainAdded, DomainRemoved, HomeDomains},
        failed,
    },
};

const ALL: &str = "SELECT name, place, added_at FROM domain ORDER BY place IS NULL, place, added_at, name";
const UNNAME: [&str; 2] =
    ["DELETE FROM domain WHERE added_at IS NULL", "UPDATE domain SET place = NULL WHERE place IS NOT NULL"];
const NAME: &str = "INSERT INTO domain (name, place) VALUES (?1, ?2) \
     ON CONFLICT (name) DO UPDATE SET place = coalesce(place, excluded.place)";
const ADD: &str = "INSERT INTO domain (name, added_at) SELECT ?1, ?2 \
     WHERE (SELECT count(*) FROM domain WHERE added_at IS NOT NULL) < ?3";
const PLACE: &str = "SELECT place FROM domain WHERE name = ?1";
const MAILBOXES_IN: &str = "SELECT count(*) FROM mailbox WHERE substr(address, -length(?1) - 1) = '@' || ?1";
const REMOVE: &str = "DELETE FROM domain WHERE name = ?1";

async fn seed(conn: &mut SqliteConnection, named: &[String]) -> Result<(), StoreError> {
    for unname in UNNAME {
        sqlx::query(unname).execute(&mut *conn).await.map_err(failed("forget which domains the settings named"))?;
    }
    for (place, name) in (0_i64..).zip(named) {
        let keep = sqlx::query(NAME).bind(name).bind(place).execute(&mut *conn).await;
        keep.map_err(failed("keep a domain of the settings"))?;
    }
    Ok(())
}

async fn place_of(conn: &mut SqliteConnection, name: &str) -> Result<Option<Option<i64>>, StoreError> {
    let place = sqlx::query_scalar(PLACE).bind(name).fetch_optional(conn).await;
    place.map_err(failed("look a domain up"))
}

async fn add(conn: &mut SqliteConnection, name: &str, now: UnixMillis, most: u32) -> Result<DomainAdded, StoreError> {
    if place_of(conn, name).await?.is_some() {
        return Ok(DomainAdded::Exists);
    }
    let added = sqlx::query(ADD).bind(name).bind(now.0).bind(most).execute(conn).await;
    let added = added.map_err(failed("add a domain"))?;
    Ok(if added.rows_affected() == 1 { DomainAdded::Fresh } else { DomainAdded::Full })
}

async fn remove(conn: &mut SqliteConnection, name: &str) -> Result<DomainRemoved, StoreError> {
    match place_of(conn, name).await? {
        None => return Ok(DomainRemoved::Unknown),
        Some(Some(_)) => return Ok(DomainRemoved::OfTheSettings),
        Some(None) => {}
    }
    let mailboxes: u32 = sqlx::query_scalar(MAILBOXES_IN)
        .bind(name)
        .fetch_one(&mut *conn)
        .await
        .map_err(failed("count the mailboxes of a domain"))?;
    if mailboxes > 0 {
        return Ok(DomainRemoved::Inhabited(mailboxes));
    }
    sqlx::query(REMOVE).bind(name).execute(conn).await.map_err(failed("remove a domain"))?;
    Ok(DomainRemoved::Done)
}

#[async_trait]
impl HomeDomains for MailStore {
    async fn seed_domains(&self, named: &[String]) -> Result<(), StoreError> {
        let named = named.to_vec();
        let write = self.database.writer.write(move |conn| {
            let named = named.clone();
            Box::pin(async move { seed(conn, &named).await })
        });
        write.await
    }

    async fn domains(&self) -> Result<Vec<HomeDomain>, StoreError> {
        let rows = sqlx::query_as::<_, (String, Option<i64>, Option<i64>)>(ALL).fetch_all(&self.database.readers);
        let rows = rows.await.map_err(failed("list the domains"))?;
        let read = |(name, place, added_at): (String, Option<i64>, Option<i64>)| HomeDomain {
            name,
            of_the_settings: place.is_some(),
            added_at: added_at.map(UnixMillis),
        };
        Ok(rows.into_iter().map(read).collect())
    }

    async fn add_domain(&self, name: &str, now: UnixMillis, most: u32) -> Result<DomainAdded, StoreError> {
        let name = name.to_owned();
        let write = self.database.writer.write(move |conn| {
            let name = name.clone();
            Box::pin(async move { add(conn, &name, now, most).await })
        });
        write.await
    }

    async fn remove_domain(&self, name: &str) -> Result<DomainRemoved, StoreError> {
        let name = name.to_owned();
        let write = self.database.writer.write(move |conn| {
            let name = name.clone();
            Box::pin(async move { remove(conn, &name).await })
        });
        write.await
    }
}
