//! The API's own document, held against what the API answers.

use jsonschema::Validator;
use reqwest::Method;
use serde_json::{Value, json};

/// Asserts that `document` tells of the answer `body` of `status` to `method` at `path` (without a query), shape and all.
pub fn assert_told(document: &Value, method: &Method, path: &str, status: u16, body: &Value) {
    if status == 421 {
        // The gate answers before any route does.
        return;
    }
    let Some(template) = template(document, path) else {
        assert!(matches!(status, 401 | 404), "{method} {path} is told nowhere, and answers {status}: {body}");
        return;
    };
    let Some(operation) = document["paths"][&template].get(method.as_str().to_lowercase()) else {
        assert!(matches!(status, 401 | 405), "{method} {template} is told nowhere, and answers {status}: {body}");
        return;
    };
    let responses = &operation["responses"];
    let response = responses.get(status.to_string()).or_else(|| responses.get("default").filter(|_| status >= 400));
    let response = response.unwrap_or_else(|| panic!("{method} {template} tells nothing of {status}: {body}"));
    let schema = &response["content"]["application/json"]["schema"];
    assert!(schema.is_object(), "{method} {template} tells no shape of {status}");
    let validator = validator(document, schema);
    let wrong: Vec<_> =
        validator.iter_errors(body).map(|error| format!("{}: {error}", error.instance_path())).collect();
    assert!(wrong.is_empty(), "{method} {template} {status} is not as told: {wrong:?}\n{body}");
    assert_told_names(document, schema, body, &template);
}

fn validator(document: &Value, schema: &Value) -> Validator {
    // `$ref`s point into the document, so its schemas go along.
    let mut whole = schema.clone();
    whole["components"] = document["components"].clone();
    Validator::new(&whole).expect("a schema")
}

/// A field that the document does not name is one that it forgot.
fn assert_told_names(document: &Value, schema: &Value, body: &Value, at: &str) {
    let schema = match schema["$ref"].as_str() {
        Some(name) => document.pointer(name.trim_start_matches('#')).expect("the document holds what it names"),
        None => schema,
    };
    if let Some(options) = schema.get("anyOf").and_then(Value::as_array) {
        let fitting = options.iter().find(|option| validator(document, option).is_valid(body));
        return assert_told_names(document, fitting.expect("one of them fits"), body, at);
    }
    match body {
        Value::Object(fields) => {
            let Some(told) = schema.get("properties").and_then(Value::as_object) else { return };
            for (name, value) in fields {
                let told = told.get(name).unwrap_or_else(|| panic!("{at}: `{name}` is not in the document"));
                assert_told_names(document, told, value, at);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| assert_told_names(document, &schema["items"], item, at)),
        _ => {}
    }
}

/// The path of the document that `path` is an instance of; one with fewer variable parts goes first.
fn template(document: &Value, path: &str) -> Option<String> {
    let parts: Vec<_> = path.split('/').collect();
    let fits = |template: &str| {
        let known: Vec<_> = template.split('/').collect();
        known.len() == parts.len()
            && known
                .iter()
                .zip(&parts)
                .all(|(known, part)| known == part || (known.starts_with('{') && !part.is_empty()))
    };
    let paths = document["paths"].as_object().expect("paths");
    let fitting = paths.keys().filter(|template| fits(template));
    fitting.min_by_key(|template| template.matches('{').count()).cloned()
}

#[test]
fn an_answer_that_is_not_as_told_is_found() {
    let document = json!({ "paths": { "/a/{b}": { "get": { "responses": { "200": { "content": { "application/json": {
        "schema": { "type": "object", "properties": { "x": { "type": "integer" } }, "required": ["x"] }
    } } } } } } } });
    let told = |path: &str, body: Value| {
        let document = document.clone();
        let path = path.to_owned();
        std::panic::catch_unwind(move || assert_told(&document, &Method::GET, &path, 200, &body)).is_ok()
    };
    assert!(told("/a/1", json!({ "x": 1 })));
    assert!(!told("/a/1", json!({})), "what is missing");
    assert!(!told("/a/1", json!({ "x": "1" })), "what is of another type");
    assert!(!told("/a/1", json!({ "x": 1, "y": 2 })), "what is not named");
    assert!(!told("/b", json!({ "x": 1 })), "a path that is not there");
}
