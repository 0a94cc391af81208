//! Approving by elicitation: the person before an agent's program is asked where the operator has said that there is one; and
//! a program that answers for them otherwise gets nowhere.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use mailbell::{
    bell::oversight::{Errands, Oversight},
    domain::{
        clock::Clock as _,
        grant::Grant,
        id::ActionId,
        oversight::{ActionState, OversightMode},
        secret::Secret,
    },
    http::mcp::{Gate, router},
    mcp::{Limits, Principal, over_http::Reach},
    signing::digest::sha256,
    store::{
        audit::{AuditFilter, AuditLog as _},
        oversight::Decider,
        tokens::{self, TokenScope, Tokens as _},
    },
};
use rmcp::{
    ClientHandler, ErrorData, RoleClient,
    model::{
        CallToolRequestParams, CallToolResponse, CallToolResult, ClientCapabilities, ClientConfig, ElicitRequestParams,
        ElicitResult, ElicitationAction, ElicitationCapability, Implementation, InputRequiredResult,
    },
    service::{ClientServiceExt as _, RequestContext, RunningService},
    transport::streamable_http_client::{StreamableHttpClientTransport, StreamableHttpClientTransportConfig},
};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::support::{
    agent::{Era, Wing, text},
    wire::Wire,
};

const LIMITS: Limits = Limits { calls_per_minute_max: 1_000, waits_max: 2, sessions_max: 8, subscriptions_max: 8 };

/// What the person at the desk does.
#[derive(Clone, Copy)]
enum Manner {
    Approves,
    /// Accepts the form without the word.
    SaysYesToSomethingElse,
    Declines,
    Cancels,
    Sleeps,
}

/// A program with a person before it, who notes what they are shown.
struct Desk {
    able: bool,
    manner: Manner,
    shown: mpsc::UnboundedSender<String>,
}

impl ClientHandler for Desk {
    fn get_info(&self) -> ClientConfig {
        let mut capabilities = ClientCapabilities::default();
        capabilities.elicitation = self.able.then(ElicitationCapability::new);
        ClientConfig::new(capabilities, Implementation::new("desk", "1"))
    }

    async fn create_elicitation(
        &self,
        asked: ElicitRequestParams,
        _: RequestContext<RoleClient>,
    ) -> Result<ElicitResult, ErrorData> {
        let ElicitRequestParams::FormElicitationParams { message, .. } = asked else { panic!("not a form") };
        self.shown.send(message).unwrap();
        Ok(match self.manner {
            Manner::Approves => accepted("approve"),
            Manner::SaysYesToSomethingElse => accepted("not_now"),
            Manner::Declines => ElicitResult::new(ElicitationAction::Decline),
            Manner::Cancels => ElicitResult::new(ElicitationAction::Cancel),
            Manner::Sleeps => std::future::pending().await,
        })
    }
}

fn accepted(decision: &str) -> ElicitResult {
    ElicitResult::new(ElicitationAction::Accept).with_content(json!({ "decision": decision }))
}

struct Two {
    desk: Principal,
    other: Principal,
    unmarked: Principal,
}

#[async_trait]
impl Gate for Two {
    async fn admit(&self, token: &Secret) -> Option<Principal> {
        match token.expose() {
            "desk" => Some(self.desk.clone()),
            "other" => Some(self.other.clone()),
            "unmarked" => Some(self.unmarked.clone()),
            _ => None,
        }
    }
}

/// A wing in which mail that goes out waits for an operator, and who does what is approved.
struct House {
    wing: Wing,
    base: String,
    gate: Arc<Two>,
    _shutdown: DropGuard,
}

impl House {
    async fn start() -> Self {
        let wing = Wing::start().await;
        let operator =
            tokens::Principal { name: "operator".into(), scope: TokenScope::Operator, grant: Grant::default() };
        wing.store.put_token(&operator, sha256(b"mb_operator_test"), wing.clock.now()).await.unwrap();
        wing.oversight().set_mode(None, Some(OversightMode::GatedSend), &Decider::Terminal).await.unwrap();
        let marked = || Grant { human_present: true, ..Grant::default() };
        let gate = Arc::new(Two {
            desk: Principal::granted("desk", marked(), LIMITS),
            other: Principal::granted("other", marked(), LIMITS),
            unmarked: Principal::granted("unmarked", Grant::default(), LIMITS),
        });
        let shutdown = CancellationToken::new();
        let router = router(wing.server(), gate.clone(), Reach::default(), shutdown.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}/mcp", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
        tokio::spawn(Errands::new(wing.oversight(), wing.upstream_of_the_house()).run(shutdown.clone()));
        Self { wing, base, gate, _shutdown: shutdown.drop_guard() }
    }

