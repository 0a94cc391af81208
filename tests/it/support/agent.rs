//! A bell wing with everything real but the mail API, and agents that speak MCP with it.

use std::sync::Arc;

use mailbell::{
    app::letters,
    bell::{
        consumers::Settling,
        fetch::Fetch,
        hosted::{self, Hosted},
        intake::Intake,
        oversight::Oversight,
        upstream::{Authority, Elsewhere, Upstream},
        waiting::Waiting,
        webhooks::{OwnReceiver, SOURCE, Webhooks},
    },
    domain::{
        allow_hosts::AllowHosts,
        clock::{Clock, UnixMillis},
        event::{Auth, Detail, NewEvent},
        id::{EventId, MessageId, SourceName, ThreadId},
        secret::Secret,
    },
    ids::Ids,
    mcp::{Rooms, Seal, Server, Toolsets, stdio},
    signing::chain::ChainKey,
    store::{bell::BellStore, log::EventLog as _, sources::Sources as _, sqlite::Schema},
    wake::Bell,
};
use rmcp::{
    ClientHandler, RoleClient,
    model::{CallToolRequestParams, CallToolResult, ProgressNotificationParam, ProtocolVersion},
    service::{ClientLifecycleMode, ClientServiceExt as _, NotificationContext, RunningService},
};
use serde_json::Value;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::{api::gate, bell::Web, clock::TestClock, entropy::Counting, mail_api};

/// The bell wing.
pub struct Wing {
    pub clock: TestClock,
    pub store: BellStore,
    pub api: mail_api::MailApi,
    pub bell: Bell,
    /// What providers have.
    pub web: Arc<dyn Fetch>,
    ids: Arc<Ids>,
    receiver: OwnReceiver,
    /// What `webhooks.allow_hosts` says.
    pub allowed: AllowHosts,
    /// What `mcp.toolsets` says.
    pub toolsets: Toolsets,
    _directory: tempfile::TempDir,
}

impl Wing {
    /// With one mailbox, `agent@mailbell.test`, and the source `multimail`.
    pub async fn start() -> Self {
        Self::with_receiver(OwnReceiver::Embedded).await
    }

    pub async fn with_receiver(receiver: OwnReceiver) -> Self {
        let clock = TestClock::default();
        let ids = Arc::new(Ids::new(Arc::new(clock.clone()), Arc::new(Counting::default())));
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("bell.db");
        let store = BellStore::open(&path, Schema::Migrate, &ids, CancellationToken::new()).await.unwrap();
        store.add_source(&SourceName::new(SOURCE), SOURCE, None, clock.now()).await.unwrap();
        let api = mail_api::MailApi::start().await;
        api.add_mailbox("mbx_1", "agent@mailbell.test");
        Self {
            clock,
            store,
            api,
            bell: Bell::default(),
            web: Arc::new(Web::default()),
            ids,
            receiver,
            allowed: AllowHosts::default(),
            toolsets: Toolsets::default(),
            _directory: directory,
        }
    }

    /// The gate before every change.
    pub fn oversight(&self) -> Arc<Oversight> {
        let clock: Arc<dyn Clock> = Arc::new(self.clock.clone());
        let mut allowed = self.allowed.clone();
        if let OwnReceiver::Hosted(Some(own)) = &self.receiver {
            allowed = allowed.and(own);
        }
        gate(&self.store, &self.bell, &self.ids, &clock, allowed)
    }

    pub fn upstream(&self) -> Arc<Upstream> {
        self.upstream_with_key(mail_api::KEY)
    }

    pub fn upstream_of_the_house(&self) -> Arc<Upstream> {
        let (map, clock) = (Arc::new(self.store.clone()), Arc::new(self.clock.clone()));
        let (base, key) = (self.api.url.clone(), Secret::new(mail_api::KEY));
        let upstream = Upstream::fixed(base, key, map, clock, Authority::House).unwrap();
        Arc::new(upstream.with_received(self.elsewhere()))
    }

    pub fn upstream_with_key(&self, key: &str) -> Arc<Upstream> {
        let (map, clock) = (Arc::new(self.store.clone()), Arc::new(self.clock.clone()));
        let authority = Authority::Agents(self.oversight());
        let upstream = Upstream::fixed(self.api.url.clone(), Secret::new(key), map, clock, authority).unwrap();
        Arc::new(upstream.with_received(self.elsewhere()))
    }

