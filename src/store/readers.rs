//! The connections that read a database: a few, opened when they are needed, and lent for as long as a read takes.
//!
//! Why not sqlx's pool: it asks each connection that comes back whether it is still there, in a task of its own. To a database
//! that is a file this tells nothing, and it is a second trip to the connection's thread for each read.

use std::{
    ops::{Deref, DerefMut},
    time::Duration,
};

use deadpool::{
    Runtime,
    managed::{self, Metrics, Object, Pool, PoolError, QueueMode, RecycleResult},
};
use futures::{
    FutureExt as _, StreamExt as _,
    future::BoxFuture,
    stream::{self, BoxStream},
};
use sqlx::{
    ConnectOptions as _, Describe, Either, Execute, Executor, SqlStr, Sqlite, SqliteConnection,
    sqlite::{SqliteConnectOptions, SqliteQueryResult, SqliteRow, SqliteStatement, SqliteTypeInfo},
};

/// Connections that read at once; reads are short and these machines have few cores.
const READERS_MAX: usize = 4;
/// How long a read waits for a connection: a process whose reads take so long answers nobody in time.
const WAIT_MAX: Duration = Duration::from_secs(30);

/// Reads a database; clones share its connections, which end with the last of them.
#[derive(Debug, Clone)]
pub(crate) struct Readers(Pool<Connections>);

/// Opens connections. One that comes back is as good as new: what is left of a statement or a transaction ends before the next
/// one begins.
#[derive(Debug)]
struct Connections(SqliteConnectOptions);

impl managed::Manager for Connections {
    type Type = SqliteConnection;
    type Error = sqlx::Error;

    async fn create(&self) -> Result<SqliteConnection, sqlx::Error> {
        self.0.connect().await
    }

    async fn recycle(&self, _: &mut SqliteConnection, _: &Metrics) -> RecycleResult<sqlx::Error> {
        Ok(())
    }
}

/// A connection on loan. It goes back when this is dropped.
pub(crate) struct Reader(Object<Connections>);

impl Readers {
    /// Readers by these options; nothing is opened yet.
    pub(crate) fn new(options: SqliteConnectOptions) -> Self {
        let pool = Pool::builder(Connections(options.pragma("query_only", "ON")))
            .max_size(READERS_MAX)
            // The one that was used last: its thread may be awake still, and the others' caches stay small.
            .queue_mode(QueueMode::Lifo)
            .wait_timeout(Some(WAIT_MAX))
            .runtime(Runtime::Tokio1);
        Self(pool.build().expect("there is a runtime for the timeout"))
    }

    /// A connection for several reads.
    pub(crate) async fn acquire(&self) -> Result<Reader, sqlx::Error> {
        self.0.get().await.map(Reader).map_err(|error| match error {
            PoolError::Backend(error) => error,
            PoolError::Timeout(_) => sqlx::Error::PoolTimedOut,
            PoolError::Closed | PoolError::NoRuntimeSpecified | PoolError::PostCreateHook(_) => sqlx::Error::PoolClosed,
        })
    }
}

impl Reader {
    /// What a read came to. A connection whose thread has died is not lent again.
    fn checked<T>(self, read: Result<T, sqlx::Error>) -> Result<T, sqlx::Error> {
        if matches!(read, Err(sqlx::Error::WorkerCrashed)) {
            drop(Object::take(self.0));
        }
        read
    }
}

impl Deref for Reader {
    type Target = SqliteConnection;

    fn deref(&self) -> &SqliteConnection {
        &self.0
    }
}

impl DerefMut for Reader {
    fn deref_mut(&mut self) -> &mut SqliteConnection {
        &mut self.0
    }
}

