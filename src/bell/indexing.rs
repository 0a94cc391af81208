//! Indexing behind those who append: the newest events are put into the log's own indexes once in a while, many at once; and those
//! that retention has removed are taken out.

use std::{sync::Arc, time::Duration};

use tokio_util::sync::CancellationToken;

use crate::{
    domain::clock::Clock,
    store::{StoreError, log::Indexing},
};

/// How long what is new is left to gather. More at once share more pages; but who reads by an index reads as many of the newest as
/// they lie, and who appends has them in memory: at the most that comes in, some twenty thousand, which is milliseconds and MiB.
const INDEX_EVERY: Duration = Duration::from_secs(1);
/// How long what was removed is left to gather: readers only pass it by.
const TAKE_EVERY: Duration = Duration::from_secs(10);

/// Has the newest events indexed every second, where there are any, and the removed ones taken out every ten, until `shutdown`.
pub async fn run(store: Arc<dyn Indexing>, clock: Arc<dyn Clock>, shutdown: CancellationToken) {
    let index = every(INDEX_EVERY, &*clock, &shutdown, "index the newest events", || store.index_newest());
    // Beside it, for what retention removes at once may take longer than what comes in meanwhile may wait.
    let take = every(TAKE_EVERY, &*clock, &shutdown, "take removed events from the indexes", || store.take_removed());
    tokio::join!(index, take);
}

async fn every<F>(span: Duration, clock: &dyn Clock, shutdown: &CancellationToken, what: &str, work: impl Fn() -> F)
where
    F: Future<Output = Result<u64, StoreError>>,
{
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = clock.sleep(span) => {}
        }
        // What is broken off here is done again by the next who keeps the log.
        let worked = tokio::select! {
            () = shutdown.cancelled() => return,
            worked = work() => worked,
        };
        if let Err(error) = worked {
            let error = &error as &(dyn std::error::Error + 'static);
            tracing::warn!(error, again_in_seconds = span.as_secs(), "could not {what}; trying again");
        }
    }
}
