//! What the fixture tools do.

use std::time::Duration;

use rmcp::{
    ErrorData, RoleServer,
    model::{
        CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, ElicitResult, InputRequiredResult,
        ProgressNotificationParam,
    },
    service::RequestContext,
};
use serde_json::{Value, json};

use crate::fixtures::{PNG, of};

/// An empty sound.
const WAV: &str = "UklGRiQAAABXQVZFZm10IBAAAAABAAEAQB8AAEAfAAABAAgAZGF0YQAAAAA=";
/// Stands for the seal of a state that must come back as it was.
const SEALED: &str = "state:sealed:5f0c";

fn text(text: impl Into<String>) -> CallToolResponse {
    CallToolResult::success(vec![ContentBlock::text(text)]).into()
}

fn content(content: &Value) -> CallToolResponse {
    of::<CallToolResult>(json!({ "resultType": "complete", "content": content })).into()
}

/// Asks a person for one field.
pub(crate) fn form(message: &str, field: &str, kind: &str) -> Value {
    let schema = json!({ "type": "object", "properties": { field: { "type": kind } }, "required": [field] });
    json!({ "method": "elicitation/create", "params": { "message": message, "requestedSchema": schema } })
}

fn sampling(prompt: &str, tokens: u32) -> Value {
    let message = json!({ "role": "user", "content": { "type": "text", "text": prompt } });
    json!({ "method": "sampling/createMessage", "params": { "messages": [message], "maxTokens": tokens } })
}

/// Asks the client, before the result can be.
pub(crate) fn ask<const N: usize>(requests: [(&str, Value); N], state: Option<&str>) -> InputRequiredResult {
    let requests: serde_json::Map<String, Value> =
        requests.into_iter().map(|(name, request)| (name.to_owned(), request)).collect();
    let mut asked = json!({ "resultType": "input_required", "inputRequests": requests });
    if let Some(state) = state {
        asked["requestState"] = state.into();
    }
    of(asked)
}

/// A request of ours that the client of the older protocol answers while the call goes on.
async fn elicit(context: &RequestContext<RoleServer>, message: &str, schema: Value) -> Result<ElicitResult, ErrorData> {
    let request = of(json!({ "mode": "form", "message": message, "requestedSchema": schema }));
    let answer = context.peer.create_elicitation(request).await;
    answer.map_err(|error| ErrorData::internal_error(error.to_string(), None))
}

fn shown(answer: &ElicitResult) -> String {
    format!("action={}, content={}", json!(answer.action).as_str().unwrap_or_default(), json!(answer.content))
}

pub(crate) async fn call(
    request: CallToolRequestParams,
    context: RequestContext<RoleServer>,
) -> Result<CallToolResponse, ErrorData> {
    let pause = || tokio::time::sleep(Duration::from_millis(50));
    let argument = |name: &str| {
        let given = request.arguments.as_ref().and_then(|arguments| arguments.get(name)?.as_str());
        given.unwrap_or_default().to_owned()
    };
    let peer = &context.peer;
    Ok(match &*request.name {
        "test_simple_text" => text("This is a simple text response for testing."),
        "test_image_content" => content(&json!([{ "type": "image", "data": PNG, "mimeType": "image/png" }])),
        "test_audio_content" => content(&json!([{ "type": "audio", "data": WAV, "mimeType": "audio/wav" }])),
        "test_embedded_resource" => {
            let resource = json!({ "uri": "test://embedded-resource", "mimeType": "text/plain",
                "text": "This is an embedded resource content." });
            content(&json!([{ "type": "resource", "resource": resource }]))
        }
        "test_multiple_content_types" => {
            let resource = json!({ "uri": "test://mixed-content-resource", "mimeType": "application/json",
                "text": "{\"test\":\"data\",\"value\":123}" });
            content(&json!([{ "type": "text", "text": "Multiple content types test:" },
                { "type": "image", "data": PNG, "mimeType": "image/png" }, { "type": "resource", "resource": resource }]))
        }
        "test_tool_with_logging" | "test_logging_tool" => {
            // Newer clients ask for logs with each request, and get none unasked.
            let modern = context.protocol_version().is_some_and(|version| version.as_str() >= "2026-07-28");
            for step in ["Tool execution started", "Tool processing data", "Tool execution completed"] {
                if !modern {
                    let log = of(json!({ "level": "info", "data": step }));
                    let _ = peer.notify_logging_message(log).await;
                }
                pause().await;
            }
            text("logged")
        }
        "test_tool_with_progress" => {
            for step in [0, 50, 100] {
                if let Some(token) = context.meta.get_progress_token() {
                    let progress = ProgressNotificationParam::new(token, f64::from(step)).with_total(100.0);
                    let _ = peer.notify_progress(progress).await;
                }
                pause().await;
            }
            text("done")
        }
        "test_error_handling" => {
            CallToolResult::error(vec![ContentBlock::text("This tool intentionally returns an error for testing")])
                .into()
        }
        "test_sampling" => {
            let message = json!({ "role": "user", "content": { "type": "text", "text": argument("prompt") } });
            let asked = of(json!({ "messages": [message], "maxTokens": 100 }));
            let answer = peer.create_message(asked).await;
            let answer = answer.map_err(|error| ErrorData::internal_error(error.to_string(), None))?;
            text(format!("LLM response: {}", json!(answer)))
        }
        "test_elicitation" => {
            let schema = json!({ "type": "object", "required": ["username", "email"], "properties": {
                "username": { "type": "string", "description": "User's response" },
                "email": { "type": "string", "description": "User's email address" } } });
            let answer = elicit(&context, &argument("message"), schema).await?;
            text(format!("User response: {}", shown(&answer)))
        }
        "test_elicitation_sep1034_defaults" => {
            let schema = json!({ "type": "object", "properties": {
                "name": { "type": "string", "default": "John Doe" }, "age": { "type": "integer", "default": 30 },
                "score": { "type": "number", "default": 95.5 }, "verified": { "type": "boolean", "default": true },
                "status": { "type": "string", "enum": ["active", "inactive", "pending"], "default": "active" } } });
            let answer = elicit(&context, "Please review", schema).await?;
            text(format!("Elicitation completed: {}", shown(&answer)))
        }
        "test_elicitation_sep1330_enums" => {
            let titled = |first: &str| {
                json!([{ "const": "value1", "title": format!("First {first}") },
                { "const": "value2", "title": format!("Second {first}") }, { "const": "value3", "title": format!("Third {first}") }])
            };
            let plain = json!(["option1", "option2", "option3"]);
            let schema = json!({ "type": "object", "properties": {
                "untitledSingle": { "type": "string", "enum": plain },
                "titledSingle": { "type": "string", "oneOf": titled("Option") },
                "legacyEnum": { "type": "string", "enum": ["opt1", "opt2", "opt3"],
                    "enumNames": ["Option One", "Option Two", "Option Three"] },
                "untitledMulti": { "type": "array", "items": { "type": "string", "enum": plain } },
                "titledMulti": { "type": "array", "items": { "anyOf": titled("Choice") } } } });
            let answer = elicit(&context, "Please choose", schema).await?;
            text(format!("Elicitation completed: {}", shown(&answer)))
        }
        "test_missing_capability" => {
            if context.client_capabilities().is_none_or(|has| has.sampling.is_none()) {
                let needs = of(json!({ "sampling": {} }));
                return Err(ErrorData::missing_required_client_capability(needs));
            }
            text("the client can sample")
        }
        name if name.starts_with("test_input_required_result_") || name == "test_streaming_elicitation" => {
            return rounds(name, &request, &context);
        }
        _ => text("ok"),
    })
}

