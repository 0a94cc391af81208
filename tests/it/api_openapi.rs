//! The document at `/v1/openapi.json`: it tells of every route that is served, and of none else. That each answer has the
//! shape that it tells is asserted wherever a story asks the API (`support::api::answer`).

use std::collections::{BTreeMap, BTreeSet};

use mailbell::{domain::key::KeyScope, http::v1};
use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{
    api::{ApiServer, oversight},
    clock::TestClock,
    hooks::Hooks,
    mailroom::MemoryMailroom,
    post::{Post, letter},
};

/// Methods that a route may have.
const METHODS: [&str; 5] = ["get", "put", "post", "delete", "patch"];

/// What the router keeps for every other path.
const FALLBACK: [&str; 2] = ["/", "/{*__private__axum_fallback}"];

async fn start() -> (Hooks, ApiServer, Value) {
    let hooks = Hooks::start(MemoryMailroom::default(), &[]).await;
    let api = ApiServer::start(hooks.api.clone()).await;
    let document = api.bare(Method::GET, "/v1/openapi.json").send().await.unwrap().json().await.unwrap();
    (hooks, api, document)
}

#[tokio::test]
async fn every_route_of_the_router_is_in_the_document_and_none_else() {
    let (hooks, api, document) = start().await;
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"));
    let told: BTreeSet<String> = document["paths"].as_object().unwrap().keys().cloned().collect();
    // The router shows its paths nowhere but here.
    let shown = format!("{:?}", v1::router(hooks.api.clone(), oversight().await.0, &[]));
    let served: BTreeSet<String> =
        shown.split('"').filter(|text| text.starts_with('/') && !FALLBACK.contains(text)).map(str::to_owned).collect();
    assert!(served.contains("/v1/mailboxes/{mailbox}"), "the router's paths were not found: {shown}");
    assert_eq!(told, served);

    for path in &told {
        let refused = api.request(Method::from_bytes(b"PURGE").unwrap(), path).send().await.unwrap();
        assert_eq!(refused.status(), 405, "{path}");
        let allow = refused.headers()["allow"].to_str().unwrap().to_lowercase();
        let served: BTreeSet<&str> = allow.split(',').filter(|method| *method != "head").collect();
        let item = document["paths"][path].as_object().unwrap();
        let told: BTreeSet<&str> = METHODS.into_iter().filter(|method| item.contains_key(*method)).collect();
        assert_eq!(told, served, "{path}");
    }
}

#[tokio::test]
async fn the_document_is_whole() {
    let (_hooks, _api, document) = start().await;
    let mut names = BTreeSet::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for method in METHODS {
            let Some(operation) = item.get(method) else { continue };
            let name = operation["operationId"].as_str().unwrap_or_else(|| panic!("{method} {path} has no name"));
            assert!(names.insert(name.to_owned()), "two are called {name}");
            assert!(operation["summary"].as_str().is_some_and(|summary| summary.ends_with('.')), "{method} {path}");
            let open = ["/health", "/v1/openapi.json"].contains(&path.as_str());
            assert_eq!(operation.get("security").is_none(), open, "{method} {path}: who needs a key is told");
        }
        let variable: BTreeSet<_> =
            path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}')).collect();
        let parameters = item.get("parameters").and_then(Value::as_array).cloned().unwrap_or_default();
        let told: BTreeSet<_> = parameters.iter().map(|one| one["name"].as_str().unwrap()).collect();
        assert_eq!(told, variable, "{path}");
    }
    // Every name that the document refers to is in it.
    let text = document.to_string();
    for reference in text.split("\"$ref\":\"").skip(1).map(|rest| rest.split('"').next().unwrap()) {
        assert!(document.pointer(reference.trim_start_matches('#')).is_some(), "{reference}");
    }
}

/// What is sent for every operation: all the names that any of them asks for.
fn body(path: &str) -> Value {
    let tags = if path == "/v1/contacts" { json!([]) } else { json!({ "a": "b" }) };
    json!({ "address": "new@mailbell.test", "name": "n", "email": "n@a.test", "tags": tags, "to": ["agent@mailbell.test"],
        "subject": "s", "markdown": "m", "mailbox": "agent@mailbell.test", "url": "http://127.0.0.1:9/",
        "events": ["inbound"], "recipient": "n@a.test", "display_name": "n", "target_mode": "monitored",
        "code": "none", "action": "approve", "domain": "none" })
}

#[tokio::test]
async fn the_scope_that_each_operation_names_is_the_one_that_it_needs() {
    let dir = TempDir::new().unwrap();
    let post = Post::open(dir.path(), &TestClock::default(), None).await;
    let api = ApiServer::start(post.api.clone()).await;
    post.send(letter(&["agent@mailbell.test"])).await;
    while post.go_on().await {}
    let mail = &post.inbox("agent@mailbell.test").await[0];
    let (id, thread) = (mail.id.to_string(), mail.thread_id.to_string());
    let there = |path: &str| {
        let named = [("{mailbox}", "agent@mailbell.test"), ("{email}", &id), ("{thread}", &thread)];
        let path = named.into_iter().fold(path.to_owned(), |path, (part, value)| path.replace(part, value));
        path.split('/').map(|part| if part.starts_with('{') { "none" } else { part }).collect::<Vec<_>>().join("/")
    };
    let (mut with, mut without) = (BTreeMap::new(), BTreeMap::new());
    for scope in KeyScope::ALL {
        with.insert(scope.as_str(), api.key(&format!("only {scope}"), &[scope]).await);
        let covers = |one: &KeyScope| {
            *one == scope
                || matches!(
                    (*one, scope),
                    (KeyScope::Admin, KeyScope::Read) | (KeyScope::Oversight, KeyScope::OversightRead)
                )
        };
        let others: Vec<_> = KeyScope::ALL.into_iter().filter(|one| !covers(one)).collect();
        without.insert(scope.as_str(), api.key(&format!("all but {scope}"), &others).await);
    }
    let document: Value = api.bare(Method::GET, "/v1/openapi.json").send().await.unwrap().json().await.unwrap();
    let mut told = 0;
    for (path, item) in document["paths"].as_object().unwrap() {
        for method in METHODS {
            let Some(operation) = item.get(method).filter(|operation| operation.get("security").is_some()) else {
                continue;
            };
            let description = operation["description"].as_str().unwrap();
            let Some((_, scope)) = description.split_once("the scope `") else {
                assert_eq!(description, "Needs a key.", "{method} {path}");
                continue;
            };
            let scope = scope.trim_end_matches("`.");
            let ask = async |key: &str, path: &str| {
                let method = Method::from_bytes(method.to_uppercase().as_bytes()).unwrap();
                let asked = api.bare(method, path).bearer_auth(key).json(&body(path)).send().await.unwrap();
                let status = asked.status().as_u16();
                (status, asked.text().await.unwrap())
            };
            let needs = format!("needs a key with the scope `{scope}`");
            let (status, said) = ask(&without[scope], &there(path)).await;
            assert!(status == 403 && said.contains(&needs), "{method} {path} without `{scope}`: {status} {said}");
            // Of what is not there, so that the walk leaves all as it was.
            let nowhere: Vec<_> =
                path.split('/').map(|part| if part.starts_with('{') { "none" } else { part }).collect();
            let (status, said) = ask(&with[scope], &nowhere.join("/")).await;
            // The record repeats what others were told.
            let refused = status == 403 && said.contains("needs a key with the scope");
            assert!(!refused, "{method} {path} with `{scope}`: {said}");
            told += 1;
        }
    }
    assert!(told > 50, "{told} operations");
}
