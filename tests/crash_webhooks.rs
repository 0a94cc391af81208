//! SIGKILL amid pending webhooks: after twenty kills each endpoint has each event of each mailbox, in order.
//!
//! Ten thousand deliveries are owed to fifty endpoints, four mailboxes each. The real process delivers them, and is killed
//! whenever another twenty-first of them has arrived. Nothing may be skipped or overtaken; what was not on record yet at a kill may
//! come once more, in order.

use std::{
    collections::HashMap,
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Router,
    extract::State,
    http::{HeaderMap, StatusCode, Uri},
};
use mailbell::{
    domain::{
        clock::UnixMillis,
        event::{Detail, EventKind, NewEvent},
        id::{EventId, MailboxId, MessageId, WebhookId},
        message::Mailbox,
        secret::Secret,
        webhook::{Scope, SignatureFormat, Vocabulary, Webhook},
    },
    store::{
        deliveries::{Deliveries as _, UNRECORDED_MAX},
        mail::MailStore,
        webhooks::Webhooks as _,
    },
};
use serde_json::Value;
use tokio::{net::TcpListener, sync::watch};
use tokio_util::sync::CancellationToken;

const ENDPOINTS: usize = 50;
const MAILBOXES: usize = 4;
const EVENTS: usize = 50;
const ALL: usize = ENDPOINTS * MAILBOXES * EVENTS;
const KILLS: usize = 20;
/// What may be under way at one kill: the worker's lines.
const IN_FLIGHT_MAX: usize = 256;
/// Deliveries of a line that were posted and not written down: what is under way, and what is being recorded.
const AT_ONCE: usize = 1 + UNRECORDED_MAX;
/// The whole run takes no longer.
const TIME_MAX: Duration = Duration::from_secs(170);
const NOW: UnixMillis = UnixMillis(1_764_000_000_000);

struct House(Child);