    fn oversight(&self) -> Arc<Oversight> {
        self.wing.oversight()
    }

    async fn desk(&self, token: &str, era: Era, able: bool, manner: Manner) -> Sitting {
        let config = StreamableHttpClientTransportConfig::with_uri(&*self.base).auth_header(token);
        let (noted, shown) = mpsc::unbounded_channel();
        let desk = Desk { able, manner, shown: noted };
        let transport = StreamableHttpClientTransport::from_config(config);
        Sitting { client: desk.serve_with_lifecycle(transport, era.lifecycle()).await.unwrap(), shown }
    }

    /// Has time pass while `doing` is done: the errands look every quarter of a second.
    async fn as_time_passes<T>(&self, doing: impl Future<Output = T>) -> T {
        let mut tick = tokio::time::interval(Duration::from_millis(2));
        tokio::pin!(doing);
        loop {
            tokio::select! {
                done = &mut doing => return done,
                _ = tick.tick() => self.wing.clock.advance(Duration::from_millis(50)),
            }
        }
    }

    /// The letters that the mail API was asked to send.
    fn sent(&self) -> Vec<Value> {
        let asked = self.wing.api.asked();
        asked.into_iter().filter(|one| one.path.ends_with("/send")).map(|one| one.body).collect()
    }

    async fn state_of(&self, id: &str) -> ActionState {
        self.oversight().action(&ActionId::new(id)).await.unwrap().unwrap().state
    }

    async fn asked_on_record(&self) -> Vec<Value> {
        self.on_record("asked").await
    }

    async fn approved_by(&self, id: &str) -> String {
        let steps = self.on_record("action").await;
        let approved = steps.iter().find(|entry| entry["action_id"] == id && entry["step"] == "approved");
        approved.expect("it was approved")["by"].as_str().unwrap().to_owned()
    }

    /// So many were asked, none of them answered, and no letter went.
    async fn nobody_answered(&self, asked: usize) {
        let told = self.asked_on_record().await;
        assert_eq!(told.len(), asked, "{told:?}");
        assert!(told.iter().all(|entry| entry["answer"] == "no_answer"), "{told:?}");
        assert!(self.sent().is_empty());
    }

    async fn on_record(&self, what: &str) -> Vec<Value> {
        let filter = AuditFilter { what: vec![what.into()], ..AuditFilter::default() };
        let (rows, _) = self.wing.store.entries(&filter, 0, 100).await.unwrap();
        rows.into_iter().map(|row| row.entry).collect()
    }
}

struct Sitting {
    client: RunningService<RoleClient, Desk>,
    shown: mpsc::UnboundedReceiver<String>,
}

impl Sitting {
    async fn send(&self, subject: &str) -> Value {
        let result = self.client.call_tool(call(subject)).await.unwrap();
        assert_ne!(result.is_error, Some(true), "{}", text(&result));
        result.structured_content.unwrap()
    }

    async fn question(&self, subject: &str) -> InputRequiredResult {
        match self.client.call_tool_once(call(subject)).await.unwrap() {
            CallToolResponse::InputRequired(question) => question,
            other => panic!("no question: {other:?}"),
        }
    }

    async fn answer(&self, subject: &str, state: &str, given: ElicitResult) -> CallToolResult {
        let given = [("decision".to_owned(), serde_json::to_value(given).unwrap())].into();
        let call = call(subject).with_input_responses(given).with_request_state(state);
        match self.client.call_tool_once(call).await.unwrap() {
            CallToolResponse::Complete(result) => result,
            other => panic!("no result: {other:?}"),
        }
    }
}

/// What comes of `doing`, which takes far less than this.
async fn in_time<T>(doing: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), doing).await.expect("it ends")
}

