//! Which settings hold, and who said so.

use figment::{
    Figment,
    value::{Dict, Value},
};

use crate::domain::notice::NoticeTarget;

/// A setting as it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// Such as `mcp.addr`.
    pub key: String,
    /// What is set; of a secret, only that there is one.
    pub value: String,
    /// `default`, `file`, `environment` or `command line`.
    pub origin: &'static str,
}

/// How the names of keys end that hold secrets.
const SECRET_ENDINGS: [&str; 4] = ["key", "password", "secret", "token"];
/// What stands in the place of one.
const STRUCK_OUT: &str = "(set, not shown)";

/// Every setting that `figment` holds, by name.
pub(super) fn effective(figment: &Figment) -> Vec<Setting> {
    let mut settings = Vec::new();
    if let Ok(sections) = figment.extract::<Dict>() {
        for (section, value) in sections {
            walk(figment, section, &value, &mut settings);
        }
    }
    settings.sort_by(|a, b| a.key.cmp(&b.key));
    settings
}

fn walk(figment: &Figment, key: String, value: &Value, settings: &mut Vec<Setting>) {
    if let Value::Dict(_, inner) = value {
        for (name, value) in inner {
            walk(figment, format!("{key}.{name}"), value, settings);
        }
        return;
    }
    let name = figment.get_metadata(value.tag()).map(|metadata| metadata.name.to_string()).unwrap_or_default();
    let origin = match name.as_str() {
        name if name.starts_with("TOML file") => "file",
        name if name.starts_with("TOML") => "default",
        name if name.contains("environment") => "environment",
        // They are put over the others one by one, from a variable.
        _ if is_secret(&key) => "environment",
        _ => "command line",
    };
    let value = if is_secret(&key) { STRUCK_OUT.to_owned() } else { shown(&key, value) };
    settings.push(Setting { key, value, origin });
}

fn is_secret(key: &str) -> bool {
    SECRET_ENDINGS.iter().any(|ending| key.ends_with(ending))
}

fn shown(key: &str, value: &Value) -> String {
    match value {
        Value::String(_, text) if text.contains("://") => without_secrets(key, text),
        Value::String(_, text) => text.clone(),
        Value::Char(_, char) => char.to_string(),
        Value::Bool(_, flag) => flag.to_string(),
        Value::Num(_, number) => number
            .to_i128()
            .map(|whole| whole.to_string())
            .or_else(|| number.to_f64().map(|number| number.to_string()))
            .unwrap_or_default(),
        Value::Array(_, values) => {
            let values: Vec<String> = values.iter().map(|value| shown(key, value)).collect();
            if values.is_empty() { "(none)".to_owned() } else { values.join(", ") }
        }
        Value::Empty(..) | Value::Dict(..) => "(none)".to_owned(),
    }
}

/// A URL without what may be a secret in it.
fn without_secrets(key: &str, text: &str) -> String {
    if key == "operator.notify" {
        // Given as one text, there may be several.
        let places = text.trim_matches(['[', ']']).split(',');
        let shown = places.map(|place| {
            let place = place.trim().trim_matches('"');
            NoticeTarget::of_settings(place).map_or_else(|_| STRUCK_OUT.to_owned(), |target| target.shown())
        });
        return shown.collect::<Vec<_>>().join(", ");
    }
    match text.parse::<url::Url>() {
        Ok(mut url) => {
            let _ = url.set_username("");
            let _ = url.set_password(None);
            url.set_query(None);
            url.to_string()
        }
        Err(_) => STRUCK_OUT.to_owned(),
    }
}
