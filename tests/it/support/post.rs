//! The mail wing's two ways, in and out, with a clock in hand; it can be closed and opened again as after a crash.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use mailbell::{
    domain::{
        clock::{Clock, UnixMillis},
        id::{MailboxId, MessageId},
        message::{Mailbox, Message, MessageFilter, MessagePage, MessageSummary, Status},
        secret::Secret,
    },
    ids::{Entropy, Ids},
    mail::{
        api::{self, Api},
        blobs::Blobs,
        closing::Closing,
        domains::Domains,
        keys::{HOUSE_SCOPES, Keys},
        mailroom::Mailrooms,
        outbox::{self, Worker},
        reception::{Furnishing, Peer, Reception},
        relay::{Relay, Security},
        space::FreeSpace,
        submission::{self, Letter, Submission},
        tracking::{self, Tracking},
        verdict::{Judge, Trust},
        webhooks::{
            registry::{NewWebhook, Registry},
            targets::{Asker, Targets},
        },
    },
    store::{mail::MailStore, mailroom::Mailroom as _},
};
use serde_json::Value;
use sqlx::{
    ConnectOptions as _, Row as _,
    sqlite::{SqliteConnectOptions, SqliteConnection},
};
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use super::{
    clock::TestClock,
    entropy::Counting,
    hooks::{HOUSE_TOKEN, upkeep},
};

/// No chance at all: every wait is its shortest, so that a test can name the moment.
pub struct Still;

impl Entropy for Still {
    fn fill(&self, bytes: &mut [u8]) {
        bytes.fill(0);
    }
}

struct Roomy;

impl FreeSpace for Roomy {
    fn free_bytes(&self) -> std::io::Result<u64> {
        Ok(u64::MAX)
    }
}

/// The server in front whose word on signatures is believed.
pub const FRONT: &str = "mx.front.test";
/// Where webhooks may be sent, beside this machine.
pub const ALLOWED_HOSTS: [&str; 3] = ["one.example.com", "two.example.com", "boss.example.com"];
/// Whose complaints are believed, once they are signed.
pub const REPORTER: &str = "fbl.provider.test";

/// That server, as it hands mail over.
pub fn front() -> Peer {
    Peer { address: "192.0.2.25".parse().unwrap(), hello: FRONT.into() }
}

/// The wing.
pub struct Post {
    pub clock: TestClock,
    pub store: Arc<MailStore>,
    pub submission: Submission,
    /// Its tracking images, under `https://img.test/`.
    pub tracking: Arc<Tracking>,
    pub reception: Arc<Reception>,
    pub worker: Worker,
    pub api: Arc<Api>,
    /// Rung when something came to be owed to webhooks.
    pub owed: Arc<Notify>,
    dir: PathBuf,
    relay_port: Option<u16>,
}

fn relay_at(port: u16) -> Relay {
    Relay {
        host: "127.0.0.1".into(),
        port,
        security: Security::None,
        credentials: None,
        hello: "mailbell.test".into(),
        ca: None,
    }
}

