//! Fixture tools that go on as tasks, by the same slots, the same handlers and the same limits as our own waits.

use std::time::Duration;

use mailbell::mcp::Server;
use rmcp::{
    ErrorData, RoleServer,
    model::{CallToolRequestParams, CallToolResponse, CallToolResult, ClientCapabilities, ContentBlock, InputRequest},
    service::RequestContext,
    task_manager::{TaskContext, TaskExit},
};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::{
    calls::{ask, form},
    fixtures::of,
};

/// The tools, with their arguments. What is not at once becomes a task where its client takes tasks.
pub(crate) const TOOLS: [(&str, &[(&str, &str)]); 7] = [
    ("greet", &[("name", "string")]),
    ("slow_compute", &[("seconds", "number"), ("label", "string")]),
    ("failing_job", &[]),
    ("protocol_error_job", &[]),
    ("confirm_delete", &[("filename", "string")]),
    ("multi_input", &[]),
    ("test_tool_with_task", &[]),
];
/// They cannot be called otherwise than as tasks.
const TASKS_ALONE: [&str; 5] =
    ["failing_job", "protocol_error_job", "confirm_delete", "multi_input", "test_tool_with_task"];
/// The longest that a fixture is asked to take.
const LASTS_MAX: Duration = Duration::from_mins(2);

type Ended = Result<CallToolResult, TaskExit>;

fn said(text: impl Into<String>) -> CallToolResult {
    CallToolResult::success(vec![ContentBlock::text(text)])
}

fn question(message: &str, field: &str, kind: &str) -> InputRequest {
    of(form(message, field, kind))
}

pub(crate) async fn call(
    ours: &Server,
    request: CallToolRequestParams,
    context: &RequestContext<RoleServer>,
) -> Result<CallToolResponse, ErrorData> {
    let given = json!(request.arguments.unwrap_or_default());
    let answers = request.input_responses.unwrap_or_default();
    match &*request.name {
        "greet" => return Ok(said(format!("Hello, {}!", given["name"].as_str().unwrap_or_default())).into()),
        "test_tool_with_task" if !answers.contains_key("user_name") => {
            return Ok(ask([("user_name", form("What is your name?", "name", "string"))], None).into());
        }
        _ => {}
    }
    let (name, answer) = (request.name.to_string(), answers.get("user_name").cloned().unwrap_or_default());
    let cancelled = CancellationToken::new();
    match ours.slot(context) {
        Some(slot) => {
            let until = cancelled.clone();
            let begun = slot.begin(LASTS_MAX, cancelled, |task| {
                Box::pin(async move { work(&name, &given, &answer, &task, &until).await })
            });
            Ok(CallToolResponse::Task(begun))
        }
        None if TASKS_ALONE.contains(&&*name) => {
            Err(ErrorData::missing_required_client_capability(ClientCapabilities::builder().enable_tasks().build()))
        }
        None => Ok(compute(&given, &cancelled).await.map_or_else(|_| said("cancelled"), said).into()),
    }
}

async fn work(name: &str, given: &Value, answer: &Value, task: &TaskContext, cancelled: &CancellationToken) -> Ended {
    match name {
        "failing_job" => {
            tokio::time::sleep(Duration::from_secs(1)).await;
            Ok(CallToolResult::error(vec![ContentBlock::text("This job fails, as it should")]))
        }
        "protocol_error_job" => Err(ErrorData::internal_error("This job breaks, as it should", None).into()),
        "confirm_delete" => {
            let filename = given["filename"].as_str().unwrap_or_default();
            let answer = task.request_input("confirm", question("Delete it?", "confirm", "boolean")).await?;
            Ok(said(format!("{filename}: {}", answer["content"]["confirm"])))
        }
        "multi_input" => {
            let (name, confirm) = tokio::try_join!(
                task.request_input("name", question("What is your name?", "name", "string")),
                task.request_input("confirm", question("Are you sure?", "confirm", "boolean")),
            )?;
            Ok(said(format!("{} {}", name["content"]["name"], confirm["content"]["confirm"])))
        }
        "test_tool_with_task" => {
            Ok(said(format!("Hello, {}!", answer["content"]["name"].as_str().unwrap_or_default())))
        }
        _ => compute(given, cancelled).await.map(said),
    }
}

/// Takes the seconds that it is asked to.
async fn compute(given: &Value, cancelled: &CancellationToken) -> Result<String, TaskExit> {
    let seconds = given["seconds"].as_f64().unwrap_or_default().clamp(0.0, LASTS_MAX.as_secs_f64());
    tokio::select! {
        () = cancelled.cancelled() => Err(TaskExit::Cancelled),
        () = tokio::time::sleep(Duration::from_secs_f64(seconds)) => {
            Ok(format!("{}: {seconds} s", given["label"].as_str().unwrap_or_default()))
        }
    }
}
