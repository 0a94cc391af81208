//! Notices to the operator, as rows.

use async_trait::async_trait;
use futures::future::BoxFuture;
use sqlx::{Row as _, SqliteConnection, sqlite::SqliteRow};

use super::BellStore;
use crate::{
    domain::{clock::UnixMillis, notice::Notice, secret::Secret},
    store::{
        Refusal, StoreError,
        audit::Entry,
        failed,
        notices::{Fact, LetterEnd, NoticeLetter, Notices, TargetStanding, Waiting},
        term,
    },
};

const MARK: &str = "SELECT mark FROM notice_marks WHERE what = ?";
const KEEP_MARK: &str =
    "INSERT INTO notice_marks (what, mark) VALUES (?1, ?2) ON CONFLICT (what) DO UPDATE SET mark = ?2";
const NOTE: &str = "INSERT INTO notices (target, fact, kind, notice, made_at) VALUES (?, ?, ?, ?, ?) \
     ON CONFLICT (target, fact) DO NOTHING";
const TARGETS_WAITING: &str = "SELECT target, count(*) AS waiting FROM notices INDEXED BY notices_waiting \
     WHERE letter IS NULL GROUP BY target";
const NOTICES_WAITING: &str =
    "SELECT n, notice, made_at FROM notices WHERE target = ? AND letter IS NULL ORDER BY n LIMIT +?";
const LETTERS_SINCE: &str = "SELECT count(*) FROM notice_letters WHERE target = ? AND made_at > ?";
const WRITE_LETTER: &str = "INSERT INTO notice_letters (id, target, body, state, made_at, due_at) \
     VALUES (?1, ?2, ?3, 'waiting', ?4, ?4)";
const INTO_LETTER: &str = "UPDATE notices SET letter = ?1 WHERE target = ?2 AND letter IS NULL AND n <= ?3";
const DUE_LETTERS: &str = "SELECT id, target, body, made_at, tries FROM notice_letters \
     WHERE state = 'waiting' AND due_at <= ? ORDER BY due_at LIMIT +?";
const LETTER_FAILED: &str =
    "UPDATE notice_letters SET tries = tries + 1, failure = ?2, due_at = ?3 WHERE id = ?1 AND state = 'waiting'";
const END_LETTER: &str = "UPDATE notice_letters SET state = ?2, failure = ?3, ended_at = ?4, tries = tries + 1 \
     WHERE id = ?1 AND state = 'waiting'";
const FORGET_NOTICES: &str = "DELETE FROM notices WHERE letter IN \
     (SELECT id FROM notice_letters WHERE state <> 'waiting' AND ended_at < ?)";
const FORGET_LETTERS: &str = "DELETE FROM notice_letters WHERE state <> 'waiting' AND ended_at < ?";
const DROP_NOTICES: &str = "DELETE FROM notices INDEXED BY notices_waiting WHERE letter IS NULL AND target NOT LIKE 'mailbox:%' \
     AND target NOT IN (SELECT value FROM json_each(?))";
const DROP_LETTERS: &str = "UPDATE notice_letters INDEXED BY notice_letters_due SET state = 'given_up', failure = 'operator.notify names it no more', \
     ended_at = due_at WHERE state = 'waiting' AND target NOT LIKE 'mailbox:%' \
     AND target NOT IN (SELECT value FROM json_each(?))";