/// Tools that ask the client first, in one round or more.
fn rounds(
    name: &str,
    request: &CallToolRequestParams,
    context: &RequestContext<RoleServer>,
) -> Result<CallToolResponse, ErrorData> {
    let answers = request.input_responses.clone().unwrap_or_default();
    let state = request.request_state.as_deref();
    let has = |name: &str| answers.get(name).is_some_and(Value::is_object);
    let roots = || json!({ "method": "roots/list", "params": {} });
    let ask_name = || form("What is your name?", "name", "string");
    let unsealed = || ErrorData::invalid_params("this requestState is not the one that was given", None);
    Ok(match name {
        "test_input_required_result_sampling" if has("capital_question") => {
            text(format!("The client says {}", answers["capital_question"]))
        }
        "test_input_required_result_sampling" => {
            ask([("capital_question", sampling("What is the capital of France?", 100))], None).into()
        }
        "test_input_required_result_list_roots" if has("client_roots") => {
            text(format!("The roots are {}", answers["client_roots"]["roots"]))
        }
        "test_input_required_result_list_roots" => ask([("client_roots", roots())], None).into(),
        "test_input_required_result_request_state" | "test_input_required_result_tampered_state" => match state {
            None => ask([("confirm", form("Please confirm", "ok", "boolean"))], Some(SEALED)).into(),
            Some(SEALED) => text("state-ok"),
            Some(_) => return Err(unsealed()),
        },
        "test_input_required_result_multiple_inputs" => match state {
            Some(SEALED) if has("user_name") && has("greeting") && has("client_roots") => text("all three came"),
            _ => {
                let greeting = sampling("Generate a greeting", 50);
                ask([("user_name", ask_name()), ("greeting", greeting), ("client_roots", roots())], Some(SEALED)).into()
            }
        },
        "test_input_required_result_multi_round" => match state {
            None => ask([("step1", form("Step 1: What is your name?", "name", "string"))], Some("round-1")).into(),
            Some("round-1") => {
                ask([("step2", form("Step 2: What is your favorite color?", "color", "string"))], Some("round-2"))
                    .into()
            }
            Some("round-2") => text("both steps are done"),
            Some(_) => return Err(unsealed()),
        },
        "test_input_required_result_capabilities" => {
            let can = context.client_capabilities();
            if can.as_ref().is_some_and(|can| can.sampling.is_some()) {
                ask([("sample", sampling("Say hello", 20))], None).into()
            } else if can.is_some_and(|can| can.elicitation.is_some()) {
                ask([("user_name", ask_name())], None).into()
            } else {
                text("the client can be asked for nothing")
            }
        }
        _ => match answers.get("user_name").and_then(|answer| answer["content"]["name"].as_str()) {
            Some(name) => text(format!("Hello, {name}!")),
            None => ask([("user_name", ask_name())], None).into(),
        },
    })
}
