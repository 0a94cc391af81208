//! Oversight, as rows.

use async_trait::async_trait;
use serde_json::json;
use sqlx::{Row as _, sqlite::SqliteRow};

use super::{BellStore, holding::let_go_of, sql};
use crate::{
    domain::{
        clock::{Moment, UnixMillis},
        id::{ActionId, MessageId},
        oversight::{ActionState, NotAMode, OversightMode, Rules},
    },
    store::{
        StoreError,
        audit::Entry,
        failed,
        oversight::{Action, Decided, Decider, Decision, Kept, NewAction, Oversights, PENDING_BYTES_MAX, PENDING_MAX},
    },
};

/// How long a name that an asker gave is known again, in milliseconds: a day, as at the mail API.
const NAME_MILLIS: i64 = 86_400_000;

#[async_trait]
impl Oversights for BellStore {
    async fn rules(&self) -> Result<Rules, StoreError> {
        let readers = self.database.readers.clone();
        let read = self.looks.rules.ask((), move |asked| async move {
            let rows = sqlx::query(sql::oversight::RULES).fetch_all(&readers).await;
            let rules = rules(&rows.map_err(failed("read what the operator has set"))?)?;
            Ok(vec![rules; asked.len()])
        });
        read.await
    }

    async fn set_mode(
        &self,
        mailbox: Option<&str>,
        mode: Option<OversightMode>,
        by: &Decider,
        now: UnixMillis,
    ) -> Result<(), StoreError> {
        let mailbox = mailbox.map(str::to_lowercase);
        let (auditor, by) = (self.auditor.clone(), by.to_string());
        let set = self.database.writer.write(move |conn| {
            let (mailbox, mode) = (mailbox.clone(), mode.map(OversightMode::as_str));
            let about = json!({ "mailbox": mailbox, "mode": mode.unwrap_or("default"), "by": by });
            let auditor = auditor.clone();
            Box::pin(async move {
                let set = match (mailbox, mode) {
                    (None, mode) => {
                        sqlx::query(sql::oversight::SET_MODE).bind(mode.unwrap_or(OversightMode::default().as_str()))
                    }
                    (Some(mailbox), Some(mode)) => {
                        sqlx::query(sql::oversight::SET_MAILBOX_MODE).bind(mailbox).bind(mode)
                    }
                    (Some(mailbox), None) => sqlx::query(sql::oversight::UNSET_MAILBOX_MODE).bind(mailbox),
                };
                set.execute(&mut *conn).await.map_err(failed("set a mode"))?;
                auditor.record(conn, now, &Entry::Operator { command: "mode", about }).await.map(drop)
            })
        });
        set.await
    }

    async fn set_paused(&self, paused: bool, by: &Decider, now: UnixMillis) -> Result<(), StoreError> {
        let (auditor, by) = (self.auditor.clone(), by.to_string());
        let set = self.database.writer.write(move |conn| {
            let (auditor, about) = (auditor.clone(), json!({ "by": by }));
            Box::pin(async move {
                let set = sqlx::query(sql::oversight::SET_PAUSED).bind(paused).execute(&mut *conn).await;
                set.map_err(failed("pause or resume"))?;
                let command = if paused { "pause" } else { "resume" };
                auditor.record(conn, now, &Entry::Operator { command, about }).await.map(drop)
            })
        });
        set.await
    }

