//! From one event to what is owed: a delivery for every webhook that wants it, inside the caller's transaction.

use sqlx::{Row as _, Sqlite, SqliteConnection, query::Query, sqlite::SqliteArguments};

use crate::{
    domain::{
        event::{EventKind, NewEvent},
        id::WebhookId,
        message::Mailbox,
        payload,
        webhook::Vocabulary,
    },
    store::{
        StoreError, failed,
        many::{self, Many},
    },
};

/// Owes so many deliveries, in one round trip. The lines that they join: an idle one falls due at once; a waiting or failing one
/// keeps its time. From `$first` on, its parameters are the mailbox, the time, the event and its kind; then each webhook has
/// its endpoint, its id and its body.
pub(super) fn owe_sql(first: usize, webhooks: usize) -> String {
    let (mailbox, at, event, kind) = (first, first + 1, first + 2, first + 3);
    let places = || (0..webhooks).map(|webhook| first + 4 + 3 * webhook);
    let lines: Vec<_> = places().map(|place| format!("(${place}, ${mailbox}, ${at})")).collect();
    let owed: Vec<_> = places().map(|place| format!("(${place}, ${}, ${})", place + 1, place + 2)).collect();
    format!(
        "INSERT INTO line (endpoint, mailbox, due_at) VALUES {}
         ON CONFLICT (endpoint, mailbox, replays) DO UPDATE SET due_at = coalesce(due_at, excluded.due_at);
         INSERT INTO delivery (line_id, webhook_id, event_id, event_type, created_at, body)
         SELECT line.id, owed.column2, ${event}, ${kind}, ${at}, owed.column3 FROM (VALUES {}) owed
         CROSS JOIN line ON line.endpoint = owed.column1 AND line.mailbox = ${mailbox} AND line.replays = 0",
        lines.join(", "),
        owed.join(", ")
    )
}

static OWE: Many = Many::new(|| many::sizes().map(|webhooks| owe_sql(1, webhooks)).collect());

/// The enabled webhooks that may want what happens in a mailbox of `domain` and `id`, as a JSON list that [`wanting`] reads;
/// what happens to the house's own letters is nobody's business. They are few (the registry has a limit), so they are
/// read whole. `id` and `domain` are SQL.
pub(super) fn candidates_sql(id: &str, domain: &str) -> String {
    format!(
        "SELECT json_group_array(json_array(w.id, w.endpoint, w.kinds, w.vocabulary) ORDER BY w.id) FROM webhook w
         WHERE w.disabled_at IS NULL AND (w.scope = 'account' OR w.domain = {domain} OR w.mailbox_id = {id})
           AND NOT EXISTS (SELECT 1 FROM mailbox house WHERE house.id = {id} AND house.of_house)"
    )
}

/// A webhook that wants an event.
pub(super) struct Wanting {
    id: WebhookId,
    endpoint: String,
    vocabulary: Vocabulary,
}

/// Those of `candidates`, a list as [`candidates_sql`] makes it, that want events of `kind`.
pub(super) fn wanting(candidates: &str, kind: EventKind) -> Result<Vec<Wanting>, StoreError> {
    let corrupt = |row: &str, why| StoreError::Corrupt { table: "webhook", row: row.to_owned(), why };
    let all: Vec<(String, String, String, String)> =
        serde_json::from_str(candidates).map_err(|_| corrupt("all", "they are no list"))?;
    let mut wanting = Vec::new();
    for (id, endpoint, kinds, vocabulary) in all {
        if kinds.split_ascii_whitespace().any(|one| one == kind.as_str()) {
            let known = Vocabulary::ALL.into_iter().find(|known| known.as_str() == vocabulary);
            let vocabulary = known.ok_or_else(|| corrupt(&id, "its vocabulary is none"))?;
            wanting.push(Wanting { id: WebhookId::new(id), endpoint, vocabulary });
        }
    }
    Ok(wanting)
}

/// Owes `event`, which happened to `mailbox`, to every enabled webhook whose scope and kinds it falls under; answers how
/// many those are. Callers ring the worker after their commit, never before.
pub(super) async fn fan_out(
    conn: &mut SqliteConnection,
    mailbox: &Mailbox,
    event: &NewEvent,
) -> Result<u32, StoreError> {
    let candidates: String = sqlx::query(sqlx::AssertSqlSafe(candidates_sql("?1", "?2")))
        .bind(mailbox.id.as_str())
        .bind(mailbox.address.domain())
        .fetch_one(&mut *conn)
        .await
        .map_err(failed("find the webhooks that want an event"))?
        .get(0);
    let wanting = wanting(&candidates, event.detail.kind())?;
    owe(conn, mailbox, event, &wanting).await?;
    Ok(u32::try_from(wanting.len()).unwrap_or(u32::MAX))
}

/// Owes `event`, which happened to `mailbox`, to each of `webhooks`.
pub(super) async fn owe(
    conn: &mut SqliteConnection,
    mailbox: &Mailbox,
    event: &NewEvent,
    webhooks: &[Wanting],
) -> Result<(), StoreError> {
    let mut rest = webhooks;
    while let Some((text, now, later)) = OWE.next(rest) {
        rest = later;
        let query = bind_owed(sqlx::query(text), mailbox, event, now);
        query.execute(&mut *conn).await.map_err(failed("owe an event to webhooks"))?;
    }
    Ok(())
}

/// Binds what [`owe_sql`] asks for.
pub(super) fn bind_owed<'q>(
    query: Query<'q, Sqlite, SqliteArguments>,
    mailbox: &Mailbox,
    event: &NewEvent,
    webhooks: &[Wanting],
) -> Query<'q, Sqlite, SqliteArguments> {
    let query = query
        .bind(mailbox.address.to_string())
        .bind(event.timestamp.0)
        .bind(event.event_id.to_string())
        .bind(event.detail.kind().as_str());
    webhooks.iter().fold(query, |query, webhook| {
        query.bind(webhook.endpoint.clone()).bind(webhook.id.to_string()).bind(payload::body(
            event,
            &webhook.id,
            webhook.vocabulary,
        ))
    })
}
