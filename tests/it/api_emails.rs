//! Mailboxes, emails, threads and tags as clients of every dialect read them.

use mailbell::domain::{clock::UnixMillis, message::Attachment};
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{
    api::ApiServer,
    hooks::Hooks,
    mailroom::{MemoryMailroom, mailbox, message},
};

async fn start(emails: u32) -> (Hooks, ApiServer) {
    let ann = mailbox("ann@mailbell.test");
    let mut mailroom = MemoryMailroom::default().with_mailbox(ann.clone());
    for number in 1..=emails {
        let mut email = message(&format!("em_{number:03}"), &ann, if number % 2 == 0 { "thr_even" } else { "thr_odd" });
        email.summary.received_at = UnixMillis(1_795_514_400_000 + i64::from(number) * 60_000);
        if number == 2 {
            let file = Attachment { name: "a.pdf".into(), content_type: "application/pdf".into(), size_bytes: 7 };
            email.summary.attachments.push(file);
        }
        mailroom = mailroom.with_message(email);
    }
    let hooks = Hooks::start(mailroom, &[]).await;
    let api = ApiServer::start(hooks.api.clone()).await;
    (hooks, api)
}

fn ids(body: &Value) -> Vec<&str> {
    body["emails"].as_array().unwrap().iter().map(|email| email["id"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn a_mailbox_is_made_in_either_dialect_shown_by_either_name_and_removed() {
    let (_hooks, api) = start(0).await;
    let (status, made) =
        api.send(Method::POST, "/v1/mailboxes", json!({ "address_local": "Ben", "display_name": "Ben" })).await;
    assert_eq!((status, &made["address"]), (201, &json!("ben@mailbell.test")));
    assert!(made["created_at"].is_i64(), "epoch milliseconds, as documented");
    let sdk = json!({ "address": "cat@example.test", "oversight_mode": "gated_all" });
    assert_eq!(api.send(Method::POST, "/v1/mailboxes", sdk.clone()).await.0, 201);
    assert_eq!(api.send(Method::POST, "/v1/mailboxes", sdk).await.0, 409);
    for wrong in [json!({}), json!({ "address": "x@elsewhere.test" }), json!({ "address": "a b" })] {
        assert_eq!(api.send(Method::POST, "/v1/mailboxes", wrong.clone()).await.0, 400, "{wrong}");
    }
    let (_, listed) = api.get("/v1/mailboxes").await;
    assert_eq!(listed["mailboxes"].as_array().unwrap().len(), 3);

    let by_id = format!("/v1/mailboxes/{}", made["id"].as_str().unwrap());
    for path in [by_id.as_str(), "/v1/mailboxes/ben@mailbell.test", "/v1/mailboxes/Ben%40mailbell.test"] {
        assert_eq!(api.get(path).await, (200, made.clone()), "{path}");
    }
    let webhook = json!({ "url": "self", "events": ["inbound"], "mailbox": "ben@mailbell.test" });
    assert_eq!(api.send(Method::POST, "/v1/webhooks", webhook).await.0, 201);
    assert_eq!(api.send(Method::DELETE, &by_id, Value::Null).await.1["status"], "deleted");
    assert_eq!(api.get(&by_id).await.0, 404);
    assert_eq!(api.get("/v1/webhooks").await.1["webhooks"], json!([]), "its own webhook goes with it");
}

#[tokio::test]
async fn pages_follow_each_other_by_cursor_and_by_offset() {
    let (_hooks, api) = start(45).await;
    let emails = "/v1/mailboxes/mbx_ann/emails";
    let (_, first) = api.get(emails).await;
    assert_eq!(ids(&first).len(), 20);
    assert_eq!(ids(&first)[0], "em_045", "the newest first");
    assert_eq!(first["emails"], first["messages"]);

    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let (_, page) = api.get(&format!("{emails}?limit=15&cursor={cursor}")).await;
        seen.extend(ids(&page).into_iter().map(str::to_owned));
        match page["cursor"].as_str() {
            Some(next) => cursor = next.to_owned(),
            None => break,
        }
    }
    let all: Vec<_> = (1..=45).rev().map(|number| format!("em_{number:03}")).collect();
    assert_eq!(seen, all, "45 in three full pages, and no empty fourth");

    let (_, skipped) = api.get(&format!("{emails}?limit=2&offset=43")).await;
    assert_eq!(ids(&skipped), ["em_002", "em_001"]);
    assert_eq!(ids(&api.get(&format!("{emails}?offset=45")).await.1), [""; 0], "the SDK's paging comes to an end");
    assert_eq!(ids(&api.get(&format!("{emails}?limit=100")).await.1).len(), 45);
    for wrong in ["limit=0", "limit=101", "limit=x", "offset=-1", "offset=10001"] {
        assert_eq!(api.get(&format!("{emails}?{wrong}")).await.0, 400, "{wrong}");
    }
}

#[tokio::test]
async fn each_filter_narrows() {
    let (_hooks, api) = start(4).await;
    let emails = "/v1/mailboxes/ann@mailbell.test/emails";
    api.get("/v1/mailboxes/mbx_ann/emails/em_001").await;
    let put = json!({ "tags": ["handled"] });
    api.send(Method::PUT, "/v1/mailboxes/mbx_ann/emails/em_004/tags", put).await;
    for (query, expected) in [
        ("status=unread", vec!["em_004", "em_003", "em_002"]),
        ("unread_only=true", vec!["em_004", "em_003", "em_002"]),
        ("status=read", vec!["em_001"]),
        ("status=read&unread_only=true", vec![]),
        ("status=archived", vec![]),
        ("thread_id=thr_even", vec!["em_004", "em_002"]),
        ("has_attachments=true", vec!["em_002"]),
        ("has_attachments=false&limit=1", vec!["em_004"]),
        ("direction=outbound", vec![]),
        ("subject_contains=em_003", vec!["em_003"]),
        ("sender=nobody", vec![]),
        ("since_id=em_002", vec!["em_004", "em_003"]),
        ("tag=handled", vec!["em_004"]),
        ("without_tag=handled&unread_only=1", vec!["em_003", "em_002"]),
        ("date_after=2026-11-24T10:03:00Z", vec!["em_004", "em_003"]),
        ("date_before=2026-11-24T10:01:00.000Z", vec!["em_001"]),
        ("date_after=2026-11-24&date_before=2026-11-24&status=read", vec!["em_001"]),
        ("date_after=2026-11-25", vec![]),
        ("status=&sender=&cursor=&unknown=1", vec!["em_004", "em_003", "em_002", "em_001"]),
    ] {
        let (status, body) = api.get(&format!("{emails}?{query}")).await;
        assert_eq!((status, ids(&body)), (200, expected), "{query}");
    }
    for wrong in ["status=lost", "direction=up", "has_attachments=maybe", "date_after=yesterday"] {
        assert_eq!(api.get(&format!("{emails}?{wrong}")).await.0, 400, "{wrong}");
    }
}

#[tokio::test]
async fn an_email_is_read_under_every_name_and_is_then_read() {
    let (_hooks, api) = start(2).await;
    assert_eq!(api.get("/v1/mailboxes/mbx_ann/emails").await.1["emails"][0]["status"], "unread");
    let (status, email) = api.get("/v1/mailboxes/mbx_ann/emails/em_002").await;
    assert_eq!(status, 200);
    for (names, value) in [
        (&["id", "message_id", "email_id"][..], json!("em_002")),
        (&["markdown", "body_text", "text_body", "body"], json!("The text of em_002")),
        (&["from", "from_address"], json!("bob@example.com")),
        (&["to", "to_addresses"], json!(["ann@mailbell.test"])),
        (&["received_at", "created_at"], json!("2026-11-24T10:02:00.000Z")),
        (&["direction"], json!("inbound")),
        (&["status"], json!("read")),
        (&["has_attachments"], json!(true)),
        (&["thread_id"], json!("thr_even")),
        (&["tags"], json!({})),
    ] {
        for name in names {
            assert_eq!(email[name], value, "{name}");
        }
    }
    assert_eq!((&email["attachments"][0]["name"], &email["attachments"][0]["size"]), (&json!("a.pdf"), &json!(7)));
    let (_, listed) = api.get("/v1/mailboxes/mbx_ann/emails").await;
    assert_eq!(listed["emails"][0]["status"], "read");
    assert!(listed["emails"][0].get("markdown").is_none(), "a list has no bodies");
}

#[tokio::test]
async fn a_thread_tells_who_and_what() {
    let (_hooks, api) = start(4).await;
    let (status, thread) = api.get("/v1/mailboxes/mbx_ann/threads/thr_even").await;
    assert_eq!((status, ids(&thread)), (200, vec!["em_002", "em_004"]));
    assert_eq!(thread["message_count"], 2);
    assert_eq!(thread["participants"], json!(["ann@mailbell.test", "bob@example.com"]));
    assert_eq!(thread["last_activity"], "2026-11-24T10:04:00.000Z");
    assert_eq!(thread["has_unanswered_inbound"], true);
}

#[tokio::test]
async fn tags_merge_unless_they_replace() {
    let (_hooks, api) = start(1).await;
    let tags = "/v1/mailboxes/mbx_ann/emails/em_001/tags";
    let put = |query: &'static str, body: Value| api.send(Method::PUT, query, body);
    assert_eq!(api.get(tags).await, (200, json!({ "tags": {} })));
    assert_eq!(put(tags, json!({ "tags": { "a": "1", "b": "2" } })).await.1, json!({ "tags": { "a": "1", "b": "2" } }));
    assert_eq!(put(tags, json!({ "tags": ["c"] })).await.1, json!({ "tags": { "a": "1", "b": "2", "c": "true" } }));
    let replace = "/v1/mailboxes/mbx_ann/emails/em_001/tags?mode=replace";
    assert_eq!(put(replace, json!({ "tags": { "d": "é" } })).await.1, json!({ "tags": { "d": "é" } }));
    let one = "/v1/mailboxes/mbx_ann/emails/em_001/tags/d";
    assert_eq!(
        api.send(Method::DELETE, one, Value::Null).await,
        (200, json!({ "deleted": true, "status": "deleted" }))
    );
    assert_eq!(api.send(Method::DELETE, one, Value::Null).await.0, 404);

    let many: serde_json::Map<_, _> = (0..51).map(|number| (format!("k{number}"), json!("v"))).collect();
    for wrong in [
        json!({}),
        json!({ "tags": "a" }),
        json!({ "tags": { "a": 1 } }),
        json!({ "tags": { "": "x" } }),
        json!({ "tags": { "a\n": "x" } }),
        json!({ "tags": { "a": "x".repeat(257) } }),
        json!({ "tags": many }),
    ] {
        assert_eq!(put(tags, wrong.clone()).await.0, 400, "{wrong}");
    }
    assert_eq!(put("/v1/mailboxes/mbx_ann/emails/em_001/tags?mode=x", json!({ "tags": {} })).await.0, 400);
    assert_eq!(api.get(tags).await.1, json!({ "tags": {} }), "nothing of it was written");
}
