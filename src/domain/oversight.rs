//! What an agent may do by itself: the modes, what a change weighs, and the one table that decides.
//!
//! Every change that an agent can ask for is, in the end, a request to the mail API. It is judged in that form, whether it
//! comes by a tool or by the API itself, so that there is one judgement and no second door. What is not known weighs as a
//! change: a route that is added later is gated before anybody thinks of it.

use std::{collections::BTreeMap, fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use url::Url;

use super::allow_hosts::{AllowHosts, is_loopback};

/// The tag that says that an agent is done with a message.
pub const HANDLED: &str = "handled";

/// How far agents may go, the least first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum OversightMode {
    /// They read and change nothing.
    ReadOnly,
    /// An operator approves each change.
    GatedAll,
    /// An operator approves what goes out.
    GatedSend,
    /// Nothing waits for anybody, and an operator sees what was done.
    #[default]
    Monitored,
    /// Nothing waits for anybody.
    Autonomous,
}

impl OversightMode {
    /// Every mode, the strictest first.
    pub const ALL: [Self; 5] = [Self::ReadOnly, Self::GatedAll, Self::GatedSend, Self::Monitored, Self::Autonomous];

    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ReadOnly => "read_only",
            Self::GatedAll => "gated_all",
            Self::GatedSend => "gated_send",
            Self::Monitored => "monitored",
            Self::Autonomous => "autonomous",
        }
    }
}

impl fmt::Display for OversightMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A word that names no mode.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the oversight mode must be read_only, gated_all, gated_send, monitored or autonomous")]
pub struct NotAMode;

impl FromStr for OversightMode {
    type Err = NotAMode;

    fn from_str(text: &str) -> Result<Self, NotAMode> {
        Self::ALL.into_iter().find(|mode| mode.as_str() == text).ok_or(NotAMode)
    }
}

/// What the operator has set.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rules {
    /// The mode of every mailbox that has none of its own.
    pub mode: OversightMode,
    /// The modes of mailboxes, by address in lower case.
    pub mailboxes: BTreeMap<String, OversightMode>,
    /// Whether everything but taking mail in stands still.
    pub paused: bool,
    /// Whether there is an operator token, so that somebody can approve.
    pub operator: bool,
}

impl Rules {
    /// The mode that a change is judged by: its mailbox's, or where it is not one mailbox's alone, the strictest there is.
    pub fn mode_for(&self, mailbox: Option<&str>) -> OversightMode {
        match mailbox {
            Some(mailbox) => self.mailboxes.get(&mailbox.to_lowercase()).copied().unwrap_or(self.mode),
            None => self.mailboxes.values().copied().chain([self.mode]).min().unwrap_or_default(),
        }
    }
}

/// A change that an agent asks for, as a request to the mail API.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// The method, in capitals.
    pub method: String,
    /// The path, one segment each, decoded.
    pub path: Vec<String>,
    /// The query.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub query: Vec<(String, String)>,
    /// The body; null where there is none.
    pub body: Value,
    /// The address of the mailbox that it concerns, where that is one.
    pub mailbox: Option<String>,
}

/// What of a change is not in the request itself.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// The hosts that webhooks may be sent to without anybody's approval.
    pub allowed: AllowHosts,
    /// Whether loopback is among them for who asks.
    pub loopback: bool,
    /// The tags that a message has, where tags are set.
    pub tags: BTreeMap<String, String>,
}

/// What a change weighs, the least first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Weight {
    /// It says that work is done, or keeps mail from going out.
    Free,
    /// It changes something.
    Changes,
    /// Mail goes out by it.
    Sends,
    /// In every mode it takes an operator: it would let mail, or power over mail, out of the house.
    Operators,
    /// Only an operator asks for it: what comes of it is a secret, and whoever asks reads it.
    Reserved,
}

/// What becomes of a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It is done at once.
    Pass,
    /// It waits for an operator.
    Hold,
    /// It is not done; in a sentence.
    Refuse(String),
}

impl Change {
    /// A change by `method` at `path`.
    pub fn new(method: &str, path: &[&str], body: Value) -> Self {
        let path = path.iter().map(|&segment| segment.to_owned()).collect();
        Self { method: method.to_owned(), path, query: Vec::new(), body, mailbox: None }
    }

    /// The same, which concerns this mailbox alone.
    #[must_use]
    pub fn of(self, mailbox: &str) -> Self {
        Self { mailbox: Some(mailbox.to_lowercase()), ..self }
    }

    fn segments(&self) -> Vec<&str> {
        self.path.iter().map(String::as_str).collect()
    }

