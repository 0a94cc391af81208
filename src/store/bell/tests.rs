//! What SQLite makes of the statements: each prepares, and each look at the log walks an index.

use sqlx::{AssertSqlSafe, ConnectOptions as _, Executor as _, Row as _, SqlSafeStr as _, migrate::Migrator};
use tokio_util::sync::CancellationToken;

use super::{
    append::Post,
    claims::Consumer,
    look, rows,
    select::{Claimant, Select, freed, unclaimed},
    sql, *,
};
use crate::{
    domain::{
        clock::{BootTime, UnixMillis},
        cursor::Seq,
        event::{Auth, Detail, EventFilter, EventKind, NewEvent},
        grant::Mailboxes,
        id::{ActionId, ConsumerName, EventId, MessageId, SourceName, ThreadId},
    },
    ids::still,
    store::{
        log::{Ingested, Order},
        received::ReceivedMail as _,
        sqlite,
        statement::{Bind, Statement},
        turn::Turn,
    },
};

pub(super) async fn store() -> (tempfile::TempDir, BellStore) {
    let directory = tempfile::tempdir().expect("a directory");
    let store = opened(&directory.path().join("bell.db")).await;
    (directory, store)
}

/// A log that the migrations before one made, with `rows` in it, as it is after the others.
pub(super) async fn upgraded(before: i64, rows: &[&str]) -> (tempfile::TempDir, BellStore) {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("bell.db");
    let mut conn = sqlite::options_to_make(&path).connect().await.expect("made");
    let older: Vec<_> = MIGRATIONS.iter().filter(|migration| migration.version < before).cloned().collect();
    Migrator::with_migrations(older).run(&mut conn).await.expect("as it was");
    for text in rows {
        sqlx::query(AssertSqlSafe(*text)).execute(&mut conn).await.expect(text);
    }
    let store = opened(&path).await;
    (directory, store)
}

pub(super) async fn opened(path: &Path) -> BellStore {
    BellStore::open(path, Schema::Migrate, &still::ids(0), CancellationToken::new()).await.expect("opened")
}

#[tokio::test]
async fn every_statement_is_prepared() {
    let (_directory, store) = store().await;
    let mut conn = store.database.readers.acquire().await.expect("a connection");
    for text in sql::ALL
        .iter()
        .copied()
        .flatten()
        .chain(received::sql::ALL)
        .chain(super::notices::ALL)
        .copied()
        .chain(rows::INSERTS.iter().map(String::as_str))
        .chain(audit::ADDS.texts())
        .chain(indexing::INSERTS.iter().flat_map(|many| many.texts()))
    {
        let prepared = (&mut *conn).prepare(AssertSqlSafe(text).into_sql_str()).await;
        assert!(prepared.is_ok(), "{text}\n{:?}", prepared.err());
    }
}

#[test]
fn one_statement_takes_any_batch() {
    for rows in 1..=rows::ROWS_MAX {
        let (len, room, text) = rows::chunk(rows);
        let entry = 1;
        assert_eq!((len, text.matches("(?").count()), (rows, entry + len + room));
    }
    assert_eq!(rows::chunk(rows::ROWS_MAX + 1).0, rows::ROWS_MAX);
}

/// Tables that grow with what happens, and the names that statements give them.
const GROWING: [&str; 24] = [
    "events",
    "e",
    "event_ids",
    "event_messages",
    "event_threads",
    "event_mailboxes",
    "i",
    "claims",
    "c",
    "o",
    "audit",
    "a",
    "actions",
    "removals",
    "removed_keys",
    "r",
    "received_messages",
    "received_ids",
    "received_files",
    "message_mailboxes",
    "notices",
    "notice_letters",
    "spent_tokens",
    "m",
];
/// Indexes that hold what is not over alone: what is leased or waits for a retry, and what waits to be told.
const OPEN: [&str; 3] = ["INDEX claims_open", "INDEX notices_waiting", "INDEX notice_letters_due"];
/// Those that walk one from its end, as far as they are asked to; and the one that does so to remove.
const WALKING: [&str; 6] = [
    sql::audit::LAST_AUDIT,
    sql::retention::OLDEST_AUDIT,
    sql::retention::FIRST_REMOVAL,
    sql::indexes::REMOVED_KEYS,
    sql::oversight::ACTIONS,
    sql::retention::REMOVE_CLAIMS,
];

