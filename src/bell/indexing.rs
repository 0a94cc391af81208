//! Indexing behind those who append: the newest events are put into the log's own indexes once in a while, many at once.

use std::{sync::Arc, time::Duration};

use tokio_util::sync::CancellationToken;

use crate::{domain::clock::Clock, store::log::Indexing};

/// How long what is new is left to gather. More at once share more pages; but who reads by an index reads as many of the newest as
/// they lie, and who appends has them in memory: at the most that comes in, some twenty thousand, which is milliseconds and MiB.
const EVERY: Duration = Duration::from_secs(1);

/// Has the newest events indexed every second, where there are any, until `shutdown`.
pub async fn run(store: Arc<dyn Indexing>, clock: Arc<dyn Clock>, shutdown: CancellationToken) {
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = clock.sleep(EVERY) => {}
        }
        if let Err(error) = store.index_newest().await {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "the newest events could not be indexed; next try in a second"
            );
        }
    }
}