    fn elsewhere(&self) -> Elsewhere {
        let store = Arc::new(self.store.clone());
        Elsewhere {
            mail: store.clone(),
            sources: store,
            fetch: self.web.clone(),
            clock: Arc::new(self.clock.clone()),
            read_letter: letters::read,
        }
    }

    /// What takes webhooks of this wing's sources.
    pub fn intake(&self) -> Arc<Intake> {
        let (store, clock) = (Arc::new(self.store.clone()), Arc::new(self.clock.clone()));
        Arc::new(Intake::new(store.into(), self.bell.clone(), clock, self.web.clone(), letters::read))
    }

    /// What looks after the mail API as a hosted one, which reaches us under `public_url`.
    pub fn hosted(&self, public_url: Option<&str>) -> Hosted {
        let (store, clock, upstream) =
            (Arc::new(self.store.clone()), Arc::new(self.clock.clone()), self.upstream_of_the_house());
        let public_url = public_url.map(|url| url.parse().unwrap());
        let webhooks = Webhooks::new(
            upstream.clone(),
            store.clone(),
            OwnReceiver::Hosted(public_url.clone()),
            self.ids.clone(),
            clock.clone(),
        );
        let (sources, apis, log) = (store.clone(), store.clone(), store);
        let parts = hosted::Parts { upstream, webhooks, sources, apis, log, bell: self.bell.clone(), clock };
        Hosted::new(&self.api.url, public_url.as_ref(), parts)
    }

    /// A server of its own, as a process has one.
    pub fn server(&self) -> Server {
        let store = Arc::new(self.store.clone());
        let clock: Arc<TestClock> = Arc::new(self.clock.clone());
        let upstream = self.upstream();
        Server::new(Arc::new(Rooms {
            waiting: Waiting::new(store.clone(), store.clone(), self.bell.clone(), clock.clone(), self.ids.clone()),
            log: store.clone(),
            audit: store.clone(),
            settling: Settling::new(store.clone(), self.bell.clone(), clock.clone()),
            webhooks: Webhooks::new(upstream.clone(), store, self.receiver.clone(), self.ids.clone(), clock.clone()),
            oversight: self.oversight(),
            seal: Seal::new(ChainKey::new(&"k".repeat(64)).unwrap()),
            upstream,
            toolsets: self.toolsets,
            ids: self.ids.clone(),
            clock,
        }))
    }

    /// An agent in a process of its own, over stdio.
    pub async fn agent(&self, era: Era) -> Agent {
        let (ours, theirs) = tokio::io::duplex(1 << 16);
        let (input, output) = tokio::io::split(theirs);
        tokio::spawn(stdio::serve_over(self.server(), input, output, CancellationToken::new()));
        let before = self.clock.sleepers();
        let agent = Agent::connect(ours, era).await;
        // Its house looks at the mailboxes once before it sleeps; what a story arranges then is not taken by that look.
        while self.clock.sleepers() < before + era.sleepers() {
            tokio::task::yield_now().await;
        }
        agent
    }

    /// Lets `events` happen: stored, then rung for.
    pub async fn happens(&self, events: Vec<NewEvent>) {
        let mailboxes: Vec<_> = events.iter().map(|event| event.mailbox.clone()).collect();
        self.store.append(&SourceName::new(SOURCE), Auth::HmacSha256, self.clock.now(), events).await.unwrap();
        for mailbox in mailboxes {
            self.bell.ring_event(mailbox.as_deref());
        }
    }
}

/// An inbound event about message `em_N` of thread `thr_N`.
pub fn inbound(number: u32, subject: &str) -> NewEvent {
    NewEvent {
        event_id: EventId::new(format!("evt_{number}")),
        mailbox: Some("agent@mailbell.test".into()),
        message_id: Some(MessageId::new(format!("em_{number}"))),
        thread_id: Some(ThreadId::new(format!("thr_{number}"))),
        timestamp: UnixMillis(1_795_514_400_000),
        provider_kind: None,
        detail: Detail::Inbound {
            from: "bob@example.com".into(),
            from_name: Some("Bob".into()),
            to: vec!["agent@mailbell.test".into()],
            subject: subject.into(),
            snippet: "hello".into(),
            auto: false,
        },
    }
}

/// Which protocol an agent speaks.
#[derive(Debug, Clone, Copy)]
pub enum Era {
    Legacy,
    Modern,
}

impl Era {
    pub const BOTH: [Self; 2] = [Self::Legacy, Self::Modern];