/// One read on whichever connection is free. Its rows are all there before the first is seen: the reads of this house have
/// limits.
impl<'r> Executor<'r> for &'r Readers {
    type Database = Sqlite;

    fn fetch_many<'e, 'q: 'e, E>(
        self,
        query: E,
    ) -> BoxStream<'e, Result<Either<SqliteQueryResult, SqliteRow>, sqlx::Error>>
    where
        'r: 'e,
        E: 'q + Execute<'q, Sqlite>,
    {
        let read = async move {
            let mut reader = match self.acquire().await {
                Ok(reader) => reader,
                Err(error) => return vec![Err(error)],
            };
            let mut read: Vec<_> = reader.fetch_many(query).collect().await;
            if let Some(last) = read.pop() {
                read.push(reader.checked(last));
            }
            read
        };
        read.map(stream::iter).flatten_stream().boxed()
    }

    fn fetch_all<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, Result<Vec<SqliteRow>, sqlx::Error>>
    where
        'r: 'e,
        E: 'q + Execute<'q, Sqlite>,
    {
        Box::pin(async move {
            let mut reader = self.acquire().await?;
            let read = reader.fetch_all(query).await;
            reader.checked(read)
        })
    }

    fn fetch_optional<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, Result<Option<SqliteRow>, sqlx::Error>>
    where
        'r: 'e,
        E: 'q + Execute<'q, Sqlite>,
    {
        Box::pin(async move {
            let mut reader = self.acquire().await?;
            let read = reader.fetch_optional(query).await;
            reader.checked(read)
        })
    }

    fn prepare_with<'e>(
        self,
        sql: SqlStr,
        parameters: &'e [SqliteTypeInfo],
    ) -> BoxFuture<'e, Result<SqliteStatement, sqlx::Error>>
    where
        'r: 'e,
    {
        Box::pin(async move {
            let mut reader = self.acquire().await?;
            let prepared = reader.prepare_with(sql, parameters).await;
            reader.checked(prepared)
        })
    }

    // Hidden in sqlx's documentation, and there for its macros; where it is compiled in, it has to be here.
    fn describe<'e>(self, sql: SqlStr) -> BoxFuture<'e, Result<Describe<Sqlite>, sqlx::Error>>
    where
        'r: 'e,
    {
        Box::pin(async move {
            let mut reader = self.acquire().await?;
            let described = reader.describe(sql).await;
            reader.checked(described)
        })
    }
}

#[cfg(test)]
mod tests {
    use futures::poll;
    use sqlx::{Connection as _, sqlite::SqliteConnectOptions};

    use super::*;

    async fn readers(dir: &tempfile::TempDir) -> Readers {
        let options = SqliteConnectOptions::new().filename(dir.path().join("read.db")).create_if_missing(true);
        let mut conn = options.connect().await.expect("opened");
        sqlx::query("CREATE TABLE number (n)").execute(&mut conn).await.expect("made");
        sqlx::query("INSERT INTO number VALUES (1), (2), (3)").execute(&mut conn).await.expect("filled");
        Readers::new(options)
    }

    #[tokio::test]
    async fn no_more_read_at_once_than_may_and_one_that_ends_lets_the_next_begin() {
        let dir = tempfile::tempdir().expect("a directory");
        let readers = readers(&dir).await;
        let mut all = Vec::new();
        for _ in 0..READERS_MAX {
            all.push(readers.acquire().await.expect("free"));
        }
        let mut next = Box::pin(sqlx::query_scalar::<_, i64>("SELECT max(n) FROM number").fetch_one(&readers));
        assert!(poll!(&mut next).is_pending());
        all.pop();
        assert_eq!(next.await.expect("read"), 3);
    }

    #[tokio::test]
    async fn who_goes_away_in_the_midst_leaves_a_connection_that_is_as_good_as_new() {
        let dir = tempfile::tempdir().expect("a directory");
        let readers = readers(&dir).await;
        {
            let mut reader = readers.acquire().await.expect("free");
            let mut moment = reader.begin().await.expect("begun");
            sqlx::query("SELECT n FROM number").fetch_all(&mut *moment).await.expect("read");
        }
        let mut reader = readers.acquire().await.expect("the same");
        {
            let mut rows = sqlx::query("SELECT n FROM number").fetch(&mut *reader);
            assert!(matches!(rows.next().await, Some(Ok(_))));
        }
        drop(reader);
        assert_eq!(readers.0.status().available, 1);
        // Neither of the two holds the database as it was then.
        let mut writer = readers.0.manager().0.clone().pragma("query_only", "OFF").connect().await.expect("opened");
        sqlx::query("INSERT INTO number VALUES (4)").execute(&mut writer).await.expect("added");
        let (max, written): (i64, _) = (
            sqlx::query_scalar("SELECT max(n) FROM number").fetch_one(&readers).await.expect("read"),
            sqlx::query("INSERT INTO number VALUES (5)").execute(&readers).await,
        );
        assert_eq!(max, 4);
        assert!(written.is_err(), "a reader writes nothing");
    }
}
