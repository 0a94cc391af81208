//! Is it the keeper that listens where it published? Asked before each call that carries the key.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::sync::watch;
use url::Url;

use super::error::UpstreamError;
use crate::{domain::secret::Secret, ids::Ids, signing::proof};

/// The first segment of the path at which a keeper answers; the nonce is the second.
pub const PROOF_PATH: &str = "keeper";
/// The whole of asking. It is one answer over loopback, from memory.
const PROOF_TIMEOUT: Duration = Duration::from_secs(5);
/// An answer is 64 characters; of anything longer no more is read.
pub(super) const ANSWER_BYTES_MAX: usize = 128;

/// The keeper of our data directory, as this process knows it.
#[derive(Clone)]
pub struct Keeper {
    /// What only processes that can read the data directory know.
    pub secret: Secret,
    /// Makes nonces.
    pub ids: Arc<Ids>,
    /// Since when it has answered nothing, if that is so.
    pub silent: watch::Receiver<Option<Silence>>,
}

/// A keeper that holds its lock and answers nobody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Silence {
    /// Its process.
    pub pid: u32,
    /// When it was first asked in vain.
    pub since: Instant,
}

impl Keeper {
    /// Fails unless the keeper answers at `base`. The connection is then most likely the one that the next request takes.
    pub(super) async fn prove(&self, http: &reqwest::Client, base: &Url) -> Result<(), UpstreamError> {
        if let Some(Silence { pid, since }) = *self.silent.borrow() {
            return Err(UpstreamError::Silent { pid, silent_secs: since.elapsed().as_secs() });
        }
        let nonce = self.ids.secret("");
        let mut url = base.clone();
        url.set_path(&format!("{PROOF_PATH}/{nonce}"));
        let asked = http.get(url).timeout(PROOF_TIMEOUT).send().await;
        let unreachable = |source: reqwest::Error| UpstreamError::Unreachable { source: source.without_url() };
        let mut answer = asked.map_err(unreachable)?;
        let mut said = Vec::new();
        // To its end, so that the connection is free for what comes next; a stranger's answer may have none.
        while said.len() <= ANSWER_BYTES_MAX
            && let Some(piece) = answer.chunk().await.map_err(unreachable)?
        {
            said.extend_from_slice(&piece);
        }
        let address = base.origin().ascii_serialization();
        let said = std::str::from_utf8(&said).unwrap_or_default();
        if answer.status().is_success() && proof::holds(&self.secret, &address, &nonce, said) {
            return Ok(());
        }
        Err(UpstreamError::Stranger)
    }
}
