//! A turn of a writer: a transaction whose beginning and end may go along with the first and the last statement in it.
//!
//! Between the thread that writes the database and its caller lies a hand-over, which costs as much as a row or more. What is written
//! all the time spares those for the beginning, for the keeper's epoch and for the end.

use std::borrow::Cow;

use sqlx::{
    AssertSqlSafe, Row as _, Sqlite, SqliteConnection,
    query::Query,
    sqlite::{SqliteArguments, SqliteRow},
};

use super::{StoreError, failed, statement::Statement, term::Term};

/// A statement with what is bound to it so far.
pub(crate) type Bound<'q> = Query<'q, Sqlite, SqliteArguments>;

/// A transaction, perhaps before its beginning.
pub(crate) struct Turn<'s> {
    conn: &'s mut SqliteConnection,
    /// What must not be over.
    term: Option<&'s Term>,
    stage: Stage,
    /// Whether the piece that writes now is the last one.
    last_piece: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Due,
    Begun,
    /// Nothing is done in it any more.
    Committed,
}

impl<'s> Turn<'s> {
    pub(super) fn new(conn: &'s mut SqliteConnection, term: Option<&'s Term>) -> Self {
        Self { conn, term, stage: Stage::Due, last_piece: false }
    }

    /// A part of the transaction of `conn`, which somebody else has begun and will end.
    pub(crate) fn within(conn: &'s mut SqliteConnection) -> Self {
        Self { conn, term: None, stage: Stage::Begun, last_piece: false }
    }

    /// Says whether the piece that writes next is the last one.
    pub(super) fn comes_last(&mut self, last_piece: bool) {
        self.last_piece = last_piece;
    }

    /// The connection, in the transaction.
    pub(crate) async fn conn(&mut self) -> Result<&mut SqliteConnection, StoreError> {
        debug_assert_ne!(self.stage, Stage::Committed);
        if self.stage == Stage::Due {
            match self.term {
                Some(term) => term.begin_transaction(self.conn).await?,
                None => execute(self.conn, "BEGIN IMMEDIATE", "begin a transaction").await?,
            }
            self.stage = Stage::Begun;
        }
        Ok(self.conn)
    }

    /// The rows of a question, which begins the transaction along with it where that is due. It only reads, because whether the term
    /// holds is known after it.
    pub(crate) async fn ask<'q>(
        &mut self,
        question: &'static str,
        doing: &'static str,
        bind: impl FnOnce(Bound<'q>) -> Bound<'q> + Send,
    ) -> Result<Vec<SqliteRow>, StoreError> {
        let beginning = self.beginning();
        let text =
            if beginning.is_empty() { Cow::Borrowed(question) } else { Cow::Owned(format!("{beginning}{question}")) };
        let rows = bind(sqlx::query(AssertSqlSafe(text))).fetch_all(&mut *self.conn).await;
        let mut rows = rows.map_err(failed(doing))?;
        rows.drain(..self.has_begun(rows.first(), doing)?);
        Ok(rows)
    }

    /// The rows of each of some questions, in the same way.
    pub(crate) async fn ask_each(
        &mut self,
        questions: Statement,
        doing: &'static str,
    ) -> Result<Vec<Vec<SqliteRow>>, StoreError> {
        let mut all = Statement::new(self.beginning(), []);
        // One for each statement in it.
        let before = all.text.matches(';').count();
        all.append(questions);
        let mut rows = all.rows_of_each(self.conn).await.map_err(failed(doing))?;
        self.has_begun(rows.iter().flatten().next(), doing)?;
        rows.drain(..before);
        Ok(rows)
    }