#[tokio::test]
async fn no_statement_walks_a_table_that_grows() {
    let (_directory, store) = store().await;
    let mut walking = Vec::new();
    for text in sql::ALL.iter().copied().flatten().chain(received::sql::ALL).chain(super::notices::ALL).copied() {
        let explain = sqlx::query(AssertSqlSafe(format!("EXPLAIN QUERY PLAN {text}")));
        let rows = explain.fetch_all(&store.database.readers).await.expect("a plan");
        let walks = rows.iter().any(|row| {
            let line: String = row.get("detail");
            let table = line.strip_prefix("SCAN ").and_then(|rest| rest.split(' ').next());
            table.is_some_and(|table| GROWING.contains(&table))
                && !line.contains("VIRTUAL TABLE")
                && !OPEN.iter().any(|index| line.ends_with(index))
        });
        if walks {
            walking.push(text);
        }
    }
    let strangers: Vec<_> = walking.iter().filter(|text| !WALKING.contains(text)).collect();
    assert!(strangers.is_empty(), "{strangers:#?}");
    let stale: Vec<_> = WALKING.iter().filter(|text| !walking.contains(text)).collect();
    assert!(stale.is_empty(), "these walk no more: {stale:#?}");
}

#[tokio::test]
async fn what_was_received_weighs_what_is_there() {
    let (directory, store) = store().await;
    let mut conn = sqlite::options(&directory.path().join("bell.db")).connect().await.expect("opened");
    let steps = [
        "INSERT INTO received_messages (message_id, source, mailbox, thread_id, received_at, report, fields, body) \
         VALUES ('em_1', 's', 'a@b.test', 't', 1, 0, '{}', 'four'), ('em_2', 's', 'a@b.test', 't', 2, 0, '{}', 'gr\u{fc}n')",
        "INSERT INTO received_files (message, place, bytes) SELECT id, 0, x'0102' FROM received_messages",
        "UPDATE received_messages SET body = 'longer', is_read = 1 WHERE message_id = 'em_1'",
        "DELETE FROM received_messages WHERE message_id = 'em_2'",
    ];
    let mut seen = Vec::new();
    for step in steps {
        sqlx::query(step).execute(&mut conn).await.expect(step);
        seen.push(store.received_weight().await.expect("weighed"));
    }
    assert_eq!(seen, [(2, 9, 0), (2, 9, 4), (2, 11, 4), (1, 6, 2)]);
}

/// The plan of `statement`, line by line.
async fn plan(store: &BellStore, statement: Statement) -> Vec<String> {
    let Statement { text, binds } = statement;
    let explain = Statement { text: format!("EXPLAIN QUERY PLAN {text}"), binds };
    let rows = explain.query().fetch_all(&store.database.readers).await.expect("a plan");
    rows.iter().map(|row| row.get("detail")).collect()
}

/// Indexes of our own, and the columns of theirs that a filter names.
const OWN: [(&str, &str); 3] =
    [("event_messages", "message_id=?"), ("event_threads", "thread_id=?"), ("event_mailboxes", "mailbox=? AND kind=?")];

