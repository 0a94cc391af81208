//! stdio for a house that runs elsewhere: what the client says goes to a `serve` by Streamable HTTP, and what that says
//! comes back, message by message.
//!
//! It understands no more of a message than whether it wants an answer, so notifications, progress and cancellation pass
//! both ways as they are. Sessions, streams and their resumption are rmcp's; a session that a restarted `serve` no longer
//! knows is opened anew by it.

use std::time::{Duration, Instant};

use backon::{BackoffBuilder as _, ExponentialBackoff, ExponentialBuilder};
use futures::{FutureExt as _, StreamExt as _, future::BoxFuture, stream::FuturesUnordered};
use rmcp::{
    RoleServer,
    model::{ClientJsonRpcMessage, ErrorCode, ErrorData, JsonRpcMessage, RequestId, ServerJsonRpcMessage},
    transport::{
        StreamableHttpClientTransport, Transport,
        async_rw::AsyncRwTransport,
        streamable_http_client::{StreamableHttpClientTransportConfig, StreamableHttpError},
    },
};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::sync::CancellationToken;
use url::{Host, Url};

use crate::domain::secret::Secret;

/// A house on this machine takes none of it, one across the world a fifth.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// How long a message is offered to a house that is not there: a restart takes a second or two, and a client that has just
/// started us gives up after half a minute.
const PATIENCE: Duration = Duration::from_secs(15);
/// The first pause between two offers.
const PAUSE_MIN: Duration = Duration::from_millis(100);
/// The longest.
const PAUSE_MAX: Duration = Duration::from_secs(2);
/// How long the other side gets to hear that we leave.
const FAREWELL: Duration = Duration::from_secs(2);

type House = StreamableHttpClientTransport<reqwest::Client>;
type HouseError = StreamableHttpError<reqwest::Error>;

/// Why the bridge does not stand.
#[derive(Debug, thiserror::Error)]
pub enum BridgeError {
    /// No HTTP client can be made on this system.
    #[error("could not make an HTTP client")]
    Client(#[source] reqwest::Error),
    /// The token is wrong, or there is none.
    #[error(
        "{url} does not accept the token; set MAILBELL_TOKEN to the one that `mailbell token show mcp` prints where that `mailbell serve` runs"
    )]
    Unauthorized {
        /// The house.
        url: Url,
    },
    /// Nothing answers.
    #[error("could not reach {url}; check that `mailbell serve` runs there and that the address is right")]
    Unreachable {
        /// The house.
        url: Url,
        /// What went wrong.
        #[source]
        source: Box<HouseError>,
    },
    /// Something answers that is no house.
    #[error(
        "{url} does not answer as a mailbell; give the `mcp` address of its ready line, such as http://127.0.0.1:7411/mcp"
    )]
    NoHouse {
        /// The address.
        url: Url,
        /// What went wrong.
        #[source]
        source: Box<HouseError>,
    },
    /// The client does not read any more.
    #[error("could not answer the client")]
    Output(#[from] std::io::Error),
    /// The connection ended by itself.
    #[error("{url} has ended the connection; start again")]
    Ended {
        /// The house.
        url: Url,
    },
}

/// Passes messages between the client at `input` and `output` and the house at `url`, until the client leaves or `shutdown`.
pub async fn serve(
    url: &Url,
    token: Option<&Secret>,
    input: impl AsyncRead + Send + Unpin + 'static,
    output: impl AsyncWrite + Send + Unpin + 'static,
    shutdown: CancellationToken,
) -> Result<(), BridgeError> {
    let mut client = AsyncRwTransport::<RoleServer, _, _>::new_server(input, output);
    let opening = tokio::select! {
        () = shutdown.cancelled() => return Ok(()),
        opening = client.receive() => opening,
    };
    // A client that leaves before it has said anything has nothing to be told.
    let Some(opening) = opening else { return Ok(()) };
    let opened = tokio::select! {
        () = shutdown.cancelled() => return Ok(()),
        opened = open(url, token, &opening) => opened,
    };
    let mut house = match opened {
        Ok(house) => house,
        Err(error) => {
            if let Some(id) = awaits_answer(&opening) {
                client.send(refusal(&error, id)).await?;
            }
            return Err(error);
        }
    };
    let passed = tokio::select! {
        () = shutdown.cancelled() => Ok(()),
        passed = pass(url, &mut client, &mut house) => passed,
    };
    // Ends the session, and with it what waits for us over there.
    if tokio::time::timeout(FAREWELL, house.close()).await.is_err() {
        tracing::debug!("the house did not hear that we left");
    }
    passed
}

/// Connects, by what the client said first: a house that is not there is waited for, one that refuses is not.
async fn open(url: &Url, token: Option<&Secret>, opening: &ClientJsonRpcMessage) -> Result<House, BridgeError> {
    let http = http(url)?;
    let began = Instant::now();
    let mut pauses = pauses();
    loop {
        let mut config = StreamableHttpClientTransportConfig::with_uri(url.as_str());
        if let Some(token) = token {
            config = config.auth_header(token.expose());
        }
        let mut house = House::with_client(http.clone(), config);
        let Err(error) = house.send(opening.clone()).await else { return Ok(house) };
        if !is_elsewhere(&error) || began.elapsed() >= PATIENCE {
            return Err(meaning(url, error));
        }
        tracing::info!(%url, "the house does not answer; trying again");
        tokio::time::sleep(pauses.next().unwrap_or(PAUSE_MAX)).await;
    }
}

