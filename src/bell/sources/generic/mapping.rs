//! How a sender that no dialect is written for signs and spells its webhooks: a setting of the source, written by the operator.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::super::{
    failure::Label,
    json::Json,
    vocabulary::{Meaning, longest},
};
use crate::signing::keyed::Digest;

/// Bytes of a pointer, a header's name or a template; nobody nests deeper.
const TEXT_BYTES_MAX: usize = 256;
/// Places where one field is looked for.
const POINTERS_MAX: usize = 8;
/// Names in the table; the longest list of a provider has some sixty.
const KINDS_MAX: usize = 500;

/// The whole of it, as JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mapping {
    /// How a request proves itself.
    pub(super) auth: Proof,
    /// Where the list of events is, if a body holds several.
    #[serde(default, skip_serializing_if = "Pointers::is_empty")]
    pub(super) events: Pointers,
    /// Where what is in an event.
    pub(super) fields: Places,
    /// What the sender's names mean. Names that are not there are `other`.
    #[serde(default)]
    kinds: BTreeMap<String, Kind>,
}

/// How a request proves itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Proof {
    /// By an HMAC in a header.
    Hmac(Hmac),
    /// By a secret that comes along.
    SharedSecret(Shared),
}

/// An HMAC in a header.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Hmac {
    pub(super) header: String,
    #[serde(default)]
    pub(super) algorithm: Digest,
    #[serde(default)]
    pub(super) encoding: Encoding,
    /// What stands before a signature, such as `sha256=`.
    #[serde(default)]
    pub(super) prefix: String,
    /// What is signed, with `{body}` and `{timestamp}` in it.
    #[serde(default = "just_the_body")]
    pub(super) signed: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) timestamp_header: Option<String>,
}

/// How a signature is spelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Encoding {
    #[default]
    Hex,
    Base64,
    Base64url,
}

/// A secret that comes along: in this header; without one in the path, or by basic or bearer authentication.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Shared {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) header: Option<String>,
}

macro_rules! places {
    ($($(#[$about:meta])* $name:ident),* $(,)?) => {
        /// Where in an event each field is; the first place where there is something counts.
        #[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
        #[serde(deny_unknown_fields, default)]
        pub(super) struct Places {
            $($(#[$about])* #[serde(skip_serializing_if = "Pointers::is_empty")] pub(super) $name: Pointers,)*
        }

        impl Places {
            fn each(&self) -> impl Iterator<Item = (&'static str, &Pointers)> {
                [$((stringify!($name), &self.$name)),*].into_iter()
            }
        }
    };
}

places! {
    /// What happened: the texts at all of the places, with slashes between.
    event,
    id,
    /// Of what a digest is the id, where there is none.
    id_from,
    timestamp,
    mailbox,
    message_id,
    thread_id,
    /// One recipient, or a list; `*` stands for each element of one.
    recipients,
    bounce_code,
    diagnostic,
    smtp_response,
    feedback_type,
    machine,
    from,
    to,
    subject,
    text,
    auto,
}

/// JSON pointers (RFC 6901).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(try_from = "Value")]
pub(super) struct Pointers(Vec<String>);

impl TryFrom<Value> for Pointers {
    type Error = &'static str;

    fn try_from(value: Value) -> Result<Self, Self::Error> {
        let list = if let Value::Array(list) = value { list } else { vec![value] };
        let texts: Option<Vec<String>> = list.iter().map(|one| one.as_str().map(str::to_owned)).collect();
        let starts = |text: &String| text.is_empty() || text.starts_with('/');
        texts
            .filter(|texts| texts.len() <= POINTERS_MAX && texts.iter().all(starts))
            .map(Self)
            .ok_or("a place is a JSON pointer such as \"/data/id\", or a list of at most 8 of them")
    }
}

impl Pointers {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What is at the first place where there is something.
    pub(super) fn first<'a>(&self, event: Json<'a>) -> Json<'a> {
        self.0.iter().fold(Json::NOTHING, |found, pointer| found.or(event.pointed(pointer)))
    }

    /// The texts at the first place where there are some.
    pub(super) fn texts(&self, event: Json<'_>) -> Vec<String> {
        let found = self.0.iter().map(|pointer| event.all_pointed(pointer));
        let mut found = found.map(|found| found.into_iter().filter_map(Json::owned).collect::<Vec<_>>());
        found.find(|texts| !texts.is_empty()).unwrap_or_default()
    }

    /// The texts at all of the places, each its own.
    pub(super) fn each(&self, event: Json<'_>) -> Vec<Option<String>> {
        self.0.iter().map(|pointer| event.pointed(pointer).owned()).collect()
    }

    /// The first place, for a sample.
    pub(super) fn place(&self) -> Option<&str> {
        self.0.first().map(String::as_str)
    }
}

/// What a name means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Kind {
    Inbound,
    Delivery,
    BounceHard,
    BounceSoft,
    BounceDeferred,
    BounceSuppressed,
    Complaint,
    Open,
    Other,
}

impl From<Kind> for Meaning {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Inbound => Self::Inbound,
            Kind::Delivery => Self::Delivery,
            Kind::BounceHard => Self::Bounce(Label::HARD),
            Kind::BounceSoft => Self::Bounce(Label::SOFT),
            Kind::BounceDeferred => Self::Bounce(Label::DEFERRED),
            Kind::BounceSuppressed => Self::Bounce(Label::SUPPRESSED),
            Kind::Complaint => Self::Complaint,
            Kind::Open => Self::Open,
            Kind::Other => Self::Other,
        }
    }
}

