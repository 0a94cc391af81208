//! Sending through the API, in the shapes that clients expect: statuses, aliases, limits, and who may lift a suppression.

use mailbell::{domain::key::KeyScope, mail::reception::Envelope};
use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{
    api::{ApiServer, answer},
    clock::TestClock,
    post::Post,
};

const SEND: &str = "/v1/mailboxes/agent@mailbell.test/send";

async fn story() -> (Post, ApiServer, TempDir) {
    let (dir, clock) = (TempDir::new().unwrap(), TestClock::default());
    let post = Post::open(dir.path(), &clock, None).await;
    let server = ApiServer::start(post.api.clone()).await;
    (post, server, dir)
}

fn letter() -> Value {
    json!({ "to": ["other@mailbell.test"], "subject": "Hello", "markdown": "Hi" })
}

fn with(change: &Value) -> Value {
    let mut letter = letter();
    letter.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
    letter
}

#[tokio::test]
async fn a_letter_is_taken_in_scheduled_or_known_already() {
    let (post, server, _dir) = story().await;
    let (status, body) = server.send(Method::POST, SEND, letter()).await;
    assert_eq!((status, &body["status"], &body["id"]), (202, &"pending_scan".into(), &body["message_id"]));
    assert!(body["thread_id"].as_str().unwrap().starts_with("thr_"));
    let (_, email) =
        server.get(&format!("/v1/mailboxes/agent@mailbell.test/emails/{}", body["id"].as_str().unwrap())).await;
    assert_eq!(
        (&email["direction"], &email["status"], &email["markdown"]),
        (&"outbound".into(), &"queued".into(), &"Hi".into())
    );

    let keyed = with(&json!({ "idempotency_key": "k" }));
    let (first, made) = server.send(Method::POST, SEND, keyed.clone()).await;
    let (second, again) = server.send(Method::POST, SEND, keyed).await;
    assert_eq!(
        (first, second, &again["status"], &again["idempotent"]),
        (202, 200, &"already_sent".into(), &true.into())
    );
    assert_eq!((&again["id"], &again["thread_id"]), (&made["id"], &made["thread_id"]));

    let later = post.clock_in(3600);
    let (status, scheduled) = server.send(Method::POST, SEND, with(&json!({ "send_at": later }))).await;
    assert_eq!((status, &scheduled["status"]), (202, &"scheduled".into()));
    let path = format!("/v1/mailboxes/agent@mailbell.test/emails/{}", scheduled["id"].as_str().unwrap());
    let change = json!({ "subject": "Changed", "cc": ["agent@mailbell.test"] });
    let (status, changed) = server.send(Method::PATCH, &format!("{path}/schedule"), change).await;
    assert_eq!((status, &changed["send_at"]), (200, &json!(later)));
    let (_, listed) = server.get("/v1/mailboxes/agent@mailbell.test/emails?status=scheduled").await;
    assert_eq!(
        (&listed["emails"][0]["subject"], &listed["emails"][0]["cc"][0]),
        (&"Changed".into(), &"agent@mailbell.test".into())
    );
    // Bodyless, as clients send it.
    for _ in 0..2 {
        let (status, cancelled) = answer(server.request(Method::POST, &format!("{path}/cancel"))).await;
        assert_eq!((status, &cancelled["status"]), (200, &"cancelled".into()));
    }
    let (status, late) = server.send(Method::PATCH, &format!("{path}/schedule"), json!({ "subject": "x" })).await;
    assert_eq!(status, 409, "{late}");
}

