//! A mail API made of a few maps: answers in SPEC's shape, remembers what it was asked, and fails when it is told to.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex},
};

use axum::{
    Json, Router,
    body::Bytes,
    extract::{Request, State},
    http::{HeaderMap, Method, StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse as _, Response},
    routing::any,
};
use serde_json::{Value, json};
use url::Url;

pub const KEY: &str = "mm_test_key_that_must_not_leak";

/// One request that it got.
#[derive(Debug, Clone)]
pub struct Asked {
    pub path: String,
    pub body: Value,
}

#[derive(Default)]
struct Inner {
    mailboxes: Vec<Value>,
    /// By mailbox id, in order of arrival.
    emails: BTreeMap<String, Vec<Value>>,
    webhooks: Vec<Value>,
    deliveries: Vec<Value>,
    asked: Vec<Asked>,
    /// Answers to give before anything else.
    moods: VecDeque<(StatusCode, Option<&'static str>, Value)>,
}

/// The API, listening.
#[derive(Clone)]
pub struct MailApi {
    inner: Arc<Mutex<Inner>>,
    pub url: Url,
}

impl MailApi {
    pub async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
        let api = Self { inner: Arc::default(), url };
        let router =
            Router::new().fallback(any(answer)).layer(middleware::from_fn(authenticated)).with_state(api.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        api
    }

    pub fn add_mailbox(&self, id: &str, address: &str) {
        let mailbox = json!({ "id": id, "address": address, "display_name": "The <Agent>", "created_at": 1 });
        self.inner.lock().unwrap().mailboxes.push(mailbox);
    }

    pub fn add_email(&self, mailbox: &str, email: Value) {
        self.inner.lock().unwrap().emails.entry(mailbox.into()).or_default().push(email);
    }

    pub fn add_delivery(&self, delivery: Value) {
        self.inner.lock().unwrap().deliveries.push(delivery);
    }

    /// Gives this answer to the next request.
    pub fn answer_next(&self, status: u16, retry_after: Option<&'static str>, body: Value) {
        let status = StatusCode::from_u16(status).unwrap();
        self.inner.lock().unwrap().moods.push_back((status, retry_after, body));
    }

    pub fn asked(&self) -> Vec<Asked> {
        self.inner.lock().unwrap().asked.clone()
    }

    pub fn tags_of(&self, email: &str) -> Vec<String> {
        let inner = self.inner.lock().unwrap();
        let found = inner.emails.values().flatten().find(|it| it["id"] == email).unwrap();
        found["tags"].as_object().map(|tags| tags.keys().cloned().collect()).unwrap_or_default()
    }
}

async fn authenticated(request: Request, next: Next) -> Response {
    if request.headers().get(header::AUTHORIZATION).is_none_or(|value| value != &format!("Bearer {KEY}")) {
        return (StatusCode::UNAUTHORIZED, Json(json!({ "error": "invalid key" }))).into_response();
    }
    next.run(request).await
}

async fn answer(State(api): State<MailApi>, method: Method, uri: axum::http::Uri, body: Bytes) -> Response {
    let mut inner = api.inner.lock().unwrap();
    let query: BTreeMap<String, String> =
        url::form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes()).into_owned().collect();
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    inner.asked.push(Asked { path: uri.path().into(), body: body.clone() });
    if let Some((status, retry_after, body)) = inner.moods.pop_front() {
        let mut headers = HeaderMap::new();
        if let Some(secs) = retry_after {
            headers.insert(header::RETRY_AFTER, secs.parse().unwrap());
        }
        return (status, headers, Json(body)).into_response();
    }
    let path: Vec<String> = uri.path().split('/').skip(1).map(str::to_owned).collect();
    let path: Vec<&str> = path.iter().map(String::as_str).collect();
    match inner.route(&method, &path, &query, body) {
        Some(value) => Json(value).into_response(),
        None => (StatusCode::NOT_FOUND, Json(json!({ "error": "not found" }))).into_response(),
    }
}

