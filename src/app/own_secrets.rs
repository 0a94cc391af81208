//! What our own receiver knows of the secrets that the embedded service signs with for it: all of them, and of each until
//! when.

use std::{sync::Arc, time::Duration};

use tokio_util::sync::CancellationToken;

use super::bell_side::BellSide;
use crate::{
    bell::webhooks::{SECRET_PREFIX, SOURCE},
    domain::id::SourceName,
    mail::api::Api,
    store::sources::{SourceError, Sources as _},
};

/// How often the keeper looks also where nobody told it that a secret was rotated.
const LOOK_EVERY: Duration = Duration::from_mins(1);

/// Has our receiver know what the service signs with for it, and nothing that it signed with before.
pub(super) async fn settle(bell: &BellSide, mail: &Api) -> Result<(), SourceError> {
    let live = mail.registry().own_secrets().await?;
    bell.store.settle_secrets(&SourceName::new(SOURCE), &live, SECRET_PREFIX, bell.clock.now()).await
}

/// Does so again and again, until `shutdown`.
pub(super) async fn keep(bell: BellSide, mail: Arc<Api>, shutdown: CancellationToken) {
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = mail.rotated() => {}
            () = bell.clock.sleep(LOOK_EVERY) => {}
        }
        match settle(&bell, &mail).await {
            // Whoever removed it wants nothing to vouch; the next start makes it anew.
            Ok(()) | Err(SourceError::Unknown(_)) => {}
            Err(error) => tracing::warn!(
                error = &error as &(dyn std::error::Error + 'static),
                "could not look which secrets of this receiver's have retired; looking again in a minute"
            ),
        }
    }
}
