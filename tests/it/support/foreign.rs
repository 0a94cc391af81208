//! Reads what a model would be shown, and finds every word of somebody else's that stands outside of a fence.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use rmcp::model::{CallToolResult, ContentBlock, GetPromptResult, ReadResourceResult, Resource, ResourceContents};
use serde_json::Value;

use super::agent::text;

/// In every text of the hostile mailer; no word of ours, and no letter of a fence.
pub const MARK: &str = "ZQXJ";
/// In every text that a reader of the mail would not see.
pub const UNSEEN: &str = "HIDQ";

/// Fields that hold words: fenced whatever stands in them. The other texts are ids, addresses, codes, moments or words of
/// ours, and those are bare only where they cannot be read as a sentence.
const FREE_TEXTS: [&str; 18] = [
    "from_name",
    "subject",
    "snippet",
    "body_text",
    "extracted_text",
    "filename",
    "content_type",
    "smtp_response",
    "diagnostic",
    "provider_kind",
    "tags",
    "notes",
    "note",
    "display_name",
    "description",
    "disabled",
    "text",
    "said",
];
/// Sentences of ours in fields that otherwise hold those of others.
const OUR_SENTENCES: [&str; 4] = [
    "the events in `stayed` are leased to somebody else, who may be at work on this message",
    "no event about this message was leased to you, so nothing was acked",
    "an operator must approve it first",
    "the text goes on in the bytes that come with this",
];

/// What is wrong with what is shown, in words.
#[derive(Default)]
pub struct Findings(pub Vec<String>);

impl Findings {
    fn wrong(&mut self, place: &str, what: &str, shown: &str) {
        let shown: String = shown.chars().take(300).collect();
        self.0.push(format!("{place}: {what}: {shown:?}"));
    }

    /// A result of a tool, or its failure.
    pub fn result(&mut self, place: &str, result: &CallToolResult) {
        let twin = text(result);
        match &result.structured_content {
            Some(value) => {
                self.object(place, value);
                if serde_json::from_str::<Value>(&twin).ok().as_ref() != Some(value) {
                    self.wrong(place, "the text differs from the structure", &twin);
                }
            }
            None => self.sentence(place, &twin),
        }
        for link in result.content.iter().filter_map(ContentBlock::as_resource_link) {
            self.link(place, link);
        }
    }

    /// A link to a file, which has no place for a fence.
    fn link(&mut self, place: &str, link: &Resource) {
        let Resource { uri, name, title, description, mime_type, .. } = link;
        let number = name.strip_prefix("attachment ").is_some_and(|number| number.parse::<u32>().is_ok());
        if !number || title.is_some() || description.is_some() || !mime_type.as_deref().is_some_and(is_plain_type) {
            self.wrong(place, "a link that says more than which file it is", &format!("{link:?}"));
        }
        if !is_attachment(uri) {
            self.wrong(place, "a link that leads elsewhere", uri);
        }
    }

    /// A prompt: sentences of ours, and an event as JSON at their end. Whether there was one.
    pub fn prompt(&mut self, place: &str, prompt: &GetPromptResult) -> bool {
        let ContentBlock::Text(text) = &prompt.messages[0].content else {
            self.wrong(place, "no text", &format!("{prompt:?}"));
            return false;
        };
        // The rule of fences shows the marks of one.
        let text = text.text.replace("between ‹K› and ‹/K›", "between marks");
        self.ours(place, prompt.description.as_deref().unwrap_or_default());
        if let Some((says, event)) = text.split_once("\n\nThe event:\n") {
            self.sentence(place, says);
            match serde_json::from_str(event) {
                Ok(event) => self.object(place, &event),
                Err(_) => self.wrong(place, "no JSON", event),
            }
            true
        } else {
            self.sentence(place, &text);
            false
        }
    }

    /// What a resource holds.
    pub fn resource(&mut self, place: &str, read: &ReadResourceResult) {
        for contents in &read.contents {
            match contents {
                ResourceContents::TextResourceContents { text, .. } => match serde_json::from_str(text) {
                    Ok(value) => self.object(place, &value),
                    Err(_) => self.wrong(place, "no JSON", text),
                },
                // Bytes are for saving: none of their types makes a client show them as text.
                ResourceContents::BlobResourceContents { blob, mime_type, .. } => {
                    if STANDARD.decode(blob).is_err() || !mime_type.as_deref().is_some_and(is_plain_type) {
                        self.wrong(place, "bytes that a client may take for text", &format!("{mime_type:?}"));
                    }
                }
                other => self.wrong(place, "neither text nor bytes", &format!("{other:?}")),
            }
        }
    }

    /// An object that names its fence.
    pub fn object(&mut self, place: &str, value: &Value) {
        let key = value["fence"].as_str().unwrap_or_default();
        if !key.is_empty() && (key.len() < 10 || !key.bytes().all(|byte| byte.is_ascii_alphanumeric())) {
            self.wrong(place, "a fence with an odd name", key);
        }
        self.value(place, "", value, key);
    }

