//! The document at `/v1/openapi.json`: it tells of every route that is served, and of none else. That each answer has the
//! shape that it tells is asserted wherever a story asks the API (`support::api::answer`).

use std::collections::BTreeSet;

use mailbell::http::v1;
use reqwest::Method;
use serde_json::Value;

use crate::support::{
    api::{ApiServer, oversight},
    hooks::Hooks,
    mailroom::MemoryMailroom,
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