const DROP_MARKS: &str = "DELETE FROM notice_marks";
/// From one target to the next, however much each was told.
const STANDING: &str = "WITH RECURSIVE noted (target) AS (SELECT min(target) FROM notices \
     UNION ALL SELECT (SELECT min(target) FROM notices WHERE target > noted.target) FROM noted WHERE noted.target IS NOT NULL), \
     written (target) AS (SELECT min(target) FROM notice_letters \
     UNION ALL SELECT (SELECT min(target) FROM notice_letters WHERE target > written.target) FROM written \
     WHERE written.target IS NOT NULL) SELECT t.target, \
     (SELECT count(*) FROM notices n LEFT JOIN notice_letters l ON l.id = n.letter \
      WHERE n.target = t.target AND (n.letter IS NULL OR l.state = 'waiting')) AS waiting, \
     (SELECT max(ended_at) FROM notice_letters l WHERE l.target = t.target AND l.state = 'told') AS told_at, \
     (SELECT max(ended_at) FROM notice_letters l WHERE l.target = t.target AND l.state = 'given_up') AS given_up_at, \
     f.failure, f.state FROM (SELECT target FROM noted WHERE target IS NOT NULL UNION SELECT target FROM written \
     WHERE target IS NOT NULL) t \
     LEFT JOIN notice_letters f ON f.id = (SELECT id FROM notice_letters l WHERE l.target = t.target \
       AND l.failure IS NOT NULL ORDER BY made_at DESC LIMIT 1) ORDER BY t.target";
const LETTER_OF: &str = "SELECT l.state, l.failure FROM notices n JOIN notice_letters l ON l.id = n.letter \
     WHERE n.target = ? AND n.fact = ?";
const KEEP_SECRET: &str = "INSERT INTO notice_secrets (name, secret) VALUES (?, ?) ON CONFLICT DO NOTHING";
const SECRET: &str = "SELECT secret FROM notice_secrets WHERE name = ?";
const REFUSED: &str = "SELECT source, sum(times) AS times FROM refusals GROUP BY source ORDER BY source";

/// Every statement above; a test prepares each.
#[cfg(test)]
pub(super) const ALL: &[&str] = &[
    MARK,
    KEEP_MARK,
    NOTE,
    TARGETS_WAITING,
    NOTICES_WAITING,
    LETTERS_SINCE,
    WRITE_LETTER,
    INTO_LETTER,
    DUE_LETTERS,
    LETTER_FAILED,
    END_LETTER,
    FORGET_NOTICES,
    FORGET_LETTERS,
    DROP_NOTICES,
    DROP_LETTERS,
    DROP_MARKS,
    STANDING,
    LETTER_OF,
    KEEP_SECRET,
    SECRET,
    REFUSED,
];

impl BellStore {
    /// A transaction of the term `epoch`; refused once a later one has begun.
    async fn in_term<F>(&self, epoch: i32, work: F) -> Result<(), StoreError>
    where
        F: for<'c> Fn(&'c mut SqliteConnection) -> BoxFuture<'c, Result<(), StoreError>>
            + Clone
            + Send
            + Sync
            + 'static,
    {
        let done = self.database.writer.write(move |conn| {
            let work = work.clone();
            Box::pin(async move {
                if term::epoch(&mut *conn).await? != epoch {
                    return Err(StoreError::Refused(Refusal::Superseded));
                }
                work(conn).await
            })
        });
        done.await
    }
}

#[async_trait]
impl Notices for BellStore {
    async fn holds(&self, epoch: i32) -> Result<(), StoreError> {
        let now = term::epoch(&self.database.readers).await?;
        if now == epoch { Ok(()) } else { Err(StoreError::Refused(Refusal::Superseded)) }
    }

    async fn mark(&self, what: &str) -> Result<Option<i64>, StoreError> {
        let mark = sqlx::query_scalar(MARK).bind(what).fetch_optional(&self.database.readers).await;
        mark.map_err(failed("read up to where was looked for notices"))
    }

