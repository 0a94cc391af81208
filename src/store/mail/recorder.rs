//! What many workers made at the same time becomes a few statements in one transaction.
//!
//! Records queue; the task here drains what has queued and hands it to the writer as one piece. While that commits, the
//! next ones queue, so under load batches form by themselves, without a timer. A batch that fails is handed over again one
//! by one, so that a poisonous record fails alone.

use std::sync::Arc;

use futures::future::join_all;
use tokio::sync::{mpsc, oneshot};

use super::record::{Record, record};
use crate::store::{Refusal, StoreError, deliveries::Recorded, many::ROWS_MAX, writer::Writer};

/// Records that may wait: more than there are lines at work.
const QUEUE_MAX: usize = 4096;

type Answer = oneshot::Sender<Result<Recorded, StoreError>>;

/// A handle to the task that records; clones share it, and it ends with the last.
#[derive(Clone)]
pub(super) struct Recorder {
    queue: mpsc::Sender<(Arc<Record>, Answer)>,
}

impl Recorder {
    pub(super) fn start(writer: Writer) -> Self {
        let (queue, waiting) = mpsc::channel(QUEUE_MAX);
        tokio::spawn(record_all(writer, waiting));
        Self { queue }
    }

    /// Answers once `record` is on the disk. Dropping the returned future does not take it back.
    pub(super) async fn record(&self, record: Record) -> Result<Recorded, StoreError> {
        let (answer, answered) = oneshot::channel();
        let gone = StoreError::Refused(Refusal::Closed);
        if self.queue.send((Arc::new(record), answer)).await.is_err() {
            return Err(gone);
        }
        answered.await.unwrap_or(Err(gone))
    }
}

async fn record_all(writer: Writer, mut waiting: mpsc::Receiver<(Arc<Record>, Answer)>) {
    let mut batch = Vec::with_capacity(ROWS_MAX);
    while waiting.recv_many(&mut batch, ROWS_MAX).await > 0 {
        let endings = match write(&writer, batch.iter().map(|(record, _)| record.clone()).collect()).await {
            Ok(recorded) => recorded.into_iter().map(Ok).collect(),
            Err(error) if batch.len() == 1 || error.is_disk_failure() => vec![Err(error); batch.len()],
            Err(_) => {
                let alone = batch.iter().map(|(record, _)| write(&writer, vec![record.clone()]));
                let ending = |alone: Result<Vec<Recorded>, StoreError>| {
                    alone.and_then(|mut one| one.pop().ok_or(StoreError::Refused(Refusal::Closed)))
                };
                join_all(alone).await.into_iter().map(ending).collect::<Vec<_>>()
            }
        };
        for ((_, answer), ending) in batch.drain(..).zip(endings) {
            // A worker that is gone has lost the answer, not the record.
            let _ = answer.send(ending);
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
