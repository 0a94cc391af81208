//! What is kept of a call's arguments: who and what it was about, and of bodies, secrets and long texts a digest and a size.

use serde_json::{Value, json};

use crate::signing::digest::sha256_hex;

/// Texts up to this length are told as they are, in characters; of longer ones a digest and the size.
const ARGUMENT_CHARS_MAX: usize = 256;
/// Entries of a list that are told, at most: a message has no more recipients.
pub const ITEMS_MAX: usize = 1_000;

/// An argument as it is told; one that is `hidden` by digest, whatever its length.
pub fn argument(value: &Value, hidden: bool) -> Value {
    match value {
        Value::String(text) if hidden || text.chars().count() > ARGUMENT_CHARS_MAX => digest(text),
        Value::Array(items) if !hidden => {
            items.iter().take(ITEMS_MAX).map(|item| argument(item, false)).collect::<Vec<_>>().into()
        }
        Value::Array(_) | Value::Object(_) => digest(&value.to_string()),
        other => other.clone(),
    }
}

fn digest(text: &str) -> Value {
    json!({ "sha256": sha256_hex(text.as_bytes()), "bytes": text.len() })
}