    async fn note(
        &self,
        epoch: i32,
        facts: Vec<Fact>,
        marks: Vec<(String, i64)>,
        now: UnixMillis,
    ) -> Result<(), StoreError> {
        let noted = self.in_term(epoch, move |conn| {
            let (facts, marks) = (facts.clone(), marks.clone());
            Box::pin(async move {
                for Fact { target, fact, notice } in facts {
                    let text = serde_json::to_string(&notice).expect("texts and a number");
                    let note =
                        sqlx::query(NOTE).bind(target).bind(fact).bind(notice.kind.as_str()).bind(text).bind(now.0);
                    note.execute(&mut *conn).await.map_err(failed("note what the operator is to be told"))?;
                }
                for (what, mark) in marks {
                    let keep = sqlx::query(KEEP_MARK).bind(what).bind(mark).execute(&mut *conn).await;
                    keep.map_err(failed("note up to where was looked for notices"))?;
                }
                Ok(())
            })
        });
        noted.await
    }

    async fn targets_waiting(&self) -> Result<Vec<(String, u32)>, StoreError> {
        let targets = sqlx::query_as(TARGETS_WAITING).fetch_all(&self.database.readers).await;
        targets.map_err(failed("count what waits to be told"))
    }

    async fn waiting(&self, target: &str, limit: u32) -> Result<Vec<Waiting>, StoreError> {
        let rows = sqlx::query(NOTICES_WAITING).bind(target).bind(limit).fetch_all(&self.database.readers).await;
        rows.map_err(failed("read what waits to be told"))?.iter().map(waiting).collect()
    }

    async fn letters_since(&self, target: &str, since: UnixMillis) -> Result<u32, StoreError> {
        let count =
            sqlx::query_scalar(LETTERS_SINCE).bind(target).bind(since.0).fetch_one(&self.database.readers).await;
        count.map_err(failed("count letters of notices"))
    }

    async fn write_letter(&self, epoch: i32, letter: NoticeLetter, through: i64) -> Result<(), StoreError> {
        let written = self.in_term(epoch, move |conn| {
            let letter = letter.clone();
            Box::pin(async move {
                let doing = "keep a letter of notices";
                let NoticeLetter { id, target, body, made_at, .. } = letter;
                let write = sqlx::query(WRITE_LETTER).bind(&id).bind(&target).bind(body).bind(made_at.0);
                write.execute(&mut *conn).await.map_err(failed(doing))?;
                let into = sqlx::query(INTO_LETTER).bind(id).bind(target).bind(through).execute(conn).await;
                into.map(drop).map_err(failed(doing))
            })
        });
        written.await
    }

    async fn due_letters(&self, now: UnixMillis, limit: u32) -> Result<Vec<NoticeLetter>, StoreError> {
        let rows = sqlx::query(DUE_LETTERS).bind(now.0).bind(limit).fetch_all(&self.database.readers).await;
        let rows = rows.map_err(failed("find letters of notices that are due"))?;
        let letter = |row: &SqliteRow| NoticeLetter {
            id: row.get("id"),
            target: row.get("target"),
            body: row.get("body"),
            made_at: UnixMillis(row.get("made_at")),
            tries: row.get("tries"),
        };
        Ok(rows.iter().map(letter).collect())
    }

    async fn letter_failed(&self, epoch: i32, id: &str, failure: &str, due_at: UnixMillis) -> Result<(), StoreError> {
        let (id, failure) = (id.to_owned(), failure.to_owned());
        let noted = self.in_term(epoch, move |conn| {
            let (id, failure) = (id.clone(), failure.clone());
            Box::pin(async move {
                let note = sqlx::query(LETTER_FAILED).bind(id).bind(failure).bind(due_at.0).execute(conn).await;
                note.map(drop).map_err(failed("note that a letter of notices was not told"))
            })
        });
        noted.await
    }

    async fn end_letter(
        &self,
        epoch: i32,
        id: &str,
        end: &LetterEnd,
        shown: &str,
        now: UnixMillis,
    ) -> Result<(), StoreError> {
        let (outcome, error) = match end {
            LetterEnd::Told => ("told", None),
            LetterEnd::GivenUp(why) => ("given_up", Some(why.clone())),
        };
        let (id, shown, auditor) = (id.to_owned(), shown.to_owned(), self.auditor.clone());
        let ended = self.in_term(epoch, move |conn| {
            let (id, shown, error, auditor) = (id.clone(), shown.clone(), error.clone(), auditor.clone());
            Box::pin(async move {
                let end = sqlx::query(END_LETTER).bind(&id).bind(outcome).bind(&error).bind(now.0);
                end.execute(&mut *conn).await.map_err(failed("end a letter of notices"))?;
                let entry = Entry::Notified { letter: id, target: shown, outcome, error };
                auditor.record(conn, now, &entry).await.map(drop)
            })
        });
        ended.await
    }