impl Post {
    /// One in `dir`, with the mailboxes `agent@mailbell.test` and `other@mailbell.test`, that hands mail for elsewhere to the
    /// relay at that port.
    #[expect(clippy::too_many_lines, reason = "one list of parts, in the order in which they need each other")]
    pub async fn open(dir: &Path, clock: &TestClock, relay_port: Option<u16>) -> Self {
        let shared: Arc<dyn Clock> = Arc::new(clock.clone());
        let generation = std::fs::read_dir(dir).unwrap().count() as u64;
        let ids = Arc::new(Ids::new(shared.clone(), Arc::new(Counting::starting_at(generation << 32))));
        std::fs::write(dir.join(format!("opened-{generation}")), "").unwrap();
        let store = Arc::new(MailStore::open(&dir.join("mail.db"), CancellationToken::new()).await.unwrap());
        let blobs = Blobs::open(&dir.join("blobs"), store.clone()).unwrap();
        let domains = vec!["mailbell.test".to_owned(), "Bücher.test".to_owned()];
        let domains = Domains::open(store.clone(), &domains).await.unwrap();
        let closing = Closing { store: store.clone(), domains: domains.clone(), clock: shared.clone() };
        closing.take_up(async { Ok(()) }).await.unwrap();
        let rooms = Mailrooms::new(store.clone(), ids.clone(), shared.clone(), domains.clone());
        let (queued, owed) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let reception = Reception::new(Furnishing {
            store: store.clone(),
            outbox: store.clone(),
            blobs: blobs.clone(),
            ids: ids.clone(),
            clock: shared.clone(),
            domains: domains.clone(),
            space: Arc::new(Roomy),
            free_bytes_min: 1 << 20,
            stored: owed.clone(),
        });
        let trust = Trust { authserv_id: Some(FRONT.into()), peers: vec![front().address] };
        let judge = Judge::new(trust, None, shared.clone());
        let reception = Arc::new(reception.with_judge(judge).with_reporters(&[REPORTER.into()]));
        let tracking = images(&store, &shared, &ids, &owed);
        let submission = || {
            Submission::new(submission::Parts {
                outbox: store.clone(),
                mailroom: store.clone(),
                blobs: blobs.clone(),
                ids: ids.clone(),
                clock: shared.clone(),
                domains: domains.clone(),
                relays: relay_port.is_some(),
                message_bytes_max: 1 << 20,
                tracking: tracking.clone(),
                queued: queued.clone(),
            })
        };
        let worker = Worker::new(outbox::Parts {
            outbox: store.clone(),
            blobs: blobs.clone(),
            reception: reception.clone(),
            domains: domains.clone(),
            relay: relay_port.map(relay_at),
            paused: watch::channel(false).1,
            queued: queued.clone(),
            owed: owed.clone(),
            clock: shared.clone(),
            ids: ids.clone(),
            entropy: Arc::new(Still),
        });
        let registry = Registry::new(
            store.clone(),
            store.clone(),
            Targets::new(&ALLOWED_HOSTS.map(str::to_owned), true),
            watch::channel(None).1,
            shared.clone(),
            ids.clone(),
        );
        let keys = Keys::new(store.clone(), shared.clone(), ids.clone());
        keys.install("api", &Secret::new(HOUSE_TOKEN), &HOUSE_SCOPES).await.unwrap();
        for address in ["agent@mailbell.test", "other@mailbell.test"] {
            rooms.add(address.parse().unwrap(), None).await.unwrap();
        }
        if registry.list().await.unwrap().is_empty() {
            let events = ["inbound", "delivery", "bounce", "complaint", "open"].map(str::to_owned).to_vec();
            let everything = NewWebhook { endpoint: "self".into(), events, ..NewWebhook::default() };
            registry.register(everything, Asker::House).await.unwrap();
        }
        let api = Api::new(api::Parts {
            mailroom: store.clone(),
            blobs: blobs.clone(),
            opens: store.clone(),
            deliveries: store.clone(),
            registry,
            upkeep: upkeep(&store, clock, &ids, owed.clone()),
            keys,
            submission: submission(),
            suppressions: store.clone(),
            office: store.clone(),
            domains: domains.clone(),
            hostname: "mx.mailbell.test".into(),
            closing,
            clock: shared.clone(),
            ids: ids.clone(),
        });
        Self {
            clock: clock.clone(),
            submission: submission(),
            tracking,
            store,
            reception,
            worker,
            api: Arc::new(api),
            owed,
            dir: dir.to_owned(),
            relay_port,
        }
    }

    /// The same house after its process was killed.
    pub async fn reopened(self) -> Self {
        let Self { clock, dir, relay_port, .. } = self;
        Self::open(&dir, &clock, relay_port).await
    }

    pub async fn mailbox(&self, address: &str) -> Mailbox {
        self.store.mailbox_at(&address.parse().unwrap()).await.unwrap().unwrap()
    }

    /// Sends `letter` from the agent.
    pub async fn send(&self, letter: Letter) -> MessageId {
        let agent = self.mailbox("agent@mailbell.test").await;
        self.submission.send(&agent, letter).await.unwrap().message
    }

    /// Sends what is due; if more is to come, lets time pass until then. False if there is nothing left.
    pub async fn go_on(&self) -> bool {
        let Some(next) = self.worker.run_until_idle().await.unwrap() else { return false };
        let span = u64::try_from(next.0 - self.clock.now().0).unwrap();
        self.clock.advance(Duration::from_millis(span));
        true
    }

    /// The moment so many seconds from now.
    pub fn clock_in(&self, secs: u64) -> UnixMillis {
        self.clock.now().plus(Duration::from_secs(secs))
    }

    /// All messages of a mailbox, the newest first.
    pub async fn inbox(&self, address: &str) -> Vec<MessageSummary> {
        let page = MessagePage { filter: MessageFilter::default(), before: None, limit: 1000 };
        self.store.messages(&self.mailbox(address).await.id, &page).await.unwrap()
    }

    pub async fn message(&self, address: &str, id: &MessageId) -> Message {
        self.store.message(&self.mailbox(address).await.id, id).await.unwrap().unwrap()
    }

    pub async fn status(&self, id: &MessageId) -> Status {
        self.message("agent@mailbell.test", id).await.summary.status
    }

    /// The tables in which something of the account is left.
    pub async fn rows_of_the_account(&self) -> Vec<String> {
        sqlx::query_scalar(OF_THE_ACCOUNT).fetch_all(&mut self.sql().await).await.unwrap()
    }

