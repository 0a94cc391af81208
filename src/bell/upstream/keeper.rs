//! Is it the keeper that listens where it published? Asked before each call that carries the key, once for those that are made
//! at once.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::sync::watch;
use url::Url;

use super::error::UpstreamError;
use crate::{domain::secret::Secret, ids::Ids, signing::proof, store::together::Together};

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

/// The proofs that are asked for. Calls that begin together share one, which begins after each of them.
pub(super) type Proofs = Together<Url, Result<(), Unproven>>;

/// Why the key goes nowhere.
#[derive(Debug, Clone)]
pub(super) enum Unproven {
    /// Somebody else listens there.
    Stranger,
    /// Nobody answers.
    Unreachable(Arc<reqwest::Error>),
}

impl Keeper {
    /// Fails unless the keeper answers at `base`. The connection is then most likely the one that the next request takes.
    pub(super) async fn prove(&self, proofs: &Proofs, http: &reqwest::Client, base: &Url) -> Result<(), UpstreamError> {
        if let Some(Silence { pid, since }) = *self.silent.borrow() {
            return Err(UpstreamError::Silent { pid, silent_secs: since.elapsed().as_secs() });
        }
        let (keeper, http) = (self.clone(), http.clone());
        let proof = proofs.ask(base.clone(), move |bases| async move {
            let mut proven: BTreeMap<&Url, _> = BTreeMap::new();
            for base in &bases {
                // Nearly always there is one; another was published while this turn filled.
                if !proven.contains_key(base) {
                    proven.insert(base, keeper.answers(&http, base).await);
                }
            }
            Ok(bases.iter().map(|base| proven[base].clone()).collect())
        });
        proof.await?.map_err(|why| match why {
            Unproven::Stranger => UpstreamError::Stranger,
            Unproven::Unreachable(source) => UpstreamError::Unreachable { source },
        })
    }

    async fn answers(&self, http: &reqwest::Client, base: &Url) -> Result<(), Unproven> {
        let nonce = self.ids.secret("");
        let mut url = base.clone();
        url.set_path(&format!("{PROOF_PATH}/{nonce}"));
        let asked = http.get(url).timeout(PROOF_TIMEOUT).send().await;
        let unreachable = |source: reqwest::Error| Unproven::Unreachable(source.without_url().into());
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
        Err(Unproven::Stranger)
    }
}
