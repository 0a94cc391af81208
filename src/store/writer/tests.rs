//! When a batch is answered, and how it fails.

use futures::poll;
use sqlx::ConnectOptions as _;

use super::*;

use crate::store::{failed, flushes::tests::SlowDisk, sqlite};

async fn add(writer: &Writer, bytes: i64) -> Result<(), StoreError> {
    writer.write(move |conn| Box::pin(insert(conn, bytes))).await
}

async fn insert(conn: &mut SqliteConnection, bytes: i64) -> Result<(), StoreError> {
    let add = sqlx::query("INSERT INTO heap (filler) VALUES (zeroblob(?))").bind(bytes);
    add.execute(conn).await.map(drop).map_err(failed("add"))
}

async fn heap() -> (tempfile::TempDir, Writer) {
    let dir = tempfile::tempdir().expect("a directory");
    let conn = made(&dir).await;
    (dir, Writer::start("heap", conn, None, None, CancellationToken::new()))
}

async fn made(dir: &tempfile::TempDir) -> SqliteConnection {
    let mut conn = sqlite::options_to_make(&dir.path().join("heap.db")).connect().await.expect("opened");
    sqlx::query("CREATE TABLE heap (filler BLOB)").execute(&mut conn).await.expect("made");
    conn
}

/// The same, on a disk that is slow.
struct Slow {
    _dir: tempfile::TempDir,
    disk: SlowDisk,
    disk_failed: CancellationToken,
    writer: Writer,
}

impl Slow {
    async fn heap() -> Self {
        let (dir, disk_failed) = (tempfile::tempdir().expect("a directory"), CancellationToken::new());
        let conn = made(&dir).await;
        let (disk, flushes) = SlowDisk::start(disk_failed.clone());
        let checkpoints = Checkpoints::start(sqlite::options(&dir.path().join("heap.db")));
        let both = Some(Disk { flushes, checkpoints });
        let writer = Writer::start("heap", conn, None, both, disk_failed.clone());
        Self { _dir: dir, disk, disk_failed, writer }
    }

    fn counted(&self) -> (u64, u64) {
        (self.writer.commits(), self.writer.commits_on_disk())
    }

    async fn add_for_this_boot(&self) -> Result<(), StoreError> {
        let added = self
            .writer
            .write_to_last(Lasts::ThisBoot, |turn| Box::pin(async move { insert(turn.conn().await?, 1).await }));
        added.await
    }
}

#[tokio::test]
async fn the_next_commit_is_made_while_one_is_flushed_and_each_is_answered_after_its_flush() {
    let mut slow = Slow::heap().await;
    let mut first = Box::pin(add(&slow.writer, 1));
    assert!(poll!(&mut first).is_pending());
    slow.disk.begun().await;
    let mut second = Box::pin(add(&slow.writer, 2));
    assert!(poll!(&mut second).is_pending());
    // What waits for no disk is in the same batch, so that is committed too.
    slow.add_for_this_boot().await.expect("written");
    assert_eq!(slow.counted(), (2, 2));
    assert!(poll!(&mut first).is_pending() && poll!(&mut second).is_pending(), "neither is on the disk");

    slow.disk.end(Ok(()));
    first.await.expect("written");
    slow.disk.begun().await;
    assert!(poll!(&mut second).is_pending(), "the flush before began too early for it");
    slow.disk.end(Ok(()));
    second.await.expect("written");
}

#[tokio::test]
async fn of_a_batch_what_waits_for_no_disk_is_answered_at_once() {
    let mut slow = Slow::heap().await;
    let mut on_disk = Box::pin(add(&slow.writer, 1));
    assert!(poll!(&mut on_disk).is_pending());
    slow.add_for_this_boot().await.expect("written");
    assert_eq!(slow.counted(), (1, 1), "one batch");
    assert!(poll!(&mut on_disk).is_pending());
    slow.disk.begun().await;
    slow.disk.end(Ok(()));
    on_disk.await.expect("written");
    slow.add_for_this_boot().await.expect("written");
    assert_eq!(slow.counted(), (2, 1));
    assert!(!slow.disk.has_begun(), "nothing was to be flushed");
}

#[tokio::test]
async fn a_flush_that_fails_is_a_failure_of_the_disk_and_what_cannot_be_committed_is_not_flushed() {
    let mut slow = Slow::heap().await;
    let poison = slow.writer.write(|conn| {
        Box::pin(async move { sqlx::query("SELECT nonsense").execute(conn).await.map(drop).map_err(failed("fail")) })
    });
    assert!(!poison.await.expect_err("poisoned").is_disk_failure());
    assert!(!slow.disk.has_begun());

    slow.disk.end(Err(std::io::Error::other("a worn out disk")));
    let error = add(&slow.writer, 1).await.expect_err("not on the disk");
    assert!(error.is_disk_failure(), "{error:?}");
    slow.disk_failed.cancelled().await;
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