    async fn keep_action(&self, new: NewAction) -> Result<Kept, StoreError> {
        let auditor = self.auditor.clone();
        let kept = self.database.writer.write(move |conn| {
            let (new, auditor) = (new.clone(), auditor.clone());
            Box::pin(async move {
                let alike: Option<String> = sqlx::query_scalar(sql::oversight::ALIKE)
                    .bind(&new.alike)
                    .bind(new.named)
                    .bind(new.now.0.saturating_sub(NAME_MILLIS))
                    .fetch_optional(&mut *conn)
                    .await
                    .map_err(failed("look for an action like it"))?;
                if let Some(alike) = alike.map(ActionId::new) {
                    let entry = asked(&new, &alike, "collapsed");
                    auditor.record(conn, new.now, &entry).await?;
                    return Ok(Kept::Alike(alike));
                }
                let (waiting, bytes): (i64, i64) = sqlx::query_as(sql::oversight::WAITING)
                    .fetch_one(&mut *conn)
                    .await
                    .map_err(failed("count what waits"))?;
                let most = i64::try_from(PENDING_BYTES_MAX).unwrap_or(i64::MAX);
                let more = i64::try_from(new.effect.len()).unwrap_or(i64::MAX);
                if waiting >= i64::from(PENDING_MAX) || bytes.saturating_add(more) > most {
                    auditor.record(conn, new.now, &asked(&new, &new.id, "turned_away")).await?;
                    return Ok(Kept::Full);
                }
                sqlx::query(sql::oversight::KEEP_ACTION)
                    .bind(new.id.as_str())
                    .bind(if new.later { ActionState::Scheduled } else { ActionState::Pending }.as_str())
                    .bind(&new.effect)
                    .bind(&new.digest)
                    .bind(&new.alike)
                    .bind(new.named)
                    .bind(&new.summary)
                    .bind(&new.asker)
                    .bind(&new.mailbox)
                    .bind(new.now.0)
                    .bind(new.expires_at.0)
                    .execute(&mut *conn)
                    .await
                    .map_err(failed("keep an action"))?;
                auditor.record(conn, new.now, &asked(&new, &new.id, "kept")).await?;
                Ok(Kept::Fresh)
            })
        });
        kept.await
    }

    async fn action(&self, id: &ActionId) -> Result<Option<Action>, StoreError> {
        let row = sqlx::query(sql::oversight::ACTION).bind(id.as_str()).fetch_optional(&self.database.readers).await;
        row.map_err(failed("read an action"))?.as_ref().map(read).transpose()
    }

    async fn actions(&self, state: Option<ActionState>, limit: u32, whole: bool) -> Result<Vec<Action>, StoreError> {
        let rows = match state {
            Some(state) => sqlx::query(sql::oversight::ACTIONS_IN).bind(whole).bind(state.as_str()),
            None => sqlx::query(sql::oversight::ACTIONS).bind(whole),
        };
        let rows = rows.bind(limit).fetch_all(&self.database.readers).await.map_err(failed("list actions"))?;
        rows.iter().map(read).collect()
    }

    async fn has_errands(&self, expires_by: UnixMillis, now: UnixMillis) -> Result<bool, StoreError> {
        sqlx::query_scalar(sql::oversight::HAS_ERRANDS)
            .bind(expires_by.0)
            .bind(now.0)
            .fetch_one(&self.database.readers)
            .await
            .map_err(failed("look for what an operator has decided"))
    }

    async fn ask_about(&self, expires_by: UnixMillis) -> Result<u64, StoreError> {
        let asked = self.database.writer.write(move |conn| {
            Box::pin(async move {
                let asked = sqlx::query(sql::oversight::ASK_ABOUT).bind(expires_by.0).execute(conn).await;
                Ok(asked.map_err(failed("have an operator asked"))?.rows_affected())
            })
        });
        asked.await
    }

    async fn decide(
        &self,
        id: &ActionId,
        decision: &Decision,
        by: &Decider,
        note: Option<&str>,
        now: Moment,
    ) -> Result<Decided, StoreError> {
        let (id, decision, note) = (id.clone(), decision.clone(), note.map(str::to_owned));
        let (auditor, by) = (self.auditor.clone(), by.to_string());
        let decided = self.database.writer.write(move |conn| {
            let (id, decision, note, now) = (id.clone(), decision.clone(), note.clone(), now.clone());
            let (auditor, by) = (auditor.clone(), by.clone());
            Box::pin(async move {
                let row: Option<(String, String, i64)> = sqlx::query_as(sql::oversight::DECIDABLE)
                    .bind(id.as_str())
                    .fetch_optional(&mut *conn)
                    .await
                    .map_err(failed("look at an action"))?;
                let Some((state, digest, expires_at)) = row else { return Ok(Decided::Unknown) };
                let state = state_of(&state)?;
                if !matches!(state, ActionState::Scheduled | ActionState::Pending) {
                    return Ok(Decided::Over(state));
                }
                if expires_at <= now.wall.0 {
                    return Ok(Decided::Over(ActionState::Expired));
                }
                let to = match decision {
                    Decision::Approve { digest: shown } if shown != digest => return Ok(Decided::OtherDigest),
                    Decision::Approve { .. } => ActionState::Approved,
                    Decision::Deny => ActionState::Denied,
                };
                let moved = sqlx::query(sql::oversight::MOVE_ACTION)
                    .bind(id.as_str())
                    .bind(state.as_str())
                    .bind(to.as_str())
                    .bind(to.outcome().is_some())
                    .bind(&note)
                    .bind(now.wall.0);
                moved.execute(&mut *conn).await.map_err(failed("decide on an action"))?;
                let digest = (to == ActionState::Approved).then_some(digest);
                let entry = step(id.clone(), to.as_str(), Some(by), digest, note);
                auditor.record(conn, now.wall, &entry).await?;
                if to.outcome().is_some() {
                    let_go_of(conn, &auditor, &id, &now).await?;
                }
                Ok(Decided::Done)
            })
        });
        decided.await
    }

