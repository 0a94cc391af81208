//! Lists a mailbox, a page at a time, the newest first, along the index that fits the filter best.
//!
//! Pages follow the order of commits, so messages that arrive between two pages disturb neither. One index drives; what
//! it does not cover is compared row by row, at most [`SCAN_ROWS_MAX`] of them, so that no page costs more than a
//! moment however large the mailbox is. A page that looked at so many and found too few is short: narrow the filter.

use sqlx::{QueryBuilder, Sqlite};

use super::rows::{self, SUMMARY, SummaryRow};
use crate::{
    domain::{
        clock::UnixMillis,
        id::MailboxId,
        message::{Direction, MessageFilter, MessagePage, MessageSummary, Status},
    },
    store::{StoreError, failed, readers::Readers},
};

/// Rows that a filter without an index of its own compares for one page: about 100 ms.
const SCAN_ROWS_MAX: u32 = 50_000;
/// How far the order of commits and the wall clock may differ, in milliseconds: an hour covers a clock that was set
/// back for summer time by mistake. Within it dates are exact.
const CLOCK_DISORDER_MILLIS: i64 = 3_600_000;

const OLDER_THAN_ID: &str = "SELECT seq FROM message WHERE id >= ?1 ORDER BY id LIMIT 1";
const NEWER_THAN_ID: &str = "SELECT seq FROM message WHERE id <= ?1 ORDER BY id DESC LIMIT 1";
const OLDER_THAN_TIME: &str =
    "SELECT seq FROM message WHERE mailbox_id = ?1 AND received_at <= ?2 ORDER BY received_at DESC, seq DESC LIMIT 1";
const NEWER_THAN_TIME: &str =
    "SELECT seq FROM message WHERE mailbox_id = ?1 AND received_at >= ?2 ORDER BY received_at, seq LIMIT 1";

/// The messages of `mailbox` that `page` asks for.
pub(super) async fn page(
    readers: &Readers,
    mailbox: &MailboxId,
    page: &MessagePage,
) -> Result<Vec<MessageSummary>, StoreError> {
    let Some(mut window) = window(readers, mailbox, page).await? else { return Ok(Vec::new()) };
    let driver = Driver::of(&page.filter);
    if driver.scans(&page.filter) {
        let floor: Option<i64> = floor(driver, mailbox, &page.filter, window)
            .build_query_scalar()
            .fetch_optional(readers)
            .await
            .map_err(failed("bound a list of messages"))?;
        window.after = window.after.max(floor.unwrap_or(0));
    }
    let rows: Vec<SummaryRow> = select(driver, mailbox, page, window)
        .build_query_as()
        .fetch_all(readers)
        .await
        .map_err(failed("list messages"))?;
    rows.into_iter().map(SummaryRow::read).collect()
}

/// The stretch of commits that a page lies in, both ends excluded.
#[derive(Debug, Clone, Copy)]
struct Window {
    after: i64,
    before: i64,
}

/// Where `page` may look; none if nothing can be there.
async fn window(readers: &Readers, mailbox: &MailboxId, page: &MessagePage) -> Result<Option<Window>, StoreError> {
    let mut window = Window { after: 0, before: i64::MAX };
    let by_id = async |sql: &'static str, id: &str| -> Result<Option<i64>, StoreError> {
        let found = sqlx::query_scalar(sql).bind(id).fetch_optional(readers).await;
        found.map_err(failed("find where a page begins"))
    };
    let by_time = async |sql: &'static str, at: i64| -> Result<Option<i64>, StoreError> {
        let found = sqlx::query_scalar(sql).bind(mailbox.as_str()).bind(at).fetch_optional(readers).await;
        found.map_err(failed("find where a span of time begins"))
    };
    if let Some(id) = &page.before
        && let Some(seq) = by_id(OLDER_THAN_ID, id.as_str()).await?
    {
        window.before = seq;
    }
    if let Some(id) = &page.filter.since_id
        && let Some(seq) = by_id(NEWER_THAN_ID, id.as_str()).await?
    {
        window.after = seq;
    }
    if let Some(UnixMillis(at)) = page.filter.date_before {
        match by_time(OLDER_THAN_TIME, at.saturating_add(CLOCK_DISORDER_MILLIS)).await? {
            Some(seq) => window.before = window.before.min(seq.saturating_add(1)),
            None => return Ok(None),
        }
    }
    if let Some(UnixMillis(at)) = page.filter.date_after {
        match by_time(NEWER_THAN_TIME, at.saturating_sub(CLOCK_DISORDER_MILLIS)).await? {
            Some(seq) => window.after = window.after.max(seq.saturating_sub(1)),
            None => return Ok(None),
        }
    }
    Ok(Some(window))
}

/// The index that leads to the messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Driver {
    Tag,
    Thread,
    Unread,
    Outbound,
    Attached,
    Mailbox,
}

impl Driver {
    /// The narrowest index for `filter`.
    fn of(filter: &MessageFilter) -> Self {
        match filter {
            MessageFilter { thread_id: Some(_), .. } => Self::Thread,
            MessageFilter { tag: Some(_), .. } => Self::Tag,
            MessageFilter { status: Some(Status::Unread), .. } => Self::Unread,
            MessageFilter { direction: Some(Direction::Outbound), .. } => Self::Outbound,
            MessageFilter { has_attachments: Some(true), .. } => Self::Attached,
            _ => Self::Mailbox,
        }
    }

