//! A data directory of any earlier schema is brought up to date by a start, and every event and message is still there.
//!
//! The fixtures are made of what a house of today wrote: its rows, without the columns and tables that a schema did not have yet,
//! in databases made by the migrations up to that one.

use std::{collections::BTreeSet, fs, path::Path, sync::Arc};

use mailbell::{
    domain::id::MessageId,
    mail::blobs::Blobs,
    store::{mail::MailStore, mailroom::Mailroom as _},
};
use serde_json::{Value, json};
use sqlx::{
    AssertSqlSafe, ConnectOptions as _, Connection as _, SqliteConnection, migrate::Migrator,
    sqlite::SqliteConnectOptions,
};
use tokio_util::sync::CancellationToken;

use crate::support::{Agent, add_source, http, mail, post, published, run, serve, until};

/// Today's migrations of one wing.
async fn migrations(wing: &str) -> Migrator {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/store").join(wing).join("migrations");
    Migrator::new(path).await.expect("migrations")
}

fn versions(all: &Migrator) -> Vec<i64> {
    all.iter().map(|migration| migration.version).collect()
}

async fn columns(conn: &mut SqliteConnection, schema: &str, table: &str) -> BTreeSet<String> {
    let text = format!("SELECT name FROM pragma_table_info('{table}', '{schema}')");
    sqlx::query_scalar(AssertSqlSafe(text)).fetch_all(conn).await.expect("columns").into_iter().collect()
}

/// Makes at `to` what the migrations up to `version` make, with the rows of `today` as far as it has room for them.
async fn as_it_was(all: &Migrator, version: i64, today: &Path, to: &Path) {
    let until = all.iter().filter(|migration| migration.version <= version).cloned().collect();
    let options = SqliteConnectOptions::new().filename(to).create_if_missing(true).foreign_keys(false);
    let mut conn = options.connect().await.expect("made");
    Migrator::with_migrations(until).run_direct(None, &mut conn, false).await.expect("migrated");
    let attach = sqlx::query("ATTACH ? AS today").bind(today.display().to_string());
    attach.execute(&mut conn).await.expect("attached");
    let tables = "SELECT name FROM main.sqlite_schema WHERE type = 'table' AND name NOT LIKE '\\_sqlx%' ESCAPE '\\' \
                  AND name NOT LIKE 'sqlite%'";
    let tables: Vec<String> = sqlx::query_scalar(tables).fetch_all(&mut conn).await.expect("tables");
    for table in tables {
        let (then, now) = (columns(&mut conn, "main", &table).await, columns(&mut conn, "today", &table).await);
        let both = then.intersection(&now).map(String::as_str).collect::<Vec<_>>().join(", ");
        if !both.is_empty() {
            let copy = format!("INSERT OR REPLACE INTO main.{table} ({both}) SELECT {both} FROM today.{table}");
            sqlx::query(AssertSqlSafe(copy))
                .execute(&mut conn)
                .await
                .unwrap_or_else(|error| panic!("{table}: {error}"));
        }
    }
    conn.close().await.expect("closed");
}

/// The schema that brought raw messages into `mail.db`; until then each was a file.
const RAW_SINCE: i64 = 16;

/// Puts the raw messages of `today` where they lay before that schema.
async fn raw_as_it_was(today: &Path, blobs: &Path) {
    let options = SqliteConnectOptions::new().filename(today).read_only(true);
    let mut conn = options.connect().await.expect("opened");
    let raw: Vec<(String, Vec<u8>)> =
        sqlx::query_as("SELECT name, bytes FROM raw").fetch_all(&mut conn).await.expect("raw messages");
    assert!(raw.len() >= 3, "small mail lies in the database");
    for (name, bytes) in raw {
        fs::create_dir_all(blobs.join(&name[..2])).expect("a shelf");
        fs::write(blobs.join(&name[..2]).join(&name), bytes).expect("written");
    }
}