    /// Of a letter: the mailbox that sends it, and the message it answers.
    pub fn letter(&self) -> Option<(&str, Option<&str>)> {
        match (self.method.as_str(), self.segments().as_slice()) {
            ("POST", ["v1", "mailboxes", mailbox, "send"]) => Some((*mailbox, None)),
            ("POST", ["v1", "mailboxes", mailbox, "reply", email]) => Some((*mailbox, Some(*email))),
            _ => None,
        }
    }

    /// Whether doing it a second time, after a first of which nobody knows how it ended, does nothing more. A letter is
    /// known again by its name.
    pub fn is_repeatable(&self) -> bool {
        self.letter().is_some() || matches!(self.method.as_str(), "PUT" | "PATCH" | "DELETE")
    }

    /// As a person is shown it: without the bytes of files, which are shown by digest, and without secrets.
    pub fn shown(&self) -> Value {
        let mut body = self.body.clone();
        if let Some(body) = body.as_object_mut() {
            for name in ["attachments", "secret"] {
                if body.contains_key(name) {
                    body.insert(name.to_owned(), Value::from("kept"));
                }
            }
        }
        serde_json::json!({ "method": self.method, "path": format!("/{}", self.path.join("/")), "query": self.query, "body": body })
    }

    /// What it weighs.
    pub fn weight(&self, facts: &Facts) -> Weight {
        let says = |name: &str| self.body.get(name).is_some();
        let names = || self.body.as_object().into_iter().flat_map(serde_json::Map::keys);
        match (self.method.as_str(), self.segments().as_slice()) {
            (
                "POST",
                ["v1", "mailboxes", _, "send"]
                | ["v1", "mailboxes", _, "reply", _]
                | ["v1", "emails", "send"]
                | ["v1", "emails", _, "reply"]
                | ["v1", "mailboxes", _, "emails", _, "retry"],
            )
            | ("PATCH", ["v1", "mailboxes", _, "emails", _, "schedule"]) => Weight::Sends,
            ("PUT", ["v1", "mailboxes", _, "emails", _, "tags"]) | ("POST", ["v1", "emails", _, "tag"]) => {
                if self.only_handles(&facts.tags) { Weight::Free } else { Weight::Changes }
            }
            ("POST", ["v1", "suppression"] | ["v1", "domains", _, "verify"]) => Weight::Free,
            ("PATCH", ["v1", "mailboxes", _] | ["v1", "mailboxes", _, "configure"]) => {
                let grave = |name: &String| {
                    name.starts_with("auto_")
                        || name.starts_with("oversight_")
                        || name == "forward_inbound"
                        || name == "webhook_url"
                        || (name == "ai_disclosure" && !is_on(self.body.get(name)))
                };
                if names().any(grave) { Weight::Operators } else { Weight::Changes }
            }
            ("POST", ["v1", "mailboxes"]) if says("webhook_url") => Weight::Operators,
            ("PATCH", ["v1", "account"]) if says("oversight_email") => Weight::Operators,
            ("DELETE", ["v1", "account"]) => Weight::Operators,
            ("POST", ["v1", "api-keys"]) | ("PATCH", ["v1", "api-keys", _]) => Weight::Reserved,
            ("POST", ["v1", "webhooks"]) => {
                let off = |name| self.body.get(name).and_then(Value::as_str).is_some_and(|url| is_off(url, facts));
                if off("url") || off("endpoint_url") { Weight::Operators } else { Weight::Changes }
            }
            _ => Weight::Changes,
        }
    }

    /// Whether it does no more to a message's `tags` than to say that it is handled.
    fn only_handles(&self, tags: &BTreeMap<String, String>) -> bool {
        let merges = self.query.iter().all(|(name, value)| name != "mode" || value == "merge");
        let fresh = match self.body.get("tags") {
            Some(Value::Object(pairs)) => {
                pairs.iter().all(|(key, value)| key == HANDLED || tags.get(key).map(String::as_str) == value.as_str())
            }
            Some(Value::Array(keys)) => keys.iter().all(|key| {
                key.as_str().is_some_and(|key| key == HANDLED || tags.get(key).is_some_and(|value| value == "true"))
            }),
            _ => false,
        };
        merges && fresh
    }
}

/// Whether a flag is one that is set, in either of its spellings.
fn is_on(flag: Option<&Value>) -> bool {
    flag.is_some_and(|flag| flag.as_bool() == Some(true) || flag.as_u64() == Some(1))
}