fn call(subject: &str) -> CallToolRequestParams {
    let Value::Object(arguments) = json!({ "to": ["bob@example.com"], "bcc": ["eve@example.com"], "subject": subject, "markdown": "Hello ‹x› **Bob**" })
    else {
        unreachable!()
    };
    CallToolRequestParams::new("send_email").with_arguments(arguments)
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_asked_and_approves_has_exactly_what_was_shown_done_once_in_both_eras() {
    let house = House::start().await;
    for (era, subject) in [(Era::Legacy, "First"), (Era::Modern, "Second")] {
        let before = house.sent().len();
        let mut desk = house.desk("desk", era, true, Manner::Approves).await;
        let done = house.as_time_passes(desk.send(subject)).await;
        assert_eq!(done["status"], "done", "{era:?}: {done}");
        assert!(done["message_id"].is_string(), "{era:?}: {done}");
        let id = done["action_id"].as_str().unwrap();
        let action = house.oversight().action(&ActionId::new(id)).await.unwrap().unwrap();
        assert_eq!(action.state, ActionState::Done);
        assert_eq!(house.approved_by(id).await, "elicitation:desk");

        let shown = desk.shown.try_recv().unwrap();
        for part in [id, &action.digest, "To: bob@example.com", "hidden: eve@example.com", subject, "Hello <x> **Bob**"]
        {
            assert!(shown.contains(part), "{era:?}: {part} is not in {shown}");
        }
        assert!(desk.shown.try_recv().is_err(), "asked once");
        let sent = house.sent();
        assert_eq!(sent.len(), before + 1, "{era:?}");
        assert_eq!((&sent[before]["subject"], &sent[before]["idempotency_key"]), (&json!(subject), &json!(id)));
    }
    let told = house.asked_on_record().await;
    assert_eq!(told.len(), 2);
    assert!(told.iter().all(|entry| entry["principal"] == "desk" && entry["answer"] == "approve"), "{told:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_not_a_clear_yes_leaves_it_to_the_operator() {
    let house = House::start().await;
    for era in Era::BOTH {
        for manner in [Manner::SaysYesToSomethingElse, Manner::Declines, Manner::Cancels] {
            let mut desk = house.desk("desk", era, true, manner).await;
            let waits = desk.send("No").await;
            assert_eq!(waits["status"], "pending_approval", "{era:?}: {waits}");
            assert!(desk.shown.recv().await.is_some());
            assert_eq!(house.state_of(waits["action_id"].as_str().unwrap()).await, ActionState::Pending);
        }
        // Nobody says of this token that a person is there, and this program cannot ask one.
        for (token, able) in [("unmarked", true), ("desk", false)] {
            let mut desk = house.desk(token, era, able, Manner::Approves).await;
            assert_eq!(desk.send("No").await["status"], "pending_approval", "{era:?} {token}");
            assert!(desk.shown.try_recv().is_err(), "{era:?} {token}: nobody is asked");
        }
    }
    assert!(house.sent().is_empty());
}

/// The longest that a call waits for its person, where its caller has asked for progress, and where not.
const PATIENCE_WITH_PROGRESS: Duration = Duration::from_mins(5);
const PATIENCE: Duration = Duration::from_secs(50);

#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_answer_in_time_leaves_it_to_the_operator() {
    let house = House::start().await;
    // This client asks for progress with every call, so its call may take longer than that of one that does not.
    let mut desk = house.desk("desk", Era::Legacy, true, Manner::Sleeps).await;
    let send = desk.client.peer().clone();
    let waiting = tokio::spawn(async move { send.call_tool(call("Slow")).await.unwrap() });
    assert!(in_time(desk.shown.recv()).await.is_some());
    house.wing.clock.advance(PATIENCE_WITH_PROGRESS);
    let waits = in_time(waiting).await.unwrap().structured_content.unwrap();
    assert_eq!(waits["status"], "pending_approval");

    // Without progress, word for word: the question is called off, and an answer that comes then is none.
    let mut wire =
        Wire::http_able_to(house.base.trim_end_matches("/mcp"), "desk", Era::Legacy, json!({ "elicitation": {} }))
            .await;
    let Value::Object(asked) = json!({ "name": "send_email", "arguments": call("Late").arguments }) else { panic!() };
    let sending = wire.begin("tools/call", Value::Object(asked)).await;
    let question = wire.told().await;
    assert_eq!(question["method"], "elicitation/create", "{question}");
    house.wing.clock.advance(PATIENCE + Duration::from_millis(1));
    let waits = wire.answer(sending).await;
    assert_eq!(waits["result"]["structuredContent"]["status"], "pending_approval", "{waits}");
    let called_off = wire.told().await;
    assert_eq!(called_off["method"], "notifications/cancelled", "{called_off}");
    assert_eq!(called_off["params"]["requestId"], question["id"]);
    wire.reply(&question["id"], json!(accepted("approve"))).await;
    wire.ask("tools/list", json!({})).await;
    let id = waits["result"]["structuredContent"]["action_id"].as_str().unwrap();
    assert_eq!(house.state_of(id).await, ActionState::Pending);
    house.nobody_answered(2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_to_a_question_that_is_too_old_is_none() {
    let house = House::start().await;
    let desk = house.desk("desk", Era::Modern, true, Manner::Approves).await;
    let question = desk.question("Late").await;
    house.wing.clock.advance(Duration::from_mins(11));
    let refused = in_time(desk.answer("Late", question.request_state.as_ref().unwrap(), accepted("approve"))).await;
    assert_eq!(refused.is_error, Some(true), "{}", text(&refused));
    assert!(text(&refused).contains("its time is over"), "{}", text(&refused));
    house.nobody_answered(0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_is_revoked_while_its_person_reads_has_no_answer() {
    let house = House::start().await;
    let mut desk = house.desk("other", Era::Legacy, true, Manner::Sleeps).await;
    let send = desk.client.peer().clone();
    let waiting = tokio::spawn(async move { send.call_tool(call("Revoked")).await });
    assert!(in_time(desk.shown.recv()).await.is_some());
    house.gate.other.end();
    // Its client hears no more; the record tells how it ended.
    in_time(async {
        while house.asked_on_record().await.is_empty() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    waiting.abort();
    house.nobody_answered(1).await;

    // The call that ended with the question, made again by a token that is no more.
    let desk = house.desk("desk", Era::Modern, true, Manner::Approves).await;
    let question = desk.question("Gone").await;
    house.gate.desk.end();
    let late = call("Gone").with_request_state(question.request_state.unwrap());
    let given = [("decision".to_owned(), serde_json::to_value(accepted("approve")).unwrap())].into();
    // Told or not: no letter goes.
    let _ = in_time(desk.client.call_tool_once(late.with_input_responses(given))).await;
    assert!(house.sent().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_answers_for_its_person_gets_nowhere() {
    let house = House::start().await;
    let desk = house.desk("desk", Era::Modern, true, Manner::Approves).await;
    let (mine, another) = (desk.question("Mine").await, desk.question("Another").await);
    let (mine, another) = (mine.request_state.unwrap(), another.request_state.unwrap());
    let other = house.desk("other", Era::Modern, true, Manner::Approves).await;
    let theirs = other.question("Mine").await.request_state.unwrap();

    let (said, link) = mine.split_once('.').unwrap();
    let (others_said, _) = another.split_once('.').unwrap();
    let forged = [
        String::new(),
        "approve".into(),
        said.to_owned(),
        format!("{said}."),
        format!("{others_said}.{link}"),
        format!("{said}.{}", "A".repeat(43)),
        another.clone(),
        theirs,
    ];
    for state in &forged {
        let refused = desk.answer("Mine", state, accepted("approve")).await;
        assert_eq!(refused.is_error, Some(true), "{state}: {}", text(&refused));
    }
    // An answer that nobody asked for, without the question that it is to.
    let given = [("decision".to_owned(), serde_json::to_value(accepted("approve")).unwrap())].into();
    let unasked = desk.client.call_tool_once(call("Unasked").with_input_responses(given)).await.unwrap();
    assert!(matches!(unasked, CallToolResponse::InputRequired(_)), "{unasked:?}");
    // A token without the mark, with an answer as from one that has it.
    let unmarked = house.desk("unmarked", Era::Modern, true, Manner::Approves).await;
    let waits = unmarked.answer("Mine", &mine, accepted("approve")).await;
    assert_eq!(waits.structured_content.unwrap()["status"], "pending_approval");
    assert!(house.sent().is_empty());

    // The right one, twice.
    let done = house.as_time_passes(desk.answer("Mine", &mine, accepted("approve"))).await;
    assert_eq!(done.structured_content.unwrap()["status"], "done");
    let again = desk.answer("Mine", &mine, accepted("approve")).await;
    assert_eq!(again.is_error, Some(true));
    assert!(text(&again).contains("already"), "{}", text(&again));
    assert_eq!(house.sent().len(), 1);
}