fn just_the_body() -> String {
    "{body}".to_owned()
}

impl Mapping {
    /// Reads a mapping that an operator wrote; what is wrong with it is said in a sentence.
    pub fn read(text: &str) -> Result<Self, String> {
        let read = serde_path_to_error::deserialize(&mut serde_json::Deserializer::from_str(text));
        let mapping: Self =
            read.map_err(|error| format!("the mapping cannot be read at `{}`: {}", error.path(), error.inner()))?;
        mapping.check().map(|()| mapping)
    }

    /// What is wrong with it, in a sentence.
    pub(super) fn check(&self) -> Result<(), String> {
        if let Some((name, _)) = self.fields.each().find(|(_, places)| places.0.iter().any(|one| is_long(one))) {
            return Err(format!("`fields.{name}` must be pointers of at most {TEXT_BYTES_MAX} bytes"));
        }
        if self.events.0.len() > 1 {
            return Err("`events` must be one JSON pointer, to the list of events".into());
        }
        if self.fields.event.is_empty() {
            return Err("`fields.event` must say where the name of what happened is, such as \"/type\"".into());
        }
        if self.fields.id.is_empty() && self.fields.id_from.is_empty() {
            return Err(
                "`fields.id` must say where the event's id is; where it has none, `fields.id_from` lists what \
                        makes it one of a kind, such as [\"/type\", \"/message\", \"/time\"]"
                    .into(),
            );
        }
        if self.kinds.len() > KINDS_MAX {
            return Err(format!("`kinds` must list at most {KINDS_MAX} names"));
        }
        match &self.auth {
            Proof::Hmac(hmac) => hmac.check(),
            Proof::SharedSecret(Shared { header: Some(header) }) => check_header("auth.shared-secret.header", header),
            Proof::SharedSecret(Shared { header: None }) => Ok(()),
        }
    }

    /// What the sender's name means.
    pub(super) fn meaning(&self, name: &str) -> Meaning {
        let find = |name: &str| self.kinds.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        longest(name, find).map_or(Meaning::Other, |(_, kind)| (*kind).into())
    }
}

impl Hmac {
    fn check(&self) -> Result<(), String> {
        check_header("auth.hmac.header", &self.header)?;
        if let Some(header) = &self.timestamp_header {
            check_header("auth.hmac.timestamp_header", header)?;
        }
        if is_long(&self.signed) || is_long(&self.prefix) {
            return Err(format!("`auth.hmac.signed` and `.prefix` must be at most {TEXT_BYTES_MAX} bytes"));
        }
        let (bodies, times) = (self.signed.matches("{body}").count(), self.signed.matches("{timestamp}").count());
        if bodies != 1 || self.signed.matches('{').count() != bodies + times {
            return Err("`auth.hmac.signed` must hold {body} once, and may hold {timestamp}: such as {body}, or \
                        {timestamp}.{body}"
                .into());
        }
        if (times > 0) != self.timestamp_header.is_some() {
            return Err(
                "`auth.hmac.timestamp_header` and {timestamp} in `auth.hmac.signed` belong together: a timestamp \
                        that is not signed proves nothing"
                    .into(),
            );
        }
        Ok(())
    }
}

fn is_long(text: &str) -> bool {
    text.len() > TEXT_BYTES_MAX
}

fn check_header(place: &str, name: &str) -> Result<(), String> {
    let plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
    if plain && !name.is_empty() && !is_long(name) {
        return Ok(());
    }
    Err(format!("`{place}` must be the name of a header, such as X-Signature"))
}
