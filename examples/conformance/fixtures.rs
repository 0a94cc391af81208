//! What the suite asks for by name, as data; and who answers what.

use mailbell::mcp::Server;
use rmcp::{
    ErrorData, RoleServer, ServerHandler,
    model::{
        CallToolRequestParams, CallToolResponse, CancelTaskParams, CompleteRequestParams, CompleteResult,
        GetPromptRequestParams, GetPromptResponse, GetPromptResult, GetTaskParams, GetTaskResult, ListPromptsResult,
        ListResourceTemplatesResult, ListResourcesResult, ListToolsResult, PaginatedRequestParams,
        ReadResourceRequestParams, ReadResourceResponse, ReadResourceResult, Resource, ServerCapabilities,
        ServerConfig, SetLevelRequestParams, SubscribeRequestParams, SubscriptionFilter, Tool,
        UnsubscribeRequestParams, UpdateTaskParams,
    },
    service::{RequestContext, SubscriptionContext},
};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use crate::{calls, jobs};

/// A red dot.
pub(crate) const PNG: &str =
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8DwHwAFBQIAX8jx0gAAAABJRU5ErkJggg==";

/// Tools without arguments; what they do stands in [`calls`].
const TOOLS: [&str; 24] = [
    "test_simple_text",
    "test_image_content",
    "test_audio_content",
    "test_embedded_resource",
    "test_multiple_content_types",
    "test_tool_with_logging",
    "test_tool_with_progress",
    "test_error_handling",
    "test_sampling",
    "test_elicitation",
    "test_elicitation_sep1034_defaults",
    "test_elicitation_sep1330_enums",
    "test_reconnection",
    "test_missing_capability",
    "test_logging_tool",
    "test_streaming_elicitation",
    "test_input_required_result_elicitation",
    "test_input_required_result_sampling",
    "test_input_required_result_list_roots",
    "test_input_required_result_request_state",
    "test_input_required_result_multiple_inputs",
    "test_input_required_result_multi_round",
    "test_input_required_result_tampered_state",
    "test_input_required_result_capabilities",
];

/// The words of the protocol, from JSON that is known to be right.
pub(crate) fn of<T: DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).expect("a fixture has the protocol's shape")
}

/// Our server, and the fixtures beside it.
#[derive(Clone)]
pub(crate) struct Fixtures {
    ours: Server,
}

impl Fixtures {
    pub(crate) fn beside(ours: Server) -> Self {
        Self { ours }
    }
}

fn tools() -> Vec<Tool> {
    let plain = TOOLS.iter().map(|name| {
        let mut properties = json!({});
        for argument in match *name {
            "test_sampling" => &["prompt"][..],
            "test_elicitation" => &["message"],
            _ => &[],
        } {
            properties[argument] = json!({ "type": "string" });
        }
        json!({ "name": name, "description": "A fixture", "inputSchema": { "type": "object", "properties": properties } })
    });
    let header = json!({ "name": "test_custom_header", "description": "A fixture", "inputSchema": { "type": "object",
        "properties": { "region": { "type": "string", "x-mcp-header": "Region" } } } });
    let schema = json!({ "name": "json_schema_2020_12_tool", "description": "Tool with JSON Schema 2020-12 features",
        "inputSchema": {
            "$schema": "https://json-schema.org/draft/2020-12/schema", "type": "object",
            "$defs": { "address": { "$anchor": "addressDef", "type": "object",
                "properties": { "street": { "type": "string" }, "city": { "type": "string" } } } },
            "properties": { "name": { "type": "string" }, "address": { "$ref": "#/$defs/address" },
                "contactMethod": { "type": "string", "enum": ["phone", "email"] },
                "phone": { "type": "string" }, "email": { "type": "string" } },
            "allOf": [{ "anyOf": [{ "required": ["phone"] }, { "required": ["email"] }] }],
            "if": { "properties": { "contactMethod": { "const": "phone" } }, "required": ["contactMethod"] },
            "then": { "required": ["phone"] }, "else": { "required": ["email"] },
            "additionalProperties": false } });
    let jobs = jobs::TOOLS.iter().map(|(name, arguments)| {
        let properties: Map<String, Value> =
            arguments.iter().map(|(name, kind)| ((*name).to_owned(), json!({ "type": kind }))).collect();
        json!({ "name": name, "description": "A fixture", "inputSchema": { "type": "object", "properties": properties } })
    });
    plain.chain(jobs).chain([header, schema]).map(of).collect()
}

fn resource(uri: &str) -> Option<Value> {
    let text = |text: &str, kind: &str| json!([{ "uri": uri, "mimeType": kind, "text": text }]);
    if let Some(id) = uri.strip_prefix("test://template/").and_then(|rest| rest.strip_suffix("/data")) {
        let data = json!({ "id": id, "templateTest": true, "data": format!("Data for ID: {id}") });
        return Some(text(&data.to_string(), "application/json"));
    }
    Some(match uri {
        "test://static-text" => text("This is the content of the static text resource.", "text/plain"),
        "test://watched-resource" => text("Watched resource content.", "text/plain"),
        "test://static-binary" => json!([{ "uri": uri, "mimeType": "image/png", "blob": PNG }]),
        _ => return None,
    })
}

