//! No page, no list and no worker walks a table of `mail.db` that grows: what SQLite makes of each statement that they run.

use std::fs;

use reqwest::Method;
use serde_json::{Value, json};
use sqlx::{ConnectOptions as _, sqlite::SqliteConnectOptions};

use crate::{
    console::{Console, PAGES},
    support::{smtp_peer::SmtpPeer, statements},
};

/// Tables that grow with what happens.
const GROWING: [&str; 13] = [
    "message",
    "thread_name",
    "tag",
    "verdict",
    "outbound",
    "recipient",
    "told",
    "delivery",
    "attempt",
    "suppression",
    "tracking_image",
    "open_day",
    "line",
];
/// Indexes that hold what is to be done, what failed or what is looked at by hand alone.
const OPEN: [&str; 7] = [
    "delivery_waiting",
    "delivery_paused",
    "delivery_dead",
    "recipient_due",
    "line_due",
    "line_failing",
    "line_leased",
];
/// SQLite would look for rows without a line, if there could be any: it counts them, and there are none.
const CHECKS_ALONE: &str = "INSERT INTO line ";
const AGENT: &str = "agent@mailbell.test";

/// Retention walks from the oldest rows on, and no further than its limit. It may come around while this story runs.
fn walks_to_a_limit(text: &str) -> bool {
    text.starts_with("DELETE FROM ") && text.contains(" ORDER BY seq LIMIT ")
}

/// Asks the API as its own key.
async fn ask(console: &Console, method: Method, path: &str, body: Option<Value>) -> (u16, Value) {
    let token = fs::read_to_string(console.dir.path().join("tokens/api")).unwrap();
    let url = format!("{}{path}", console.house.addresses().api.as_ref().unwrap());
    let mut request = console.client.request(method, url).bearer_auth(token.trim());
    if let Some(body) = body {
        request = request.json(&body);
    }
    let answer = request.send().await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap_or_default())
}

/// Something for each parameter of a list.
fn value(name: &str) -> &'static str {
    match name {
        "mailbox" | "mailbox_id" => AGENT,
        "limit" => "5",
        "offset" => "1",
        "direction" => "inbound",
        "unread_only" | "has_attachments" => "true",
        "breakdown" => "daily",
        "date_after" | "date_before" => "2026-11-24T00:00:00Z",
        "status" => "failed",
        _ => "x",
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_pages_lists_and_workers_ask_of_the_mail_service_finds_its_rows_by_an_index() {
    statements::listen();
    let console = Console::start().await;
    let smtp = console.house.addresses().smtp.as_ref().unwrap().parse().unwrap();
    let id = SmtpPeer::hello(smtp).await.deliver(&[AGENT], "From: ann@a.test\r\nSubject: one\r\n\r\nx").await;
    for to in ["delivered@simulator.mailbell.test", "hard-bounce@simulator.mailbell.test", AGENT] {
        let letter = json!({ "to": [to], "subject": "two", "markdown": "y", "idempotency_key": to });
        let (status, said) = ask(&console, Method::POST, &format!("/v1/mailboxes/{AGENT}/send"), Some(letter)).await;
        assert!(status < 300, "{status} {said}");
    }
    let tags = json!({ "tags": { "seen": "yes" } });
    let path = format!("/v1/mailboxes/{AGENT}/emails/{id}/tags");
    assert_eq!(ask(&console, Method::PUT, &path, Some(tags)).await.0, 200);

    let (_, listed) = ask(&console, Method::GET, "/v1/webhook-deliveries", None).await;
    let delivery = listed["deliveries"][0]["id"].as_str().unwrap_or("none").to_owned();
    let (_, webhooks) = ask(&console, Method::GET, "/v1/webhooks", None).await;
    let webhook = webhooks["webhooks"][0]["id"].as_str().unwrap().to_owned();
    let (_, document) = ask(&console, Method::GET, "/v1/openapi.json", None).await;
    let thread = ask(&console, Method::GET, &format!("/v1/mailboxes/{AGENT}/emails/{id}"), None).await.1["thread_id"]
        .as_str()
        .unwrap()
        .to_owned();
    for (path, item) in document["paths"].as_object().unwrap() {
        let Some(operation) = item.get("get") else { continue };
        let there = [
            ("{mailbox}", AGENT),
            ("{email}", &id),
            ("{thread}", &thread),
            ("{delivery}", &delivery),
            ("{webhook}", &webhook),
            ("{domain}", "mailbell.test"),
        ];
        let at = there.into_iter().fold(path.clone(), |path, (part, value)| path.replace(part, value));
        let parameters = [item.get("parameters"), operation.get("parameters")];
        let names = parameters.into_iter().flatten().filter_map(Value::as_array).flatten();
        let names = names.filter(|one| one["in"] == "query").filter_map(|one| one["name"].as_str());
        ask(&console, Method::GET, &at, None).await;
        for name in names {
            ask(&console, Method::GET, &format!("{at}?{name}={}", value(name)), None).await;
        }
    }
    let who = console.log_in().await;
    let of_one = [format!("messages/{id}"), format!("deliveries/{delivery}")];
    let filtered = ["webhooks?state=dead", "webhooks?state=pending"];
    for page in PAGES.into_iter().chain(filtered).chain(of_one.iter().map(String::as_str)) {
        console.see(&who, page).await;
    }
    for status in ["pending", "failed", "delivered"] {
        for of in ["", &format!("&webhook_id={webhook}")] {
            let path = format!("/v1/webhook-deliveries?status={status}{of}");
            assert_eq!(ask(&console, Method::GET, &path, None).await.0, 200);
        }
    }

    let gone = json!({ "address": "gone@a.test", "reason": "manual" });
    assert_eq!(ask(&console, Method::POST, "/v1/suppression", Some(gone)).await.0, 201);
    let path = console.dir.path().join("mail.db");
    let heard = statements::walks(&path, &GROWING, &OPEN).await;
    assert!(heard.len() > 100, "{} statements of mail.db were heard", heard.len());
    let walks = |(text, walked): &&(String, Vec<String>)| {
        !walked.is_empty() && !text.starts_with(CHECKS_ALONE) && !walks_to_a_limit(text)
    };
    let strangers: Vec<_> = heard.iter().filter(walks).collect();
    assert!(strangers.is_empty(), "{} of {}: {strangers:#?}", strangers.len(), heard.len());

    let mut mail = SqliteConnectOptions::new().filename(&path).read_only(true).connect().await.unwrap();
    let kept = "SELECT message_bytes = (SELECT sum(size_bytes) FROM message) \
                AND suppressions = (SELECT count(*) FROM suppression) FROM weight";
    assert!(
        sqlx::query_scalar::<_, bool>(kept).fetch_one(&mut mail).await.unwrap(),
        "what is counted is what is there"
    );
}