fn assert_walks_an_index(what: &str, plan: &[String], index: Option<&str>) {
    let whole = plan.join("\n");
    for line in plan {
        assert!(!line.contains("TEMP B-TREE"), "{what} sorts:\n{whole}");
        assert!(!line.starts_with("SCAN") || line.starts_with("SCAN CONSTANT ROW"), "{what} scans:\n{whole}");
    }
    if let Some(index) = index {
        let own = OWN.iter().find(|(name, _)| *name == index);
        if let Some((_, columns)) = own {
            let search = format!("SEARCH i USING PRIMARY KEY ({columns} AND seq>? AND seq<?)");
            let by: Vec<_> = plan.iter().filter(|line| line.starts_with("SEARCH i ")).collect();
            assert!(!by.is_empty(), "{what} not by {index}:\n{whole}");
            assert!(by.iter().all(|line| **line == search), "{what} walks over more than it needs:\n{whole}");
            let newest = "SEARCH e USING INTEGER PRIMARY KEY (rowid>?";
            assert!(plan.iter().any(|line| line.starts_with(newest)), "{what} without the newest events:\n{whole}");
            return;
        }
        let by: Vec<_> = plan.iter().filter(|line| line.contains(&format!("INDEX {index} "))).collect();
        assert!(!by.is_empty(), "{what} not by {index}:\n{whole}");
        if index == "events_domain" {
            assert!(by.iter().all(|line| line.contains("AND kind=? AND rowid>?")), "{what} walks over kinds:\n{whole}");
        }
    }
}

/// Every part that a filter can have, each with the index that it should be read by, the sharpest first.
fn parts() -> Vec<(&'static str, &'static str, EventFilter)> {
    let none = EventFilter::default;
    vec![
        ("action", "events_action", EventFilter { action_id: Some(ActionId::new("act_1")), ..none() }),
        ("message", "event_messages", EventFilter { message_id: Some(MessageId::new("em_1")), ..none() }),
        ("thread", "event_threads", EventFilter { thread_id: Some(ThreadId::new("thr_1")), ..none() }),
        ("mailbox", "event_mailboxes", EventFilter { mailbox: Some("a@b.test".into()), ..none() }),
        ("domain", "events_domain", EventFilter { domain: Some("b.test".into()), ..none() }),
        ("kind", "events_kind", EventFilter { kinds: vec![EventKind::Bounce], ..none() }),
        ("kinds", "events_kind", EventFilter { kinds: EventKind::ALL[..6].to_vec(), ..none() }),
    ]
}

/// Every part, every pair of parts and none at all, each with the index it is to be read by.
fn filters() -> Vec<(String, Option<&'static str>, EventFilter)> {
    let mut filters = vec![("nothing".to_owned(), None, EventFilter::default())];
    let parts = parts();
    for (place, (name, index, filter)) in parts.iter().enumerate() {
        filters.push(((*name).to_owned(), Some(*index), filter.clone()));
        for (other_name, _, other) in &parts[place + 1..] {
            let both = EventFilter {
                kinds: if filter.kinds.is_empty() { other.kinds.clone() } else { filter.kinds.clone() },
                mailbox: filter.mailbox.clone().or(other.mailbox.clone()),
                within: Mailboxes::all(),
                domain: filter.domain.clone().or(other.domain.clone()),
                thread_id: filter.thread_id.clone().or(other.thread_id.clone()),
                message_id: filter.message_id.clone().or(other.message_id.clone()),
                action_id: filter.action_id.clone().or(other.action_id.clone()),
            };
            filters.push((format!("{name} and {other_name}"), Some(*index), both));
        }
    }
    filters
}

#[tokio::test]
async fn every_page_walks_an_index_in_order() {
    let (_directory, store) = store().await;
    for (name, index, filter) in filters() {
        for order in [Order::Ascending, Order::Descending] {
            for before in [None, Some(Seq(9))] {
                let select = Select {
                    columns: sql::log::EVENT_COLUMNS,
                    kinds: &filter.kinds,
                    filter: &filter,
                    after: Seq(3),
                    before,
                    also: None,
                    order,
                    limit: 5,
                };
                let plan = plan(&store, select.statement()).await;
                assert_walks_an_index(&format!("a page by {name}, {order:?}"), &plan, index);
            }
        }
    }
}