    /// Has the agent's mailbox hold so many copies more of what came in first.
    pub async fn fill(&self, copies: usize) {
        let sql = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?1)
            INSERT INTO message (id, mailbox_id, thread_id, direction, status, sender, recipients, cc, subject, snippet,
                received_at, auto, attachment_count, attachments, envelope_from, blob, size_bytes, notes, sender_folded,
                subject_folded, text)
            SELECT id || '-' || i, mailbox_id, thread_id, direction, status, sender, recipients, cc, subject, snippet,
                received_at, auto, attachment_count, attachments, envelope_from, blob, size_bytes, notes, sender_folded,
                subject_folded, text FROM n, (SELECT * FROM message WHERE direction = 'inbound' ORDER BY seq LIMIT 1)";
        let copies = i64::try_from(copies).unwrap();
        sqlx::query(sql).bind(copies).execute(&mut self.sql().await).await.unwrap();
        let weigh = "UPDATE weight SET message_bytes = (SELECT sum(size_bytes) FROM message)";
        sqlx::query(weigh).execute(&mut self.sql().await).await.unwrap();
    }

    /// Every event told so far, in order, as its webhook's body.
    pub async fn events(&self) -> Vec<Value> {
        let mut conn = self.sql().await;
        let rows = sqlx::query("SELECT body FROM delivery ORDER BY seq").fetch_all(&mut conn).await.unwrap();
        rows.iter().map(|row| serde_json::from_slice(row.get("body")).unwrap()).collect()
    }

    /// What was told, in short: kind, recipient, and a bounce's code, type and whether it is final.
    pub async fn told(&self) -> Vec<String> {
        let short = |event: &Value| {
            let text = |name: &str| event[name].as_str().unwrap_or("-").to_owned();
            match event["event_type"].as_str().unwrap() {
                "inbound" => format!("inbound {} {}", text("mailbox"), text("subject")),
                "bounce" => {
                    let last = if event["final"] == true { " final" } else { "" };
                    format!("bounce {} {} {}{last}", text("recipient"), text("bounce_code"), text("bounce_type"))
                }
                kind => format!("{kind} {}", text("recipient")),
            }
        };
        self.events().await.iter().map(short).collect()
    }

    /// The secret of a message: a test may know what nobody else does.
    pub async fn token(&self, id: &MessageId) -> String {
        let mut conn = self.sql().await;
        let found = sqlx::query_scalar("SELECT token FROM outbound WHERE message_id = ?1").bind(id.as_str());
        found.fetch_one(&mut conn).await.unwrap()
    }

    /// The Message-ID of a message.
    pub async fn internet_id(&self, id: &MessageId) -> String {
        let mut conn = self.sql().await;
        let found = sqlx::query_scalar("SELECT internet_id FROM message WHERE id = ?1").bind(id.as_str());
        found.fetch_one(&mut conn).await.unwrap()
    }

    async fn sql(&self) -> SqliteConnection {
        // What a test asks is none of the statements that the house is heard to run.
        let options = SqliteConnectOptions::new().filename(self.dir.join("mail.db")).disable_statement_logging();
        options.connect().await.unwrap()
    }

    pub async fn raw(&self, mailbox: &MailboxId, id: &MessageId) -> String {
        let blob = self.store.blob_of(mailbox, id).await.unwrap().unwrap();
        let raw = Blobs::open(&self.dir.join("blobs"), self.store.clone()).unwrap().get(&blob).await.unwrap();
        String::from_utf8(raw).unwrap()
    }
}

/// What belongs to the account, beside what belongs to the house.
const OF_THE_ACCOUNT: &str = "SELECT name FROM (
    SELECT 'mailbox' AS name, count(*) AS n FROM mailbox UNION SELECT 'message', count(*) FROM message
    UNION SELECT 'outbound', count(*) FROM outbound UNION SELECT 'recipient', count(*) FROM recipient
    UNION SELECT 'told', count(*) FROM told UNION SELECT 'tag', count(*) FROM tag
    UNION SELECT 'thread_name', count(*) FROM thread_name UNION SELECT 'mailbox_settings', count(*) FROM mailbox_settings
    UNION SELECT 'tracking_image', count(*) FROM tracking_image UNION SELECT 'open_day', count(*) FROM open_day
    UNION SELECT 'line', count(*) FROM line WHERE endpoint <> 'self' UNION SELECT 'contact', count(*) FROM contact
    UNION SELECT 'delivery', count(*) FROM delivery d JOIN line l ON l.id = d.line_id
        WHERE l.endpoint <> 'self' OR d.state <> 'pending'
    UNION SELECT 'secret', count(*) - 1 FROM webhook_secret UNION SELECT 'approved_host', count(*) FROM approved_host
    UNION SELECT 'account', count(*) FROM account UNION SELECT 'closing', count(*) FROM closing
) WHERE n <> 0";

/// A short letter.
pub fn letter(to: &[&str]) -> Letter {
    Letter {
        to: to.iter().map(ToString::to_string).collect(),
        subject: "Hello".into(),
        markdown: "**Hello**, how are you?".into(),
        ..Letter::default()
    }
}

fn images(store: &Arc<MailStore>, clock: &Arc<dyn Clock>, ids: &Arc<Ids>, owed: &Arc<Notify>) -> Arc<Tracking> {
    Arc::new(Tracking::new(tracking::Parts {
        opens: store.clone(),
        clock: clock.clone(),
        ids: ids.clone(),
        base: "https://img.test/".parse().unwrap(),
        stored: owed.clone(),
    }))
}
