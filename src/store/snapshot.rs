//! Copies of several databases as they were at one moment, made while others read and write them.
//!
//! For that moment the write locks of all of them are held, so that no transaction is half; a reader on each begins there,
//! the locks go, and the copies are made from what those readers see, however long that takes. Why not `VACUUM INTO`: it
//! cannot begin inside a transaction, so two of them would tell of two moments. Rows that are withheld are never written, so
//! that no free page of the copy holds them.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, SqliteConnection};

use super::{Refusal, StoreError, failed, sqlite};

/// How long one try to get a write lock takes: a keeper under load gives it up between two commits, a few milliseconds apart.
const LOCKING_MAX: Duration = Duration::from_millis(500);
/// How often it is tried: for a minute in all.
const TRIES: u32 = 120;

/// A database to be copied.
#[derive(Debug, Clone)]
pub struct Subject {
    /// The database.
    pub from: PathBuf,
    /// The copy: a file that is there and empty.
    pub to: PathBuf,
    /// Tables that the copy has without their rows, and columns (`table.column`) that it has without their values.
    pub withheld: &'static [&'static str],
}

/// How far a copy is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Copied {
    /// Tables copied so far, of all databases.
    pub tables: usize,
    /// Tables there are.
    pub of: usize,
}

/// One database, with the transaction that keeps its moment.
struct Reader {
    conn: SqliteConnection,
    subject: Subject,
    tables: Vec<Made>,
    others: Vec<Made>,
}

/// Something of the schema, with the text that makes it.
#[derive(sqlx::FromRow)]
struct Made {
    name: String,
    sql: String,
}

const DOING: &str = "copy the database";

/// Copies `subjects`, in whose order their write locks are taken; tells `progress` after each table.
pub async fn together(subjects: Vec<Subject>, mut progress: impl FnMut(Copied) + Send) -> Result<(), StoreError> {
    let mut readers = begin(subjects).await?;
    let of = readers.iter().map(|reader| reader.tables.len()).sum();
    let mut tables = 0;
    for reader in &mut readers {
        for table in &reader.tables {
            copy(&mut reader.conn, table, reader.subject.withheld).await?;
            tables += 1;
            progress(Copied { tables, of });
        }
        for other in &reader.others {
            run(&mut reader.conn, &in_the_copy(&other.sql)).await?;
        }
        finish(&mut reader.conn).await?;
    }
    for reader in readers {
        reader.conn.close().await.map_err(failed(DOING))?;
    }
    Ok(())
}

/// Readers of all `subjects` that see one moment.
async fn begin(subjects: Vec<Subject>) -> Result<Vec<Reader>, StoreError> {
    let mut readers = Vec::new();
    for subject in subjects {
        let mut conn = open(&subject.from).await?;
        let attach = sqlx::query("ATTACH ? AS copy").bind(subject.to.display().to_string());
        attach.execute(&mut conn).await.map_err(failed(DOING))?;
        // A copy that is not finished is thrown away, so it needs no journal; it is synced as a file when it is.
        for pragma in ["auto_vacuum = INCREMENTAL", "journal_mode = OFF", "synchronous = OFF"] {
            run(&mut conn, &format!("PRAGMA copy.{pragma}")).await?;
        }
        readers.push(Reader { conn, subject, tables: Vec::new(), others: Vec::new() });
    }
    let mut holders = Vec::new();
    for reader in &readers {
        let mut holder = open(&reader.subject.from).await?;
        run(&mut holder, &format!("PRAGMA busy_timeout = {}", LOCKING_MAX.as_millis())).await?;
        holders.push(holder);
    }
    hold(&mut holders).await?;
    for reader in &mut readers {
        run(&mut reader.conn, "BEGIN").await?;
        // The first read fixes what this transaction sees.
        reader.tables = schema(&mut reader.conn, "type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'").await?;
    }
    for mut holder in holders {
        run(&mut holder, "ROLLBACK").await?;
        holder.close().await.map_err(failed(DOING))?;
    }
    for reader in &mut readers {
        reader.others = schema(&mut reader.conn, "type <> 'table' AND sql IS NOT NULL").await?;
    }
    Ok(readers)
}

/// Takes the write locks of all, or of none: who waits for the second while it has the first keeps writers of both waiting.
async fn hold(holders: &mut [SqliteConnection]) -> Result<(), StoreError> {
    for _ in 1..TRIES {
        match try_hold(holders).await {
            Err(StoreError::Refused(Refusal::Locked)) => {}
            held => return held,
        }
    }
    try_hold(holders).await
}

async fn try_hold(holders: &mut [SqliteConnection]) -> Result<(), StoreError> {
    for at in 0..holders.len() {
        if let Err(error) = run(&mut holders[at], "BEGIN IMMEDIATE").await {
            for held in &mut holders[..at] {
                run(held, "ROLLBACK").await?;
            }
            return Err(error);
        }
    }
    Ok(())
}

async fn open(path: &Path) -> Result<SqliteConnection, StoreError> {
    let options = sqlite::options(path).foreign_keys(false);
    options.connect().await.map_err(failed("open the database"))
}

async fn schema(conn: &mut SqliteConnection, which: &str) -> Result<Vec<Made>, StoreError> {
    // The condition is a text of ours.
    let text = AssertSqlSafe(format!("SELECT name, sql FROM main.sqlite_schema WHERE {which} ORDER BY rowid"));
    sqlx::query_as(text).fetch_all(conn).await.map_err(failed("read the schema"))
}

