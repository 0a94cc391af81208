//! What many workers made at the same time becomes a few statements in one transaction.

use std::sync::Arc;

use super::record::{Record, record};
use crate::store::{
    StoreError,
    deliveries::Recorded,
    together::{Together, together_or_alone},
    writer::Writer,
};

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
        let turn = |all| async move { Ok(together_or_alone(all, |some| write(&writer, some)).await) };
        self.together.ask(Arc::new(record), turn).await?
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