    /// Whether rows must be compared that the index does not cover.
    fn scans(self, filter: &MessageFilter) -> bool {
        filter.sender.is_some()
            || filter.subject_contains.is_some()
            || filter.without_tag.is_some()
            || (filter.tag.is_some() && self != Self::Tag)
            || (filter.status.is_some() && self != Self::Unread)
            || (filter.direction.is_some() && self != Self::Outbound)
            || (filter.has_attachments.is_some() && self != Self::Attached)
    }

    /// Writes `FROM … WHERE …`, and answers with the column that holds the order.
    fn push(self, sql: &mut QueryBuilder<Sqlite>, mailbox: &MailboxId, filter: &MessageFilter) -> &'static str {
        let plain = |sql: &mut QueryBuilder<Sqlite>, from: &str| {
            sql.push(from).push(" WHERE m.mailbox_id = ").push_bind(mailbox.as_str().to_owned());
        };
        match self {
            Self::Tag => {
                // CROSS JOIN keeps SQLite from turning the order of the tables round.
                sql.push(" FROM tag t CROSS JOIN message m ON m.seq = t.seq WHERE t.mailbox_id = ");
                sql.push_bind(mailbox.as_str().to_owned()).push(" AND t.key = ").push_bind(filter.tag.clone());
                return "t.seq";
            }
            Self::Thread => {
                plain(sql, " FROM message m INDEXED BY message_by_thread");
                let thread = filter.thread_id.as_ref().map(|thread| thread.as_str().to_owned());
                sql.push(" AND m.thread_id = ").push_bind(thread);
            }
            // A partial index is only found by its own words, so they are not bound.
            Self::Unread => {
                plain(sql, " FROM message m INDEXED BY message_unread");
                sql.push(" AND m.status = 'unread'");
            }
            Self::Outbound => {
                plain(sql, " FROM message m INDEXED BY message_outbound");
                sql.push(" AND m.direction = 'outbound'");
            }
            Self::Attached => {
                plain(sql, " FROM message m INDEXED BY message_attached");
                sql.push(" AND m.attachment_count > 0");
            }
            Self::Mailbox => plain(sql, " FROM message m INDEXED BY message_by_mailbox"),
        }
        "m.seq"
    }
}

/// The place below which a page does not look: so many rows of its index further down.
fn floor(driver: Driver, mailbox: &MailboxId, filter: &MessageFilter, window: Window) -> QueryBuilder<Sqlite> {
    let seq = if driver == Driver::Tag { "t.seq" } else { "m.seq" };
    let mut sql = QueryBuilder::new(format!("SELECT {seq}"));
    driver.push(&mut sql, mailbox, filter);
    push_window(&mut sql, seq, window);
    sql.push(format!(" ORDER BY {seq} DESC LIMIT 1 OFFSET ")).push_bind(SCAN_ROWS_MAX);
    sql
}

/// The page itself.
fn select(driver: Driver, mailbox: &MailboxId, page: &MessagePage, window: Window) -> QueryBuilder<Sqlite> {
    let filter = &page.filter;
    let mut sql = QueryBuilder::new(format!("SELECT {SUMMARY}"));
    let seq = driver.push(&mut sql, mailbox, filter);
    push_window(&mut sql, seq, window);
    if let Some(status) = filter.status {
        sql.push(" AND m.status = ").push_bind(status.as_str());
    }
    if let Some(direction) = filter.direction {
        sql.push(" AND m.direction = ").push_bind(rows::direction(direction));
    }
    if let Some(UnixMillis(at)) = filter.date_after {
        sql.push(" AND m.received_at >= ").push_bind(at);
    }
    if let Some(UnixMillis(at)) = filter.date_before {
        sql.push(" AND m.received_at <= ").push_bind(at);
    }
    match filter.has_attachments {
        Some(true) => _ = sql.push(" AND m.attachment_count > 0"),
        Some(false) => _ = sql.push(" AND m.attachment_count = 0"),
        None => {}
    }
    if let Some(part) = &filter.sender {
        sql.push(" AND m.sender_folded LIKE ").push_bind(contains(part)).push(r" ESCAPE '\'");
    }
    if let Some(part) = &filter.subject_contains {
        sql.push(" AND m.subject_folded LIKE ").push_bind(contains(part)).push(r" ESCAPE '\'");
    }
    if let (Some(tag), true) = (&filter.tag, driver != Driver::Tag) {
        sql.push(" AND EXISTS (SELECT 1 FROM tag w WHERE w.seq = m.seq AND w.key = ").push_bind(tag.clone()).push(")");
    }
    if let Some(tag) = &filter.without_tag {
        sql.push(" AND NOT EXISTS (SELECT 1 FROM tag w WHERE w.seq = m.seq AND w.key = ");
        sql.push_bind(tag.clone()).push(")");
    }
    sql.push(format!(" ORDER BY {seq} DESC LIMIT +")).push_bind(page.limit);
    sql
}

fn push_window(sql: &mut QueryBuilder<Sqlite>, seq: &str, window: Window) {
    sql.push(format!(" AND {seq} > ")).push_bind(window.after);
    sql.push(format!(" AND {seq} < ")).push_bind(window.before);
}

/// The LIKE pattern for "contains `part`, in any case", for a folded column, in which nothing of `part` is a wildcard.
fn contains(part: &str) -> String {
    let mut pattern = String::with_capacity(part.len() + 2);
    pattern.push('%');
    for c in part.to_lowercase().chars() {
        if matches!(c, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(c);
    }
    pattern.push('%');
    pattern
}

#[cfg(test)]
mod tests;