    /// What goes before the first question.
    fn beginning(&self) -> &'static str {
        debug_assert_ne!(self.stage, Stage::Committed);
        match (self.stage, self.term) {
            (Stage::Due, None) => "BEGIN IMMEDIATE; ",
            // The epoch is read under the lock, and is the first row.
            (Stage::Due, Some(_)) => "BEGIN IMMEDIATE; PRAGMA user_version; ",
            _ => "",
        }
    }

    /// Notes that the beginning, where it was due, has gone along. Answers how many rows it gave, of which `first` is the first.
    fn has_begun(&mut self, first: Option<&SqliteRow>, doing: &'static str) -> Result<usize, StoreError> {
        let was_due = std::mem::replace(&mut self.stage, Stage::Begun) == Stage::Due;
        let Some(term) = self.term.filter(|_| was_due) else { return Ok(0) };
        let epoch = first.ok_or(sqlx::Error::RowNotFound).and_then(|row| row.try_get(0));
        term.must_be(epoch.map_err(failed(doing))?)?;
        Ok(1)
    }

    /// Runs a statement, whose parameters have no numbers, and answers with the row that was inserted last. Where it is the `last` one
    /// of the last piece, the transaction ends along with it.
    pub(crate) async fn run<'q>(
        &mut self,
        statement: &'static str,
        last: bool,
        doing: &'static str,
        bind: impl FnOnce(Bound<'q>) -> Bound<'q> + Send,
    ) -> Result<i64, StoreError> {
        let commits = self.ends_along(last);
        let text = if commits { Cow::Owned(format!("{statement}; COMMIT")) } else { Cow::Borrowed(statement) };
        let done = bind(sqlx::query(AssertSqlSafe(text))).execute(self.conn().await?).await.map_err(failed(doing))?;
        if commits {
            self.stage = Stage::Committed;
        }
        Ok(done.last_insert_rowid())
    }

    /// Runs some statements, in the same way, and answers with the rows of each.
    pub(crate) async fn run_each(
        &mut self,
        statements: Statement,
        last: bool,
        doing: &'static str,
    ) -> Result<Vec<Vec<SqliteRow>>, StoreError> {
        let commits = self.ends_along(last);
        let all = if commits { statements.then(Statement::new("COMMIT", [])) } else { statements };
        let mut rows = all.rows_of_each(self.conn().await?).await.map_err(failed(doing))?;
        if commits {
            rows.pop();
            self.stage = Stage::Committed;
        }
        Ok(rows)
    }

    fn ends_along(&self, last: bool) -> bool {
        last && self.last_piece && self.stage == Stage::Begun
    }

    /// Ends it, where that is not done.
    pub(super) async fn commit(&mut self) -> Result<(), StoreError> {
        if self.stage == Stage::Begun {
            execute(self.conn, "COMMIT", "commit").await?;
            self.stage = Stage::Committed;
        }
        Ok(())
    }

    /// Takes all of it back.
    pub(super) async fn roll_back(self) {
        if let Err(error) = sqlx::query("ROLLBACK").execute(self.conn).await {
            tracing::debug!(%error, "nothing to roll back: it had not begun, or the database has done it");
        }
    }
}

async fn execute(conn: &mut SqliteConnection, text: &'static str, doing: &'static str) -> Result<(), StoreError> {
    sqlx::query(text).execute(conn).await.map_err(failed(doing)).map(drop)
}

#[cfg(test)]
mod tests {
    use sqlx::Connection as _;

    use super::*;
    use crate::store::{Refusal, statement::Bind};

    const ADD: &str = "INSERT INTO heap (n) VALUES (?)";
    const COUNT: &str = "SELECT count(*) FROM heap";

    async fn heap() -> SqliteConnection {
        let mut conn = SqliteConnection::connect("sqlite::memory:").await.expect("opens");
        sqlx::query("CREATE TABLE heap (n INTEGER NOT NULL) STRICT").execute(&mut conn).await.expect("made");
        conn
    }

    async fn add(turn: &mut Turn<'_>, n: Option<i64>, last: bool) -> Result<(), StoreError> {
        turn.run(ADD, last, "add", |query| query.bind(n)).await.map(drop)
    }

    async fn count(turn: &mut Turn<'_>) -> i64 {
        let rows = turn.ask(COUNT, "count", |query| query).await.expect("asked");
        assert_eq!(rows.len(), 1, "the keeper's epoch is none of them");
        rows[0].get(0)
    }

    /// Fails within a transaction.
    async fn nothing_is_open(conn: &mut SqliteConnection) {
        sqlx::query("BEGIN").execute(&mut *conn).await.expect("there is none");
        sqlx::query("ROLLBACK").execute(conn).await.expect("ended");
    }

