//! The API's own document as a page of the reference.

use std::fmt::Write as _;

use aide::openapi::OpenApi;
use serde_json::Value;

use super::document;

const METHODS: [&str; 5] = ["get", "post", "put", "patch", "delete"];

/// `docs/reference/rest.md`: every operation with what it takes, answers and asks of a key.
pub fn page() -> String {
    let mut api = OpenApi::default();
    let _ = super::routes().finish_api_with(&mut api, document::head);
    let api = serde_json::to_value(&api).expect("names, numbers and schemas are always JSON");
    let mut page = String::from(
        "# The mail API\n\nMade by `mailbell reference rest` from the document that `GET /v1/openapi.json` serves; a test holds it to the\n\
         code. That document has the shapes of all bodies and answers.\n\n\
         It is served at the `api` listener (`http://127.0.0.1:7413`), to `Authorization: Bearer KEY` or `X-API-Key: KEY`, where KEY\n\
         is what `mailbell token show api` prints, or one that was made at `/v1/api-keys`. An error is `{\"error\": \"a sentence\"}`.\n\
         Every change may answer 202: it waits for an operator ([oversight](../oversight.md)).\n\n\
         | | | takes | scope |\n|---|---|---|---|\n",
    );
    for (path, item) in api["paths"].as_object().into_iter().flatten() {
        for method in METHODS {
            let Some(operation) = item.get(method) else { continue };
            let summary = operation["summary"].as_str().unwrap_or_default();
            // Writing to a text never fails.
            let method = method.to_uppercase();
            let (takes, scope) = (takes(&api, operation), scope(operation));
            let _ = writeln!(page, "| `{method} {path}` | {summary} | {takes} | {scope} |");
        }
    }
    page
}

/// What stands in its query and its body, those in bold that it needs.
fn takes(api: &Value, operation: &Value) -> String {
    let query = operation["parameters"].as_array().into_iter().flatten().filter_map(|parameter| {
        let name = parameter["name"].as_str().filter(|_| parameter["in"] == "query")?;
        let mark = if parameter["required"] == true { "**" } else { "" };
        Some(format!("{mark}`?{name}`{mark}"))
    });
    let mut words: Vec<_> = query.collect();
    for (_, media) in operation["requestBody"]["content"].as_object().into_iter().flatten() {
        let schema = resolved(api, &media["schema"]);
        let required: Vec<_> = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        for name in schema["properties"].as_object().into_iter().flat_map(|all| all.keys()) {
            let mark = if required.contains(&name.as_str()) { "**" } else { "" };
            let word = format!("{mark}`{name}`{mark}");
            if !words.contains(&word) {
                words.push(word);
            }
        }
    }
    words.join(" ")
}

fn resolved<'a>(api: &'a Value, schema: &'a Value) -> &'a Value {
    let place = schema["$ref"].as_str().and_then(|place| place.strip_prefix('#'));
    place.and_then(|place| api.pointer(place)).unwrap_or(schema)
}

/// The scope that its key needs.
fn scope(operation: &Value) -> &str {
    let told = operation["description"].as_str().unwrap_or_default();
    match told.split_once("with the scope `").and_then(|(_, rest)| rest.split_once('`')) {
        Some((scope, _)) => scope,
        None if operation.get("security").is_some() => "any key",
        None => "none",
    }
}