    async fn settle_notices(&self, epoch: i32, targets: &[String], before: UnixMillis) -> Result<(), StoreError> {
        let named = serde_json::Value::from(targets).to_string();
        let nobody = targets.is_empty();
        let settled = self.in_term(epoch, move |conn| {
            let named = named.clone();
            Box::pin(async move {
                let doing = "forget notices";
                for text in [FORGET_NOTICES, FORGET_LETTERS] {
                    sqlx::query(text).bind(before.0).execute(&mut *conn).await.map_err(failed(doing))?;
                }
                for text in [DROP_NOTICES, DROP_LETTERS] {
                    sqlx::query(text).bind(&named).execute(&mut *conn).await.map_err(failed(doing))?;
                }
                if nobody {
                    sqlx::query(DROP_MARKS).execute(conn).await.map_err(failed(doing))?;
                }
                Ok(())
            })
        });
        settled.await
    }

    async fn notice_standing(&self) -> Result<Vec<TargetStanding>, StoreError> {
        let rows = sqlx::query(STANDING).fetch_all(&self.database.readers).await;
        let at = |row: &SqliteRow, name: &str| row.get::<Option<i64>, _>(name).map(UnixMillis);
        let standing = |row: &SqliteRow| TargetStanding {
            target: row.get("target"),
            waiting: row.get("waiting"),
            told_at: at(row, "told_at"),
            given_up_at: at(row, "given_up_at"),
            failure: row
                .get::<Option<String>, _>("failure")
                .map(|failure| (failure, row.get::<Option<&str>, _>("state") == Some("waiting"))),
        };
        Ok(rows.map_err(failed("read how notices stand"))?.iter().map(standing).collect())
    }

    async fn letter_of(&self, target: &str, fact: &str) -> Result<Option<(String, Option<String>)>, StoreError> {
        let found = sqlx::query_as(LETTER_OF).bind(target).bind(fact).fetch_optional(&self.database.readers).await;
        found.map_err(failed("look for the letter of a notice"))
    }

    async fn notice_secret(&self, name: &str, fresh: Secret) -> Result<Secret, StoreError> {
        let name = name.to_owned();
        let kept = self.database.writer.write(move |conn| {
            let (name, fresh) = (name.clone(), fresh.clone());
            Box::pin(async move {
                let doing = "keep the secret that signs notices";
                let keep = sqlx::query(KEEP_SECRET).bind(&name).bind(fresh.expose()).execute(&mut *conn).await;
                keep.map_err(failed(doing))?;
                let secret: String =
                    sqlx::query_scalar(SECRET).bind(name).fetch_one(conn).await.map_err(failed(doing))?;
                Ok(Secret::new(secret))
            })
        });
        kept.await
    }

    async fn refused_by_source(&self) -> Result<Vec<(String, i64)>, StoreError> {
        let rows = sqlx::query_as(REFUSED).fetch_all(&self.database.readers).await;
        rows.map_err(failed("count what sources refused"))
    }
}

fn waiting(row: &SqliteRow) -> Result<Waiting, StoreError> {
    let n: i64 = row.get("n");
    let notice: Notice = serde_json::from_str(row.get("notice")).map_err(|_| StoreError::Corrupt {
        table: "notices",
        row: n.to_string(),
        why: "it cannot be read",
    })?;
    Ok(Waiting { n, notice, made_at: UnixMillis(row.get("made_at")) })
}
