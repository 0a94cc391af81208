//! Contacts.

use sqlx::{Executor, Row as _, Sqlite, SqliteConnection, sqlite::SqliteRow};

use super::super::rows::{list, to_list};
use crate::{
    domain::{clock::UnixMillis, office::Contact},
    store::{StoreError, failed, office::ContactAdded},
};

/// `instr` and not LIKE: nothing of what is looked for is a wildcard.
const PAGE: &str = "SELECT id, name, email, tags, created_at FROM contact \
                    WHERE ?1 IS NULL OR instr(folded, ?1) > 0 ORDER BY name, id LIMIT +?2";
const AT: &str = "SELECT id, name, email, tags, created_at FROM contact WHERE email = ?1";
const COUNT: &str = "SELECT count(*) FROM contact";
const INSERT: &str = "INSERT INTO contact (id, name, email, tags, folded, created_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
const REMOVE: &str = "DELETE FROM contact WHERE id = ?1";

fn read(row: &SqliteRow) -> Result<Contact, StoreError> {
    let id: String = row.get("id");
    let corrupt = |why| StoreError::Corrupt { table: "contact", row: id.clone(), why };
    Ok(Contact {
        name: row.get("name"),
        email: row.get::<&str, _>("email").parse().map_err(|_| corrupt("its address is none"))?,
        tags: list(row.get("tags")).ok_or_else(|| corrupt("its tags are no list"))?,
        created_at: UnixMillis(row.get("created_at")),
        id: id.clone(),
    })
}

pub(super) async fn page<'e>(
    db: impl Executor<'e, Database = Sqlite>,
    part: Option<&str>,
    limit: u32,
) -> Result<Vec<Contact>, StoreError> {
    let rows = sqlx::query(PAGE).bind(part.map(str::to_lowercase)).bind(limit).fetch_all(db).await;
    rows.map_err(failed("list the contacts"))?.iter().map(read).collect()
}

pub(super) async fn add(conn: &mut SqliteConnection, new: &Contact, most: u32) -> Result<ContactAdded, StoreError> {
    let there = sqlx::query(AT).bind(new.email.as_str()).fetch_optional(&mut *conn).await;
    if let Some(row) = there.map_err(failed("find a contact"))? {
        return Ok(ContactAdded::Exists(read(&row)?));
    }
    let count: u32 = sqlx::query_scalar(COUNT).fetch_one(&mut *conn).await.map_err(failed("count the contacts"))?;
    if count >= most {
        return Ok(ContactAdded::Full);
    }
    let folded = format!("{}\n{}\n{}", new.name, new.email, new.tags.join("\n")).to_lowercase();
    sqlx::query(INSERT)
        .bind(&new.id)
        .bind(&new.name)
        .bind(new.email.as_str())
        .bind(to_list(&new.tags))
        .bind(folded)
        .bind(new.created_at.0)
        .execute(conn)
        .await
        .map_err(failed("add a contact"))?;
    Ok(ContactAdded::Fresh)
}

pub(super) async fn remove(conn: &mut SqliteConnection, id: &str) -> Result<bool, StoreError> {
    let gone = sqlx::query(REMOVE).bind(id).execute(conn).await.map_err(failed("remove a contact"))?;
    Ok(gone.rows_affected() == 1)
}