impl Inner {
    fn route(
        &mut self,
        method: &Method,
        path: &[&str],
        query: &BTreeMap<String, String>,
        body: Value,
    ) -> Option<Value> {
        match (method.as_str(), path) {
            ("GET", ["v1", "mailboxes"]) => Some(json!({ "mailboxes": self.mailboxes })),
            ("POST", ["v1", "mailboxes", _, "send"]) => {
                let id = format!("em_sent_{}", self.asked.len());
                Some(json!({ "id": id, "message_id": id, "thread_id": "thr_sent", "status": "queued" }))
            }
            ("GET", ["v1", "mailboxes", id, "emails"]) => self.list(id, query),
            ("GET", ["v1", "mailboxes", id, "emails", email]) => self.email(id, email).cloned(),
            ("GET", ["v1", "mailboxes", id, "emails", email, "tags"]) => {
                Some(json!({ "tags": self.email(id, email)?["tags"] }))
            }
            ("PUT", ["v1", "mailboxes", id, "emails", email, "tags"]) => {
                let email = self.email(id, email)?;
                // As SPEC says, and unlike what others say: replaced.
                email["tags"] = body["tags"].clone();
                Some(json!({ "tags": email["tags"] }))
            }
            ("DELETE", ["v1", "mailboxes", id, "emails", email, "tags", tag]) => {
                self.email(id, email)?["tags"].as_object_mut()?.remove(*tag)?;
                Some(json!({ "deleted": true }))
            }
            ("GET", ["v1", "mailboxes", id, "threads", thread]) => {
                let emails: Vec<_> =
                    self.emails.get(*id)?.iter().filter(|email| email["thread_id"] == *thread).cloned().collect();
                (!emails.is_empty()).then(|| json!({ "thread_id": thread, "emails": emails }))
            }
            ("POST", ["v1", "webhooks"]) => {
                let mut webhook = body;
                webhook["id"] = format!("wh_{}", self.webhooks.len() + 1).into();
                let secret =
                    webhook.get("secret").cloned().unwrap_or(format!("whsec_of_{}", webhook["id"].as_str()?).into());
                webhook.as_object_mut()?.remove("secret");
                self.webhooks.push(webhook.clone());
                webhook["signing_secret"] = secret;
                Some(webhook)
            }
            ("GET", ["v1", "webhooks"]) => Some(json!({ "subscriptions": self.webhooks })),
            ("DELETE", ["v1", "webhooks", id]) => {
                let at = self.webhooks.iter().position(|webhook| webhook["id"] == *id)?;
                self.webhooks.remove(at);
                Some(json!({ "status": "deleted" }))
            }
            ("GET", ["v1", "webhook-deliveries"]) => {
                let limit: usize = query["limit"].parse().unwrap();
                let skip: usize = query.get("cursor").map_or(0, |cursor| cursor.parse().unwrap());
                let page: Vec<_> = self.deliveries.iter().skip(skip).take(limit).cloned().collect();
                let end = skip + page.len();
                let cursor = (end < self.deliveries.len()).then(|| end.to_string());
                Some(json!({ "deliveries": page, "cursor": cursor }))
            }
            _ => None,
        }
    }

    fn email(&mut self, mailbox: &str, id: &str) -> Option<&mut Value> {
        self.emails.get_mut(mailbox)?.iter_mut().find(|email| email["id"] == id)
    }

    /// As SPEC has it: it knows `limit`, `cursor`, `status` and `date_before`, and ignores the rest.
    fn list(&self, mailbox: &str, query: &BTreeMap<String, String>) -> Option<Value> {
        self.mailboxes.iter().find(|it| it["id"] == mailbox)?;
        let emails = self.emails.get(mailbox).cloned().unwrap_or_default();
        let limit: usize = query["limit"].parse().unwrap();
        let skip: usize = query.get("cursor").map_or(0, |cursor| cursor.parse().unwrap());
        let wanted: Vec<Value> = emails
            .into_iter()
            .rev()
            .filter(|email| query.get("status").is_none_or(|status| email["status"] == **status))
            .filter(|email| {
                query.get("date_before").is_none_or(|before| email["received_at"].as_str().unwrap() < before.as_str())
            })
            .collect();
        let page: Vec<_> = wanted.iter().skip(skip).take(limit).cloned().collect();
        let end = skip + page.len();
        Some(json!({ "emails": page, "cursor": (end < wanted.len()).then(|| end.to_string()) }))
    }
}

/// A message as SPEC tells it.
pub fn email(id: &str, thread: &str, minute: u32, subject: &str, text: &str) -> Value {
    json!({
        "id": id, "from": "bob@example.com", "from_name": "Bob", "to": ["agent@mailbell.test"], "cc": [],
        "subject": subject, "thread_id": thread, "direction": "inbound", "status": "unread",
        "received_at": format!("2026-11-24T10:{minute:02}:00.000Z"), "markdown": text, "has_attachments": false,
        "snippet": text.chars().take(200).collect::<String>(), "tags": {},
    })
}
