//! Asks the person before an agent's program whether a change that waits may be done, where the operator has said of the
//! token that a person is there (`--human-present`).
//!
//! # How it is asked
//!
//! By the older protocol with a request to the client while its call is in progress (`elicitation/create`); by that of
//! 2026-07-28 the call ends with a result that wants an answer, and is made once more with it. What such a client hands back is
//! anybody's: [`Seal`] binds the question to who was asked, to the call, to the action, to the digest of what was shown, and
//! to a time. Either way the store decides once, on the digest that was shown.
//!
//! A letter is shown whole or not at all: what does not fit before a person's eyes waits for the operator.

use std::{fmt::Write as _, time::Duration};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use rmcp::{
    Peer, RoleServer,
    model::{
        CallToolRequestParams, CancelledNotificationParam, ClientResult, ElicitRequest, ElicitRequestParams,
        ElicitResult, ElicitationAction, ElicitationSchema, EnumSchema, InputRequest, InputRequests,
        InputRequiredResult, ProtocolVersion, ServerRequest,
    },
    service::{PeerRequestOptions, RequestContext},
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Principal, present::Fence};
use crate::{
    domain::{clock::UnixMillis, id::ActionId},
    signing::{
        chain::{ChainKey, START, same},
        digest::sha256_hex,
    },
    store::oversight::Action,
};

/// Whoever does not answer within this time leaves the change to the operator: below the minute after which many clients give
/// a call up.
pub(super) const ANSWER_WAITS: Duration = Duration::from_secs(50);
/// The same where the caller asked for progress, and so knows that the call lives.
pub(super) const ANSWER_WAITS_WITH_PROGRESS: Duration = Duration::from_mins(5);
/// How long a question holds that came as a result: a client that asks a person after that has lost them.
const QUESTION_HOLDS: Duration = Duration::from_mins(10);
/// Characters of what is shown; more is not read in a form, so it waits for the operator.
const SHOWN_CHARS_MAX: usize = 6_000;
/// The name of the one question, and of the field in its answer.
const QUESTION: &str = "decision";
/// The answer that approves. No other does.
const APPROVE: &str = "approve";
/// The answer that leaves it to the operator.
const NOT_NOW: &str = "not_now";
/// Keeps these seals apart from others of the key.
const PURPOSE: &str = "mailbell question to a person";

/// The key of the house by which its own questions are known again.
#[derive(Debug, Clone)]
pub struct Seal(ChainKey);

/// What was asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Question {
    /// The action.
    pub(super) action: String,
    /// Of what was shown.
    pub(super) digest: String,
    /// Until when an answer counts, in Unix milliseconds.
    until: i64,
}

impl Seal {
    /// A seal by `key`.
    pub fn new(key: ChainKey) -> Self {
        Self(key)
    }

    fn state(&self, question: &Question, bound: &[&[u8]]) -> String {
        let said = serde_json::to_vec(question).expect("texts and a number");
        let link = self.link(&said, bound);
        format!("{}.{}", URL_SAFE_NO_PAD.encode(said), URL_SAFE_NO_PAD.encode(link))
    }

    fn open(&self, state: &str, bound: &[&[u8]]) -> Option<Question> {
        let (said, link) = state.split_once('.')?;
        let (said, link) = (URL_SAFE_NO_PAD.decode(said).ok()?, URL_SAFE_NO_PAD.decode(link).ok()?);
        if !same(&link, &self.link(&said, bound)) {
            return None;
        }
        serde_json::from_slice(&said).ok()
    }

    fn link(&self, said: &[u8], bound: &[&[u8]]) -> [u8; 32] {
        self.0.link(PURPOSE, &START, &[bound, &[said]].concat())
    }
}

/// A person who may be asked, and what their client said for them.
pub(super) struct Person {
    principal: Principal,
    name: String,
    /// The way to ask during the call; none where the protocol has the call end with the question.
    peer: Option<Peer<RoleServer>>,
    /// The call: its tool and arguments.
    call: String,
    answer: Option<Answer>,
}

/// What came back with a call that is made once more.
struct Answer {
    state: String,
    given: Option<Value>,
}

/// What somebody said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Said {
    /// Yes, to what was shown.
    Approve,
    /// Anything else.
    Declined,
    /// Nothing, in time or at all.
    NoAnswer,
}

impl Said {
    /// The word for it in the record.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Approve => APPROVE,
            Self::Declined => "declined",
            Self::NoAnswer => "no_answer",
        }
    }
}

impl Person {
    /// The person before the caller's program, where the token says that there is one and the program can ask.
    pub(super) fn of(
        principal: &Principal,
        context: &RequestContext<RoleServer>,
        request: &mut CallToolRequestParams,
    ) -> Option<Self> {
        let name = principal.name().filter(|_| principal.grant().human_present)?.to_owned();
        let able = context.client_capabilities()?.elicitation?;
        if able.form.is_none() && able.url.is_some() {
            return None;
        }
        let by_result = context
            .protocol_version()
            .is_some_and(|version| version.as_str() >= ProtocolVersion::V_2026_07_28.as_str());
        let arguments = Value::from(request.arguments.clone().unwrap_or_default());
        let given = request.input_responses.take().and_then(|mut given| given.remove(QUESTION));
        let answer = request.request_state.take().filter(|_| by_result).map(|state| Answer { state, given });
        Some(Self {
            principal: principal.clone(),
            name,
            peer: (!by_result).then(|| context.peer.clone()),
            call: sha256_hex(Value::from_iter([Value::from(request.name.as_ref()), arguments]).to_string().as_bytes()),
            answer,
        })
    }

    /// The name of the token that says that they are there.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Whether the token still says so.
    pub(super) fn is_there(&self) -> bool {
        !self.principal.has_ended()
    }

