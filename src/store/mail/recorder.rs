//! What many workers made at the same time becomes a few statements in one transaction.

use std::sync::Arc;

use futures::future::join_all;

use super::record::{Record, record};
use crate::store::{Refusal, StoreError, deliveries::Recorded, together::Together, writer::Writer};

/// Where records are written together; clones are the same place.
#[derive(Clone)]
pub(super) struct Recorder {
    writer: Writer,
    together: Together<Arc<Record>, Result<Recorded, StoreError>>,
}

impl Recorder {
    pub(super) fn new(writer: Writer) -> Self {
        Self { writer, together: Together::default() }
    }

    /// Answers once `record` is on the disk. Dropping the returned future does not take it back.
    pub(super) async fn record(&self, record: Record) -> Result<Recorded, StoreError> {
        let writer = self.writer.clone();
        self.together.ask(Arc::new(record), |all| async move { Ok(each(&writer, all).await) }).await?
    }
}

/// Writes all of them in one piece; where that fails, each again, so that a poisonous one fails alone.
async fn each(writer: &Writer, records: Vec<Arc<Record>>) -> Vec<Result<Recorded, StoreError>> {
    match write(writer, records.clone()).await {
        Ok(recorded) => recorded.into_iter().map(Ok).collect(),
        Err(error) if records.len() == 1 || error.is_disk_failure() => vec![Err(error); records.len()],
        Err(_) => {
            let alone = records.into_iter().map(|record| write(writer, vec![record]));
            let ending = |alone: Result<Vec<Recorded>, StoreError>| {
                alone.and_then(|mut one| one.pop().ok_or(StoreError::Refused(Refusal::Closed)))
            };
            join_all(alone).await.into_iter().map(ending).collect()
        }
    }
}

async fn write(writer: &Writer, records: Vec<Arc<Record>>) -> Result<Vec<Recorded>, StoreError> {
    let records: Arc<[Arc<Record>]> = records.into();
    writer
        .write(move |conn| {
            let records = records.clone();
            Box::pin(async move {
                let records: Vec<&Record> = records.iter().map(|record| &**record).collect();
                record(conn, &records).await
            })
        })
        .await
}