/// Whether a webhook's URL leads to a host that nobody has allowed. What is no URL leads nowhere, and is refused later.
fn is_off(url: &str, facts: &Facts) -> bool {
    let url = url.trim();
    if url == "self" {
        return false;
    }
    let Ok(url) = url.parse::<Url>() else { return false };
    let here = url.host().is_some_and(|host| is_loopback(&host));
    !(facts.allowed.lists(&url) || (here && facts.loopback))
}

/// What becomes of a change of this weight under these rules.
pub fn judge(rules: &Rules, mailbox: Option<&str>, weight: Weight) -> Verdict {
    let mode = rules.mode_for(mailbox);
    let whose = match mailbox {
        Some(mailbox) if rules.mailboxes.contains_key(&mailbox.to_lowercase()) => "the mode of this mailbox is",
        _ => "the mode here is",
    };
    match (mode, weight) {
        (_, Weight::Free) => Verdict::Pass,
        _ if rules.paused => Verdict::Refuse(
            "the operator has paused this house: mail still comes in, and nothing is changed or sent until `mailbell \
             resume`; go on with what only reads"
                .into(),
        ),
        (OversightMode::ReadOnly, _) => Verdict::Refuse(format!(
            "{whose} read_only, so nothing is changed or sent; only the operator changes that, with `mailbell mode`"
        )),
        (_, Weight::Reserved) => Verdict::Refuse(
            "only the operator makes keys or changes what they may: send this with the operator token as the key, or ask \
             the person in charge to"
                .into(),
        ),
        (_, Weight::Operators) | (OversightMode::GatedAll, _) | (OversightMode::GatedSend, Weight::Sends) => {
            Verdict::Hold
        }
        (OversightMode::GatedSend, Weight::Changes) | (OversightMode::Monitored | OversightMode::Autonomous, _) => {
            Verdict::Pass
        }
    }
}

/// How far an action has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ActionState {
    /// It waits for its moment, at which an operator is asked.
    Scheduled,
    /// It waits for an operator.
    Pending,
    /// An operator has said yes, and it is not done yet.
    Approved,
    /// It is being done.
    Running,
    /// It was done.
    Done,
    /// An operator has said no.
    Denied,
    /// Nobody decided in time.
    Expired,
    /// It was approved, and could not be done.
    Failed,
}

impl ActionState {
    /// Every state.
    pub const ALL: [Self; 8] = [
        Self::Scheduled,
        Self::Pending,
        Self::Approved,
        Self::Running,
        Self::Done,
        Self::Denied,
        Self::Expired,
        Self::Failed,
    ];

    /// The word for it, in the store and to the operator.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Scheduled => "scheduled",
            Self::Pending => "pending",
            Self::Approved => "approved",
            Self::Running => "running",
            Self::Done => "done",
            Self::Denied => "denied",
            Self::Expired => "expired",
            Self::Failed => "failed",
        }
    }

    /// The word for it in the event that tells the agent, once it is over.
    pub fn outcome(self) -> Option<&'static str> {
        match self {
            Self::Scheduled | Self::Pending | Self::Approved | Self::Running => None,
            Self::Done => Some("approved"),
            Self::Denied | Self::Expired | Self::Failed => Some(self.as_str()),
        }
    }
}

/// What an operator approves: the change exactly as it is done, and what it comes to, resolved when it was asked for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Effect {
    /// What is done.
    pub change: Change,
    /// What of it a person should see besides: of a letter, the whole of it as it will be sent.
    pub shown: Value,
}

impl Effect {
    /// The bytes that are kept, and that the digest is of.
    ///
    /// # Panics
    ///
    /// Never: its keys are texts.
    pub fn bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("keys that are texts make JSON")
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn weight(method: &str, path: &str, body: Value) -> Weight {
        let facts = Facts {
            allowed: AllowHosts::new(&["hooks.example.com".into()]),
            loopback: true,
            tags: [("urgent".to_owned(), "true".to_owned())].into(),
        };
        Change::new(method, &path.split('/').collect::<Vec<_>>(), body).weight(&facts)
    }

