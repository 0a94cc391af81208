//! The mail API on a port of its own, and a client for it.

use std::{net::SocketAddr, sync::Arc};

use mailbell::{
    bell::oversight::{Oversight, Parts},
    domain::{allow_hosts::AllowHosts, clock::Clock, grant::Grant, key::KeyScope},
    http::{listen, v1},
    ids::Ids,
    mail::api::Api,
    signing::digest::sha256,
    store::{
        bell::BellStore,
        sqlite::Schema,
        tokens::{Principal, TokenScope, Tokens as _},
    },
    wake::Bell,
};
use reqwest::{Client, Method, RequestBuilder, Url, header::HeaderValue};
use serde_json::Value;
use tokio::{net::TcpListener, sync::OnceCell};
use tokio_util::sync::CancellationToken;

use super::{clock::TestClock, entropy::Counting, hooks::HOUSE_TOKEN, openapi};

/// The API, served.
pub struct ApiServer {
    pub address: SocketAddr,
    api: Arc<Api>,
    client: Client,
    _directory: tempfile::TempDir,
}

/// The operator's token.
pub const OPERATOR_TOKEN: &str = "mb_operator_test";

/// A gate over a new `bell.db`, with an operator, and the directory that it lies in.
pub async fn oversight() -> (Arc<Oversight>, tempfile::TempDir) {
    let directory = tempfile::tempdir().expect("a directory");
    let clock: Arc<dyn Clock> = Arc::new(TestClock::default());
    let ids = Arc::new(Ids::new(clock.clone(), Arc::new(Counting::default())));
    let path = directory.path().join("bell.db");
    let store = BellStore::open(&path, Schema::Migrate, &ids, CancellationToken::new()).await.expect("opens");
    let operator = Principal { name: "operator".into(), scope: TokenScope::Operator, grant: Grant::default() };
    store.put_token(&operator, sha256(OPERATOR_TOKEN.as_bytes()), clock.now()).await.expect("kept");
    let allowed = AllowHosts::new(&["hooks.example.com".into()]);
    (gate(&store, &Bell::default(), &ids, &clock, allowed), directory)
}

/// A gate over `store`.
pub fn gate(
    store: &BellStore,
    bell: &Bell,
    ids: &Arc<Ids>,
    clock: &Arc<dyn Clock>,
    allowed: AllowHosts,
) -> Arc<Oversight> {
    let store = Arc::new(store.clone());
    let (bell, ids, clock) = (bell.clone(), ids.clone(), clock.clone());
    Arc::new(Oversight::new(Parts {
        store: store.clone(),
        tokens: store.clone(),
        log: store.clone(),
        audit: store,
        bell,
        clock,
        ids,
        allowed,
    }))
}

impl ApiServer {
    /// Serves `api`, which may also be called `mail.internal`.
    pub async fn start(api: Arc<Api>) -> Self {
        // The client asks for one, even where it only speaks plain HTTP.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        let (oversight, directory) = oversight().await;
        let router = v1::router(api.clone(), oversight, &["mail.internal".into()]);
        tokio::spawn(listen::serve("api", listener, router, CancellationToken::new()));
        let client = Client::builder().no_proxy().tls_certs_only([]).build().expect("a client");
        Self { address, api, client, _directory: directory }
    }

    /// A request without a key.
    pub fn bare(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("http://{}{path}", self.address))
    }

    /// A request with the house's key.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.bare(method, path).bearer_auth(HOUSE_TOKEN)
    }

    /// What the house gets at `path`.
    pub async fn get(&self, path: &str) -> (u16, Value) {
        answer(self.request(Method::GET, path)).await
    }

    /// What the house gets for sending `body`.
    pub async fn send(&self, method: Method, path: &str, body: Value) -> (u16, Value) {
        answer(self.request(method, path).json(&body)).await
    }

    /// What the operator gets for sending `body`.
    pub async fn order(&self, method: Method, path: &str, body: Value) -> (u16, Value) {
        answer(self.bare(method, path).bearer_auth(OPERATOR_TOKEN).json(&body)).await
    }

    /// The token of a new key with these scopes.
    pub async fn key(&self, name: &str, scopes: &[KeyScope]) -> String {
        self.api.keys().make(name, scopes).await.expect("a key").expose().to_owned()
    }
}

/// It is made from the code alone, so every server of this program has the same.
static DOCUMENT: OnceCell<Value> = OnceCell::const_new();

async fn document(client: &Client, url: &Url) -> Value {
    let mut at = url.clone();
    at.set_path("/v1/openapi.json");
    client.get(at).send().await.expect("an answer").json().await.expect("JSON")
}

/// The status and the body, which must be JSON, say so, and be as the API's own document tells.
pub async fn answer(request: RequestBuilder) -> (u16, Value) {
    let (client, request) = request.build_split();
    let request = request.expect("a request");
    let (method, url) = (request.method().clone(), request.url().clone());
    let response = client.execute(request).await.expect("an answer");
    let document = DOCUMENT.get_or_init(|| document(&client, &url)).await;
    let status = response.status().as_u16();
    assert_eq!(response.headers().get("content-type").map(HeaderValue::as_bytes), Some(&b"application/json"[..]));
    assert!(!response.headers().contains_key("access-control-allow-origin"));
    let body = response.json::<Value>().await.expect("JSON");
    if status >= 400 {
        assert!(body["error"].as_str().is_some_and(|error| error.len() > 20), "a sentence: {body}");
    }
    openapi::assert_told(document, &method, url.path(), status, &body);
    (status, body)
}
