//! The only way out for webhooks: a POST that follows no redirect, takes no proxy, and connects to no address it should not.

use std::{
    error::Error,
    sync::{Arc, OnceLock},
    time::Duration,
};

use reqwest::{
    Client, Response, StatusCode,
    header::{HeaderMap, RETRY_AFTER},
};
use rustls::crypto::CryptoProvider;
use url::Url;

use crate::{
    domain::clock::Clock,
    reach::{Names, NoAllowedAddress, Reach, SystemNames, client, literal, may_reach},
};

/// How long an endpoint has from the first packet to its status.
pub const TIMEOUT: Duration = Duration::from_secs(10);
/// How much of a response is read, to be able to use the connection again; what comes after costs the connection.
const RESPONSE_BYTES_MAX: u64 = 64 * 1024;

/// What became of a post.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Posted {
    /// A response came.
    Responded {
        /// Its status.
        status: u16,
        /// Its `Retry-After`, as it came.
        retry_after: Option<String>,
        /// How much of its body was read.
        bytes: u64,
    },
    /// None came.
    Failed(Fault),
}

/// Why no response came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The endpoint took longer than [`TIMEOUT`].
    Timeout,
    /// Its name stands for no address that webhooks may be sent to.
    Address,
    /// The settings do not allow this target any more.
    NotAllowed,
    /// No connection: refused, unreachable, unknown, or TLS failed.
    Connect,
    /// The connection broke before a response.
    Broken,
    /// This machine cannot make the request: no root certificates, or a header that cannot be sent.
    Unsendable,
}

impl Fault {
    /// The word for it in answers.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Timeout => "timeout",
            Self::Address => "address_not_allowed",
            Self::NotAllowed => "target_not_allowed",
            Self::Connect => "no_connection",
            Self::Broken => "connection_broken",
            Self::Unsendable => "not_sendable",
        }
    }
}

/// Why there is no way out.
#[derive(Debug, thiserror::Error)]
pub enum EgressError {
    /// Nobody installed a TLS provider.
    #[error("no TLS provider is installed; the program must install one before it sends webhooks")]
    NoProvider,
    /// The client was not built.
    #[error("could not build the HTTP client for webhooks")]
    Client(#[source] reqwest::Error),
}

/// The way out.
pub struct Egress {
    /// Plain HTTP, to this machine.
    plain: Client,
    /// Built when first needed: it loads the machine's root certificates, which a machine without need not have.
    public: OnceLock<Option<Client>>,
    names: Arc<dyn Names>,
    clock: Arc<dyn Clock>,
}

impl Egress {
    /// A way out that takes its time from `clock` and asks this machine for names.
    pub fn new(clock: Arc<dyn Clock>) -> Result<Self, EgressError> {
        Self::resolving(clock, Arc::new(SystemNames))
    }

    /// The same, with `names` for the names.
    pub fn resolving(clock: Arc<dyn Clock>, names: Arc<dyn Names>) -> Result<Self, EgressError> {
        if CryptoProvider::get_default().is_none() {
            return Err(EgressError::NoProvider);
        }
        // Plain HTTP needs no root certificates, so none are asked for.
        let plain = client(Reach::Loopback, names.clone()).tls_certs_only([]).build().map_err(EgressError::Client)?;
        Ok(Self { plain, public: OnceLock::new(), names, clock })
    }

    /// Posts `body` to `url`. The address is checked here where the URL names one, and by the resolver where it names a host.
    pub async fn post(&self, url: &Url, reach: Reach, headers: HeaderMap, body: Vec<u8>) -> Posted {
        if url.host().and_then(|host| literal(&host)).is_some_and(|ip| !may_reach(ip, reach)) {
            return Posted::Failed(Fault::Address);
        }
        let client = match reach {
            Reach::Loopback | Reach::Own => Some(&self.plain),
            Reach::Public => self.public.get_or_init(|| public(self.names.clone())).as_ref(),
        };
        let Some(client) = client else { return Posted::Failed(Fault::Unsendable) };
        let mut late = self.clock.sleep(TIMEOUT);
        let response = tokio::select! {
            response = client.post(url.clone()).headers(headers).body(body).send() => response,
            () = &mut late => return Posted::Failed(Fault::Timeout),
        };
        match response {
            Ok(response) => {
                let status = response.status();
                let retry_after = retry_after(&response);
                // The status is the answer; a body that never ends does not take it back.
                let bytes = tokio::select! {
                    bytes = drain(response, status) => bytes,
                    () = &mut late => 0,
                };
                Posted::Responded { status: status.as_u16(), retry_after, bytes }
            }
            Err(error) => Posted::Failed(fault(&error)),
        }
    }
}

fn public(names: Arc<dyn Names>) -> Option<Client> {
    let client = client(Reach::Public, names).https_only(true).build();
    client
        .inspect_err(|error| tracing::error!(%error, "could not build the HTTPS client; webhooks to other hosts fail"))
        .ok()
}

fn retry_after(response: &Response) -> Option<String> {
    response.headers().get(RETRY_AFTER)?.to_str().ok().map(str::to_owned)
}

async fn drain(mut response: Response, status: StatusCode) -> u64 {
    if status == StatusCode::NO_CONTENT {
        return 0;
    }
    let mut bytes = 0;
    while let Ok(Some(chunk)) = response.chunk().await {
        bytes += u64::try_from(chunk.len()).unwrap_or(u64::MAX);
        if bytes >= RESPONSE_BYTES_MAX {
            return RESPONSE_BYTES_MAX;
        }
    }
    bytes
}

fn fault(error: &reqwest::Error) -> Fault {
    let mut cause: Option<&(dyn Error + 'static)> = error.source();
    while let Some(error) = cause {
        if error.is::<NoAllowedAddress>() {
            return Fault::Address;
        }
        cause = error.source();
    }
    if error.is_timeout() {
        Fault::Timeout
    } else if error.is_connect() {
        Fault::Connect
    } else if error.is_builder() {
        Fault::Unsendable
    } else {
        Fault::Broken
    }
}