#[tokio::test]
async fn what_is_refused_says_why_in_a_status_that_clients_know() {
    let (post, server, _dir) = story().await;
    let agent = post.mailbox("agent@mailbell.test").await;
    let raw = b"From: other@mailbell.test\r\nMessage-ID: <q@x>\r\nAuto-Submitted: auto-replied\r\n\r\nx".to_vec();
    let envelope =
        Envelope { from: "other@mailbell.test".into(), recipients: vec![agent.clone()], returned_to: vec![] };
    let auto = post.reception.receive(&envelope, raw).await.unwrap().messages.remove(0);
    let raw = b"From: other@mailbell.test\r\nMessage-ID: <r@x>\r\n\r\nx".to_vec();
    let asked = post.reception.receive(&envelope, raw).await.unwrap().messages.remove(0);
    let reply = |id: &mailbell::domain::id::MessageId| format!("/v1/mailboxes/agent@mailbell.test/reply/{id}");
    let hi = json!({ "markdown": "Hi" });
    assert_eq!(server.send(Method::POST, &reply(&asked), hi.clone()).await.0, 202);
    let (status, held) = server.send(Method::POST, &reply(&auto), hi.clone()).await;
    assert_eq!((status, &held["status"]), (202, &json!("pending_approval")), "an operator decides");
    let cases = [
        (reply(&asked), hi.clone(), 409, "the same reply"),
        (reply(&mailbell::domain::id::MessageId::new("em_none")), hi, 404, "no email"),
        (SEND.into(), json!({ "to": ["a@b.test"], "markdown": "x" }), 400, "`subject`"),
        (SEND.into(), with(&json!({ "to": "x@elsewhere.test" })), 422, "mail.relay.host"),
        (SEND.into(), with(&json!({ "to": [] })), 400, "`to`"),
        (SEND.into(), with(&json!({ "send_at": "tomorrow" })), 400, "RFC 3339"),
        (
            SEND.into(),
            with(&json!({ "attachments": [{ "name": "a", "content_type": "text/plain", "content_base64": "?" }] })),
            400,
            "Base64",
        ),
        ("/v1/mailboxes/nobody@mailbell.test/send".into(), letter(), 404, "no mailbox"),
    ];
    for (path, body, expected, said) in cases {
        let (status, answer) = server.send(Method::POST, &path, body.clone()).await;
        assert_eq!(status, expected, "{path} {body}: {answer}");
        assert!(answer["error"].as_str().unwrap().contains(said), "{answer} lacks {said}");
    }
    let reader = server.key("reader", &[KeyScope::Read]).await;
    let (status, _) = answer(server.bare(Method::POST, SEND).bearer_auth(reader).json(&letter())).await;
    assert_eq!(status, 403);
}

#[tokio::test]
async fn a_reply_stays_in_the_thread_of_a_message_that_bears_no_message_id() {
    let (post, server, _dir) = story().await;
    let to = post.mailbox("agent@mailbell.test").await;
    let envelope = Envelope { from: "other@mailbell.test".into(), recipients: vec![to], returned_to: vec![] };
    let raw = b"From: other@mailbell.test\r\nSubject: Hello\r\n\r\nx".to_vec();
    let asked = post.reception.receive(&envelope, raw).await.unwrap().messages.remove(0);
    let thread = post.message("agent@mailbell.test", &asked).await.summary.thread_id;
    let reply = format!("/v1/mailboxes/agent@mailbell.test/reply/{asked}");
    let (status, sent) = server.send(Method::POST, &reply, json!({ "markdown": "Hi" })).await;
    assert_eq!((status, &sent["thread_id"]), (202, &json!(thread)));
}

#[tokio::test]
async fn a_limit_tells_when_to_come_again_in_seconds() {
    let (_post, server, _dir) = story().await;
    // One of them is the reply that the thread's limit leaves room for; each is a thread of its own.
    for _ in 0..20 {
        assert_eq!(server.send(Method::POST, SEND, letter()).await.0, 202);
    }
    let response = server.request(Method::POST, SEND).json(&letter()).send().await.unwrap();
    assert_eq!((response.status().as_u16(), response.headers()["retry-after"].to_str().unwrap()), (429, "3600"));
    let body: Value = response.json().await.unwrap();
    assert!(body["error"].as_str().unwrap().contains("20 messages went to other@mailbell.test"), "{body}");
}

#[tokio::test]
async fn agents_suppress_and_only_the_operator_lifts() {
    let (_post, server, _dir) = story().await;
    let new = json!({ "address": "Other@Mailbell.test", "reason": "asked us to stop" });
    let (status, entry) = server.send(Method::POST, "/v1/suppression", new).await;
    assert_eq!((status, &entry["address"], &entry["reason"]), (201, &"other@mailbell.test".into(), &"manual".into()));
    server.send(Method::POST, "/v1/suppression", json!({ "email_address": "x@y.test" })).await;
    let (status, refused) = server.send(Method::POST, SEND, letter()).await;
    assert_eq!(status, 422);
    assert!(refused["error"].as_str().unwrap().contains("asked us to stop"), "{refused}");
    let (_, first) = server.get("/v1/suppression?limit=1").await;
    assert_eq!(first["suppressions"][0]["email_address"], "x@y.test");
    let (_, second) =
        server.get(&format!("/v1/suppression?limit=1&cursor={}", first["cursor"].as_str().unwrap())).await;
    assert_eq!((&second["suppressions"][0]["note"], &second["cursor"]), (&"asked us to stop".into(), &Value::Null));

    let path = "/v1/suppression/other@mailbell.test";
    let (status, refused) = answer(server.request(Method::DELETE, path)).await;
    assert_eq!(status, 403, "the key that agents use cannot: {refused}");
    let operator = server.key("operator", &[KeyScope::Oversight]).await;
    let lift = async || answer(server.bare(Method::DELETE, path).bearer_auth(&operator)).await;
    assert_eq!(lift().await, (200, json!({ "status": "deleted", "deleted": true })));
    assert_eq!(lift().await.0, 404);
    assert_eq!(server.send(Method::POST, SEND, letter()).await.0, 202);
}