    async fn move_action(
        &self,
        id: &ActionId,
        from: ActionState,
        to: ActionState,
        note: Option<&str>,
        now: Moment,
    ) -> Result<bool, StoreError> {
        let (id, note, auditor) = (id.clone(), note.map(str::to_owned), self.auditor.clone());
        let moved = self.database.writer.write(move |conn| {
            let (id, note, now, auditor) = (id.clone(), note.clone(), now.clone(), auditor.clone());
            Box::pin(async move {
                let moved = sqlx::query(sql::oversight::MOVE_ACTION)
                    .bind(id.as_str())
                    .bind(from.as_str())
                    .bind(to.as_str())
                    .bind(to.outcome().is_some())
                    .bind(&note)
                    .bind(now.wall.0)
                    .execute(&mut *conn)
                    .await
                    .map_err(failed("move an action"))?;
                if moved.rows_affected() == 0 {
                    return Ok(false);
                }
                let word = if to == ActionState::Approved { "put_back" } else { to.as_str() };
                auditor.record(conn, now.wall, &step(id.clone(), word, None, None, note)).await?;
                if to.outcome().is_some() {
                    let_go_of(conn, &auditor, &id, &now).await?;
                }
                Ok(true)
            })
        });
        moved.await
    }

    async fn note_message(&self, id: &ActionId, message: &MessageId) -> Result<(), StoreError> {
        let (id, message) = (id.clone(), message.clone());
        let noted = self.database.writer.write(move |conn| {
            let (id, message) = (id.clone(), message.clone());
            Box::pin(async move {
                let note = sqlx::query(sql::oversight::NOTE_MESSAGE)
                    .bind(id.as_str())
                    .bind(message.as_str())
                    .execute(conn)
                    .await;
                note.map(drop).map_err(failed("note what an action became"))
            })
        });
        noted.await
    }

    async fn actions_about(&self, message: &MessageId, limit: u32) -> Result<Vec<Action>, StoreError> {
        let rows = sqlx::query(sql::oversight::ACTIONS_ABOUT).bind(message.as_str()).bind(limit);
        let rows = rows.fetch_all(&self.database.readers).await.map_err(failed("read the actions of a message"))?;
        rows.iter().map(read).collect()
    }

    async fn message_of(&self, id: &ActionId) -> Result<Option<MessageId>, StoreError> {
        let message = sqlx::query_scalar::<_, Option<String>>(sql::oversight::MESSAGE_OF).bind(id.as_str());
        let message = message.fetch_optional(&self.database.readers).await;
        Ok(message.map_err(failed("read what an action became"))?.flatten().map(MessageId::new))
    }

    async fn keep_code(
        &self,
        sha256: [u8; 32],
        mailbox: &str,
        mode: OversightMode,
        expires_at: UnixMillis,
        by: &Decider,
        now: UnixMillis,
    ) -> Result<(), StoreError> {
        let (mailbox, auditor, by) = (mailbox.to_lowercase(), self.auditor.clone(), by.to_string());
        let kept = self.database.writer.write(move |conn| {
            let about = json!({ "mailbox": mailbox, "mode": mode.as_str(), "until": expires_at, "by": by });
            let (mailbox, auditor) = (mailbox.clone(), auditor.clone());
            Box::pin(async move {
                let keep = sqlx::query(sql::oversight::KEEP_CODE)
                    .bind(sha256.to_vec())
                    .bind(mailbox)
                    .bind(mode.as_str())
                    .bind(expires_at.0);
                keep.execute(&mut *conn).await.map_err(failed("keep a code"))?;
                auditor.record(conn, now, &Entry::Operator { command: "mode --code", about }).await.map(drop)
            })
        });
        kept.await
    }