/// The raw bytes of a message, wherever they lie.
async fn raw_of(dir: &Path, id: &str) -> Vec<u8> {
    let store = Arc::new(MailStore::open(&dir.join("mail.db"), CancellationToken::new()).await.expect("opened"));
    let blobs = Blobs::open(&dir.join("blobs"), store.clone()).expect("opened");
    let id = MessageId::new(id);
    let mailbox = store.mailbox_of(&id).await.expect("read").expect("it is there");
    let blob = store.blob_of(&mailbox, &id).await.expect("read").expect("it is there");
    blobs.get(&blob).await.expect("its bytes are there")
}

fn copy_all(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("made");
    for entry in fs::read_dir(from).expect("a directory").flatten() {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() { copy_all(&entry.path(), &target) } else { drop(fs::copy(entry.path(), target)) }
    }
}

async fn events(dir: &Path) -> Vec<Value> {
    let lines = run(dir, &["events", "--json"], "").await;
    lines.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upgrade_from_each_earlier_schema_keeps_every_event_and_message() {
    let home = tempfile::tempdir().expect("a directory");
    let today = home.path().join("today");
    let (mut house, ready) = serve(&today, &[]).await;
    add_source(&today).await;
    for subject in ["one", "two", "three"] {
        assert!(mail(ready["smtp"].as_str().expect("an address"), subject).await);
    }
    assert!(post(&http(), &today, "d1").await);
    run(&today, &["try", "bounce"], "").await;
    let agent = Agent::start(&today).await;
    let waited = agent.insist("wait_for_event", json!({ "timeout_secs": 20, "limit": 1 })).await;
    agent.insist("ack_event", json!({ "lease_token": waited["lease_token"] })).await;
    until("all events", async || events(&today).await.len() >= 5).await;
    drop(agent);
    house.kill().await;
    let kept = events(&today).await;
    let messages: Vec<&str> = kept
        .iter()
        .filter(|event| event["event_type"] == "inbound")
        .map(|event| event["message_id"].as_str().expect("an id"))
        .collect();
    assert_eq!(messages.len(), 3);

    let (of_bell, of_mail) = (migrations("bell").await, migrations("mail").await);
    let (bell, mail) = (versions(&of_bell), versions(&of_mail));
    for step in 0..bell.len().max(mail.len()) {
        let (bell, mail) = (bell[step.min(bell.len() - 1)], mail[step.min(mail.len() - 1)]);
        let dir = home.path().join(format!("from-{bell}-{mail}"));
        for part in ["blobs", "tokens"] {
            copy_all(&today.join(part), &dir.join(part));
        }
        fs::copy(today.join("audit.key"), dir.join("audit.key")).expect("copied");
        as_it_was(&of_bell, bell, &today.join("bell.db"), &dir.join("bell.db")).await;
        as_it_was(&of_mail, mail, &today.join("mail.db"), &dir.join("mail.db")).await;

        if mail < RAW_SINCE {
            raw_as_it_was(&today.join("mail.db"), &dir.join("blobs")).await;
        }

        let (mut house, _) = serve(&dir, &[]).await;
        let found = events(&dir).await;
        // What was still owed may come on top.
        assert_eq!(found[..kept.len().min(found.len())], kept, "from schemas {bell} and {mail}");
        let api = published(&dir)["api"].as_str().expect("an address").to_owned();
        let token = fs::read_to_string(dir.join("tokens/api")).expect("a token");
        for id in &messages {
            let read = http().get(format!("{api}/v1/emails/{id}")).bearer_auth(token.trim()).send().await;
            assert_eq!(read.expect("answered").status(), 200, "{id}, from schemas {bell} and {mail}");
        }
        run(&dir, &["audit", "verify"], "").await;
        let agent = Agent::start(&dir).await;
        let waited = agent.insist("wait_for_event", json!({ "timeout_secs": 20, "limit": 1, "consumer": "new" })).await;
        assert_eq!(waited["events"][0]["event_id"], kept[0]["event_id"], "from schemas {bell} and {mail}");
        drop(agent);
        house.kill().await;
        for id in &messages {
            let raw = raw_of(&dir, id).await;
            assert!(raw.ends_with(b"Hello\r\n"), "{id}, from schemas {bell} and {mail}");
        }
    }
}
