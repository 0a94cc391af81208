//! What agents can use, as a person reads of it: the pages of the reference are made from the tools, resources and prompts
//! themselves.

use std::fmt::Write as _;

use rmcp::model::{JsonObject, ToolAnnotations};
use serde_json::Value;

use super::{
    place::{Place, SCHEME},
    prompts, resources, tools,
    toolsets::Toolsets,
};

// Writing to a text never fails, so what `writeln!` answers is let go.

/// `docs/reference/tools.md`: each tool with its arguments, the fields of its result and its annotations.
pub fn tools_page() -> String {
    let mut page = String::from(
        "# Tools\n\nMade by `mailbell reference tools`; a test holds it to the code.\n\n\
         Arguments in bold must be given. `mcp.toolsets`, or `--toolsets events,mail`, leaves out what an agent does not need, and\n\
         `read-only`, beside sets or alone, what changes something. A result is told twice, as `structuredContent` and as the same\n\
         JSON in a text; its fields in bold are always there. What other people wrote stands between `‹K›` and `‹/K›`,\n\
         with a `K` that the result names in `fence`; `hidden_chars_removed` counts characters that nobody sees and that were taken\n\
         out. Any change may answer `status: pending_approval` and an `action_id` instead ([oversight](../oversight.md)).\n\n",
    );
    page.push_str(&overview());
    for tool in tools::ALL {
        let published = tool.published();
        let about = published.description.as_deref().unwrap_or_default();
        let _ = write!(page, "\n## `{}`\n\n**{}.** {about}\n\n", tool.name(), tool.title());
        let marks = published.annotations.as_ref().map(annotations).unwrap_or_default();
        let _ = writeln!(page, "Toolset `{}`; {marks}.\n", tool.toolset());
        if !tool.parameters().is_empty() {
            page.push_str("| argument | | |\n|---|---|---|\n");
        }
        let properties = published.input_schema.get("properties").and_then(Value::as_object);
        for parameter in tool.parameters() {
            let mark = if parameter.required { "**" } else { "" };
            let kind = properties.and_then(|all| all.get(parameter.name)).map(type_of).unwrap_or_default();
            let _ = writeln!(page, "| {mark}`{}`{mark} | {kind} | {} |", parameter.name, parameter.about);
        }
        let _ = writeln!(page, "\nResult: {}.", published.output_schema.as_deref().map(fields).unwrap_or_default());
    }
    page
}

/// A table in Markdown: each tool with its toolset, what it does, and its arguments, those in bold that it needs.
fn overview() -> String {
    let mut table = String::from("| tool | toolset | what it does | arguments |\n|---|---|---|---|\n");
    for tool in tools::ALL {
        let arguments = tool.parameters().iter().map(|parameter| {
            let mark = if parameter.required { "**" } else { "" };
            format!("{mark}`{}`{mark}", parameter.name)
        });
        let arguments = arguments.collect::<Vec<_>>().join(" ");
        let (name, toolset, title) = (tool.name(), tool.toolset(), tool.title());
        let _ = writeln!(table, "| [`{name}`](#{name}) | {toolset} | {title} | {arguments} |");
    }
    table
}

/// `docs/reference/resources.md`: what there is to read and to pick.
pub fn resources_page() -> String {
    let mut page = String::from(
        "# Resources and prompts\n\nMade by `mailbell reference resources`; a test holds it to the code.\n\n\
         They hold what the tools show. `resources/list` has the events of all mailboxes and those of each; templates complete\n\
         their parts.\n\n| resource | | told of changes |\n|---|---|---|\n",
    );
    let told = |path: &str| if is_told_of(path) { "yes" } else { "" };
    let _ = writeln!(page, "| `mailbell://events` | The newest events of all mailboxes | {} |", told("events"));
    for (path, _, about) in resources::TEMPLATES {
        let _ = writeln!(page, "| `mailbell://{path}` | {about} | {} |", told(path));
    }
    page.push_str(
        "\nThose marked can be subscribed to: `resources/subscribe`, or `subscriptions/listen` in the protocol of 2026-07-28.\n\n\
         ## Prompts\n\nA prompt is offered where the server has the toolsets whose tools it names.\n\n| prompt | | arguments |\n|---|---|---|\n",
    );
    for prompt in prompts::published(Toolsets::default()) {
        let arguments = prompt.arguments.iter().flatten().map(|argument| {
            let about = argument.description.as_deref().unwrap_or_default();
            format!("`{}`: {about}.", argument.name)
        });
        let arguments = arguments.collect::<Vec<_>>().join(" ");
        let about = prompt.description.as_deref().unwrap_or_default();
        let _ = writeln!(page, "| `{}` | {about} | {arguments} |", prompt.name);
    }
    page
}

/// Whether clients can ask to be told of changes to what is at a template's path.
fn is_told_of(path: &str) -> bool {
    let filled: Vec<_> = path.split('/').map(|part| if part.starts_with('{') { "1" } else { part }).collect();
    Place::of(&format!("{SCHEME}{}", filled.join("/"))).and_then(Place::followed).is_some()
}

/// What a client is told of a tool's effect, in words.
fn annotations(marks: &ToolAnnotations) -> String {
    let mut words = Vec::new();
    words.push(if marks.read_only_hint == Some(true) { "reads only" } else { "changes something" });
    if marks.destructive_hint == Some(true) {
        words.push("destructive");
    }
    words.push(if marks.idempotent_hint == Some(true) { "idempotent" } else { "not idempotent" });
    if marks.open_world_hint == Some(true) {
        words.push("open world");
    }
    words.join(", ")
}

/// The fields of a result with their types; those in bold are always there.
fn fields(schema: &JsonObject) -> String {
    let required: Vec<_> =
        schema.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
    let properties = schema.get("properties").and_then(Value::as_object).into_iter().flatten();
    let told = properties.map(|(name, kind)| {
        let mark = if required.contains(&name.as_str()) { "**" } else { "" };
        format!("{mark}`{name}`{mark} ({})", type_of(kind))
    });
    told.collect::<Vec<_>>().join(", ")
}

/// The type that a JSON schema asks for, in words.
fn type_of(schema: &Value) -> String {
    if let Some(words) = schema["enum"].as_array() {
        let words: Vec<_> = words.iter().filter_map(Value::as_str).map(|word| format!("`{word}`")).collect();
        return words.join(", ");
    }
    match schema["type"].as_str().unwrap_or_default() {
        "array" if schema["items"]["enum"].is_array() => format!("list of {}", type_of(&schema["items"])),
        "array" => format!("list of {}s", type_of(&schema["items"])),
        "integer" if schema["minimum"].is_u64() => format!("{} to {}", schema["minimum"], schema["maximum"]),
        kind => kind.to_owned(),
    }
}