fn prompt(name: &str, arguments: &Value) -> Option<Value> {
    let user = |content: Value| json!({ "role": "user", "content": content });
    let text = |text: &str| user(json!({ "type": "text", "text": text }));
    let said = |name: &str| arguments[name].as_str().unwrap_or_default().to_owned();
    let messages = match name {
        "test_simple_prompt" => vec![text("This is a simple prompt for testing.")],
        "test_prompt_with_arguments" => {
            vec![text(&format!("Prompt with arguments: arg1='{}', arg2='{}'", said("arg1"), said("arg2")))]
        }
        "test_prompt_with_embedded_resource" => {
            let resource = json!({ "uri": said("resourceUri"), "mimeType": "text/plain",
                "text": "Embedded resource content for testing." });
            let embedded = user(json!({ "type": "resource", "resource": resource }));
            vec![embedded, text("Please process the embedded resource above.")]
        }
        "test_prompt_with_image" => vec![
            user(json!({ "type": "image", "data": PNG, "mimeType": "image/png" })),
            text("Please analyze the image above."),
        ],
        "test_input_required_result_prompt" => vec![text("A prompt with the context that was given.")],
        _ => return None,
    };
    Some(json!({ "resultType": "complete", "messages": messages }))
}

impl ServerHandler for Fixtures {
    fn get_info(&self) -> ServerConfig {
        let mut info = self.ours.get_info();
        info.capabilities = ServerCapabilities::builder()
            .enable_tools()
            .enable_resources()
            .enable_resources_subscribe()
            .enable_prompts()
            .enable_completions()
            .enable_logging()
            .enable_tasks()
            .build();
        info
    }

    fn get_tool(&self, name: &str) -> Option<Tool> {
        tools().into_iter().find(|tool| tool.name == name)
    }

    async fn list_tools(
        &self,
        page: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        let mut listed = self.ours.list_tools(page, context).await?;
        listed.tools.extend(tools());
        Ok(listed)
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        if jobs::TOOLS.iter().any(|(name, _)| *name == request.name) {
            jobs::call(&self.ours, request, &context).await
        } else if tools().iter().any(|tool| tool.name == request.name) {
            calls::call(request, context).await
        } else {
            self.ours.call_tool(request, context).await
        }
    }

    async fn get_task(
        &self,
        request: GetTaskParams,
        context: RequestContext<RoleServer>,
    ) -> Result<GetTaskResult, ErrorData> {
        self.ours.get_task(request, context).await
    }

    async fn update_task(
        &self,
        request: UpdateTaskParams,
        context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        self.ours.update_task(request, context).await
    }

    async fn cancel_task(
        &self,
        request: CancelTaskParams,
        context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        self.ours.cancel_task(request, context).await
    }

    async fn list_resources(
        &self,
        page: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListResourcesResult, ErrorData> {
        let mut listed = self.ours.list_resources(page, context).await?;
        let uris = ["test://static-text", "test://static-binary", "test://watched-resource"];
        listed
            .resources
            .extend(uris.map(|uri| of::<Resource>(json!({ "uri": uri, "name": uri, "description": "A fixture" }))));
        Ok(listed)
    }

    async fn list_resource_templates(
        &self,
        page: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListResourceTemplatesResult, ErrorData> {
        let mut listed = self.ours.list_resource_templates(page, context).await?;
        let template =
            json!({ "uriTemplate": "test://template/{id}/data", "name": "fixture", "description": "A fixture" });
        listed.resource_templates.push(of(template));
        Ok(listed)
    }

    async fn read_resource(
        &self,
        request: ReadResourceRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<ReadResourceResponse, ErrorData> {
        match resource(&request.uri) {
            Some(contents) => {
                Ok(of::<ReadResourceResult>(json!({ "resultType": "complete", "contents": contents })).into())
            }
            None => self.ours.read_resource(request, context).await,
        }
    }

    async fn list_prompts(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListPromptsResult, ErrorData> {
        let prompts = [
            ("test_simple_prompt", &[][..]),
            ("test_prompt_with_arguments", &["arg1", "arg2"]),
            ("test_prompt_with_embedded_resource", &["resourceUri"]),
            ("test_prompt_with_image", &[]),
            ("test_input_required_result_prompt", &[]),
        ];
        let prompts = prompts.map(|(name, arguments)| {
            let arguments: Vec<_> = arguments.iter().map(|name| json!({ "name": name, "required": true })).collect();
            of(json!({ "name": name, "description": "A fixture", "arguments": arguments }))
        });
        Ok(ListPromptsResult::with_all_items(prompts.into()))
    }

    async fn get_prompt(
        &self,
        request: GetPromptRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<GetPromptResponse, ErrorData> {
        let answers = request.input_responses.clone().unwrap_or_default();
        if request.name == "test_input_required_result_prompt" && !answers.contains_key("user_context") {
            let form = calls::form("What context should the prompt use?", "context", "string");
            return Ok(calls::ask([("user_context", form)], None).into());
        }
        let arguments = request.arguments.map_or_else(|| json!({}), |arguments| json!(arguments));
        match prompt(&request.name, &arguments) {
            Some(found) => Ok(of::<GetPromptResult>(found).into()),
            None => Err(ErrorData::invalid_params("there is no such prompt", None)),
        }
    }

    async fn complete(
        &self,
        _: CompleteRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<CompleteResult, ErrorData> {
        Ok(of(
            json!({ "resultType": "complete", "completion": { "values": ["paris", "park", "party"], "total": 3, "hasMore": false } }),
        ))
    }

    async fn set_level(&self, _: SetLevelRequestParams, _: RequestContext<RoleServer>) -> Result<(), ErrorData> {
        Ok(())
    }

    async fn subscribe(&self, _: SubscribeRequestParams, _: RequestContext<RoleServer>) -> Result<(), ErrorData> {
        Ok(())
    }

    async fn unsubscribe(&self, _: UnsubscribeRequestParams, _: RequestContext<RoleServer>) -> Result<(), ErrorData> {
        Ok(())
    }

    fn accepted_subscription_filter(&self, requested: &SubscriptionFilter) -> Option<SubscriptionFilter> {
        Some(requested.clone())
    }

    async fn listen(&self, context: SubscriptionContext) -> Result<(), ErrorData> {
        context.cancelled().await;
        Ok(())
    }
}