    #[tokio::test]
    async fn it_begins_with_the_first_question_and_ends_with_the_last_statement() {
        let mut conn = heap().await;
        let mut turn = Turn::new(&mut conn, None);
        assert_eq!(count(&mut turn).await, 0);
        add(&mut turn, Some(1), true).await.expect("added");
        assert!(turn.stage == Stage::Begun, "somebody comes after");
        turn.comes_last(true);
        add(&mut turn, Some(2), false).await.expect("added");
        assert!(turn.stage == Stage::Begun, "there is more of it");
        assert_eq!(count(&mut turn).await, 2);
        add(&mut turn, Some(3), true).await.expect("added");
        assert!(turn.stage == Stage::Committed);
        turn.commit().await.expect("nothing is left to do");
        nothing_is_open(&mut conn).await;
        assert_eq!(count(&mut Turn::new(&mut conn, None)).await, 3);
    }

    #[tokio::test]
    async fn a_last_statement_that_fails_commits_nothing() {
        let mut conn = heap().await;
        let mut turn = Turn::new(&mut conn, None);
        turn.comes_last(true);
        assert_eq!(count(&mut turn).await, 0);
        add(&mut turn, Some(1), false).await.expect("added");
        add(&mut turn, None, true).await.expect_err("it must be a number");
        turn.roll_back().await;
        nothing_is_open(&mut conn).await;
        assert_eq!(count(&mut Turn::new(&mut conn, None)).await, 0);
    }

    #[tokio::test]
    async fn statements_of_many_parts_begin_and_end_it_too_and_answer_with_their_own_rows() {
        const N: &str = "SELECT n FROM heap WHERE n > ? ORDER BY n";
        let rows = |rows: &[Vec<SqliteRow>]| -> Vec<Vec<i64>> {
            rows.iter().map(|rows| rows.iter().map(|row| row.get(0)).collect()).collect()
        };
        let mut conn = heap().await;
        let term = Term::begin(&mut conn).await.expect("begun");
        for (term, place) in [(Some(&term), 0), (None, 1)] {
            let mut turn = Turn::new(&mut conn, term);
            turn.comes_last(true);
            let both = || Statement::new(N, [Bind::Int(-1)]).then(Statement::new(COUNT, []));
            let found = turn.ask_each(both(), "look").await.expect("asked");
            assert_eq!(rows(&found), [(0..place).collect(), vec![place]]);
            let added = Statement::new(ADD, [Bind::Int(place)]).then(both());
            let added = turn.run_each(added, true, "add").await.expect("added");
            assert_eq!(rows(&added), [vec![], (0..=place).collect(), vec![place + 1]]);
            assert_eq!(turn.stage, Stage::Committed);
            nothing_is_open(&mut conn).await;
        }
        Term::begin(&mut conn).await.expect("begun");
        let mut turn = Turn::new(&mut conn, Some(&term));
        let asked = turn.ask_each(Statement::new(COUNT, []), "look").await;
        assert!(matches!(asked, Err(StoreError::Refused(Refusal::Superseded))), "{asked:?}");
        turn.roll_back().await;
    }

    #[tokio::test]
    async fn a_part_of_a_transaction_neither_begins_nor_ends_it() {
        let mut conn = heap().await;
        sqlx::query("BEGIN").execute(&mut conn).await.expect("begun");
        let mut part = Turn::within(&mut conn);
        assert_eq!(count(&mut part).await, 0);
        add(&mut part, Some(1), true).await.expect("added");
        sqlx::query("ROLLBACK").execute(&mut conn).await.expect("it is open still");
    }

    #[tokio::test]
    async fn where_another_term_has_begun_nothing_is_written() {
        let mut conn = heap().await;
        let term = Term::begin(&mut conn).await.expect("begun");
        let mut turn = Turn::new(&mut conn, Some(&term));
        assert_eq!(count(&mut turn).await, 0);
        turn.roll_back().await;
        Term::begin(&mut conn).await.expect("begun");
        let mut turn = Turn::new(&mut conn, Some(&term));
        let asked = turn.ask(COUNT, "count", |query| query).await;
        assert!(matches!(asked, Err(StoreError::Refused(Refusal::Superseded))), "{asked:?}");
        turn.roll_back().await;
        let mut turn = Turn::new(&mut conn, Some(&term));
        let begun = turn.conn().await;
        assert!(matches!(begun, Err(StoreError::Refused(Refusal::Superseded))), "{begun:?}");
        turn.roll_back().await;
        nothing_is_open(&mut conn).await;
        term.over().await;
    }
}
