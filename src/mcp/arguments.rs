//! A tool's arguments: declared once, for the schema that clients see and for the check that each call gets.
//!
//! Models err in small ways: a word for a list of one, a number in quotes, a name that is nearly right. What is clear is
//! taken; what is not is refused in a sentence that names the argument, what is allowed, and the nearest name.

use std::collections::BTreeMap;

use rmcp::model::JsonObject;
use serde_json::{Value, json};

use super::{
    failure::Failure,
    present::{Fence, Part, Sentence, sentence, unfence},
};

/// The longest text taken as an argument, in characters: a subject has at most 998 (RFC 5322 section 2.1.1).
const TEXT_CHARS_MAX: usize = 1_000;
/// The longest text of a message, in characters; the API takes 256 KiB.
const BODY_CHARS_MAX: usize = 262_144;
/// Entries of a list argument, at most.
const LIST_ITEMS_MAX: usize = 100;
/// Names less alike than this (Jaro-Winkler, 0 to 1) are not suggested.
const LIKENESS_MIN: f64 = 0.75;

/// One argument of a tool.
#[derive(Debug, Clone, Copy)]
pub(super) struct Parameter {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    /// For the model; empty where the name says it all.
    pub(super) about: &'static str,
    pub(super) required: bool,
}

/// What an argument may be.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    /// A text.
    Text,
    /// The text of a message.
    Body,
    /// The token of a lease to act under: where the lease is over, the tool does nothing.
    Lease,
    /// Texts.
    Texts,
    /// One of these words.
    Word(&'static [&'static str]),
    /// Some of these words.
    Words(&'static [&'static str]),
    /// A whole number from `.0` to `.1`, both included.
    Number(u64, u64),
    /// True or false.
    Flag,
}

impl Parameter {
    /// An argument that may be left out.
    pub(super) const fn new(name: &'static str, kind: Kind, about: &'static str) -> Self {
        Self { name, kind, about, required: false }
    }

    /// An argument that must be there.
    pub(super) const fn required(self) -> Self {
        Self { required: true, ..self }
    }

    fn schema(&self) -> Value {
        let mut schema = match self.kind {
            Kind::Text | Kind::Lease | Kind::Body => json!({ "type": "string" }),
            Kind::Texts => json!({ "type": "array", "items": { "type": "string" } }),
            Kind::Word(words) => json!({ "type": "string", "enum": words }),
            Kind::Words(words) => json!({ "type": "array", "items": { "type": "string", "enum": words } }),
            Kind::Number(min, max) => json!({ "type": "integer", "minimum": min, "maximum": max }),
            Kind::Flag => json!({ "type": "boolean" }),
        };
        if !self.about.is_empty() {
            schema["description"] = self.about.into();
        }
        schema
    }
}

