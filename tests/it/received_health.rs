//! What `doctor` says is likely wrong with a source, from what was really posted to it.

use std::{net::SocketAddr, time::Duration};

use mailbell::{
    bell::{
        health::{Cause, findings},
        intake::STRAYS,
    },
    domain::{clock::Clock as _, id::SourceName, secret::Secret},
    signing::standard_webhooks,
    store::sources::{Records as _, Sources as _},
};

use crate::{
    received_webhooks::{KEY, house},
    support::{agent::Wing, http::send},
};

const BODY: &str = "{\"type\":\"email.delivered\",\"created_at\":\"2026-11-24T10:00:00.000Z\",\"data\":{\"email_id\":\"m\",\"to\":[\"a b@c.test\"]}}";

async fn causes(wing: &Wing) -> Vec<Cause> {
    let name = SourceName::new("acme");
    let (source, history) =
        (wing.store.source(&name).await.unwrap().unwrap(), wing.store.history(&name).await.unwrap());
    let strays = wing.store.history(&SourceName::new(STRAYS)).await.unwrap().refused;
    let strays = strays.first().map(|(_, times, at)| (*times, *at));
    let found = findings(&source, &history, strays, wing.clock.now());
    assert!(found.iter().all(|one| !one.says.contains(KEY) && !one.todo.is_empty()));
    found.into_iter().map(|one| one.cause).collect()
}

/// Posts `sent` where `signed` was signed with `key`, `late` seconds ago; the status.
async fn post(wing: &Wing, addr: SocketAddr, key: &str, [signed, sent]: [&str; 2], late: i64) -> u16 {
    // So that each count is written.
    wing.clock.advance(Duration::from_secs(2));
    let secs = wing.clock.now().0 / 1000 - late;
    let id = format!("msg_{}", wing.clock.now().0);
    let signature = standard_webhooks::sign(&Secret::new(key), &id, secs, signed.as_bytes());
    let secs = secs.to_string();
    let headers = [("svix-id", &*id), ("svix-timestamp", &*secs), ("svix-signature", &*signature)];
    send(addr, "POST", "/hooks/acme", &headers, sent.as_bytes()).await.status
}

const OTHER: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";

#[tokio::test]
async fn a_source_that_nothing_reaches_has_a_wrong_path_or_none() {
    let (wing, addr) = house("resend").await;
    assert_eq!(causes(&wing).await, [Cause::Silent]);
    assert_eq!(send(addr, "POST", "/hooks/amce", &[], b"{}").await.status, 404);
    assert_eq!(causes(&wing).await, [Cause::WrongPath]);
    assert_eq!(post(&wing, addr, KEY, [BODY, BODY], 0).await, 200);
    assert_eq!(causes(&wing).await, []);
    // Where the secret stands in the path, one without is a wrong path too.
    let (wing, addr) = house("postmark").await;
    assert_eq!(send(addr, "POST", "/hooks/acme", &[], b"{}").await.status, 401);
    assert_eq!(causes(&wing).await, [Cause::WrongPath]);
    let (wing, addr) = house("postmark").await;
    assert_eq!(send(addr, "POST", "/hooks/acme/not-the-secret-0123", &[], b"{}").await.status, 401);
    assert_eq!(causes(&wing).await, [Cause::WrongSecret]);
}

#[tokio::test]
async fn a_wrong_secret_is_told_from_one_that_was_replaced() {
    let (wing, addr) = house("resend").await;
    assert_eq!(post(&wing, addr, OTHER, [BODY, BODY], 0).await, 401);
    assert_eq!(causes(&wing).await, [Cause::WrongSecret]);
    let (wing, addr) = house("resend").await;
    assert_eq!(post(&wing, addr, KEY, [BODY, BODY], 0).await, 200);
    for _ in 0..2 {
        assert_eq!(post(&wing, addr, OTHER, [BODY, BODY], 0).await, 401);
        assert_eq!(causes(&wing).await, [], "now and then is nothing");
    }
    post(&wing, addr, OTHER, [BODY, BODY], 0).await;
    assert_eq!(causes(&wing).await, [Cause::ReplacedSecret]);
    wing.clock.advance(Duration::from_hours(8 * 24));
    assert_eq!(causes(&wing).await, [], "it is over");
}

#[tokio::test]
async fn a_body_that_was_written_anew_is_told_from_a_wrong_secret() {
    let pretty = BODY.replace(',', ", ").replace("\":", "\": ");
    for [signed, sent] in [[BODY, &*pretty], [&format!("{BODY}\r\n"), BODY], [BODY, &format!("{BODY}\n")]] {
        let (wing, addr) = house("resend").await;
        assert_eq!(post(&wing, addr, KEY, [signed, sent], 0).await, 401, "it is refused all the same");
        assert_eq!(causes(&wing).await, [Cause::RewrittenBody], "{sent:?}");
    }
}

#[tokio::test]
async fn a_clock_that_is_off_and_a_proxy_that_drops_headers_are_seen() {
    let (wing, addr) = house("resend").await;
    assert_eq!(post(&wing, addr, KEY, [BODY, BODY], 900).await, 401);
    assert_eq!(causes(&wing).await, [Cause::Clock]);
    let (wing, addr) = house("resend").await;
    assert_eq!(send(addr, "POST", "/hooks/acme", &[], BODY.as_bytes()).await.status, 401);
    assert_eq!(causes(&wing).await, [Cause::NoSignature]);
}

#[tokio::test]
async fn what_is_signed_and_not_understood_and_what_lacks_a_key_are_told() {
    let (wing, addr) = house("resend").await;
    assert_eq!(post(&wing, addr, KEY, ["{}", "{}"], 0).await, 400);
    assert_eq!(causes(&wing).await, [Cause::NotUnderstood]);
    let (wing, addr) = house("resend").await;
    let inbound = BODY.replace("delivered", "received");
    assert_eq!(post(&wing, addr, KEY, [&inbound, &inbound], 0).await, 200);
    assert_eq!(causes(&wing).await, [Cause::NoApiKey]);
    wing.store.set_api_key(&SourceName::new("acme"), Some(&Secret::new("re_1"))).await.unwrap();
    assert_eq!(causes(&wing).await, []);
}