    async fn use_code(
        &self,
        sha256: [u8; 32],
        mailbox: &str,
        by: &str,
        now: UnixMillis,
    ) -> Result<Option<OversightMode>, StoreError> {
        let (mailbox, auditor, by) = (mailbox.to_lowercase(), self.auditor.clone(), by.to_owned());
        let used = self.database.writer.write(move |conn| {
            let (mailbox, auditor, by) = (mailbox.clone(), auditor.clone(), by.clone());
            Box::pin(async move {
                let found: Option<String> = sqlx::query_scalar(sql::oversight::USE_CODE)
                    .bind(sha256.to_vec())
                    .bind(&mailbox)
                    .bind(now.0)
                    .fetch_optional(&mut *conn)
                    .await
                    .map_err(failed("use a code"))?;
                let Some(word) = found else { return Ok(None) };
                let set =
                    sqlx::query(sql::oversight::SET_MAILBOX_MODE).bind(&mailbox).bind(&word).execute(&mut *conn).await;
                set.map_err(failed("set a mode"))?;
                let mode = mode(&word)?;
                auditor.record(conn, now, &Entry::CodeUsed { mailbox, mode: mode.as_str(), by }).await?;
                Ok(Some(mode))
            })
        });
        used.await
    }
}

/// What the record says of a change that is asked for.
fn asked(new: &NewAction, id: &ActionId, step: &'static str) -> Entry {
    Entry::Action {
        action_id: id.clone(),
        step,
        by: Some(new.asker.clone()),
        mailbox: new.mailbox.clone(),
        summary: Some(new.summary.clone()),
        digest: Some(new.digest.clone()),
        recipients: new.recipients.clone(),
        note: None,
    }
}

/// What it says of one that came a step further.
fn step(
    action_id: ActionId,
    step: &'static str,
    by: Option<String>,
    digest: Option<String>,
    note: Option<String>,
) -> Entry {
    Entry::Action { action_id, step, by, mailbox: None, summary: None, digest, recipients: Vec::new(), note }
}

fn rules(rows: &[SqliteRow]) -> Result<Rules, StoreError> {
    let mut rules = Rules::default();
    for row in rows {
        let mode = mode(row.get("mode"))?;
        if let Some(mailbox) = row.get::<Option<String>, _>("mailbox") {
            rules.mailboxes.insert(mailbox, mode);
        } else {
            rules.mode = mode;
            rules.paused = row.get("paused");
            rules.operator = row.get("operator");
        }
    }
    Ok(rules)
}

fn mode(word: &str) -> Result<OversightMode, StoreError> {
    word.parse().map_err(|_: NotAMode| StoreError::Corrupt {
        table: "oversight",
        row: word.to_owned(),
        why: "it is no mode",
    })
}

fn state_of(word: &str) -> Result<ActionState, StoreError> {
    let corrupt = || StoreError::Corrupt { table: "actions", row: word.to_owned(), why: "it is no state" };
    ActionState::ALL.into_iter().find(|state| state.as_str() == word).ok_or_else(corrupt)
}

fn read(row: &SqliteRow) -> Result<Action, StoreError> {
    let id: String = row.get("id");
    let effect: Option<Vec<u8>> = row.get("effect");
    let effect = effect.map(|bytes| serde_json::from_slice(&bytes)).transpose().map_err(|_| StoreError::Corrupt {
        table: "actions",
        row: id.clone(),
        why: "its effect cannot be read",
    })?;
    Ok(Action {
        id: ActionId::new(id),
        state: state_of(row.get("state"))?,
        effect,
        digest: row.get("digest"),
        summary: row.get("summary"),
        asker: row.get("asker"),
        mailbox: row.get("mailbox"),
        created_at: UnixMillis(row.get("created_at")),
        expires_at: UnixMillis(row.get("expires_at")),
        decided_at: row.get::<Option<i64>, _>("decided_at").map(UnixMillis),
        note: row.get("note"),
    })
}
