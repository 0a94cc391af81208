//! The event log over its rows.

use async_trait::async_trait;

use super::{
    BellStore,
    append::Post,
    events,
    select::{Select, narrowing},
    sql,
};
use crate::{
    domain::{
        clock::UnixMillis,
        cursor::Seq,
        event::{Auth, Event, NewEvent},
        id::SourceName,
    },
    store::{
        StoreError, failed,
        log::{EventLog, Extent, Ingested, PageRequest},
        received::Told,
    },
};

#[async_trait]
impl EventLog for BellStore {
    async fn append(
        &self,
        source: &SourceName,
        auth: Auth,
        received_at: UnixMillis,
        events: Vec<NewEvent>,
    ) -> Result<Vec<Ingested>, StoreError> {
        if events.is_empty() {
            return Ok(Vec::new());
        }
        let taken = self.appender.append(Post::new(source, auth, received_at, events)).await?;
        Ok(taken.ingested()?.expect("without a condition it is taken"))
    }

    async fn take_in(
        &self,
        source: &SourceName,
        auth: Auth,
        received_at: UnixMillis,
        told: Vec<Told>,
        roster: Option<i64>,
    ) -> Result<Option<Vec<Ingested>>, StoreError> {
        if told.is_empty() {
            return Ok(Some(Vec::new()));
        }
        let mut post = Post::with_messages(source, auth, received_at, told);
        post.roster = roster;
        self.appender.append(post).await?.ingested()
    }

    async fn page(&self, request: &PageRequest) -> Result<Vec<Event>, StoreError> {
        let select = Select {
            columns: sql::log::EVENT_COLUMNS,
            kinds: &narrowing(&request.filter.kinds),
            filter: &request.filter,
            after: request.after,
            before: request.before,
            also: None,
            order: request.order,
            limit: request.limit,
        };
        let rows = select.statement().query().fetch_all(&self.database.readers).await;
        rows.map_err(failed("read a page of the event log"))?.iter().map(events::event).collect()
    }

    async fn event(&self, seq: Seq) -> Result<Option<Event>, StoreError> {
        let row = sqlx::query(sql::log::EVENT_BY_SEQ).bind(seq.0).fetch_optional(&self.database.readers).await;
        row.map_err(failed("read an event"))?.as_ref().map(events::event).transpose()
    }

    async fn extent(&self) -> Result<Extent, StoreError> {
        let (readers, log) = (self.database.readers.clone(), self.log_id.clone());
        let measured = self.looks.extents.ask((), move |asked| async move {
            let (tail, head): (i64, i64) =
                sqlx::query_as(sql::log::EXTENT).fetch_one(&readers).await.map_err(failed("measure the log"))?;
            Ok(vec![Extent { log, head: Seq(head), tail: Seq(tail) }; asked.len()])
        });
        measured.await
    }
}
