//! Webhooks and their secrets, as rows.

use async_trait::async_trait;
use sqlx::{Row as _, SqliteConnection, sqlite::SqliteRow};

use super::{MailStore, lines};
use crate::{
    domain::{
        clock::UnixMillis,
        id::{MailboxId, WebhookId},
        secret::Secret,
        webhook::{Disabled, Scope, SignatureFormat, Vocabulary, Webhook},
    },
    store::{
        StoreError, failed,
        webhooks::{Registered, SigningSecret, SigningWebhook, Webhooks},
    },
};

/// What [`webhook`] reads.
pub(super) const COLUMNS: &str = "id, endpoint, scope, mailbox_id, mailbox, domain, kinds, vocabulary, description, \
                                  signature_format, created_at, disabled_at, disabled_why";

/// The webhook in a row of [`COLUMNS`].
pub(super) fn webhook(row: &SqliteRow) -> Result<Webhook, StoreError> {
    let id: String = row.get("id");
    let corrupt = |why| StoreError::Corrupt { table: "webhook", row: id.clone(), why };
    let scope = match row.get::<&str, _>("scope") {
        "account" => Scope::Account,
        "domain" => Scope::Domain(row.get("domain")),
        _ => Scope::Mailbox {
            id: MailboxId::new(row.get::<String, _>("mailbox_id")),
            address: row.get::<&str, _>("mailbox").parse().map_err(|_| corrupt("its mailbox is no address"))?,
        },
    };
    let kinds = row.get::<&str, _>("kinds").split_ascii_whitespace().map(str::parse).collect::<Result<_, _>>();
    let vocabulary = row.get::<&str, _>("vocabulary");
    let disabled = row.get::<Option<i64>, _>("disabled_at");
    Ok(Webhook {
        endpoint: row.get::<&str, _>("endpoint").parse().map_err(|_| corrupt("its endpoint is no URL"))?,
        scope,
        kinds: kinds.map_err(|_| corrupt("it has a kind that is none"))?,
        vocabulary: Vocabulary::ALL
            .into_iter()
            .find(|known| known.as_str() == vocabulary)
            .ok_or_else(|| corrupt("its vocabulary is none"))?,
        description: row.get("description"),
        signature_format: signature_format(row).ok_or_else(|| corrupt("its signature format is none"))?,
        created_at: UnixMillis(row.get("created_at")),
        disabled: disabled.map(|at| Disabled { at: UnixMillis(at), why: row.get("disabled_why") }),
        id: WebhookId::new(id.clone()),
    })
}

/// The spelling in a row that has the column `signature_format`.
pub(super) fn signature_format(row: &SqliteRow) -> Option<SignatureFormat> {
    row.get::<&str, _>("signature_format").parse().ok()
}

/// The live secrets of a webhook, the newest first.
pub(super) async fn secrets<'c>(
    conn: impl sqlx::SqliteExecutor<'c>,
    webhook: &str,
) -> Result<Vec<SigningSecret>, StoreError> {
    let secrets: Vec<(String, Option<i64>)> =
        sqlx::query_as("SELECT secret, retires_at FROM webhook_secret WHERE webhook_id = ?1 ORDER BY place DESC")
            .bind(webhook)
            .fetch_all(conn)
            .await
            .map_err(failed("read the secrets of a webhook"))?;
    Ok(secrets.into_iter().map(|(secret, until)| (Secret::new(secret), until.map(UnixMillis))).collect())
}

async fn insert(
    conn: &mut SqliteConnection,
    webhook: &Webhook,
    secret: &Secret,
    max: u32,
) -> Result<Registered, StoreError> {
    let there: i64 = sqlx::query_scalar("SELECT count(*) FROM webhook")
        .fetch_one(&mut *conn)
        .await
        .map_err(failed("count the webhooks"))?;
    if there >= i64::from(max) {
        return Ok(Registered::Full);
    }
    let (scope, mailbox_id, mailbox, domain) = match &webhook.scope {
        Scope::Account => ("account", None, None, None),
        Scope::Domain(domain) => ("domain", None, None, Some(domain.as_str())),
        Scope::Mailbox { id, address } => ("mailbox", Some(id.as_str()), Some(address.as_str()), None),
    };
    let kinds: Vec<_> = webhook.kinds.iter().map(|kind| kind.as_str()).collect();
    sqlx::query(
        "INSERT INTO webhook (id, endpoint, scope, mailbox_id, mailbox, domain, kinds, vocabulary, description,
                              signature_format, created_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
    )
    .bind(webhook.id.as_str())
    .bind(webhook.endpoint.to_string())
    .bind(scope)
    .bind(mailbox_id)
    .bind(mailbox)
    .bind(domain)
    .bind(kinds.join(" "))
    .bind(webhook.vocabulary.as_str())
    .bind(webhook.description.as_deref())
    .bind(webhook.signature_format.as_str())
    .bind(webhook.created_at.0)
    .execute(&mut *conn)
    .await
    .map_err(failed("store a webhook"))?;
    sqlx::query("INSERT INTO webhook_secret (webhook_id, place, secret, created_at) VALUES (?1, 1, ?2, ?3)")
        .bind(webhook.id.as_str())
        .bind(secret.expose())
        .bind(webhook.created_at.0)
        .execute(conn)
        .await
        .map_err(failed("store the secret of a webhook"))?;
    Ok(Registered::Fresh)
}

