//! The only way out for webhooks: a POST that follows no redirect, takes no proxy, and connects to no address it should not.

use std::{
    error::Error,
    io,
    sync::{Arc, OnceLock},
    task::{Context, Poll},
    time::Duration,
};

use futures::future::BoxFuture;
use http::{
    Method, Request, Response, StatusCode, Uri,
    header::{self, HeaderMap, HeaderValue},
};
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper_rustls::{DefaultServerNameResolver, HttpsConnector};
use hyper_util::{
    client::legacy::{
        self, Client,
        connect::{Connect, HttpConnector},
    },
    rt::{TokioExecutor, TokioTimer},
};
use tower_service::Service;
use url::Url;

use crate::{
    domain::clock::Clock,
    reach::{
        CONNECT_TIMEOUT, Guarded, IDLE_PER_HOST_MAX, Names, NoAllowedAddress, Reach, SystemNames, USER_AGENT, literal,
        may_reach,
    },
    tls,
};

/// How long an endpoint has from the first packet to its status.
pub const TIMEOUT: Duration = Duration::from_secs(10);
/// How much of a response is read, to be able to use the connection again; what comes after costs the connection.
const RESPONSE_BYTES_MAX: u64 = 64 * 1024;

/// How long a connection is idle, or unanswered, until it is asked whether it still leads anywhere, and how often it is asked: what a
/// firewall has forgotten is known before the next post goes into it.
const KEEPALIVE: Duration = Duration::from_secs(15);
const KEEPALIVE_PROBES: u32 = 3;
/// How long what was sent may go unacknowledged before the connection ends.
#[cfg(any(target_os = "android", target_os = "linux"))]
const UNACKNOWLEDGED_MAX: Duration = Duration::from_secs(30);

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

type Plain = Client<InTime<HttpConnector<Guarded>>, Full<Bytes>>;
type Public = Client<InTime<HttpsConnector<HttpConnector<Guarded>>>, Full<Bytes>>;

/// The way out.
pub struct Egress {
    /// Plain HTTP, to this machine.
    plain: Plain,
    /// Built when first needed: it loads the machine's root certificates, which a machine without need not have.
    public: OnceLock<Option<Public>>,
    /// Where `public` goes: to [`Reach::Public`] but in tests.
    outside: Guarded,
    /// An authority that `public` trusts beside the machine's, in PEM.
    authority: Option<Vec<u8>>,
    clock: Arc<dyn Clock>,
}

impl Egress {
    /// A way out that takes its time from `clock` and asks this machine for names.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self::resolving(clock, Arc::new(SystemNames))
    }

    /// The same, with `names` for the names.
    pub fn resolving(clock: Arc<dyn Clock>, names: Arc<dyn Names>) -> Self {
        let plain = client(connector(Guarded { reach: Reach::Loopback, names: names.clone() }), clock.clone());
        let outside = Guarded { reach: Reach::Public, names };
        Self { plain, public: OnceLock::new(), outside, authority: None, clock }
    }

    /// One that trusts `authority`, in PEM, beside the machine's, and finds the `names` of other hosts within `reach`.
    pub fn trusting(clock: Arc<dyn Clock>, authority: Vec<u8>, names: Arc<dyn Names>, reach: Reach) -> Self {
        let outside = Guarded { reach, names: names.clone() };
        Self { outside, authority: Some(authority), ..Self::resolving(clock, names) }
    }

    /// Posts `body` to `url`. The address is checked here where the URL names one, and by the resolver where it names a host.
    pub async fn post(&self, url: &Url, reach: Reach, headers: HeaderMap, body: Vec<u8>) -> Posted {
        if url.host().and_then(|host| literal(&host)).is_some_and(|ip| !may_reach(ip, reach)) {
            return Posted::Failed(Fault::Address);
        }
        let Ok(uri) = url.as_str().parse::<Uri>() else { return Posted::Failed(Fault::Unsendable) };
        let mut request = Request::new(Full::from(body));
        (*request.method_mut(), *request.uri_mut(), *request.headers_mut()) = (Method::POST, uri, headers);
        request.headers_mut().insert(header::USER_AGENT, HeaderValue::from_static(USER_AGENT));
        request.headers_mut().insert(header::ACCEPT, HeaderValue::from_static("*/*"));
        let response = match reach {
            Reach::Loopback | Reach::Own => self.plain.request(request),
            Reach::Public => match self.public.get_or_init(|| self.public()) {
                Some(client) => client.request(request),
                None => return Posted::Failed(Fault::Unsendable),
            },
        };
        let mut late = self.clock.sleep(TIMEOUT);
        let response = tokio::select! {
            response = response => response,
            () = &mut late => return Posted::Failed(Fault::Timeout),
        };
        match response {
            Ok(response) => {
                let status = response.status();
                let retry_after = retry_after(&response);
                // The status is the answer; a body that never ends does not take it back.
                let bytes = tokio::select! {
                    bytes = drain(response) => bytes,
                    () = &mut late => 0,
                };
                Posted::Responded { status: status.as_u16(), retry_after, bytes }
            }
            Err(error) => Posted::Failed(fault(&error)),
        }
    }

    fn public(&self) -> Option<Public> {
        let log = |error: &tls::Cause| {
            tracing::error!(%error, "could not build the HTTPS client; webhooks to other hosts fail");
        };
        let config = tls::verified(self.authority.as_deref()).inspect_err(log).ok()?;
        let mut config = Arc::unwrap_or_clone(config);
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        let mut connector = connector(self.outside.clone());
        // What is around it asks for HTTPS, and for nothing else.
        connector.enforce_http(false);
        let names = Arc::new(DefaultServerNameResolver::default());
        Some(client(HttpsConnector::new(connector, config, true, names), self.clock.clone()))
    }
}

