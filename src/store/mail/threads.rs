//! Which thread a message belongs to, decided by the Message-IDs it bears and names, and what a thread holds.
//!
//! A thread owns every Message-ID that any of its messages bears or refers to. So a reply finds its thread whether it
//! comes before or after what it answers, and two answers to a message that was never seen here find each other. There
//! is no guess by subject: "Re: Invoice" from two customers would be one thread, and an agent would answer one with the
//! other's matter.

use sqlx::SqliteConnection;

use super::rows::{SUMMARY, SummaryRow};
use crate::{
    domain::{
        id::{MailboxId, ThreadId},
        message::MessageSummary,
    },
    store::{StoreError, failed, mailroom::NewMessage, readers::Readers},
};

/// The nearest ancestors of a message that are looked up and kept: a thread is found by its latest messages, and a
/// stranger cannot fill the table with one mail.
const REFERENCES_MAX: usize = 20;
/// Longer Message-IDs than a header line can carry (RFC 5322 section 2.1.1) name nothing.
const INTERNET_ID_BYTES_MAX: usize = 998;
/// Messages that one look at a thread shows.
const THREAD_MESSAGES_MAX: u32 = 500;

/// The thread that has the nearest of the names in ?2, a list.
const FIND: &str = "SELECT t.thread_id FROM json_each(?2) n CROSS JOIN thread_name t \
                    WHERE t.mailbox_id = ?1 AND t.internet_id = n.value ORDER BY n.key LIMIT 1";

/// The thread that a new message belongs to, if it is known here: that of the nearest ancestor.
pub(super) async fn find(conn: &mut SqliteConnection, new: &NewMessage) -> Result<Option<ThreadId>, StoreError> {
    let found: Option<String> = sqlx::query_scalar(FIND)
        .bind(new.message.summary.mailbox_id.as_str())
        .bind(serde_json::Value::from(names(new)).to_string())
        .fetch_optional(conn)
        .await
        .map_err(failed("find a message's thread"))?;
    Ok(found.map(ThreadId::new))
}

/// The names to look up, and to give to its thread: the surest first. Ancestors from the nearest, then its own, by which a copy of
/// a message, or an answer that came before it, is found.
pub(super) fn names(new: &NewMessage) -> Vec<&str> {
    let ancestors = new.references.iter().take(REFERENCES_MAX).map(String::as_str);
    ancestors
        .chain(new.internet_id.as_deref())
        .filter(|name| !name.is_empty() && name.len() <= INTERNET_ID_BYTES_MAX)
        .collect()
}

/// The messages of a thread, the oldest first.
pub(super) async fn messages(
    readers: &Readers,
    mailbox: &MailboxId,
    thread: &ThreadId,
) -> Result<Vec<MessageSummary>, StoreError> {
    let select = format!(
        "SELECT {SUMMARY} FROM message m WHERE m.mailbox_id = ?1 AND m.thread_id = ?2 ORDER BY m.seq LIMIT +?3"
    );
    let rows: Vec<SummaryRow> = sqlx::query_as(sqlx::AssertSqlSafe(select))
        .bind(mailbox.as_str())
        .bind(thread.as_str())
        .bind(THREAD_MESSAGES_MAX)
        .fetch_all(readers)
        .await
        .map_err(failed("read a thread"))?;
    rows.into_iter().map(SummaryRow::read).collect()
}
