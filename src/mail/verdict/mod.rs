//! Asks whether a message is from whom it says, and keeps the answer with it.
//!
//! There are two ways to know. A server in front of this one that we were told to trust has looked already, and says so
//! in `Authentication-Results` ([`header`]); it alone saw where the message came from. Or we look ourselves ([`dns`]),
//! which takes a peer that comes straight from the world: a peer on loopback is a program on this machine, of which SPF
//! knows nothing. Neither is on by default. A verdict is told, never acted on: what a message is worth is for others to
//! say, and mail is taken in whatever it is.

mod dns;
mod header;

use std::{net::IpAddr, sync::Arc, time::Duration};

pub use dns::{Lookups, NoResolver, Published};

use crate::{
    domain::{clock::Clock, verdict::Verdict},
    mail::reception::Peer,
};

/// How long a message waits for its verdict. Peers wait for ten minutes (RFC 5321 section 4.5.3.2.6), but they should
/// not have to; without an answer by then there is no verdict.
const VERDICT_TIME_MAX: Duration = Duration::from_secs(15);

/// Whom to believe.
#[derive(Debug, Clone, Default)]
pub struct Trust {
    /// The name that the server in front of us signs its results with.
    pub authserv_id: Option<String>,
    /// Where that server connects from. Anybody can write its name.
    pub peers: Vec<IpAddr>,
}

/// Finds verdicts.
pub struct Judge {
    trust: Trust,
    lookups: Option<Arc<Lookups>>,
    clock: Arc<dyn Clock>,
}

impl Judge {
    /// A judge that believes as `trust` says, and looks for itself by `lookups`.
    pub fn new(trust: Trust, lookups: Option<Arc<Lookups>>, clock: Arc<dyn Clock>) -> Self {
        Self { trust, lookups, clock }
    }

    /// What is known of the message `raw`, which starts with the trace that we put before it, from `peer` with the
    /// envelope's sender `from`.
    pub async fn judge(&self, peer: &Peer, from: &str, raw: Arc<Vec<u8>>) -> Option<Verdict> {
        let address = peer.address.to_canonical();
        if let Some(name) = &self.trust.authserv_id
            && self.trust.peers.iter().any(|trusted| trusted.to_canonical() == address)
        {
            return header::verdict(&raw, name);
        }
        let lookups = self.lookups.clone().filter(|_| !address.is_loopback())?;
        let (hello, from) = (peer.hello.clone(), from.to_owned());
        let runtime = tokio::runtime::Handle::current();
        // Hashing a message is work for a thread that may take its time, and a parser that panics must end nothing else.
        let looking =
            tokio::task::spawn_blocking(move || runtime.block_on(lookups.judge(address, &hello, &from, &raw)));
        tokio::select! {
            found = looking => found.unwrap_or_else(|error| {
                tracing::error!(%error, "checking a message failed; it has no verdict");
                None
            }),
            () = self.clock.sleep(VERDICT_TIME_MAX) => {
                tracing::warn!("checking a message took too long; it has no verdict");
                None
            }
        }
    }
}
