//! A client that speaks MCP word for word, over stdio or HTTP, in either protocol: what it is told is what stood on the wire.

use std::{
    collections::{HashMap, VecDeque},
    time::Duration,
};

use mailbell::mcp::{Server, stdio};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncRead, AsyncWrite, AsyncWriteExt as _, BufReader},
    sync::mpsc,
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;

use super::agent::Era;

/// Far more than anything here takes.
const COME_MAX: Duration = Duration::from_secs(20);

enum Out {
    Stdio(Box<dyn AsyncWrite + Send + Unpin>),
    Http { client: reqwest::Client, url: String, token: String, session: Option<String> },
}

pub struct Wire {
    era: Era,
    /// What it says that it can do.
    capabilities: Value,
    out: Out,
    heard: mpsc::UnboundedSender<Value>,
    incoming: mpsc::UnboundedReceiver<Value>,
    queued: VecDeque<Value>,
    last: u64,
    /// Over HTTP: the streams that are read, by the request that opened them; the session's own is 0.
    streams: HashMap<u64, JoinHandle<()>>,
    /// What the server said of itself.
    pub opened: Value,
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.streams.values().for_each(JoinHandle::abort);
    }
}

impl Wire {
    /// Over the stdio of `server`, which then is this client's alone.
    pub async fn stdio(server: Server, era: Era) -> Self {
        let (ours, theirs) = tokio::io::duplex(1 << 16);
        let (input, output) = tokio::io::split(theirs);
        tokio::spawn(stdio::serve_over(server, input, output, CancellationToken::new()));
        let (from, to) = tokio::io::split(ours);
        Self::over(from, to, era).await
    }