    fn bound(&self) -> [&[u8]; 2] {
        [self.name.as_bytes(), self.call.as_bytes()]
    }

    /// What was answered to which question, where this call is the answer to one. No question: it is none of ours, of
    /// another's, of another call, or too old.
    pub(super) fn answered(&self, seal: &Seal, now: UnixMillis) -> Option<(Option<Question>, Said)> {
        let answer = self.answer.as_ref()?;
        let question = seal.open(&answer.state, &self.bound()).filter(|question| now.0 < question.until);
        let given = answer.given.clone().and_then(|given| serde_json::from_value(given).ok());
        Some((question, given.map_or(Said::NoAnswer, |given| said(&given))))
    }

    /// Whether they can be asked while the call is in progress.
    pub(super) fn is_asked_in_call(&self) -> bool {
        self.peer.is_some()
    }

    /// The result that ends the call with the question.
    pub(super) fn question(&self, seal: &Seal, action: &Action, shown: String, now: UnixMillis) -> InputRequiredResult {
        let until = now.plus(QUESTION_HOLDS).min(action.expires_at).0;
        let question = Question { action: action.id.to_string(), digest: action.digest.clone(), until };
        let state = seal.state(&question, &self.bound());
        let request = InputRequest::Elicitation(ElicitRequest::new(form(shown)));
        InputRequiredResult::new(Some(InputRequests::from([(QUESTION.to_owned(), request)])), Some(state))
    }

    /// Asks them now, until `over`.
    pub(super) async fn ask(&self, shown: String, over: impl Future<Output = ()>) -> Said {
        let Some(peer) = &self.peer else { return Said::NoAnswer };
        let request = ServerRequest::ElicitRequest(ElicitRequest::new(form(shown)));
        let Ok(asked) = peer.send_cancellable_request(request, PeerRequestOptions::no_options()).await else {
            return Said::NoAnswer;
        };
        let id = asked.id.clone();
        tokio::select! {
            // Looked at first: an answer that comes when nobody waits for it any more is none.
            biased;
            () = over => {
                let reason = Some("nobody answered in time; the operator decides".to_owned());
                if let Err(error) = peer.notify_cancelled(CancelledNotificationParam::new(Some(id), reason)).await {
                    tracing::debug!(%error, "a client was not told that its question is over");
                }
                Said::NoAnswer
            }
            answer = asked.await_response() => match answer {
                Ok(ClientResult::ElicitResult(given)) => said(&given),
                _ => Said::NoAnswer,
            },
        }
    }
}

fn said(given: &ElicitResult) -> Said {
    let decision = given.content.as_ref().and_then(|content| content.get(QUESTION)).and_then(Value::as_str);
    match (&given.action, decision) {
        (ElicitationAction::Accept, Some(APPROVE)) => Said::Approve,
        _ => Said::Declined,
    }
}

fn form(shown: String) -> ElicitRequestParams {
    let choices = EnumSchema::builder(vec![NOT_NOW.to_owned(), APPROVE.to_owned()]).untitled().build();
    let schema = ElicitationSchema::builder().required_enum_schema(QUESTION, choices).build();
    ElicitRequestParams::FormElicitationParams {
        meta: None,
        message: shown,
        requested_schema: schema.expect("its one required property is there"),
    }
}

/// What a person is shown of `action`: all of it; none where it is too long to be read, or over.
pub(super) fn shown(fence: &Fence, action: &Action) -> Option<String> {
    let effect = action.effect.as_ref()?;
    let mut text = format!(
        "An agent asks to have this done. It is done, exactly so and once, if you answer `{APPROVE}`.\nAction {}, digest {}\n",
        action.id, action.digest
    );
    let line = |name: &str, value: &dyn std::fmt::Display| format!("{name}: {value}\n");
    if effect.change.letter().is_some() {
        let field = |name: &str| effect.shown.get(name).filter(|value| !value.is_null());
        let people = |name: &str| -> Vec<String> {
            let list = field(name).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
            list.map(|address| fence.code(address).to_string()).collect()
        };
        let said = |name: &str| fence.text(field(name).and_then(Value::as_str).unwrap_or_default());
        let from = field("from").and_then(Value::as_str).or(action.mailbox.as_deref()).unwrap_or_default();
        text.push_str(&line("From", &fence.code(from)));
        for (name, key) in [("To", "to"), ("Cc", "cc"), ("Bcc, hidden", "bcc")] {
            let people = people(key);
            if !people.is_empty() {
                text.push_str(&line(name, &people.join(", ")));
            }
        }
        if let Some(at) = field("send_at") {
            text.push_str(&line("Sent at", &fence.text(&at.to_string())));
        }
        if let Some(files) = field("attachments").filter(|files| files.as_array().is_none_or(|files| !files.is_empty()))
        {
            text.push_str(&line("Files", &fence.text(&files.to_string())));
        }
        text.push_str(&line("Subject", &said("subject")));
        text.push_str(&line("Text", &said("markdown")));
    } else {
        let request = serde_json::to_string_pretty(&effect.change.shown()).unwrap_or_default();
        text.push_str(&line("Request", &fence.text(&request)));
    }
    if let Some(name) = fence.name() {
        let _ = writeln!(text, "Between ‹{name}› and ‹/{name}› stand the words of the agent, or of strangers.");
    }
    if fence.hidden() > 0 {
        let _ = writeln!(text, "{} characters in it that nobody sees are not shown.", fence.hidden());
    }
    (text.chars().count() <= SHOWN_CHARS_MAX).then_some(text)
}

impl Question {
    /// The action that it was about.
    pub(super) fn action(&self) -> ActionId {
        ActionId::new(self.action.as_str())
    }
}