#[tokio::test]
async fn every_claim_walks_an_index_in_order() {
    let (_directory, store) = store().await;
    let now = BootTime { boot_id: "boot".into(), millis: 1 };
    let claimant = Claimant { worker: Some("one"), now: &now };
    let consumer =
        Consumer { id: 1, name: ConsumerName::new("one"), kinds: EventKind::ALL.to_vec(), low_water: Seq(3) };
    for (name, index, filter) in filters() {
        let select = Select {
            columns: sql::log::EVENT_COLUMNS,
            kinds: &filter.kinds,
            filter: &filter,
            after: Seq(3),
            before: None,
            also: Some(&unclaimed(1, &filter, Some(claimant))),
            order: Order::Ascending,
            limit: 5,
        };
        assert_walks_an_index(&format!("new events by {name}"), &plan(&store, select.statement()).await, index);
        let freed = plan(&store, freed(1, &filter, claimant, 5)).await;
        assert_walks_an_index(&format!("returned events by {name}"), &freed, Some("claims_open"));
        let mut plan = plan(&store, look::statement(&consumer, &filter, claimant, Seq(3))).await;
        // The list of kinds, and the events of one of them, which are found by an index.
        plan.retain(|line| !line.starts_with("SCAN j VIRTUAL TABLE") && line != "SCAN w");
        assert_walks_an_index(&format!("a look by {name}"), &plan, index);
    }
}

#[tokio::test]
async fn what_a_claim_asks_beside_walks_an_index_too() {
    let (_directory, store) = store().await;
    let asks = [
        (sql::claims::HELD, 1),
        (sql::claims::HOLDING, 3),
        (sql::claims::TOKENS_OF_MESSAGE, 2),
        (sql::claims::LATER_WAITS, 3),
        (sql::claims::REACHED, 4),
        (sql::claims::FIRST_OPEN, 2),
        (sql::claims::NTH_CLAIM, 3),
        (sql::log::EVENT_BY_SEQ, 1),
        (sql::log::NEWS, 2),
        (sql::claims::CONSUMER, 1),
    ];
    for (text, binds) in asks {
        let statement = Statement { text: text.to_owned(), binds: vec![Bind::Int(1); binds] };
        assert_walks_an_index(text, &plan(&store, statement).await, None);
    }
}

#[tokio::test]
async fn the_actions_of_a_message_are_found_by_an_index() {
    let (_directory, store) = store().await;
    let binds = vec![Bind::Text("em_1".into()), Bind::Int(20)];
    let plan = plan(&store, Statement { text: sql::oversight::ACTIONS_ABOUT.to_owned(), binds }).await;
    assert_walks_an_index("the actions of a message", &plan, Some("actions_message"));
}

#[tokio::test]
async fn what_a_list_tells_again_is_compared_before_the_transaction_ends() {
    let (directory, store) = store().await;
    let mut conn = sqlite::options(&directory.path().join("bell.db")).connect().await.expect("opened");
    let post = |auth, id: &str| {
        let event = NewEvent {
            event_id: EventId::new(id),
            mailbox: None,
            message_id: None,
            thread_id: None,
            timestamp: UnixMillis(1),
            provider_kind: None,
            detail: Detail::Other {},
        };
        Arc::new(Post::new(&SourceName::new("one"), auth, UnixMillis(1), vec![event]))
    };
    let mut endings = Vec::new();
    for posts in [vec![post(Auth::HmacSha256, "a")], vec![post(Auth::HmacSha256, "b"), post(Auth::Api, "a")]] {
        let mut turn = Turn::new(&mut conn, None);
        turn.comes_last(true);
        let appended = store.appender.inserter().insert(&mut turn, &posts).await.expect("appended");
        endings.extend(appended.into_iter().filter_map(|ending| ending.ingested().expect("taken")).flatten());
        turn.commit().await.expect("committed");
    }
    assert_eq!(endings, [Ingested::Fresh(Seq(1)), Ingested::Fresh(Seq(2)), Ingested::Duplicate(Seq(1))]);
    let told: i64 = sqlx::query_scalar("SELECT count(*) FROM audit").fetch_one(&mut conn).await.expect("counted");
    assert_eq!(told, 2, "one entry for each transaction");
}