    #[test]
    fn what_a_change_weighs() {
        for (method, path, body, expected) in [
            ("POST", "v1/mailboxes/m/send", json!({}), Weight::Sends),
            ("POST", "v1/mailboxes/m/reply/e", json!({}), Weight::Sends),
            ("POST", "v1/emails/send", json!({}), Weight::Sends),
            ("POST", "v1/emails/e/reply", json!({}), Weight::Sends),
            ("PATCH", "v1/mailboxes/m/emails/e/schedule", json!({}), Weight::Sends),
            ("POST", "v1/mailboxes/m/emails/e/retry", json!({}), Weight::Sends),
            ("PUT", "v1/mailboxes/m/emails/e/tags", json!({ "tags": { "handled": "true" } }), Weight::Free),
            ("PUT", "v1/mailboxes/m/emails/e/tags", json!({ "tags": ["handled", "urgent"] }), Weight::Free),
            ("PUT", "v1/mailboxes/m/emails/e/tags", json!({ "tags": { "urgent": "no" } }), Weight::Changes),
            ("PUT", "v1/mailboxes/m/emails/e/tags", json!({ "tags": ["handled", "vip"] }), Weight::Changes),
            ("POST", "v1/emails/e/tag", json!({ "tags": ["handled"] }), Weight::Free),
            ("DELETE", "v1/mailboxes/m/emails/e/tags/handled", json!(null), Weight::Changes),
            ("POST", "v1/suppression", json!({}), Weight::Free),
            ("DELETE", "v1/suppression/a", json!({}), Weight::Changes),
            ("PATCH", "v1/mailboxes/m", json!({ "display_name": "x" }), Weight::Changes),
            ("PATCH", "v1/mailboxes/m", json!({ "auto_bcc": "x" }), Weight::Operators),
            ("PATCH", "v1/mailboxes/m/configure", json!({ "oversight_mode": "read_only" }), Weight::Operators),
            ("PATCH", "v1/mailboxes/m", json!({ "forward_inbound": 1 }), Weight::Operators),
            ("PATCH", "v1/mailboxes/m", json!({ "ai_disclosure": 0 }), Weight::Operators),
            ("PATCH", "v1/mailboxes/m", json!({ "ai_disclosure": 1 }), Weight::Changes),
            ("POST", "v1/mailboxes", json!({ "address": "a", "webhook_url": "https://x.example" }), Weight::Operators),
            ("PATCH", "v1/mailboxes/m", json!({ "webhook_url": null }), Weight::Operators),
            ("PATCH", "v1/account", json!({ "oversight_email": "a@b.test" }), Weight::Operators),
            ("POST", "v1/api-keys", json!({}), Weight::Reserved),
            ("PATCH", "v1/api-keys/k", json!({}), Weight::Reserved),
            ("POST", "v1/webhooks", json!({ "url": "self" }), Weight::Changes),
            ("POST", "v1/webhooks", json!({ "url": "http://127.0.0.1:9/" }), Weight::Changes),
            ("POST", "v1/webhooks", json!({ "url": "https://hooks.example.com/" }), Weight::Changes),
            ("POST", "v1/webhooks", json!({ "url": "self", "endpoint_url": "https://evil.test/" }), Weight::Operators),
            ("POST", "v1/what/comes/later", json!({}), Weight::Changes),
        ] {
            assert_eq!(weight(method, path, body.clone()), expected, "{method} {path} {body}");
        }
    }

    /// The table: a row a mode, a column a weight.
    #[test]
    fn what_a_mode_lets_pass() {
        use OversightMode::{Autonomous, GatedAll, GatedSend, Monitored, ReadOnly};
        let letter = |mode, weight, paused| {
            let rules = Rules { mode, paused, ..Rules::default() };
            match judge(&rules, Some("a@b.test"), weight) {
                Verdict::Pass => 'p',
                Verdict::Hold => 'h',
                Verdict::Refuse(_) => 'r',
            }
        };
        let row = |mode, paused| -> String {
            [Weight::Free, Weight::Changes, Weight::Sends, Weight::Operators, Weight::Reserved]
                .map(|weight| letter(mode, weight, paused))
                .iter()
                .collect()
        };
        for (mode, expected) in [
            (ReadOnly, "prrrr"),
            (GatedAll, "phhhr"),
            (GatedSend, "pphhr"),
            (Monitored, "ppphr"),
            (Autonomous, "ppphr"),
        ] {
            assert_eq!(row(mode, false), expected, "{mode}");
            assert_eq!(row(mode, true), "prrrr", "{mode}, paused");
        }
    }

    #[test]
    fn what_is_no_one_mailbox_s_is_judged_by_the_strictest() {
        let mailboxes = [("a@b.test".to_owned(), OversightMode::GatedAll)].into();
        let rules = Rules { mode: OversightMode::Autonomous, mailboxes, ..Rules::default() };
        assert_eq!(rules.mode_for(None), OversightMode::GatedAll);
        assert_eq!(rules.mode_for(Some("A@B.test")), OversightMode::GatedAll);
        assert_eq!(rules.mode_for(Some("c@b.test")), OversightMode::Autonomous);
    }
}
