//! The console over the parts of a keeper's term.

use std::{net::SocketAddr, sync::Arc};

use tokio_util::sync::CancellationToken;

use super::resident::Resident;
use crate::{bell::entrance::Entrance, config::load::Loaded, http::console::Parts, mail::api::Api};

/// What the console of this term shows and acts through, whose listener is reached at `at`.
pub(super) fn parts(
    resident: &Resident,
    loaded: &Loaded,
    mail: Option<Arc<Api>>,
    at: SocketAddr,
    shutdown: CancellationToken,
) -> Parts {
    let Resident { bell, upstream, oversight, clock, ids, .. } = resident;
    let store = bell.store.clone();
    Parts {
        at,
        entrance: Entrance::new(store.clone(), store.clone(), clock.clone(), ids.clone()),
        oversight: oversight.clone(),
        waiting: bell.waiting(),
        log: store.clone(),
        standings: store.clone(),
        sources: store.clone(),
        records: store.clone(),
        quarantine: store,
        mail,
        upstream: upstream.clone(),
        settings: loaded.settings.clone(),
        ids: ids.clone(),
        clock: clock.clone(),
        shutdown,
    }
}