/// A message on its way to the house.
enum Step {
    /// It has been offered.
    Offered(Offer, Result<(), HouseError>),
    /// It is to be offered again.
    Again(Offer),
}

struct Offer {
    message: ClientJsonRpcMessage,
    began: Instant,
    pauses: ExponentialBackoff,
}

async fn pass<C>(url: &Url, client: &mut C, house: &mut House) -> Result<(), BridgeError>
where
    C: Transport<RoleServer, Error = std::io::Error>,
{
    let mut steps: FuturesUnordered<BoxFuture<'static, Step>> = FuturesUnordered::new();
    loop {
        let offer = tokio::select! {
            said = client.receive() => match said {
                Some(message) => Offer { message, began: Instant::now(), pauses: pauses() },
                None => return Ok(()),
            },
            said = house.receive() => match said {
                Some(message) => {
                    client.send(message).await?;
                    continue;
                }
                None => return Err(BridgeError::Ended { url: url.clone() }),
            },
            Some(step) = steps.next(), if !steps.is_empty() => match step {
                Step::Again(offer) => offer,
                Step::Offered(_, Ok(())) => continue,
                Step::Offered(mut offer, Err(error)) => {
                    if is_elsewhere(&error) && offer.began.elapsed() < PATIENCE {
                        let pause = tokio::time::sleep(offer.pauses.next().unwrap_or(PAUSE_MAX));
                        steps.push(pause.map(|()| Step::Again(offer)).boxed());
                    } else {
                        let error = meaning(url, error);
                        tracing::warn!(%error, "a message did not arrive");
                        if let Some(id) = awaits_answer(&offer.message) {
                            client.send(refusal(&error, id)).await?;
                        }
                    }
                    continue;
                }
            },
        };
        let mut sending = house.send(offer.message.clone()).boxed();
        // Its first step takes its place in the queue: so messages arrive in the order in which they were said.
        match futures::poll!(&mut sending) {
            std::task::Poll::Ready(sent) => steps.push(std::future::ready(Step::Offered(offer, sent)).boxed()),
            std::task::Poll::Pending => steps.push(sending.map(|sent| Step::Offered(offer, sent)).boxed()),
        }
    }
}

fn pauses() -> ExponentialBackoff {
    ExponentialBuilder::default()
        .with_min_delay(PAUSE_MIN)
        .with_max_delay(PAUSE_MAX)
        .without_max_times()
        .with_jitter()
        .build()
}

fn http(url: &Url) -> Result<reqwest::Client, BridgeError> {
    let on_this_machine = match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    if !on_this_machine && url.scheme() == "http" {
        tracing::warn!(%url, "the token and all mail go over the network in the clear; use https or a tunnel");
    }
    let builder = || {
        let builder = reqwest::Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            // The token must go nowhere but to the named host.
            .redirect(reqwest::redirect::Policy::none())
            // A kept connection whose last answer was not read to its end costs the next request 40 ms.
            .pool_max_idle_per_host(0);
        if on_this_machine { builder.no_proxy() } else { builder }
    };
    // A container without certificates can still reach a house by plain HTTP.
    let made = builder().build().or_else(|_| builder().tls_certs_only([]).build());
    made.map_err(BridgeError::Client)
}

/// Whether the message never reached a house, so that offering it again does nothing twice.
fn is_elsewhere(error: &HouseError) -> bool {
    match error {
        StreamableHttpError::Client(error) => error.is_connect(),
        StreamableHttpError::SessionExpired => true,
        _ => false,
    }
}

fn meaning(url: &Url, error: HouseError) -> BridgeError {
    let url = url.clone();
    match error {
        StreamableHttpError::AuthRequired(_) | StreamableHttpError::InsufficientScope(_) => {
            BridgeError::Unauthorized { url }
        }
        StreamableHttpError::Client(error) => {
            let source = Box::new(StreamableHttpError::Client(error.without_url()));
            BridgeError::Unreachable { url, source }
        }
        error @ StreamableHttpError::HttpStatus(_) => BridgeError::Unreachable { url, source: Box::new(error) },
        error => BridgeError::NoHouse { url, source: Box::new(error) },
    }
}

fn awaits_answer(message: &ClientJsonRpcMessage) -> Option<RequestId> {
    match message {
        JsonRpcMessage::Request(request) => Some(request.id.clone()),
        _ => None,
    }
}

/// What the client is told of a request that could not be passed on.
fn refusal(error: &BridgeError, id: RequestId) -> ServerJsonRpcMessage {
    /// A server's own error (JSON-RPC 2.0 section 5.1).
    const NOT_PASSED_ON: ErrorCode = ErrorCode(-32_000);
    ServerJsonRpcMessage::error(ErrorData::new(NOT_PASSED_ON, error.to_string(), None), Some(id))
}
