//! What the API keeps beside mail: keys, contacts, the account and its use, domains; and a body that never comes.

use std::time::Duration;

use mailbell::{domain::key::KeyScope, http::v1};
use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

use crate::support::{
    api::{ApiServer, answer, oversight},
    clock::TestClock,
    hooks::HOUSE_TOKEN,
    post::{Post, letter},
};

async fn story() -> (Post, ApiServer, TempDir) {
    let (dir, clock) = (TempDir::new().unwrap(), TestClock::default());
    let post = Post::open(dir.path(), &clock, None).await;
    let server = ApiServer::start(post.api.clone()).await;
    (post, server, dir)
}

#[tokio::test]
async fn a_key_is_made_used_changed_and_ended() {
    let (_post, server, _dir) = story().await;
    let (status, made) = server.order(Method::POST, "/v1/api-keys", json!({ "name": "reader" })).await;
    assert_eq!((status, &made["scopes"]), (201, &json!(["read"])));
    let token = made["api_key"].as_str().unwrap().to_owned();
    assert!(token.starts_with("mb_read_") && token.starts_with(made["prefix"].as_str().unwrap()));
    let by_it = |method, path: &str| server.bare(method, path).header("X-API-Key", &token);
    assert_eq!(answer(by_it(Method::GET, "/v1/mailboxes")).await.0, 200);
    assert_eq!(answer(by_it(Method::GET, "/v1/api-keys")).await.0, 403);
    let (_, listed) = server.get("/v1/api-keys").await;
    assert!(!listed.to_string().contains(&token) && !listed.to_string().contains(HOUSE_TOKEN));
    let names: Vec<_> =
        listed["api_keys"].as_array().unwrap().iter().map(|key| key["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["api", "reader"]);

    let path = format!("/v1/api-keys/{}", made["id"].as_str().unwrap());
    let change = json!({ "name": "sender", "scopes": ["send"] });
    assert_eq!(server.order(Method::PATCH, &path, change).await.1["name"], "sender");
    assert_eq!(answer(by_it(Method::GET, "/v1/mailboxes")).await.0, 403, "it may send now, and not read");
    assert_eq!(server.send(Method::DELETE, &path, Value::Null).await.0, 200);
    assert_eq!(answer(by_it(Method::GET, "/v1/mailboxes")).await.0, 401);
    assert_eq!(server.send(Method::DELETE, &path, Value::Null).await.0, 404);
    let house = listed["api_keys"][0]["id"].as_str().unwrap();
    assert_eq!(server.send(Method::DELETE, &format!("/v1/api-keys/{house}"), Value::Null).await.0, 409);
}

#[tokio::test]
async fn no_key_makes_one_that_may_more_than_itself() {
    let (_post, server, _dir) = story().await;
    for (body, expected) in [
        (json!({ "name": "o", "scopes": ["root", "read"] }), 400),
        (json!({ "name": "o", "scopes": ["send", "oversight"] }), 400),
        (json!({ "name": "o", "scopes": ["root"] }), 400),
        (json!({ "name": "o", "scopes": [] }), 400),
        (json!({ "name": " " }), 400),
        (json!({ "name": "api" }), 409),
    ] {
        assert_eq!(server.order(Method::POST, "/v1/api-keys", body.clone()).await.0, expected, "{body}");
    }
    let own = json!({ "name": "mine", "scopes": ["read"] });
    assert_eq!(server.send(Method::POST, "/v1/api-keys", own).await.0, 403, "an operator makes keys");
    server.key("operator", &[KeyScope::Oversight]).await;
    let (_, listed) = server.get("/v1/api-keys").await;
    let operators = listed["api_keys"].as_array().unwrap().iter().find(|key| key["name"] == "operator").unwrap();
    let path = format!("/v1/api-keys/{}", operators["id"].as_str().unwrap());
    assert_eq!(server.send(Method::DELETE, &path, Value::Null).await.0, 403, "nor ends one");
    assert_eq!(server.send(Method::PATCH, &path, json!({ "scopes": ["read"] })).await.0, 403);
    for number in 3..=100 {
        let made = server.order(Method::POST, "/v1/api-keys", json!({ "name": format!("k{number}") })).await;
        assert_eq!(made.0, 201);
    }
    assert_eq!(server.order(Method::POST, "/v1/api-keys", json!({ "name": "one more" })).await.0, 409);
}

#[tokio::test]
async fn contacts_are_kept_found_and_removed() {
    let (_post, server, _dir) = story().await;
    let bob = json!({ "name": "Bob Example", "email": "Bob@Example.com", "tags": ["customer"] });
    let (status, made) = server.send(Method::POST, "/v1/contacts", bob.clone()).await;
    assert_eq!((status, &made["email"]), (201, &json!("bob@example.com")));
    assert!(made["created_at"].is_i64());
    assert_eq!(server.send(Method::POST, "/v1/contacts", bob).await.0, 409);
    let ann = json!({ "name": "Änn", "email": "ann@example.com" });
    assert_eq!(server.send(Method::POST, "/v1/contacts", ann).await.0, 201);
    for (query, names) in [
        ("", vec!["Bob Example", "Änn"]),
        ("?q=bob", vec!["Bob Example"]),
        ("?query=CUSTOM", vec!["Bob Example"]),
        ("?q=%C3%A4nn", vec!["Änn"]),
        ("?q=%25", vec![]),
        ("?limit=1", vec!["Bob Example"]),
    ] {
        let (_, found) = server.get(&format!("/v1/contacts{query}")).await;
        let found: Vec<_> = found["contacts"].as_array().unwrap().iter().map(|one| one["name"].clone()).collect();
        assert_eq!(found, names, "{query}");
    }
    for wrong in
        [json!({ "name": "x" }), json!({ "name": "", "email": "a@b.test" }), json!({ "name": "x", "email": "y" })]
    {
        assert_eq!(server.send(Method::POST, "/v1/contacts", wrong.clone()).await.0, 400, "{wrong}");
    }
    let path = format!("/v1/contacts/{}", made["id"].as_str().unwrap());
    assert_eq!(server.send(Method::DELETE, &path, Value::Null).await.1["deleted"], true);
    assert_eq!(server.send(Method::DELETE, &path, Value::Null).await.0, 404);
}

#[tokio::test]
async fn the_account_tells_what_it_is_called_and_what_was_used() {
    let (post, server, _dir) = story().await;
    post.send(letter(&["other@mailbell.test"])).await;
    while post.go_on().await {}
    let change = json!({ "name": "Example", "oversight_email": "boss@example.com" });
    assert_eq!(server.order(Method::PATCH, "/v1/account", change).await.1["status"], "updated");
    assert_eq!(server.order(Method::PATCH, "/v1/account", json!({ "oversight_email": "boss" })).await.0, 400);
    let (_, account) = server.get("/v1/account").await;
    assert_eq!((&account["name"], &account["oversight_email"]), (&json!("Example"), &json!("boss@example.com")));
    assert_eq!((&account["emails_sent_this_month"], &account["monthly_email_quota"]), (&json!(1), &Value::Null));
    assert!(account["storage_used_bytes"].as_u64().unwrap() > 100);

    let (_, used) = server.get("/v1/usage?period=summary").await;
    assert_eq!((&used["emails_sent"], &used["emails_received"]), (&json!(1), &json!(1)));
    assert_eq!(used["api_calls"], 4, "this one among them");
    let (from, to) = (used["from"].as_i64().unwrap(), used["to"].as_i64().unwrap());
    for query in ["period=daily", &format!("breakdown=daily&from={from}&to={to}")] {
        let (_, daily) = server.get(&format!("/v1/usage?{query}")).await;
        let kinds: Vec<_> = daily["data"].as_array().unwrap().iter().map(|one| one["event_type"].clone()).collect();
        assert_eq!(kinds, ["email_sent", "email_received", "api_call"], "{query}");
    }
    assert_eq!(server.get(&format!("/v1/usage?from={}&to={from}", from - 1)).await.1["emails_sent"], 0);
    for wrong in ["from=5&to=4", "from=x", "period=hourly", "breakdown=hourly", "from=0&to=1795514400000"] {
        assert_eq!(server.get(&format!("/v1/usage?{wrong}")).await.0, 400, "{wrong}");
    }
}

#[tokio::test]
async fn what_is_not_known_is_null_and_what_is_not_here_is_said() {
    let (_post, server, _dir) = story().await;
    let (_, listed) = server.get("/v1/domains").await;
    assert_eq!(
        (&listed["domains"][0]["domain"], &listed["domains"][0]["mailboxes"]),
        (&json!("mailbell.test"), &json!(2))
    );
    let (status, verified) = server.send(Method::POST, "/v1/domains/mailbell.test/verify", Value::Null).await;
    assert_eq!((status, &verified["dkim_verified"]), (200, &Value::Null));
    assert_eq!(server.get("/v1/domains/elsewhere.test").await.0, 404);
    for (method, path) in [(Method::POST, "/v1/webhooks/postmark"), (Method::POST, "/v1/webhooks/postmark-inbound")] {
        assert_eq!(server.send(method, path, json!({ "domain": "x.test" })).await.0, 422, "{path}");
    }
    for path in ["/v1/oversight/pending", "/v1/emails/pending"] {
        let (_, pending) = server.get(path).await;
        assert_eq!((&pending["emails"], &pending["pending"]), (&json!([]), &json!([])), "{path}");
    }
    let (_, record) = server.get("/v1/audit-log").await;
    let entries = record["entries"].as_array().unwrap();
    let kinds = [entries.last(), entries.first()].map(|told| {
        let told = told.unwrap();
        (told["action"].as_str().unwrap(), told["resource_type"].as_str().unwrap(), &told["actor_key_id"])
    });
    let (operators, keys) = (("token operator", "operator", &Value::Null), "POST /v1/webhooks/postmark-inbound");
    assert_eq!(kinds, [operators, (keys, "result", &json!("api"))], "the newest first");
    assert_eq!(record["cursor"], Value::Null, "there is no more");
    let reader = server.key("reader", &[KeyScope::Read]).await;
    for path in ["/v1/oversight/pending", "/v1/audit-log", "/v1/api-keys"] {
        assert_eq!(answer(server.bare(Method::GET, path).bearer_auth(&reader)).await.0, 403, "{path}");
    }
}

#[tokio::test]
async fn a_body_that_does_not_come_is_not_waited_for() {
    let (post, _server, _dir) = story().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = v1::router_within(post.api.clone(), oversight().await.0, &[], Duration::from_millis(50));
    tokio::spawn(async move { axum::serve(listener, router).await });
    for path in ["/v1/contacts", "/v1/mailboxes/agent@mailbell.test/send"] {
        let mut peer = TcpStream::connect(address).await.unwrap();
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: localhost\r\nX-API-Key: {HOUSE_TOKEN}\r\nContent-Length: 9\r\n\r\n{{"
        );
        peer.write_all(head.as_bytes()).await.unwrap();
        let mut said = String::new();
        peer.read_to_string(&mut said).await.unwrap();
        assert!(said.starts_with("HTTP/1.1 408 ") && said.contains(r#"{"error":"#), "{said}");
    }
}