impl Kind {
    /// In words, after "must be".
    fn allowed(self) -> Sentence {
        let listed = |words: &[&'static str]| Sentence::joined(words.iter().copied(), ", ");
        match self {
            Self::Text | Self::Lease => sentence!("a text of 1 to {} characters", TEXT_CHARS_MAX),
            Self::Body => sentence!("a text of at most {} characters", BODY_CHARS_MAX),
            Self::Texts => sentence!("a list of at most {} texts", LIST_ITEMS_MAX),
            Self::Word(words) => sentence!("one of {}", listed(words)),
            Self::Words(words) => sentence!("a list of some of {}", listed(words)),
            Self::Number(min, max) => sentence!("a whole number from {} to {}", min, max),
            Self::Flag => "true or false".into(),
        }
    }

    /// Of a value that was not taken: what is wrong with it, and the word that was most likely meant.
    fn wrong(self, given: &Value) -> (&Value, Option<&'static str>) {
        let (Self::Word(words) | Self::Words(words)) = self else { return (given, None) };
        let fits = |item: &Value| text(item).is_some_and(|text| word(words, &text).is_some());
        let wrong = match given {
            Value::Array(items) if items.len() <= LIST_ITEMS_MAX => {
                items.iter().find(|item| !fits(item)).unwrap_or(given)
            }
            _ => given,
        };
        (wrong, wrong.as_str().and_then(|text| nearest(words.iter().copied(), text)))
    }

    fn take(self, given: &Value) -> Option<Taken> {
        match self {
            Self::Text | Self::Lease => text(given).map(Taken::Text),
            // A body is what it is: nothing in it is taken off or read as something else.
            Self::Body => match given {
                Value::String(body) => Some(Taken::Text(body.clone())),
                _ => None,
            }
            .filter(|taken| matches!(taken, Taken::Text(body) if body.chars().count() <= BODY_CHARS_MAX)),
            Self::Texts => texts(given).map(Taken::Texts),
            Self::Word(words) => text(given).and_then(|text| word(words, &text)).map(|word| Taken::Text(word.into())),
            Self::Words(words) => texts(given)?
                .iter()
                .map(|text| word(words, text).map(str::to_owned))
                .collect::<Option<_>>()
                .map(Taken::Texts),
            Self::Number(min, max) => number(given).filter(|number| (min..=max).contains(number)).map(Taken::Number),
            Self::Flag => match given {
                Value::Bool(flag) => Some(Taken::Flag(*flag)),
                Value::String(text) => text.parse().ok().map(Taken::Flag),
                _ => None,
            },
        }
    }
}

#[derive(Debug)]
enum Taken {
    Text(String),
    Texts(Vec<String>),
    Number(u64),
    Flag(bool),
}

/// The schema of a tool's arguments.
pub(super) fn schema(parameters: &[Parameter]) -> JsonObject {
    let properties: JsonObject =
        parameters.iter().map(|parameter| (parameter.name.to_owned(), parameter.schema())).collect();
    let required: Vec<&str> =
        parameters.iter().filter(|parameter| parameter.required).map(|parameter| parameter.name).collect();
    let mut schema = JsonObject::new();
    schema.insert("type".into(), "object".into());
    schema.insert("properties".into(), properties.into());
    if !required.is_empty() {
        schema.insert("required".into(), required.into());
    }
    schema.insert("additionalProperties".into(), false.into());
    schema
}

/// The arguments of one call, all of them known and of the right type.
#[derive(Debug, Default)]
pub(super) struct Arguments {
    taken: BTreeMap<&'static str, Taken>,
}

impl Arguments {
    /// Checks what was given to `tool` against its `parameters`. A null counts as left out.
    pub(super) fn check(
        tool: &'static str,
        parameters: &'static [Parameter],
        given: &JsonObject,
        fence: &Fence,
    ) -> Result<Self, Failure> {
        let mut taken = BTreeMap::new();
        for (name, value) in given {
            let Some(parameter) = parameters.iter().find(|parameter| parameter.name == name) else {
                return Err(unknown(tool, parameters, name, fence));
            };
            if value.is_null() {
                continue;
            }
            let value = parameter.kind.take(value).ok_or_else(|| {
                let (wrong, meant) = parameter.kind.wrong(value);
                let meant = meant.map(|word| sentence!("; did you mean `{}`?", word)).unwrap_or_default();
                Failure::Told(sentence!(
                    "argument `{}` of {} must be {}, not {}{}",
                    parameter.name,
                    tool,
                    parameter.kind.allowed(),
                    described(wrong, fence),
                    meant
                ))
            })?;
            taken.insert(parameter.name, value);
        }
        match parameters.iter().find(|parameter| parameter.required && !taken.contains_key(parameter.name)) {
            Some(missing) => {
                let (name, allowed) = (missing.name, missing.kind.allowed());
                Err(Failure::Told(sentence!("{} needs the argument `{}`: {}", tool, name, allowed)))
            }
            None => Ok(Self { taken }),
        }
    }

    /// Whether `name` was given.
    pub(super) fn has(&self, name: &str) -> bool {
        self.taken.contains_key(name)
    }

    /// A text or word.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        match self.taken.get(name)? {
            Taken::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Texts or words; none where it was not given.
    pub(super) fn texts(&self, name: &str) -> &[String] {
        match self.taken.get(name) {
            Some(Taken::Texts(texts)) => texts,
            _ => &[],
        }
    }

    /// A number.
    pub(super) fn number(&self, name: &str) -> Option<u64> {
        match self.taken.get(name)? {
            Taken::Number(number) => Some(*number),
            _ => None,
        }
    }

