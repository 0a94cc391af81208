//! What a provider has at an address of its own: a certificate, a page that confirms, the rest of a message. Nothing is asked
//! for here that a dialect has not found to be the provider's, and a key goes along only where the dialect wrote the address.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use async_trait::async_trait;
use reqwest::{Certificate, Client};
use url::Url;

use crate::{
    domain::{clock::Clock, secret::Secret},
    reach::{Names, Reach, SystemNames, client, literal, may_reach},
};

/// How long an answer may take. The provider waits for ours meanwhile, SNS 15 seconds.
const TIMEOUT: Duration = Duration::from_secs(6);
/// Bytes of a page at most; a certificate has some two KiB.
const PAGE_BYTES_MAX: usize = 64 << 10;

/// What is asked for.
#[derive(Debug, Clone, Copy)]
pub struct Ask<'a> {
    /// Where.
    pub url: &'a Url,
    /// The key that goes along, as a bearer token.
    pub key: Option<&'a Secret>,
    /// The largest answer, in bytes.
    pub bytes_max: usize,
}

/// Asks providers.
#[async_trait]
pub trait Fetch: Send + Sync + 'static {
    /// The answer, by GET.
    async fn ask(&self, ask: Ask<'_>) -> Result<Vec<u8>, FetchError>;

    /// What is at `url`, where that is a page as certificates are.
    async fn get(&self, url: &Url) -> Result<Vec<u8>, FetchError> {
        self.ask(Ask { url, key: None, bytes_max: PAGE_BYTES_MAX }).await
    }
}

/// Why nothing was got.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The host answered with another status than 2xx.
    #[error("the host answered {0}")]
    Status(u16),
    /// The answer is larger than anything that is asked for.
    #[error("the answer has more than {0} bytes")]
    TooLarge(usize),
    /// There was no whole answer in time.
    #[error("there was no answer within {} seconds", TIMEOUT.as_secs())]
    Late,
    /// The URL's host is an address that nothing is asked of.
    #[error("the host is a private, link-local or otherwise special address")]
    Address,
    /// There is no HTTPS client, for this machine has no root certificates.
    #[error("this machine cannot make an HTTPS request; install its root certificates")]
    NoClient,
    /// The request failed.
    #[error("the request failed")]
    Failed(#[from] reqwest::Error),
}

/// Asks by HTTPS: public addresses alone, no redirect, no proxy, and whoever answers must have a certificate for the host's name
/// from a root that is trusted.
pub struct Providers {
    /// Built when first needed: it loads the machine's root certificates, which a machine without need not have.
    client: OnceLock<Option<Client>>,
    reach: Reach,
    names: Arc<dyn Names>,
    roots: Option<Vec<Certificate>>,
    clock: Arc<dyn Clock>,
}

impl Providers {
    /// One that trusts the roots of this machine.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        let (reach, names) = (Reach::Public, Arc::new(SystemNames));
        Self { client: OnceLock::new(), reach, names, roots: None, clock }
    }

    /// One that trusts `roots` alone and finds `names` within `reach`.
    pub fn trusting(clock: Arc<dyn Clock>, roots: Vec<Certificate>, names: Arc<dyn Names>, reach: Reach) -> Self {
        Self { reach, names, roots: Some(roots), ..Self::new(clock) }
    }

    fn build(&self) -> Option<Client> {
        let builder = client(self.reach, self.names.clone()).https_only(true);
        let builder = match &self.roots {
            Some(roots) => builder.tls_certs_only(roots.clone()),
            None => builder,
        };
        let log =
            |error: &reqwest::Error| tracing::error!(%error, "could not build the HTTPS client for asking providers");
        builder.build().inspect_err(log).ok()
    }
}

#[async_trait]
impl Fetch for Providers {
    async fn ask(&self, ask: Ask<'_>) -> Result<Vec<u8>, FetchError> {
        if ask.url.host().and_then(|host| literal(&host)).is_some_and(|ip| !may_reach(ip, self.reach)) {
            return Err(FetchError::Address);
        }
        let client = self.client.get_or_init(|| self.build()).as_ref().ok_or(FetchError::NoClient)?;
        tokio::select! {
            answer = whole(client, ask) => answer,
            () = self.clock.sleep(TIMEOUT) => Err(FetchError::Late),
        }
    }
}

async fn whole(client: &Client, Ask { url, key, bytes_max }: Ask<'_>) -> Result<Vec<u8>, FetchError> {
    let request = client.get(url.clone());
    let request = match key {
        Some(key) => request.bearer_auth(key.expose()),
        None => request,
    };
    // Without its URL, for a file's may be good for whoever reads it in a log.
    let mut response = request.send().await.map_err(reqwest::Error::without_url)?;
    if !response.status().is_success() {
        return Err(FetchError::Status(response.status().as_u16()));
    }
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(reqwest::Error::without_url)? {
        if bytes.len() + chunk.len() > bytes_max {
            return Err(FetchError::TooLarge(bytes_max));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}
