//! An endpoint that answers as a test tells it to, and remembers what came.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use mailbell::{
    domain::{
        clock::{Clock, UnixMillis},
        secret::Secret,
    },
    signing::{multimail, standard_webhooks},
};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::{Notify, watch},
};

/// A request that came.
#[derive(Debug, Clone)]
pub struct Hit {
    /// When, by the test's clock.
    pub at: UnixMillis,
    /// Its path.
    pub path: String,
    /// Its headers, names in lower case.
    pub headers: HashMap<String, String>,
    /// Its body, to the byte.
    pub body: Vec<u8>,
}

impl Hit {
    /// A field of its body.
    pub fn field(&self, name: &str) -> Value {
        serde_json::from_slice::<Value>(&self.body).expect("a JSON body")[name].clone()
    }

    /// The event it tells of.
    pub fn event_id(&self) -> String {
        self.field("event_id").as_str().expect("an event id").to_owned()
    }

    /// A header.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    /// Whether every signature on it is that of `secret` over the very bytes that came.
    pub fn is_signed_with(&self, secret: &Secret) -> bool {
        let timestamp = self.header(standard_webhooks::HEADER_TIMESTAMP).parse().expect("a timestamp");
        multimail::verify(secret, &self.body, self.header(multimail::HEADER))
            && multimail::verify(secret, &self.body, self.header(multimail::HEADER_SHA256))
            && standard_webhooks::verify(
                secret,
                self.header(standard_webhooks::HEADER_ID),
                timestamp,
                &self.body,
                self.header(standard_webhooks::HEADER_SIGNATURE),
            )
    }
}

/// What to do with a request.
#[derive(Debug, Clone)]
pub enum Reply {
    /// Answer with this status.
    Status(u16),
    /// Answer with this status and one header.
    With(u16, &'static str, String),
    /// Answer with this status once told to.
    Once(Arc<Notify>, u16),
    /// Never answer.
    Hang,
    /// Close the connection without an answer.
    Close,
    /// Answer 200 with a body that never ends.
    Endless,
}

type Script = dyn Fn(&Hit) -> Reply + Send + Sync;

/// The endpoint.
pub struct Receiver {
    address: SocketAddr,
    hits: Arc<Mutex<Vec<Hit>>>,
    count: watch::Receiver<usize>,
}

impl Receiver {
    /// One that answers as `script` says; what came before a request is not yet in its list of hits.
    pub async fn start(clock: impl Clock, script: impl Fn(&Hit) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        let hits = Arc::new(Mutex::new(Vec::new()));
        let (counted, count) = watch::channel(0);
        let (script, clock): (Arc<Script>, Arc<dyn Clock>) = (Arc::new(script), Arc::new(clock));
        let seen = hits.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, script.clone(), clock.clone(), seen.clone(), counted.clone()));
            }
        });
        Self { address, hits, count }
    }

    /// One that answers with `replies` in turn, and with 200 after the last.
    pub async fn answering(clock: impl Clock, replies: impl IntoIterator<Item = Reply>) -> Self {
        let mut replies: Vec<_> = replies.into_iter().collect();
        replies.reverse();
        let replies = Mutex::new(replies);
        Self::start(clock, move |_| replies.lock().unwrap().pop().unwrap_or(Reply::Status(200))).await
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its URL.
    pub fn url(&self) -> String {
        format!("http://{}/hook", self.address)
    }

    /// What came so far, in order.
    pub fn hits(&self) -> Vec<Hit> {
        self.hits.lock().unwrap().clone()
    }

    /// The ids of the events that came, in order.
    pub fn event_ids(&self) -> Vec<String> {
        self.hits().iter().map(Hit::event_id).collect()
    }

    /// Resolves once `count` requests have come.
    pub async fn wait_for(&self, count: usize) {
        self.count.clone().wait_for(|seen| *seen >= count).await.expect("the receiver runs");
    }
}

async fn serve(
    mut stream: TcpStream,
    script: Arc<Script>,
    clock: Arc<dyn Clock>,
    hits: Arc<Mutex<Vec<Hit>>>,
    counted: watch::Sender<usize>,
) {
    let Some(hit) = read(&mut stream, clock.now()).await else { return };
    let reply = script(&hit);
    let count = {
        let mut hits = hits.lock().unwrap();
        hits.push(hit);
        hits.len()
    };
    counted.send_modify(|seen| *seen = count.max(*seen));
    let head = |status: u16, header: String| format!("HTTP/1.1 {status} X\r\nconnection: close\r\n{header}\r\n");
    let answer = match reply {
        Reply::Status(status) => head(status, "content-length: 0\r\n".into()),
        Reply::With(status, name, value) => head(status, format!("content-length: 0\r\n{name}: {value}\r\n")),
        Reply::Once(told, status) => {
            told.notified().await;
            head(status, "content-length: 0\r\n".into())
        }
        Reply::Hang => return std::future::pending().await,
        Reply::Close => return,
        Reply::Endless => {
            let _ = stream.write_all(head(200, "transfer-encoding: chunked\r\n".into()).as_bytes()).await;
            let chunk = format!("1000\r\n{}\r\n", "x".repeat(0x1000));
            while stream.write_all(chunk.as_bytes()).await.is_ok() {}
            return;
        }
    };
    let _ = stream.write_all(answer.as_bytes()).await;
    let _ = stream.shutdown().await;
}

async fn read(stream: &mut TcpStream, at: UnixMillis) -> Option<Hit> {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break end;
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8(bytes[..end].to_vec()).ok()?;
    let mut lines = head.split("\r\n");
    let path = lines.next()?.split(' ').nth(1)?.to_owned();
    let headers: HashMap<_, _> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_lowercase(), value.trim().to_owned()))
        .collect();
    let length: usize = headers.get("content-length").map_or(Some(0), |length| length.parse().ok())?;
    let mut body = bytes[end + 4..].to_vec();
    while body.len() < length {
        if stream.read_buf(&mut body).await.ok()? == 0 {
            return None;
        }
    }
    Some(Hit { at, path, headers, body })
}