impl House {
    fn start(dir: &Path) -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_mailbell"))
            .args(["serve", "--log", "error", "--data-dir"])
            .arg(dir)
            .args(["--mcp-addr", ":0", "--hooks-addr", ":0", "--api-addr", ":0"])
            .args(["--smtp-addr", ":0", "--lmtp-addr", ":0", "--console-addr", ":0"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("mailbell starts");
        let mut line = String::new();
        BufReader::new(process.stdout.take().expect("piped")).read_line(&mut line).expect("readable");
        let ready: Value = serde_json::from_str(&line).expect("one JSON line when it is ready");
        assert_eq!(ready["ready"], true);
        Self(process)
    }
}

/// Kills with SIGKILL.
impl Drop for House {
    fn drop(&mut self) {
        self.0.kill().expect("SIGKILL");
        self.0.wait().expect("ended");
    }
}

/// The numbers of the events of one mailbox that came to one endpoint, in order.
type Line = Vec<usize>;

struct Receiver {
    lines: Mutex<HashMap<(String, String), Line>>,
    arrived: watch::Sender<usize>,
}

async fn take(State(receiver): State<Arc<Receiver>>, uri: Uri, headers: HeaderMap) -> StatusCode {
    let header = |name: &str| headers[name].to_str().expect("ASCII").to_owned();
    let event = header("x-multimail-event-id");
    let (mailbox, number) = event.rsplit_once('_').expect("evt_MAILBOX_NUMBER");
    let number = number.parse().expect("a number");
    let mut lines = receiver.lines.lock().expect("not poisoned");
    let line = lines.entry((uri.path().to_owned(), mailbox.to_owned())).or_default();
    let fresh = !line.contains(&number);
    line.push(number);
    if fresh {
        receiver.arrived.send_modify(|arrived| *arrived += 1);
    }
    StatusCode::NO_CONTENT
}

fn mailbox(name: usize) -> Mailbox {
    Mailbox {
        id: MailboxId::new(format!("mbx_{name}")),
        address: format!("m{name}@mailbell.test").parse().expect("an address"),
        display_name: None,
        created_at: NOW,
    }
}

fn event(mailbox: &Mailbox, name: usize, number: usize) -> NewEvent {
    NewEvent {
        event_id: EventId::new(format!("evt_m{name}_{number}")),
        mailbox: Some(mailbox.address.to_string()),
        message_id: Some(MessageId::new(format!("em_{name}_{number}"))),
        thread_id: None,
        timestamp: NOW,
        provider_kind: None,
        detail: Detail::Inbound {
            from: "bob@example.com".into(),
            from_name: None,
            to: vec![mailbox.address.to_string()],
            subject: "hello".into(),
            snippet: "hello".into(),
            auto: false,
        },
    }
}

/// Owes everything, through the store's own door, as the mailroom does.
async fn owe(dir: &Path, base: &str) {
    let store = MailStore::open(&dir.join("mail.db"), CancellationToken::new()).await.expect("opens");
    for webhook in store.webhooks().await.expect("a list") {
        store.remove_webhook(&webhook.id).await.expect("removed");
    }
    for number in 0..ENDPOINTS {
        let webhook = Webhook {
            id: WebhookId::new(format!("wh_{number}")),
            endpoint: format!("{base}/{number}").parse().expect("a URL"),
            scope: Scope::Account,
            kinds: vec![EventKind::Inbound],
            vocabulary: Vocabulary::Plain,
            description: None,
            signature_format: SignatureFormat::Hex,
            created_at: NOW,
            disabled: None,
        };
        store.add_webhook(&webhook, &Secret::new("whsec_test"), 1_000).await.expect("added");
    }
    let mut owed = 0;
    for number in 0..EVENTS {
        for name in 0..MAILBOXES {
            let mailbox = mailbox(name);
            owed += store.owe(&mailbox, &event(&mailbox, name, number)).await.expect("owed");
        }
    }
    assert_eq!(owed as usize, ALL);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_delivery_arrives_in_order_through_twenty_kills() {
    let dir = tempfile::tempdir().expect("a directory");
    let receiver = Arc::new(Receiver { lines: Mutex::default(), arrived: watch::Sender::new(0) });
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let base = format!("http://{}", listener.local_addr().expect("bound"));
    let router = Router::new().fallback(take).with_state(receiver.clone());
    tokio::spawn(async move { axum::serve(listener, router).await });
    let mut arrived = receiver.arrived.subscribe();
    let start = || tokio::task::block_in_place(|| House::start(dir.path()));

    let run = async {
        drop(start());
        owe(dir.path(), &base).await;
        let mut house = start();
        for kill in 1..=KILLS {
            let enough = kill * ALL / (KILLS + 1);
            arrived.wait_for(|arrived| *arrived >= enough).await.expect("the receiver runs");
            drop(house);
            assert!(*receiver.arrived.borrow() < ALL, "nothing was pending any more at kill {kill}");
            house = start();
        }
        arrived.wait_for(|arrived| *arrived >= ALL).await.expect("the receiver runs");
        drop(house);
    };
    let over = tokio::time::timeout(TIME_MAX, run).await;
    assert!(over.is_ok(), "only {} of {ALL} arrived in time", *receiver.arrived.borrow());

    let lines = receiver.lines.lock().expect("not poisoned");
    assert_eq!(lines.len(), ENDPOINTS * MAILBOXES);
    let mut repeats = 0;
    for (name, line) in lines.iter() {
        repeats += line.len();
        let (mut next, mut newest, mut kills) = (0, 0, 0);
        for number in line {
            // Each comes after the one before it. After a kill some come again, from what was not on record yet.
            if *number != next {
                kills += 1;
                assert!(*number < next && newest - *number < AT_ONCE, "{name:?}: {line:?}");
            }
            next = number + 1;
            newest = newest.max(*number);
        }
        assert_eq!(newest + 1, EVENTS, "{name:?}");
        assert!(kills <= KILLS, "{name:?}: {line:?}");
    }
    repeats -= ALL;
    assert!(repeats <= KILLS * IN_FLIGHT_MAX * AT_ONCE, "{repeats} repeats are more than was under way");
}
