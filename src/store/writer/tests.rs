//! What a batch lasts, and how it fails.

use sqlx::ConnectOptions as _;

use super::*;
use crate::store::sqlite;

async fn add(writer: &Writer, bytes: i64) -> Result<(), StoreError> {
    writer
        .write(move |conn| {
            Box::pin(async move {
                let add = sqlx::query("INSERT INTO heap (filler) VALUES (zeroblob(?))").bind(bytes);
                add.execute(conn).await.map(drop).map_err(failed("add"))
            })
        })
        .await
}

/// SQLite's word for what the commit of this transaction lasts: 1 is NORMAL, 2 is FULL.
async fn level(conn: &mut SqliteConnection) -> Result<i64, StoreError> {
    // Compiled anew each time: it answers with what held when it was compiled.
    let level = sqlx::query_scalar("PRAGMA synchronous").persistent(false);
    level.fetch_one(conn).await.map_err(failed("look"))
}

async fn level_on_disk(writer: &Writer) -> Result<i64, StoreError> {
    writer.write(|conn| Box::pin(level(conn))).await
}

async fn level_for_this_boot(writer: &Writer) -> Result<i64, StoreError> {
    writer.write_to_last(Lasts::ThisBoot, |conn| Box::pin(level(conn))).await
}

async fn heap() -> (tempfile::TempDir, Writer) {
    let dir = tempfile::tempdir().expect("a directory");
    let options = sqlite::options_to_make(&dir.path().join("heap.db"));
    let mut conn = options.connect().await.expect("opened");
    sqlx::query("CREATE TABLE heap (filler BLOB)").execute(&mut conn).await.expect("made");
    (dir, Writer::start("heap", conn, None, None, CancellationToken::new()))
}

#[tokio::test]
async fn a_batch_waits_for_the_disk_unless_nothing_in_it_needs_to() {
    let (_dir, writer) = heap().await;
    let counted = |writer: &Writer| (writer.commits(), writer.commits_on_disk());
    assert_eq!(level_on_disk(&writer).await.expect("read"), 2);
    for _ in 0..2 {
        assert_eq!(level_for_this_boot(&writer).await.expect("read"), 1);
    }
    assert_eq!(counted(&writer), (3, 1));
    for _ in 0..2 {
        assert_eq!(level_on_disk(&writer).await.expect("read"), 2);
    }
    assert_eq!(counted(&writer), (5, 3));

    let (boot, disk, other) =
        tokio::join!(level_for_this_boot(&writer), level_on_disk(&writer), level_for_this_boot(&writer));
    assert_eq!([boot, disk, other].map(|level| level.expect("read")), [2; 3]);
    assert_eq!(counted(&writer), (6, 4), "one batch");
    let (boot, other) = tokio::join!(level_for_this_boot(&writer), level_for_this_boot(&writer));
    assert_eq!([boot, other].map(|level| level.expect("read")), [1; 2]);
    assert_eq!(counted(&writer), (7, 4), "one batch");
}

#[tokio::test]
async fn after_a_batch_that_fails_it_waits_for_the_disk_again() {
    let (_dir, writer) = heap().await;
    for _ in 0..2 {
        let poison = writer.write_to_last(Lasts::ThisBoot, |conn| {
            Box::pin(async move {
                assert_eq!(level(&mut *conn).await?, 1);
                sqlx::query("SELECT nonsense").execute(conn).await.map(drop).map_err(failed("fail"))
            })
        });
        let (poisoned, beside) = tokio::join!(poison, level_for_this_boot(&writer));
        assert!(poisoned.is_err());
        assert_eq!(beside.expect("read"), 1);
        assert_eq!(level_on_disk(&writer).await.expect("read"), 2);
    }
    // SQLite ends a transaction by itself where it cannot commit it.
    set_pages_max(&writer, "PRAGMA max_page_count = 20").await;
    let full = writer.write_to_last(Lasts::ThisBoot, |conn| {
        Box::pin(async move {
            let add = sqlx::query("INSERT INTO heap (filler) VALUES (zeroblob(1000000))");
            add.execute(conn).await.map(drop).map_err(failed("add"))
        })
    });
    assert!(full.await.is_err());
    assert_eq!(level_on_disk(&writer).await.expect("read"), 2);
}

async fn set_pages_max(writer: &Writer, pages: &'static str) {
    let set = writer.write(move |conn| {
        Box::pin(async move { sqlx::query(pages).execute(conn).await.map(drop).map_err(failed("set")) })
    });
    set.await.expect("set");
}

/// SQLite rolls a transaction back by itself when the disk is full; the writer must be able to begin the next one.
#[tokio::test]
async fn after_a_full_disk_it_goes_on() {
    let (_dir, writer) = heap().await;
    set_pages_max(&writer, "PRAGMA max_page_count = 20").await;
    assert!(add(&writer, 10).await.is_ok());
    for _ in 0..3 {
        let full = add(&writer, 1 << 20).await.expect_err("it does not fit");
        assert!(matches!(full, StoreError::Refused(Refusal::Full)), "{full:?}");
    }
    set_pages_max(&writer, "PRAGMA max_page_count = 4000").await;
    assert!(add(&writer, 1 << 20).await.is_ok());
}

/// A piece that fails is rolled back and takes nobody with it.
#[tokio::test]
async fn a_poisonous_piece_fails_alone() {
    let (_dir, writer) = heap().await;
    let poison = writer.write(|conn| {
        Box::pin(async move {
            let add = sqlx::query("INSERT INTO heap (filler) VALUES (zeroblob(7))");
            add.execute(&mut *conn).await.map_err(failed("add"))?;
            sqlx::query("SELECT nonsense").execute(conn).await.map(drop).map_err(failed("fail"))
        })
    });
    let (first, poisoned, second) = tokio::join!(add(&writer, 1), poison, add(&writer, 2));
    assert!(first.is_ok() && poisoned.is_err() && second.is_ok());
    let sizes = writer.write(|conn| {
        Box::pin(async move {
            let sizes = sqlx::query_scalar::<_, i64>("SELECT length(filler) FROM heap ORDER BY rowid");
            sizes.fetch_all(conn).await.map_err(failed("look"))
        })
    });
    assert_eq!(sizes.await.expect("read"), [1, 2]);
}