    /// Over what a server writes and what it reads.
    pub async fn over(
        from: impl AsyncRead + Send + Unpin + 'static,
        to: impl AsyncWrite + Send + Unpin + 'static,
        era: Era,
    ) -> Self {
        let mut wire = Self::new(era, Out::Stdio(Box::new(to)));
        let heard = wire.heard.clone();
        tokio::spawn(async move {
            let mut lines = BufReader::new(from).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                let _ = heard.send(serde_json::from_str(&line).unwrap());
            }
        });
        wire.open().await;
        wire
    }

    /// Over HTTP, with this bearer token. In the older protocol it has a session, whose stream it reads.
    pub async fn http(base: &str, token: &str, era: Era) -> Self {
        Self::http_able_to(base, token, era, json!({})).await
    }

    /// Opens the stream of its session.
    pub async fn open_stream(&mut self) {
        let Out::Http { client, url, token, session } = &self.out else { unreachable!() };
        let get = client.get(url).bearer_auth(token).header("accept", "text/event-stream");
        let answer = get.header("mcp-session-id", session.as_deref().unwrap()).send().await.unwrap();
        assert_eq!(answer.status().as_u16(), 200);
        self.streams.insert(0, tokio::spawn(read(answer, self.heard.clone())));
    }

    /// The same, by a client that says it can do this.
    pub async fn http_able_to(base: &str, token: &str, era: Era, capabilities: Value) -> Self {
        let mut wire = Self::over_http(base, token, era);
        wire.capabilities = capabilities;
        wire.open().await;
        if let Era::Legacy = era {
            wire.open_stream().await;
        }
        wire
    }

    /// The same, without that stream.
    pub async fn http_without_stream(base: &str, token: &str, era: Era) -> Self {
        let mut wire = Self::over_http(base, token, era);
        wire.open().await;
        wire
    }

    fn over_http(base: &str, token: &str, era: Era) -> Self {
        // As `main` does; another test may have done it.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let out = Out::Http { client, url: format!("{base}/mcp"), token: token.into(), session: None };
        Self::new(era, out)
    }

    fn new(era: Era, out: Out) -> Self {
        let (heard, incoming) = mpsc::unbounded_channel();
        let (queued, streams) = (VecDeque::new(), HashMap::new());
        Self { era, capabilities: json!({}), out, heard, incoming, queued, last: 0, streams, opened: Value::Null }
    }

    async fn open(&mut self) {
        self.opened = match self.era {
            Era::Legacy => {
                let client = json!({ "name": "wire", "version": "1" });
                let params =
                    json!({ "protocolVersion": "2025-11-25", "capabilities": self.capabilities, "clientInfo": client });
                let opened = self.ask("initialize", params).await;
                self.notify("notifications/initialized", json!({})).await;
                opened
            }
            Era::Modern => self.ask("server/discover", json!({})).await,
        }["result"]
            .clone();
    }

    /// Sends a request, and does not wait for its answer.
    pub async fn begin(&mut self, method: &str, mut params: Value) -> u64 {
        self.last += 1;
        if let Era::Modern = self.era {
            let meta = &mut params["_meta"];
            meta["io.modelcontextprotocol/protocolVersion"] = json!("2026-07-28");
            meta["io.modelcontextprotocol/clientCapabilities"] = self.capabilities.clone();
            meta["io.modelcontextprotocol/clientInfo"] = json!({ "name": "wire", "version": "1" });
        }
        self.send(json!({ "jsonrpc": "2.0", "id": self.last, "method": method, "params": params })).await;
        self.last
    }

    pub async fn notify(&mut self, method: &str, params: Value) {
        self.send(json!({ "jsonrpc": "2.0", "method": method, "params": params })).await;
    }

    /// Answers a request of the server's.
    pub async fn reply(&mut self, id: &Value, result: Value) {
        self.send(json!({ "jsonrpc": "2.0", "id": id, "result": result })).await;
    }

    /// Sends a request; answers with its answer.
    pub async fn ask(&mut self, method: &str, params: Value) -> Value {
        let id = self.begin(method, params).await;
        self.answer(id).await
    }

    pub async fn answer(&mut self, id: u64) -> Value {
        loop {
            let message = self.next().await;
            // A request of the server's may have the same number.
            if message["id"] == id && message["method"].is_null() {
                return message;
            }
            self.queued.push_back(message);
        }
    }

    /// The next notification.
    pub async fn told(&mut self) -> Value {
        match self.queued.pop_front() {
            Some(message) => message,
            None => self.next().await,
        }
    }

    /// The resource that the next notification says has changed.
    pub async fn updated(&mut self) -> String {
        let told = self.told().await;
        assert_eq!(told["method"], "notifications/resources/updated", "{told}");
        told["params"]["uri"].as_str().unwrap().to_owned()
    }

    /// What it was told so far without being asked.
    pub fn told_so_far(&mut self) -> Vec<Value> {
        while let Ok(message) = self.incoming.try_recv() {
            self.queued.push_back(message);
        }
        self.queued.drain(..).collect()
    }

    /// Resolves when the server has ended the stream of that request; 0 is the session's own.
    pub async fn ended(&mut self, id: u64) {
        let stream = self.streams.remove(&id).expect("a stream");
        tokio::time::timeout(COME_MAX, stream).await.expect("it goes on").unwrap();
    }

    /// Ends the session.
    pub async fn delete(&self) {
        let Out::Http { client, url, token, session } = &self.out else { unreachable!() };
        let delete = client.delete(url).bearer_auth(token).header("mcp-session-id", session.as_deref().unwrap());
        assert!(delete.send().await.unwrap().status().is_success());
    }

    /// Subscribes in either protocol; the id of the stream.
    pub async fn subscribe(&mut self, uris: &[&str]) -> u64 {
        match self.era {
            Era::Legacy => {
                for uri in uris {
                    let answer = self.ask("resources/subscribe", json!({ "uri": uri })).await;
                    assert!(answer["result"].is_object(), "{answer}");
                }
                0
            }
            Era::Modern => {
                let filter = json!({ "resourcesListChanged": true, "resourceSubscriptions": uris });
                let id = self.begin("subscriptions/listen", json!({ "notifications": filter })).await;
                let told = loop {
                    let message = self.next().await;
                    if message["method"] == "notifications/subscriptions/acknowledged" {
                        break message;
                    }
                    self.queued.push_back(message);
                };
                assert_eq!(told["params"]["notifications"]["resourceSubscriptions"], json!(uris), "{told}");
                id
            }
        }
    }

    async fn next(&mut self) -> Value {
        tokio::time::timeout(COME_MAX, self.incoming.recv()).await.expect("nothing comes").expect("it goes on")
    }

    async fn send(&mut self, message: Value) {
        match &mut self.out {
            Out::Stdio(to) => to.write_all(format!("{message}\n").as_bytes()).await.unwrap(),
            Out::Http { client, url, token, session } => {
                let mut post = client
                    .post(&*url)
                    .bearer_auth(token)
                    .header("accept", "application/json, text/event-stream")
                    .json(&message);
                if let Some(session) = session.as_deref() {
                    post = post.header("mcp-session-id", session).header("mcp-protocol-version", "2025-11-25");
                }
                let params = &message["params"];
                if let Era::Modern = self.era {
                    post = post.header("mcp-protocol-version", "2026-07-28");
                    post = post.header("mcp-method", message["method"].as_str().unwrap());
                    if let Some(name) = params["name"].as_str().or(params["uri"].as_str()) {
                        post = post.header("mcp-name", name);
                    }
                }
                if message["method"] == "initialize" {
                    let answer = post.send().await.unwrap();
                    assert_eq!(answer.status().as_u16(), 200);
                    *session = Some(answer.headers()["mcp-session-id"].to_str().unwrap().to_owned());
                    read(answer, self.heard.clone()).await;
                } else if message["id"].is_null() || message["method"].is_null() {
                    assert!(post.send().await.unwrap().status().is_success());
                } else {
                    let heard = self.heard.clone();
                    let stream = tokio::spawn(async move { read(post.send().await.unwrap(), heard).await });
                    self.streams.insert(message["id"].as_u64().unwrap(), stream);
                }
            }
        }
    }
}

/// Reads an answer to its end: messages as server-sent events, or one as JSON.
async fn read(mut answer: reqwest::Response, heard: mpsc::UnboundedSender<Value>) {
    let (mut bytes, mut all) = (Vec::new(), Vec::new());
    while let Ok(Some(chunk)) = answer.chunk().await {
        bytes.extend_from_slice(&chunk);
        all.extend_from_slice(&chunk);
        while let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
            let line = String::from_utf8(bytes.drain(..=end).collect()).unwrap();
            if let Some(message) = line.strip_prefix("data:").and_then(|data| serde_json::from_str(data).ok()) {
                let _ = heard.send(message);
            }
        }
    }
    if let Ok(message) = serde_json::from_slice(&all) {
        let _ = heard.send(message);
    }
}
