//! Statements that are put together: texts with the values that belong to them.
//!
//! Each hand-over to the database's thread and back costs more than most of what is asked there. So what is asked together is one
//! text, and one trip.

use futures::TryStreamExt as _;
use sqlx::{
    AssertSqlSafe, Either, Executor as _, Sqlite, SqliteConnection,
    query::Query,
    sqlite::{SqliteArguments, SqliteRow},
};

/// A value for a `?`.
#[derive(Debug, Clone)]
pub(crate) enum Bind {
    Null,
    Int(i64),
    Text(String),
    Blob(Vec<u8>),
}

/// A statement whose text holds nothing but constants; each value is a plain `?`, in the order of the text.
#[derive(Debug, Clone)]
pub(crate) struct Statement {
    pub(crate) text: String,
    pub(crate) binds: Vec<Bind>,
}

impl Statement {
    pub(crate) fn new(text: impl Into<String>, binds: impl Into<Vec<Bind>>) -> Self {
        Self { text: text.into(), binds: binds.into() }
    }

    /// Goes on with `text`.
    pub(crate) fn push(&mut self, text: &str) {
        self.text.push_str(text);
    }

    /// Goes on with `other`.
    pub(crate) fn append(&mut self, other: Self) {
        self.text.push_str(&other.text);
        self.binds.extend(other.binds);
    }

    /// Has `next` run after it in the same trip. What holds between two is the transaction's matter.
    #[must_use]
    pub(crate) fn then(mut self, next: Self) -> Self {
        self.push("; ");
        self.append(next);
        self
    }

    pub(crate) fn query(self) -> Query<'static, Sqlite, SqliteArguments> {
        let query = sqlx::query(AssertSqlSafe(self.text));
        self.binds.into_iter().fold(query, |query, bind| match bind {
            Bind::Null => query.bind(None::<i64>),
            Bind::Int(value) => query.bind(value),
            Bind::Text(value) => query.bind(value),
            Bind::Blob(value) => query.bind(value),
        })
    }

    /// Runs all of it in one trip, and answers with the rows of each statement in it.
    pub(crate) async fn rows_of_each(self, conn: &mut SqliteConnection) -> Result<Vec<Vec<SqliteRow>>, sqlx::Error> {
        let (mut all, mut rows) = (Vec::new(), Vec::new());
        let mut results = conn.fetch_many(self.query());
        while let Some(result) = results.try_next().await? {
            match result {
                Either::Right(row) => rows.push(row),
                Either::Left(_) => all.push(std::mem::take(&mut rows)),
            }
        }
        Ok(all)
    }
}