/// Removes one webhook and gives up what it was still owed.
pub(super) async fn remove(conn: &mut SqliteConnection, id: &str) -> Result<bool, StoreError> {
    let removed = sqlx::query("DELETE FROM webhook WHERE id = ?1")
        .bind(id)
        .execute(&mut *conn)
        .await
        .map_err(failed("remove a webhook"))?;
    if removed.rows_affected() == 0 {
        return Ok(false);
    }
    lines::give_up_all_of(conn, id).await?;
    Ok(true)
}

#[async_trait]
impl Webhooks for MailStore {
    async fn add_webhook(&self, webhook: &Webhook, secret: &Secret, max: u32) -> Result<Registered, StoreError> {
        let (webhook, secret) = (webhook.clone(), secret.clone());
        let write = self.database.writer.write(move |conn| {
            let (webhook, secret) = (webhook.clone(), secret.clone());
            Box::pin(async move { insert(conn, &webhook, &secret, max).await })
        });
        write.await
    }

    async fn webhooks(&self) -> Result<Vec<Webhook>, StoreError> {
        let rows = sqlx::query(sqlx::AssertSqlSafe(format!("SELECT {COLUMNS} FROM webhook ORDER BY created_at, id")))
            .fetch_all(&self.database.readers)
            .await
            .map_err(failed("list the webhooks"))?;
        rows.iter().map(webhook).collect()
    }

    async fn webhook(&self, id: &WebhookId) -> Result<Option<SigningWebhook>, StoreError> {
        let row = sqlx::query(sqlx::AssertSqlSafe(format!("SELECT {COLUMNS} FROM webhook WHERE id = ?1")))
            .bind(id.as_str())
            .fetch_optional(&self.database.readers)
            .await
            .map_err(failed("look a webhook up"))?;
        let Some(row) = row else { return Ok(None) };
        Ok(Some((webhook(&row)?, secrets(&self.database.readers, id.as_str()).await?)))
    }

    async fn remove_webhook(&self, id: &WebhookId) -> Result<bool, StoreError> {
        let id = id.clone();
        let write = self.database.writer.write(move |conn| {
            let id = id.clone();
            Box::pin(async move { remove(conn, id.as_str()).await })
        });
        write.await
    }

    async fn approve_host(&self, host: &str) -> Result<(), StoreError> {
        let host = host.to_owned();
        let write = self.database.writer.write(move |conn| {
            let host = host.clone();
            Box::pin(async move {
                let keep = sqlx::query("INSERT INTO approved_host (host) VALUES (?1) ON CONFLICT DO NOTHING");
                keep.bind(host).execute(conn).await.map(drop).map_err(failed("keep an approved host"))
            })
        });
        write.await
    }

    async fn approved_hosts(&self) -> Result<Vec<String>, StoreError> {
        let hosts = sqlx::query_scalar("SELECT host FROM approved_host ORDER BY host");
        hosts.fetch_all(&self.database.readers).await.map_err(failed("read the approved hosts"))
    }

    async fn remove_webhooks_of(&self, mailbox: &MailboxId) -> Result<u32, StoreError> {
        let mailbox = mailbox.clone();
        let write = self.database.writer.write(move |conn| {
            let mailbox = mailbox.clone();
            Box::pin(async move {
                let ids: Vec<String> = sqlx::query_scalar("SELECT id FROM webhook WHERE mailbox_id = ?1")
                    .bind(mailbox.as_str())
                    .fetch_all(&mut *conn)
                    .await
                    .map_err(failed("find the webhooks of a mailbox"))?;
                let mut removed = 0;
                for id in ids {
                    removed += u32::from(remove(conn, &id).await?);
                }
                Ok(removed)
            })
        });
        write.await
    }
}
