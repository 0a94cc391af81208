//! The flat dialects: the seed's own paths and the Zapier app's; spam; and pages that stay where they are.

use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{
    api::{ApiServer, answer},
    clock::TestClock,
    post::Post,
};

const INBOX: &str = "/v1/inbox?mailbox=other@mailbell.test";

async fn story() -> (Post, ApiServer, TempDir) {
    let (dir, clock) = (TempDir::new().unwrap(), TestClock::default());
    let post = Post::open(dir.path(), &clock, None).await;
    let server = ApiServer::start(post.api.clone()).await;
    (post, server, dir)
}

/// The agent writes to the other mailbox, in Zapier's words.
async fn write(post: &Post, server: &ApiServer, subject: &str) {
    let letter =
        json!({ "mailbox": "agent@mailbell.test", "to": "other@mailbell.test", "subject": subject, "body": "Hi" });
    let (status, sent) = server.send(Method::POST, "/v1/emails/send", letter).await;
    assert_eq!(status, 202, "{sent}");
    while post.go_on().await {}
}

fn subjects(page: &Value) -> Vec<&str> {
    page["emails"].as_array().unwrap().iter().map(|email| email["subject"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn the_seeds_own_code_finds_what_it_expects() {
    let (post, server, _dir) = story().await;
    write(&post, &server, "First").await;
    let (_, inbox) = server.get(&format!("{INBOX}&unread_only=true&limit=10")).await;
    let message = &inbox["messages"][0];
    let (id, thread) = (message["message_id"].as_str().unwrap(), message["thread_id"].as_str().unwrap());
    assert_eq!(server.get(&format!("{INBOX}&thread_id={thread}")).await.1["messages"].as_array().unwrap().len(), 1);
    assert_eq!(subjects(&server.get("/v1/emails/inbox?mailbox=other@mailbell.test").await.1), ["First"]);
    assert_eq!(server.get("/v1/inbox").await.0, 400, "there are two mailboxes");
    assert_eq!(server.get("/v1/inbox?mailbox=nobody@mailbell.test").await.0, 404);

    let (status, email) = server.get(&format!("/v1/emails/{id}")).await;
    assert_eq!((status, &email["direction"], &email["status"]), (200, &json!("inbound"), &json!("read")));
    for (name, twin) in [
        ("from_address", "from"),
        ("to_addresses", "to"),
        ("created_at", "received_at"),
        ("text_body", "markdown"),
        ("body_text", "markdown"),
        ("body", "markdown"),
        ("message_id", "id"),
        ("email_id", "id"),
    ] {
        assert_eq!(email[name], email[twin], "{name}");
        assert!(!email[name].is_null(), "{name}");
    }
    assert_eq!(subjects(&server.get(&format!("{INBOX}&unread_only=true")).await.1), [""; 0]);
    let (status, tagged) =
        server.send(Method::POST, &format!("/v1/emails/{id}/tag"), json!({ "tags": ["urgent", "support"] })).await;
    assert_eq!((status, &tagged["id"], &tagged["tags"]), (200, &json!(id), &json!(["support", "urgent"])));
    assert_eq!(server.get("/v1/emails/em_nothing").await.0, 404);
    assert_eq!(server.send(Method::POST, "/v1/emails/em_nothing/tag", json!({ "tags": ["a"] })).await.0, 404);

    let reply = format!("/v1/emails/{id}/reply");
    let (status, sent) = server.send(Method::POST, &reply, json!({ "body": "Thanks" })).await;
    assert_eq!((status, &sent["thread_id"]), (202, &json!(thread)));
    assert_eq!(server.send(Method::POST, &reply, json!({ "body": "Thanks" })).await.0, 409, "the same within a minute");
    let (_, whole) = server.get(&format!("/v1/emails/thread/{thread}")).await;
    assert_eq!((&whole["message_count"], &whole["has_unanswered_inbound"]), (&json!(2), &json!(false)));
    assert_eq!(server.get("/v1/emails/thread/thr_nothing").await.0, 404);
}

#[tokio::test]
async fn spam_leaves_what_is_unread_and_comes_back() {
    let (post, server, _dir) = story().await;
    write(&post, &server, "Win").await;
    write(&post, &server, "Work").await;
    let (_, inbox) = server.get(&format!("{INBOX}&subject_contains=win")).await;
    let id = inbox["emails"][0]["id"].as_str().unwrap().to_owned();
    // As MultiMail's MCP server sends it: a JSON type, and no body.
    let bodyless = |path: String| server.request(Method::POST, &path).header("content-type", "application/json");
    let (status, called) = answer(bodyless(format!("/v1/emails/{id}/report-spam"))).await;
    assert_eq!((status, &called["status"], &called["user_label"]), (200, &json!("spam_quarantined"), &json!("spam")));
    assert_eq!(subjects(&server.get(&format!("{INBOX}&unread_only=1")).await.1), ["Work"]);
    for list in
        ["/v1/emails", "/v1/emails?status=spam_quarantined&limit=1", &format!("{INBOX}&status=spam_quarantined")]
    {
        let (_, spam) = server.get(list).await;
        assert_eq!(
            (subjects(&spam), &spam["emails"][0]["spam_verdict"]),
            (vec!["Win"], &json!("quarantined")),
            "{list}"
        );
    }
    assert_eq!(subjects(&server.get("/v1/emails?status=spam_flagged").await.1), [""; 0]);
    assert_eq!(server.get("/v1/emails?status=unread").await.0, 400);
    assert_eq!(server.get("/v1/emails?cursor=em_nothing").await.0, 400);
    let (_, called) = answer(bodyless(format!("/v1/emails/{id}/not-spam"))).await;
    assert_eq!((&called["status"], &called["user_label"]), (&json!("unread"), &json!("not_spam")));
    assert_eq!(subjects(&server.get("/v1/emails").await.1), [""; 0]);
    assert_eq!(subjects(&server.get(&format!("{INBOX}&unread_only=1")).await.1), ["Work", "Win"]);

    let (_, sent) = server.get("/v1/inbox?mailbox=agent@mailbell.test&direction=outbound").await;
    let sent = sent["emails"][0]["id"].as_str().unwrap();
    assert_eq!(answer(bodyless(format!("/v1/emails/{sent}/report-spam"))).await.0, 409, "what we sent is none");
    assert_eq!(answer(bodyless("/v1/emails/em_nothing/not-spam".into())).await.0, 404);
}

#[tokio::test]
async fn pages_stay_where_they_are_while_mail_comes_in() {
    let (post, server, _dir) = story().await;
    for subject in ["1", "2", "3", "4"] {
        write(&post, &server, subject).await;
    }
    let (_, first) = server.get(&format!("{INBOX}&limit=2")).await;
    assert_eq!(subjects(&first), ["4", "3"]);
    write(&post, &server, "5").await;
    let cursor = first["cursor"].as_str().unwrap();
    let (_, second) = server.get(&format!("{INBOX}&limit=2&cursor={cursor}")).await;
    assert_eq!((subjects(&second), &second["cursor"]), (vec!["2", "1"], &Value::Null), "none twice, none skipped");
    let newest = first["emails"][0]["id"].as_str().unwrap();
    assert_eq!(subjects(&server.get(&format!("{INBOX}&since_id={newest}")).await.1), ["5"]);

    for path in [
        format!("{INBOX}&cursor=em_nothing"),
        format!("{INBOX}&cursor=1795514400"),
        format!("/v1/mailboxes/agent@mailbell.test/emails?cursor={cursor}"),
        "/v1/suppression?cursor=x".to_owned(),
        "/v1/webhook-deliveries?cursor=x".to_owned(),
    ] {
        let (status, refused) = server.get(&path).await;
        assert_eq!(status, 400, "{path}");
        assert!(refused["error"].as_str().unwrap().contains("`cursor`"), "{refused}");
    }
}
