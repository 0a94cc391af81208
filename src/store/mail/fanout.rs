//! From one event to what is owed: a delivery for every webhook that wants it, inside the caller's transaction.

use std::collections::BTreeMap;

use sqlx::{Row as _, SqliteConnection};

use super::running::EXPIRES_AT;
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
        many::{self, Many, to_json},
        turn::{Bound, Turn},
    },
};

/// Owes so many deliveries, in one round trip. First the lines that they join, which are bound as a list: an idle one falls due
/// at once; a waiting or failing one keeps its time, and is not written at all.
pub(super) fn owe_sql(deliveries: usize) -> String {
    format!(
        "INSERT INTO line (endpoint, mailbox, due_at)
         SELECT value ->> 0, value ->> 1, value ->> 2 FROM json_each(?) WHERE TRUE
         ON CONFLICT (endpoint, mailbox, replays) DO UPDATE SET due_at = excluded.due_at WHERE due_at IS NULL;
         INSERT INTO delivery (line_id, created_at, webhook_id, event_id, event_type, body, expires_at)
         SELECT line.id, column3, column4, column5, column6, column7, {EXPIRES_AT} FROM (VALUES {}) owed
         CROSS JOIN line ON line.endpoint = owed.column1 AND line.mailbox = owed.column2 AND line.replays = 0",
        many::rows("(?, ?, ?, ?, ?, ?, ?)", deliveries),
        EXPIRES_AT = *EXPIRES_AT
    )
}

static OWE: Many = Many::new(|| many::sizes().map(owe_sql).collect());

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
    let owed: Vec<_> = wanting.iter().map(|webhook| Owed { webhook, mailbox, event }).collect();
    owe(&mut Turn::within(conn), &owed).await?;
    Ok(u32::try_from(wanting.len()).unwrap_or(u32::MAX))
}

/// An event that happened to a mailbox, and a webhook that is owed it.
pub(super) struct Owed<'a> {
    pub(super) webhook: &'a Wanting,
    pub(super) mailbox: &'a Mailbox,
    pub(super) event: &'a NewEvent,
}

/// Owes all of `owed`, in this order. The transaction may end along with it.
pub(super) async fn owe(turn: &mut Turn<'_>, owed: &[Owed<'_>]) -> Result<(), StoreError> {
    let mut rest = owed;
    while let Some((text, now, later)) = OWE.next(rest) {
        rest = later;
        let mut lines: BTreeMap<(&str, &str), i64> = BTreeMap::new();
        for Owed { webhook, mailbox, event } in now {
            let due = lines.entry((&webhook.endpoint, mailbox.address.as_str())).or_insert(event.timestamp.0);
            *due = event.timestamp.0.min(*due);
        }
        let lines: Vec<_> = lines.into_iter().map(|((endpoint, mailbox), due)| (endpoint, mailbox, due)).collect();
        let bind = |query: Bound<'static>| {
            now.iter().fold(query.bind(to_json(&lines)), |query, Owed { webhook, mailbox, event }| {
                query
                    .bind(webhook.endpoint.clone())
                    .bind(mailbox.address.as_str().to_owned())
                    .bind(event.timestamp.0)
                    .bind(webhook.id.as_str().to_owned())
                    .bind(event.event_id.as_str().to_owned())
                    .bind(event.detail.kind().as_str())
                    .bind(payload::body(event, &webhook.id, webhook.vocabulary))
            })
        };
        turn.run(text, rest.is_empty(), "owe events to webhooks", bind).await?;
    }
    Ok(())
}
