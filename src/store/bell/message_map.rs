//! Which mailbox a message is in, as rows; the oldest go where there are too many.

use async_trait::async_trait;

use super::{BellStore, sql};
use crate::{
    domain::id::{MailboxId, MessageId},
    store::{StoreError, failed, sources::MessageMap},
};

/// Messages remembered at most: about 10 MiB. One that was forgotten is looked for at the mail API.
const MESSAGES_MAX: i64 = 100_000;

#[async_trait]
impl MessageMap for BellStore {
    async fn remember(&self, mailbox: &MailboxId, messages: &[MessageId]) -> Result<(), StoreError> {
        let json = |ids: &[MessageId]| serde_json::to_string(ids).expect("a list of texts is JSON");
        // A list of messages is mostly of known ones: then nothing is written.
        let unknown: Vec<String> = sqlx::query_scalar(sql::log::UNPLACED)
            .bind(json(messages))
            .bind(mailbox.as_str())
            .fetch_all(&self.database.readers)
            .await
            .map_err(failed("look messages up"))?;
        if unknown.is_empty() {
            return Ok(());
        }
        let unknown = json(&unknown.into_iter().map(MessageId::new).collect::<Vec<_>>());
        let mailbox = mailbox.as_str().to_owned();
        let placed = self.database.writer.write(move |conn| {
            let (mailbox, unknown) = (mailbox.clone(), unknown.clone());
            Box::pin(async move {
                let place = sqlx::query(sql::log::PLACE).bind(mailbox).bind(unknown).execute(&mut *conn);
                place.await.map_err(failed("remember where messages are"))?;
                let cap = sqlx::query(sql::log::CAP_PLACES).bind(MESSAGES_MAX).execute(conn);
                cap.await.map_err(failed("forget where the oldest messages are"))?;
                Ok(())
            })
        });
        placed.await
    }

    async fn mailbox_of(&self, message: &MessageId) -> Result<Option<MailboxId>, StoreError> {
        let mailbox: Option<String> = sqlx::query_scalar(sql::log::MAILBOX_OF)
            .bind(message.as_str())
            .fetch_optional(&self.database.readers)
            .await
            .map_err(failed("look a message's mailbox up"))?;
        Ok(mailbox.map(MailboxId::new))
    }
}

#[cfg(test)]
mod tests {
    use super::{super::tests::upgraded, *};

    #[tokio::test]
    async fn what_an_older_version_skipped_forgets_nothing() {
        let (one, two) = (MessageId::new("em_1"), MessageId::new("em_2"));
        let rows = [
            "INSERT INTO message_mailboxes (message_id, mailbox_id) VALUES ('em_1', 'mbx_1')",
            "UPDATE sqlite_sequence SET seq = seq + 1000000 WHERE name = 'message_mailboxes'",
        ];
        let (_directory, store) = upgraded(26, &rows).await;
        let mailbox = MailboxId::new("mbx_1");
        store.remember(&mailbox, &[two]).await.expect("remembered");
        assert_eq!(store.mailbox_of(&one).await.expect("looked"), Some(mailbox));
    }
}
