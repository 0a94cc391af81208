//! Who gets through to the mail API, and what everybody else is told.

use mailbell::domain::key::KeyScope;
use reqwest::Method;
use serde_json::json;

use crate::support::{
    api::{ApiServer, answer},
    hooks::{HOUSE_TOKEN, Hooks},
    mailroom::{MemoryMailroom, mailbox, message},
};

async fn start() -> (Hooks, ApiServer) {
    let ann = mailbox("ann@mailbell.test");
    let message = message("em_1", &ann, "thr_1");
    let hooks = Hooks::start(MemoryMailroom::default().with_mailbox(ann).with_message(message), &[]).await;
    let api = ApiServer::start(hooks.api.clone()).await;
    (hooks, api)
}

#[tokio::test]
async fn a_key_is_taken_in_either_header_and_nothing_else_is() {
    let (_hooks, api) = start().await;
    let get = |path: &str| api.bare(Method::GET, path);
    assert_eq!(answer(get("/v1/mailboxes").bearer_auth(HOUSE_TOKEN)).await.0, 200);
    assert_eq!(answer(get("/v1/mailboxes").header("X-API-Key", HOUSE_TOKEN)).await.0, 200);
    assert_eq!(answer(get("/v1/mailboxes").header("authorization", format!("bearer {HOUSE_TOKEN}"))).await.0, 200);
    for request in [
        get("/v1/mailboxes"),
        get("/v1/mailboxes").bearer_auth("mb_api_wrong"),
        get("/v1/mailboxes").bearer_auth(""),
        get("/v1/mailboxes").bearer_auth("x".repeat(5000)),
        get("/v1/mailboxes").basic_auth("api", Some(HOUSE_TOKEN)),
        get("/v1/mailboxes").header("X-API-Key", "no"),
        get("/v1/nothing-here"),
    ] {
        let (status, body) = answer(request).await;
        assert_eq!(status, 401, "{body}");
        assert!(!body.to_string().contains("wrong"));
    }
    assert_eq!(answer(get("/health")).await, (200, json!({ "status": "ok" })));
}

#[tokio::test]
async fn a_page_that_points_its_own_name_at_us_is_refused() {
    let (_hooks, api) = start().await;
    for (host, status) in [
        ("evil.example", 421),
        ("evil.example:7413", 421),
        ("127.0.0.1.evil.example", 421),
        ("localhost.evil.example", 421),
        ("", 421),
        ("localhost", 200),
        ("localhost:1234", 200),
        ("127.0.0.1:1234", 200),
        ("[::1]:1234", 200),
        ("Mail.Internal:7413", 200),
    ] {
        for path in ["/v1/mailboxes", "/health"] {
            assert_eq!(answer(api.request(Method::GET, path).header("host", host)).await.0, status, "{host:?} {path}");
        }
    }
}

#[tokio::test]
async fn a_scope_opens_what_is_its_own() {
    let (_hooks, api) = start().await;
    let read = api.key("reader", &[KeyScope::Read]).await;
    let send = api.key("sender", &[KeyScope::Send]).await;
    let admin = api.key("admin", &[KeyScope::Admin]).await;
    let tags = "/v1/mailboxes/mbx_ann/emails/em_1/tags";
    for (method, path, scope) in [
        (Method::GET, "/v1/account", "read"),
        (Method::GET, "/v1/mailboxes", "read"),
        (Method::GET, "/v1/mailboxes/mbx_ann", "read"),
        (Method::GET, "/v1/mailboxes/mbx_ann/emails", "read"),
        (Method::GET, "/v1/mailboxes/mbx_ann/emails/em_1", "read"),
        (Method::GET, "/v1/mailboxes/mbx_ann/threads/thr_1", "read"),
        (Method::GET, tags, "read"),
        (Method::PUT, tags, "send"),
        (Method::DELETE, "/v1/mailboxes/mbx_ann/emails/em_1/tags/k", "send"),
        (Method::GET, "/v1/webhooks", "admin"),
        (Method::POST, "/v1/webhooks", "admin"),
        (Method::GET, "/v1/webhooks/wh_1", "admin"),
        (Method::DELETE, "/v1/webhooks/wh_1", "admin"),
        (Method::GET, "/v1/webhook-deliveries", "admin"),
        (Method::POST, "/v1/mailboxes", "admin"),
        (Method::DELETE, "/v1/mailboxes/mbx_nobody", "admin"),
    ] {
        // A body that every one of them can read.
        let body = json!({ "tags": { "k": "v" }, "url": "self", "events": ["inbound"], "address": "x@mailbell.test" });
        for (name, key) in [("read", &read), ("send", &send), ("admin", &admin)] {
            let request = api.bare(method.clone(), path).bearer_auth(key).json(&body);
            let (status, body) = answer(request).await;
            let opens = name == scope || (name == "admin" && scope == "read");
            assert_eq!(status == 403, !opens, "{method} {path} with {name}: {status} {body}");
            if !opens {
                assert!(body["error"].as_str().unwrap().contains(&format!("`{scope}`")));
            }
        }
    }
}

#[tokio::test]
async fn whatever_is_wrong_is_told_as_json() {
    let (_hooks, api) = start().await;
    let post = |body: &'static str| api.request(Method::POST, "/v1/webhooks").body(body);
    for (request, expected) in [
        (api.request(Method::GET, "/"), 404),
        (api.request(Method::GET, "/v1"), 404),
        (api.request(Method::GET, "/v1/mailboxes/"), 404),
        (api.request(Method::GET, "/v2/mailboxes"), 404),
        (api.request(Method::PATCH, "/v1/mailboxes"), 405),
        (api.request(Method::OPTIONS, "/v1/mailboxes"), 405),
        (api.request(Method::POST, "/health"), 405),
        (api.request(Method::GET, "/v1/mailboxes/%FF"), 400),
        (api.request(Method::GET, "/v1/mailboxes/mbx_nobody/emails"), 404),
        (api.request(Method::GET, "/v1/mailboxes/mbx_ann/emails/em_nothing"), 404),
        (api.request(Method::GET, "/v1/mailboxes/mbx_ann/threads/thr_nothing"), 404),
        (api.request(Method::GET, "/v1/webhooks/wh_nothing"), 404),
        (api.request(Method::DELETE, "/v1/webhooks/wh_nothing"), 404),
        (post(""), 400),
        (post("{"), 400),
        (post("[]"), 400),
        (post("\u{feff}{}"), 400),
        (post(r#"{"url":1}"#), 400),
        (post("{}").header("content-type", "text/plain"), 400),
        (api.request(Method::POST, "/v1/webhooks").body(vec![b'['; 100_000]), 400),
        (api.request(Method::POST, "/v1/webhooks").body(vec![b' '; (1 << 20) + 1]), 413),
        (api.request(Method::POST, "/v1/webhooks").body(vec![b' '; 3 << 20]), 413),
        (api.request(Method::GET, &format!("/v1/webhooks?{}", "x".repeat(9000))), 200),
        (api.request(Method::GET, &format!("/v1/webhook-deliveries?{}", "x".repeat(9000))), 400),
    ] {
        let (status, body) = answer(request).await;
        assert_eq!(status, expected, "{body}");
    }
    let refused = api.request(Method::PATCH, "/v1/mailboxes").send().await.unwrap();
    let allowed = refused.headers().get("allow").expect("it names what it takes").to_str().unwrap();
    assert!(allowed.contains("GET") && allowed.contains("POST"), "{allowed}");
}