    fn value(&mut self, place: &str, field: &str, value: &Value, key: &str) {
        match value {
            Value::String(text) => self.leaf(&format!("{place} {field}"), field, text, key),
            Value::Array(items) => items.iter().for_each(|item| self.value(place, field, item, key)),
            Value::Object(fields) => {
                for (name, value) in fields {
                    if !name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_') {
                        self.wrong(place, "a name of a field that is none of ours", name);
                    }
                    self.value(place, name, value, key);
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    fn leaf(&mut self, place: &str, field: &str, text: &str, key: &str) {
        let inside = text.strip_prefix(&format!("‹{key}›")).and_then(|rest| rest.strip_suffix(&format!("‹/{key}›")));
        match inside {
            Some(inside) if !key.is_empty() => self.inside(place, inside),
            _ if OUR_SENTENCES.contains(&text) => {}
            _ if field == "uri" && is_attachment(text) => {}
            _ if FREE_TEXTS.contains(&field) => self.wrong(place, "words outside of a fence", text),
            _ if !is_bare(text) => self.wrong(place, "neither fenced nor an id, address or code", text),
            _ => {}
        }
    }

    fn inside(&mut self, place: &str, inside: &str) {
        if inside.contains(['‹', '›']) {
            self.wrong(place, "a mark inside of a fence", inside);
        }
        if inside.chars().any(unseen) {
            self.wrong(place, "a character that nobody sees", inside);
        }
        if inside.contains(UNSEEN) {
            self.wrong(place, "words that a reader of the mail would not see", inside);
        }
    }

    /// What a client is told unasked: addresses that it wrote itself, kinds, places and counts. Answers with its method.
    pub fn notification(&mut self, message: &Value) -> String {
        let method = message["method"].as_str().unwrap_or_default().to_owned();
        let params = message["params"].as_object().cloned().unwrap_or_default();
        for (name, value) in &params {
            match (name.as_str(), value) {
                ("uri" | "content", Value::String(text)) => self.ours(&method, text),
                ("meta", Value::Object(meta)) => {
                    for (name, value) in meta {
                        let counts = value.as_str().is_some_and(|it| it.bytes().all(|byte| byte.is_ascii_digit()));
                        if !counts || !name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_') {
                            self.wrong(&method, "no count", &format!("{name}: {value}"));
                        }
                    }
                }
                ("_meta", Value::Object(meta)) if meta.values().all(Value::is_u64) => {}
                _ => self.wrong(&method, "a field that says something", &format!("{name}: {value}")),
            }
        }
        method
    }

    /// A failure, in prose of ours with fenced words in it.
    pub fn sentence(&mut self, place: &str, said: &str) {
        let key = said.rsplit_once("(fence: ").and_then(|(_, rest)| rest.split_once(')')).map_or("", |(key, _)| key);
        let (open, close) = (format!("‹{key}›"), format!("‹/{key}›"));
        let mut rest = said;
        let mut outside = String::new();
        while let Some((before, after)) = rest.split_once(&open).filter(|_| !key.is_empty()) {
            outside.push_str(before);
            let Some((inside, after)) = after.split_once(&close) else {
                return self.wrong(place, "a fence that is not closed", said);
            };
            self.inside(place, inside);
            rest = after;
        }
        outside.push_str(rest);
        if outside.contains(['‹', '›']) {
            self.wrong(place, "a mark that opens or closes nothing", said);
        }
        self.ours(place, &outside);
    }

    /// A text that is ours but for ids, addresses and codes.
    pub fn ours(&mut self, place: &str, text: &str) {
        let words = text.split(|c: char| c.is_whitespace() || ",;()`\"".contains(c));
        for word in words.filter(|word| word.contains(MARK) || word.contains(UNSEEN)) {
            if !is_bare(word) {
                self.wrong(place, "words outside of a fence", text);
            }
        }
        if text.contains("OBEY") || text.chars().any(unseen) {
            self.wrong(place, "words outside of a fence", text);
        }
    }
}

/// The address of a file, which holds an id and a number.
fn is_attachment(uri: &str) -> bool {
    let parts = uri.strip_prefix("mailbell://messages/").and_then(|rest| rest.split_once("/attachments/"));
    parts.is_some_and(|(id, number)| is_bare(id) && number.parse::<u32>().is_ok())
}

/// A media type that no client shows as text.
fn is_plain_type(kind: &str) -> bool {
    let (main, sub) = kind.split_once('/').unwrap_or_default();
    let binary =
        ["octet-stream", "pdf", "zip", "gzip"].contains(&sub) || sub.starts_with("vnd.openxmlformats-officedocument.");
    match main {
        "application" => binary,
        "image" => ["png", "jpeg", "gif", "webp"].contains(&sub),
        "audio" | "video" => is_bare(sub),
        _ => false,
    }
}

fn is_bare(text: &str) -> bool {
    (1..=128).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._:@+-".contains(&byte))
}

/// What Unicode draws nothing for, or turns lines around with; written down apart from the code that takes it out.
fn unseen(c: char) -> bool {
    matches!(u32::from(c),
        0x00..=0x08 | 0x0B..=0x1F | 0x7F..=0x9F | 0xAD | 0x34F | 0x61C | 0x180B..=0x180F | 0x200B..=0x200F | 0x2028..=0x202E
        | 0x2060..=0x206F | 0xFE00..=0xFE0F | 0xFEFF | 0xFFF9..=0xFFFB | 0xE0000..=0xE0FFF)
}
