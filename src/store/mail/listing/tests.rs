use sqlx::{Execute as _, Row as _};
use tokio_util::sync::CancellationToken;

use super::*;
use crate::{
    domain::id::{MessageId, ThreadId},
    store::mail::MailStore,
};

/// Every filter alone, and some together.
fn filters() -> Vec<MessageFilter> {
    let none = MessageFilter::default;
    vec![
        none(),
        MessageFilter { thread_id: Some(ThreadId::new("thr_1")), ..none() },
        MessageFilter { status: Some(Status::Unread), ..none() },
        MessageFilter { status: Some(Status::Read), ..none() },
        MessageFilter { direction: Some(Direction::Inbound), ..none() },
        MessageFilter { direction: Some(Direction::Outbound), ..none() },
        MessageFilter { sender: Some("ann".into()), ..none() },
        MessageFilter { subject_contains: Some("invoice".into()), ..none() },
        MessageFilter { has_attachments: Some(true), ..none() },
        MessageFilter { has_attachments: Some(false), ..none() },
        MessageFilter { date_after: Some(UnixMillis(1)), date_before: Some(UnixMillis(2)), ..none() },
        MessageFilter { since_id: Some(MessageId::new("em_1")), ..none() },
        MessageFilter { tag: Some("vip".into()), ..none() },
        MessageFilter { without_tag: Some("handled".into()), ..none() },
        MessageFilter { tag: Some("vip".into()), status: Some(Status::Unread), ..none() },
        MessageFilter { thread_id: Some(ThreadId::new("thr_1")), tag: Some("vip".into()), ..none() },
    ]
}

async fn plan(store: &MailStore, mut sql: QueryBuilder<Sqlite>) -> String {
    let explain = format!("EXPLAIN QUERY PLAN {}", sql.build().sql().as_str());
    let rows = sqlx::query(sqlx::AssertSqlSafe(explain)).fetch_all(&store.database.readers).await.expect("a plan");
    rows.iter().map(|row| row.get::<String, _>("detail")).collect::<Vec<_>>().join("\n")
}

#[tokio::test]
async fn every_filter_walks_an_index_and_sorts_nothing() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = MailStore::open(&dir.path().join("mail.db"), CancellationToken::new()).await.expect("a store");
    let mailbox = MailboxId::new("mbx_1");
    for filter in filters() {
        let driver = Driver::of(&filter);
        let window = Window { after: 0, before: 9 };
        let page = MessagePage { filter: filter.clone(), before: None, limit: 20 };
        for sql in [select(driver, &mailbox, &page, window), floor(driver, &mailbox, &filter, window)] {
            let plan = plan(&store, sql).await;
            assert!(!plan.contains("TEMP B-TREE"), "{filter:?}\n{plan}");
            assert!(!plan.contains("SCAN"), "{filter:?}\n{plan}");
        }
    }
    for sql in [OLDER_THAN_ID, NEWER_THAN_ID, OLDER_THAN_TIME, NEWER_THAN_TIME] {
        let plan = plan(&store, QueryBuilder::new(sql)).await;
        assert!(plan.contains("COVERING INDEX") && !plan.contains("TEMP B-TREE"), "{sql}\n{plan}");
    }
}

#[test]
fn nothing_a_reader_types_is_a_wildcard() {
    assert_eq!(contains(r"50%_\"), r"%50\%\_\\%");
}
