//! Tells a waiting caller that its call is alive: at once, and then every ten seconds.
//!
//! At once, because over HTTP nothing at all goes out before the first message, and proxies and clients give up on silence.

use std::{sync::Arc, time::Duration};

use rmcp::{
    Peer, RoleServer,
    model::{ProgressNotificationParam, ProgressToken},
};

use crate::domain::clock::Clock;

/// Well below the 60 s and more after which clients and proxies give up on silence.
const BEAT: Duration = Duration::from_secs(10);

/// The caller's progress token and the way back to it.
#[derive(Clone)]
pub(super) struct Progress {
    peer: Peer<RoleServer>,
    token: ProgressToken,
}

impl Progress {
    pub(super) fn new(peer: Peer<RoleServer>, token: ProgressToken) -> Self {
        Self { peer, token }
    }

    /// Beats until it is dropped.
    pub(super) async fn beat(&self, clock: &Arc<dyn Clock>) -> std::convert::Infallible {
        let mut beats = 0u32;
        loop {
            beats += 1;
            self.tell(beats).await;
            clock.sleep(BEAT).await;
        }
    }

    /// Tells once, for the so manieth time.
    pub(super) async fn tell(&self, beats: u32) {
        let beat = ProgressNotificationParam::new(self.token.clone(), f64::from(beats)).with_message("waiting");
        // A caller that cannot be told is noticed by the transport, which cancels the call.
        if let Err(error) = self.peer.notify_progress(beat).await {
            tracing::debug!(%error, "progress could not be told");
        }
    }
}