    /// Who sleeps for an agent that asks for nothing: a session of the older protocol is told when a mailbox comes or goes.
    pub fn sleepers(self) -> usize {
        match self {
            Self::Legacy => 1,
            Self::Modern => 0,
        }
    }

    pub fn lifecycle(self) -> ClientLifecycleMode {
        match self {
            Self::Legacy => ClientLifecycleMode::Initialize,
            Self::Modern => ClientLifecycleMode::Discover { preferred_versions: vec![ProtocolVersion::V_2026_07_28] },
        }
    }
}

/// Keeps the progress that it is told.
pub struct Listener(mpsc::UnboundedSender<ProgressNotificationParam>);

impl ClientHandler for Listener {
    async fn on_progress(&self, told: ProgressNotificationParam, _: NotificationContext<RoleClient>) {
        let _ = self.0.send(told);
    }
}

/// An agent.
pub struct Agent {
    pub client: RunningService<RoleClient, Listener>,
    pub progress: mpsc::UnboundedReceiver<ProgressNotificationParam>,
}

impl Agent {
    pub async fn connect<T, E, A>(transport: T, era: Era) -> Self
    where
        T: rmcp::transport::IntoTransport<RoleClient, E, A>,
        E: std::error::Error + Send + Sync + 'static,
    {
        let (told, progress) = mpsc::unbounded_channel();
        let client = Listener(told).serve_with_lifecycle(transport, era.lifecycle()).await.unwrap();
        Self { client, progress }
    }

    /// Calls a tool, whatever comes of it.
    pub async fn try_call(&self, tool: &'static str, arguments: Value) -> CallToolResult {
        let Value::Object(arguments) = arguments else { panic!("arguments are an object") };
        self.client.call_tool(CallToolRequestParams::new(tool).with_arguments(arguments)).await.unwrap()
    }

    /// Calls a tool and sees that it worked, that its two forms agree, and that they are as the schema says.
    pub async fn call(&self, tool: &'static str, arguments: Value) -> Value {
        let result = self.try_call(tool, arguments).await;
        assert_ne!(result.is_error, Some(true), "{tool}: {}", text(&result));
        let value = result.structured_content.clone().expect("structured content");
        assert_eq!(serde_json::from_str::<Value>(&text(&result)).unwrap(), value, "the text twin");
        conforms(tool, &value);
        value
    }

    /// Calls a tool, sees that it fails, and answers with the sentence.
    pub async fn refused(&self, tool: &'static str, arguments: Value) -> String {
        let result = self.try_call(tool, arguments.clone()).await;
        assert_eq!(result.is_error, Some(true), "{tool} {arguments}: {}", text(&result));
        text(&result)
    }
}

/// The text of a result.
pub fn text(result: &CallToolResult) -> String {
    result.content.iter().filter_map(|block| block.as_text().map(|text| text.text.clone())).collect()
}

/// Takes the fence of `result` off `value`, having seen that it is there.
pub fn unfenced<'a>(result: &Value, value: &'a Value) -> &'a str {
    let key = result["fence"].as_str().expect("a fence is named");
    let value = value.as_str().expect("a text");
    value
        .strip_prefix(&format!("‹{key}›"))
        .and_then(|rest| rest.strip_suffix(&format!("‹/{key}›")))
        .unwrap_or_else(|| panic!("{value} is not fenced by {key}"))
}

/// As far as our output schemas go: every field is declared, of the declared type, and those that must be are there.
fn conforms(tool: &str, value: &Value) {
    let tools = mailbell::mcp::published_tools();
    let tool = tools.iter().find(|it| it.name == tool).unwrap();
    let schema = tool.output_schema.as_ref().unwrap();
    for (name, value) in value.as_object().unwrap() {
        let declared = schema["properties"].get(name).unwrap_or_else(|| panic!("{}: {name} is undeclared", tool.name));
        let fits = match declared["type"].as_str().unwrap() {
            "string" => value.is_string(),
            "integer" => value.is_i64() || value.is_u64(),
            "boolean" => value.is_boolean(),
            "array" => value.as_array().is_some_and(|items| {
                let objects = declared["items"]["type"] == "object";
                items.iter().all(|item| if objects { item.is_object() } else { item.is_string() })
            }),
            "object" => value.is_object(),
            other => panic!("{other}"),
        };
        assert!(fits, "{}: {name} is {value}, not {declared}", tool.name);
    }
    for required in schema["required"].as_array().unwrap() {
        assert!(value.get(required.as_str().unwrap()).is_some(), "{}: {required} is missing", tool.name);
    }
}
