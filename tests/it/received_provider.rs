//! A message whose text and files lie with its provider: Resend's API, played here over TLS, is asked once with the source's key.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use mailbell::{
    bell::fetch::{Ask, Fetch, FetchError, Providers},
    domain::{clock::Clock as _, id::SourceName, secret::Secret},
    reach::Reach,
    store::sources::Sources as _,
};
use serde_json::{Value, json};

use crate::{
    received_webhooks::{file, house_of, signed},
    support::{
        agent::{Era, Wing, unfenced},
        http::send,
        provider::{Here, host},
    },
};

const ID: &str = "56761188-7520-42d8-8898-ff6fc54ce618";

/// The internet, where every host listens at one port of this machine.
struct Rerouted {
    providers: Providers,
    port: u16,
}

#[async_trait]
impl Fetch for Rerouted {
    async fn ask(&self, ask: Ask<'_>) -> Result<Vec<u8>, FetchError> {
        let mut url = ask.url.clone();
        url.set_port(Some(self.port)).unwrap();
        self.providers.ask(Ask { url: &url, ..ask }).await
    }
}

fn answer(head: &str) -> String {
    let line = head.lines().next().unwrap_or_default();
    let bearer = head.to_lowercase().contains("authorization: bearer re_right");
    let path = line.split(' ').nth(1).unwrap_or_default();
    let files = format!("/emails/receiving/{ID}/attachments");
    let (status, body) = match path {
        "/signed/a.csv" if head.to_lowercase().contains("authorization") => ("500 The Key Leaked", String::new()),
        "/signed/a.csv" => ("200 OK", "1,2".to_owned()),
        _ if !bearer => ("401 Unauthorized", String::new()),
        path if path == files => {
            let url = "https://api.resend.com/signed/a.csv";
            let list = json!({ "object": "list", "data": [{"id": "att", "filename": "a.csv", "download_url": url}] });
            ("200 OK", list.to_string())
        }
        path if path == format!("/emails/receiving/{ID}") => {
            let email = json!({
                "object": "email", "id": ID, "to": ["support@acme.test"], "from": "Bob <bob@example.com>", "subject": "Order 7",
                "html": "<p>Yes, <b>do</b> it.</p>", "text": null, "headers": {"in-reply-to": "<x@y.test>"}, "message_id": "<m1@example.com>",
                "attachments": [{"id": "att", "filename": "a.csv", "content_type": "text/csv", "size": 3}],
            });
            ("200 OK", email.to_string())
        }
        _ => ("404 Not Found", String::new()),
    };
    format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len())
}

#[tokio::test]
async fn the_rest_of_a_message_is_fetched_once_with_the_source_s_key() {
    let asked: Arc<Mutex<Vec<String>>> = Arc::default();
    let log = asked.clone();
    let (port, root) = host("api.resend.com", move |head| {
        log.lock().unwrap().push(head.lines().next().unwrap_or_default().to_owned());
        answer(head)
    })
    .await;
    let mut wing = Wing::start().await;
    let root = reqwest::Certificate::from_pem(root.as_bytes()).unwrap();
    let providers = Providers::trusting(Arc::new(wing.clock.clone()), vec![root], Arc::new(Here), Reach::Own);
    wing.web = Arc::new(Rerouted { providers, port });
    let (wing, addr) = house_of(wing, "resend").await;
    let body = json!({
        "type": "email.received", "created_at": "2026-11-24T10:00:00.000Z",
        "data": {
            "email_id": ID, "from": "Bob <bob@example.com>", "to": ["support@acme.test"], "subject": "Order 7", "message_id": "<m1@example.com>",
            "attachments": [{"id": "att", "filename": "a.csv", "content_type": "text/csv"}],
        },
    });
    let body = body.to_string().into_bytes();
    let headers = signed(wing.clock.now().0 / 1000, &body);
    let headers: Vec<_> = headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(send(addr, "POST", "/hooks/acme", &headers, &body).await.json["received"], 1);

    let agent = wing.agent(Era::Modern).await;
    let read = async || agent.call("read_email", json!({ "message_id": ID })).await;
    let note = |email: &Value| unfenced(email, email["notes"].as_array().unwrap().last().unwrap()).to_owned();
    // Without a key it is said how to give one, and nobody is asked.
    let email = read().await;
    assert_eq!((unfenced(&email, &email["subject"]), &email["status"]), ("Order 7", &"unread".into()), "{email}");
    assert!(note(&email).contains("mailbell source api-key acme --file FILE"), "{email}");
    assert!(asked.lock().unwrap().is_empty());
    // With a wrong one, who must give another.
    let name = SourceName::new("acme");
    wing.store.set_api_key(&name, Some(&Secret::new("re_wrong"))).await.unwrap();
    let email = read().await;
    assert!(note(&email).contains("does not accept the source's key"), "{email}");

    wing.store.set_api_key(&name, Some(&Secret::new("re_right"))).await.unwrap();
    let email = read().await;
    assert_eq!(unfenced(&email, &email["body_text"]).trim(), "Yes, do it.", "{email}");
    assert!(email.get("notes").is_none(), "{email}");
    assert_eq!(email["attachments"][0]["size_bytes"], 3, "{email}");
    let uri = email["attachments"][0]["uri"].as_str().unwrap();
    assert_eq!(file(&agent, uri).await, b"1,2");
    let so_far = asked.lock().unwrap().len();
    assert_eq!(so_far, 4, "refused, the message, its files, a file: {:?}", asked.lock().unwrap());
    // What is here is asked for no more, even without a key.
    wing.store.set_api_key(&name, None).await.unwrap();
    let email = read().await;
    assert_eq!((unfenced(&email, &email["body_text"]).trim(), &email["status"]), ("Yes, do it.", &"read".into()));
    assert_eq!(file(&agent, uri).await, b"1,2");
    assert_eq!(asked.lock().unwrap().len(), so_far);
}