    /// A number that its parameter keeps within 32 bits.
    pub(super) fn count(&self, name: &str) -> Option<u32> {
        self.number(name).map(|number| u32::try_from(number).unwrap_or(u32::MAX))
    }

    /// A flag; false where it was not given.
    pub(super) fn flag(&self, name: &str) -> bool {
        matches!(self.taken.get(name), Some(Taken::Flag(true)))
    }

    /// What was given, as it was taken, to be given again.
    pub(super) fn again(&self, fence: &Fence) -> BTreeMap<&'static str, Part> {
        let shown = |text: &String| fence.code(text);
        self.taken
            .iter()
            .map(|(name, taken)| {
                let value = match taken {
                    Taken::Text(text) => Part::of(&shown(text)),
                    Taken::Texts(texts) => Part::of(&texts.iter().map(shown).collect::<Vec<_>>()),
                    Taken::Number(number) => Part::of(number),
                    Taken::Flag(flag) => Part::of(flag),
                };
                (*name, value)
            })
            .collect()
    }
}

/// The name among `names` that `given` was most likely meant to be.
fn nearest(names: impl IntoIterator<Item = &'static str>, given: &str) -> Option<&'static str> {
    let given = given.to_lowercase();
    names
        .into_iter()
        .map(|name| (strsim::jaro_winkler(name, &given), name))
        .filter(|(likeness, _)| *likeness >= LIKENESS_MIN)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, name)| name)
}

fn unknown(tool: &'static str, parameters: &[Parameter], given: &str, fence: &Fence) -> Failure {
    let names = || parameters.iter().map(|parameter| parameter.name);
    let given_shown = fence.code(&beginning(given));
    let allowed = Sentence::joined(names().map(|name| sentence!("`{}`", name)), ", ");
    Failure::Told(if allowed.is_empty() {
        sentence!("{} takes no arguments, so not {} either", tool, given_shown)
    } else {
        sentence!("{} has no argument {}.{} Its arguments are {}", tool, given_shown, meant(names(), given), allowed)
    })
}

/// Asks whether the one among `names` that is most like `given` was meant; nothing where none is like it.
pub(super) fn meant(names: impl IntoIterator<Item = &'static str>, given: &str) -> Sentence {
    nearest(names, given).map(|name| sentence!(" Did you mean `{}`?", name)).unwrap_or_default()
}

fn described(value: &Value, fence: &Fence) -> Sentence {
    match value {
        Value::Null => "null".into(),
        Value::Bool(flag) => sentence!("{}", *flag),
        Value::Number(number) => sentence!("{}", fence.code(&number.to_string())),
        Value::String(text) => sentence!("{}", fence.code(&beginning(text))),
        Value::Array(_) => "this list".into(),
        Value::Object(_) => "an object".into(),
    }
}

/// Enough of a wrong text to recognise it.
fn beginning(text: &str) -> String {
    text.chars().take(80).collect()
}

fn text(given: &Value) -> Option<String> {
    let text = match given {
        Value::String(text) => unfence(text).to_owned(),
        // A cursor or id that looks like a number is often sent as one.
        Value::Number(number) => number.to_string(),
        Value::Array(items) if items.len() == 1 && items[0].is_string() => return self::text(&items[0]),
        _ => return None,
    };
    (!text.is_empty() && text.chars().count() <= TEXT_CHARS_MAX).then_some(text)
}

fn texts(given: &Value) -> Option<Vec<String>> {
    match given {
        Value::Array(items) if items.len() <= LIST_ITEMS_MAX => items.iter().map(text).collect(),
        Value::Array(_) => None,
        // Some clients write a list into a text.
        Value::String(text) if text.starts_with('[') => match serde_json::from_str(text) {
            Ok(list @ Value::Array(_)) => texts(&list),
            _ => Some(vec![self::text(given)?]),
        },
        scalar => Some(vec![text(scalar)?]),
    }
}

fn word(words: &[&'static str], text: &str) -> Option<&'static str> {
    words.iter().find(|word| word.eq_ignore_ascii_case(text.trim())).copied()
}

/// A whole number, however it was written.
pub(super) fn number(given: &Value) -> Option<u64> {
    match given {
        // 5.0 is how some languages write 5.
        Value::Number(number) => number.as_u64().or_else(|| number.to_string().strip_suffix(".0")?.parse().ok()),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
}