/// Makes connections to what names stand for within reach, and notices where one that is kept leads nowhere any more.
fn connector(names: Guarded) -> HttpConnector<Guarded> {
    let mut connector = HttpConnector::new_with_resolver(names);
    connector.set_nodelay(true);
    connector.set_keepalive(Some(KEEPALIVE));
    connector.set_keepalive_interval(Some(KEEPALIVE));
    connector.set_keepalive_retries(Some(KEEPALIVE_PROBES));
    #[cfg(any(target_os = "android", target_os = "linux"))]
    connector.set_tcp_user_timeout(Some(UNACKNOWLEDGED_MAX));
    connector
}

/// A client of this kind follows no redirect and takes no proxy.
fn client<C>(connector: C, clock: Arc<dyn Clock>) -> Client<InTime<C>, Full<Bytes>>
where
    InTime<C>: Connect + Clone,
{
    Client::builder(TokioExecutor::new())
        .pool_max_idle_per_host(IDLE_PER_HOST_MAX)
        .pool_timer(TokioTimer::new())
        .build(InTime { connector, clock })
}

/// Connects within [`CONNECT_TIMEOUT`]: the look for the name, the connection and TLS together. Also where nobody waits for the
/// connection any more.
#[derive(Clone)]
struct InTime<C> {
    connector: C,
    clock: Arc<dyn Clock>,
}

impl<C: Service<Uri, Error: Into<tls::Cause>, Future: Send + 'static>> Service<Uri> for InTime<C> {
    type Response = C::Response;
    type Error = tls::Cause;
    type Future = BoxFuture<'static, Result<C::Response, tls::Cause>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), tls::Cause>> {
        self.connector.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let (connecting, late) = (self.connector.call(uri), self.clock.sleep(CONNECT_TIMEOUT));
        Box::pin(async move {
            tokio::select! {
                connected = connecting => connected.map_err(Into::into),
                () = late => Err(io::Error::from(io::ErrorKind::TimedOut).into()),
            }
        })
    }
}

fn retry_after(response: &Response<Incoming>) -> Option<String> {
    response.headers().get(header::RETRY_AFTER)?.to_str().ok().map(str::to_owned)
}

async fn drain(response: Response<Incoming>) -> u64 {
    if response.status() == StatusCode::NO_CONTENT {
        return 0;
    }
    let (mut body, mut bytes) = (response.into_body(), 0);
    while let Some(Ok(frame)) = body.frame().await {
        let chunk = frame.data_ref().map_or(0, Bytes::len);
        bytes += u64::try_from(chunk).unwrap_or(u64::MAX);
        if bytes >= RESPONSE_BYTES_MAX {
            return RESPONSE_BYTES_MAX;
        }
    }
    bytes
}

fn fault(error: &legacy::Error) -> Fault {
    let mut cause: Option<&(dyn Error + 'static)> = error.source();
    while let Some(error) = cause {
        if error.is::<NoAllowedAddress>() {
            return Fault::Address;
        }
        if error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::TimedOut) {
            return Fault::Timeout;
        }
        cause = error.source();
    }
    if error.is_connect() { Fault::Connect } else { Fault::Broken }
}