/// Makes `table` in the copy, with its rows unless they are withheld.
async fn copy(conn: &mut SqliteConnection, table: &Made, withheld: &[&str]) -> Result<(), StoreError> {
    run(conn, &in_the_copy(&table.sql)).await?;
    if withheld.contains(&table.name.as_str()) {
        return Ok(());
    }
    let columns: Vec<String> = sqlx::query_scalar("SELECT name FROM pragma_table_info(?, 'main')")
        .bind(&table.name)
        .fetch_all(&mut *conn)
        .await
        .map_err(failed("read the schema"))?;
    let values = columns.iter().map(|column| {
        let is_withheld = withheld.iter().any(|one| one.split_once('.') == Some((table.name.as_str(), column)));
        if is_withheld { "NULL".to_owned() } else { quoted(column) }
    });
    let (name, values) = (quoted(&table.name), values.collect::<Vec<_>>().join(", "));
    run(conn, &format!("INSERT INTO copy.{name} SELECT {values} FROM main.{name}")).await
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// What belongs to no table of ours: the places that are never given twice, and the keeper's epoch.
async fn finish(conn: &mut SqliteConnection) -> Result<(), StoreError> {
    let counts = schema(conn, "name = 'sqlite_sequence'").await?;
    if !counts.is_empty() {
        run(conn, "DELETE FROM copy.sqlite_sequence").await?;
        run(conn, "INSERT INTO copy.sqlite_sequence SELECT * FROM main.sqlite_sequence").await?;
    }
    let epoch: i32 =
        sqlx::query_scalar("PRAGMA main.user_version").fetch_one(&mut *conn).await.map_err(failed(DOING))?;
    run(conn, &format!("PRAGMA copy.user_version = {epoch}")).await?;
    run(conn, "COMMIT").await?;
    run(conn, "DETACH copy").await
}

/// SQLite keeps these texts with their first words in one spelling, and with the bare name after them.
fn in_the_copy(sql: &str) -> String {
    for made in ["CREATE TABLE ", "CREATE UNIQUE INDEX ", "CREATE INDEX ", "CREATE VIEW ", "CREATE TRIGGER "] {
        if let Some(rest) = sql.strip_prefix(made) {
            return format!("{made}copy.{rest}");
        }
    }
    sql.to_owned()
}

async fn run(conn: &mut SqliteConnection, text: &str) -> Result<(), StoreError> {
    // Words of ours, names of our tables, and what SQLite itself keeps of them.
    sqlx::raw_sql(AssertSqlSafe(text.to_owned())).execute(conn).await.map_err(failed(DOING)).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn made(path: &Path) -> SqliteConnection {
        let mut conn = sqlite::options_to_make(path).connect().await.expect("opened");
        let schema = "CREATE TABLE counted (n INTEGER PRIMARY KEY AUTOINCREMENT, word TEXT NOT NULL) STRICT;
             CREATE TABLE secrets (word TEXT PRIMARY KEY) STRICT, WITHOUT ROWID;
             CREATE TABLE called (name TEXT NOT NULL, api_key TEXT) STRICT; INSERT INTO called VALUES ('acme', 'hunter2-key');
             CREATE UNIQUE INDEX counted_word ON counted (word);
             INSERT INTO counted (word) VALUES ('one'), ('two'), ('three'); DELETE FROM counted WHERE n = 3;
             INSERT INTO secrets VALUES ('hunter2-hunter2'); PRAGMA user_version = 7";
        sqlx::raw_sql(schema).execute(&mut conn).await.expect("made");
        conn
    }

    #[tokio::test]
    async fn a_copy_has_all_but_what_is_withheld() {
        let dir = tempfile::tempdir().expect("a directory");
        let (from, to) = (dir.path().join("from.db"), dir.path().join("to.db"));
        let mut source = made(&from).await;
        let subject = Subject { from, to: to.clone(), withheld: &["secrets", "called.api_key"] };
        std::fs::File::create_new(&to).expect("made");
        let mut steps = Vec::new();
        together(vec![subject], |copied| steps.push(copied)).await.expect("copied");
        assert_eq!(steps.last(), Some(&Copied { tables: 3, of: 3 }));
        sqlx::query("INSERT INTO counted (word) VALUES ('later')").execute(&mut source).await.expect("it goes on");

        let mut copy = sqlite::options(&to).connect().await.expect("opened");
        let words: Vec<String> =
            sqlx::query_scalar("SELECT word FROM counted ORDER BY n").fetch_all(&mut copy).await.expect("read");
        assert_eq!(words, ["one", "two"]);
        let called: (String, Option<String>) =
            sqlx::query_as("SELECT name, api_key FROM called").fetch_one(&mut copy).await.expect("read");
        assert_eq!(called, ("acme".to_owned(), None));
        let add = "INSERT INTO counted (word) VALUES ('next') RETURNING n";
        let next: i64 = sqlx::query_scalar(add).fetch_one(&mut copy).await.expect("added");
        assert_eq!(next, 4, "no place is given twice");
        let twice = sqlx::query("INSERT INTO counted (word) VALUES ('one')").execute(&mut copy).await;
        assert!(twice.is_err(), "the index is there");
        let epoch: i32 = sqlx::query_scalar("PRAGMA user_version").fetch_one(&mut copy).await.expect("read");
        assert_eq!(epoch, 7);
        copy.close().await.expect("closed");
        let bytes = std::fs::read(&to).expect("a file");
        assert!(!bytes.windows(7).any(|window| window == b"hunter2"), "what is withheld is nowhere in the file");
    }
}
