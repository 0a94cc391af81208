//! `operator.notify`: the operator is told, once, of what needs a person; by a signed POST or by mail, in letters of several
//! notices, whatever ends in between.

use std::{fs, path::Path, process::Command, time::Duration};

use mailbell::{
    app::{house::House, notices},
    bell::consumers::Settling,
    domain::{
        clock::Clock as _,
        consumer::Settlement,
        event::{Auth, BounceType, Detail, NewEvent, Tied},
        grant::Grant,
        id::SourceName,
        oversight::OversightMode,
        secret::Secret,
    },
    signing::{digest::sha256, standard_webhooks},
    store::{
        log::EventLog as _,
        notices::{Notices as _, TargetStanding},
        oversight::{Decider, Oversights as _},
        tokens::{Principal, TokenScope, Tokens as _},
    },
};
use reqwest::{Client, Method};
use serde_json::{Value, json};
use sqlx::{Connection as _, SqliteConnection};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use crate::support::{
    bell::{inbound, worker},
    clock::TestClock,
    house::house_in,
    receiver::{Hit, Receiver, Reply},
};

const AGENT: &str = "/v1/mailboxes/agent@mailbell.test";
const OPERATOR_TOKEN: &str = "mb_operator_test";
/// Far more than anything here takes, on a machine that is busy with other tests.
const COME_MAX: Duration = Duration::from_mins(1);

/// A house whose clock stands in the test's hand.
struct Told {
    house: House,
    clock: TestClock,
    dir: TempDir,
    notify: String,
    client: Client,
    /// In which a second passes.
    second: Duration,
}

impl Told {
    async fn start(notify: &str) -> Self {
        let (dir, clock) = (TempDir::new().unwrap(), TestClock::default());
        let house = open(dir.path(), notify, &clock).await;
        let operator = Principal { name: "operator".into(), scope: TokenScope::Operator, grant: Grant::default() };
        house.bell().store.put_token(&operator, sha256(OPERATOR_TOKEN.as_bytes()), clock.now()).await.unwrap();
        let client = Client::builder().no_proxy().tls_certs_only([]).build().unwrap();
        let told = Self { house, clock, dir, notify: notify.into(), client, second: Duration::from_millis(5) };
        if !notify.is_empty() {
            // The first look notes from where on it is told.
            told.until(async || told.house.bell().store.mark("audit").await.unwrap()).await;
        }
        told
    }

    async fn again(mut self) -> Self {
        self.house.close().await;
        self.house = open(self.dir.path(), &self.notify, &self.clock).await;
        self
    }

    async fn gated(&self) {
        let (store, mode) = (&self.house.bell().store, Some(OversightMode::GatedSend));
        store.set_mode(None, mode, &Decider::Terminal, self.clock.now()).await.unwrap();
    }

    /// Has `secs` pass, one by one, with time to work in each.
    async fn pass(&self, secs: u32) {
        let mut tick = tokio::time::interval(self.second);
        // The first comes at once: without this a second would pass in no time wherever one is asked for at a time.
        tick.tick().await;
        for _ in 0..secs {
            tick.tick().await;
            self.clock.advance(Duration::from_secs(1));
        }
    }

    /// Has time pass until `seen` sees something.
    async fn until<T>(&self, mut seen: impl AsyncFnMut() -> Option<T>) -> T {
        let until = tokio::time::Instant::now() + COME_MAX;
        loop {
            if let Some(seen) = seen().await {
                return seen;
            }
            assert!(tokio::time::Instant::now() < until, "it does not come: {:?}", self.standing().await);
            self.pass(1).await;
        }
    }

    async fn ask(&self, token: &str, method: &str, path: &str, body: &Value) -> (u16, Value) {
        let url = format!("{}{path}", self.house.addresses().api.as_ref().unwrap());
        let request = self.client.request(Method::from_bytes(method.as_bytes()).unwrap(), url).bearer_auth(token);
        let response = request.json(body).send().await.unwrap();
        (response.status().as_u16(), response.json().await.unwrap())
    }

    async fn api(&self, method: &str, path: &str, body: Value) -> (u16, Value) {
        let token = fs::read_to_string(self.dir.path().join("tokens/api")).unwrap();
        self.ask(token.trim(), method, path, &body).await
    }

    /// An agent asks for a letter, which waits.
    async fn asks(&self, subject: &str) -> String {
        let letter = json!({ "to": ["delivered@simulator.mailbell.test"], "subject": subject, "markdown": "BODY" });
        let (status, answer) = self.api("POST", &format!("{AGENT}/send"), letter).await;
        assert_eq!(status, 202, "{answer}");
        answer["action_id"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned()
    }

    async fn happens(&self, events: Vec<NewEvent>) {
        let store = &self.house.bell().store;
        store.append(&SourceName::new("multimail"), Auth::HmacSha256, self.clock.now(), events).await.unwrap();
    }

    async fn standing(&self) -> Vec<TargetStanding> {
        self.house.bell().store.notice_standing().await.unwrap()
    }

    async fn told_by(&self, receiver: &Receiver, letters: usize) -> Vec<Hit> {
        self.until(async || Some(receiver.hits()).filter(|hits| hits.len() >= letters)).await
    }

    async fn doctor(&self) -> String {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mailbell"));
        command.args(["--log", "error", "doctor", "--data-dir"]).arg(self.dir.path());
        command.env("MAILBELL_OPERATOR__NOTIFY", &self.notify);
        let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
        String::from_utf8(output.stdout).unwrap()
    }
}

async fn open(dir: &Path, notify: &str, clock: &TestClock) -> House {
    house_in(dir, vec![("operator.notify", notify.to_owned())], clock.clone()).await
}

fn bounce(n: usize, recipient: &str) -> NewEvent {
    NewEvent {
        detail: Detail::Bounce {
            recipient: Some(recipient.into()),
            bounce_code: "5.1.1".into(),
            code_inferred: false,
            bounce_type: BounceType::Hard,
            reason: Some("user_unknown".into()),
            r#final: true,
            suppress_advised: true,
            suppressed: true,
            diagnostic: Some("550 no such user\r\n- act_1 waits: approve it".into()),
            tied: Tied::Session,
        },
        ..inbound(n)
    }
}

fn kinds(hit: &Hit) -> Vec<String> {
    let notices = hit.field("notices");
    notices.as_array().unwrap().iter().map(|notice| notice["kind"].as_str().unwrap().to_owned()).collect()
}

fn is_signed(hit: &Hit, secret: &Secret) -> bool {
    hit.is_signed_with(secret) && hit.header(standard_webhooks::HEADER_ID) == hit.field("id").as_str().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_together_is_told_in_one_signed_letter_and_once() {
    let clock = TestClock::default();
    let receiver = Receiver::answering(clock, []).await;
    let told = Told::start(&receiver.url()).await;
    told.gated().await;
    let action = told.asks("Hi\u{202E} there").await;
    told.happens(vec![bounce(1, "bob@example.com"), inbound(2)]).await;
    // An agent gives the bounce to its operator.
    let bell = told.house.bell();
    let waited = bell.waiting().wait(worker(), CancellationToken::new()).await.unwrap();
    let settling = Settling::new(bell.store.clone(), bell.bell.clone(), bell.clock.clone());
    let token = waited.lease_token.unwrap();
    settling.settle(&token, None, &Settlement::Escalate { note: Some("help".into()) }).await.unwrap();

    let hits = told.told_by(&receiver, 1).await;
    let secret = notices::secret(bell, notices::OPERATOR).await.unwrap();
    assert!(is_signed(&hits[0], &secret));
    let mut all = kinds(&hits[0]);
    all.sort();
    assert_eq!(all, ["approval_waits", "event_escalated", "event_escalated", "hard_bounce"]);
    let text = hits[0].field("text");
    let text = text.as_str().unwrap();
    assert!(
        text.contains(&action) && text.contains("  > asks: send to delivered@simulator.mailbell.test: Hi there\n"),
        "{text}"
    );
    assert!(text.contains("  > diagnostic: 550 no such user - act_1 waits: approve it\n"), "{text}");
    let body = String::from_utf8(hits[0].body.clone()).unwrap();
    assert!(!body.contains("BODY") && !body.contains("whsec_") && !body.contains("mb_"), "{body}");

    // Neither time nor another process tells it again.
    let told = told.again().await;
    told.pass(200).await;
    assert_eq!(receiver.hits().len(), 1);
    // Before it expires, it is told once more; then never again.
    told.clock.advance(Duration::from_hours(61));
    let hits = told.told_by(&receiver, 2).await;
    assert_eq!(kinds(&hits[1]), ["approval_expires"]);
    told.pass(200).await;
    assert_eq!(receiver.hits().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_letter_is_tried_again_with_the_same_bytes_for_a_day_and_follows_no_redirect() {
    let elsewhere = Receiver::answering(TestClock::default(), []).await;
    let away = Reply::With(302, "location", elsewhere.url());
    let receiver = Receiver::start(TestClock::default(), move |_| away.clone()).await;
    let told = Told::start(&receiver.url()).await;
    told.happens(vec![bounce(1, "bob@example.com")]).await;
    let first = told.told_by(&receiver, 1).await.remove(0);
    // Killed in between, so to say.
    let told = told.again().await;
    let second = told.told_by(&receiver, 2).await.remove(1);
    assert_eq!((&first.body, first.header("webhook-id")), (&second.body, second.header("webhook-id")));
    // The answer is noted a moment after it was given.
    let waits = told.until(async || Some(told.standing().await.remove(0)).filter(|one| one.failure.is_some())).await;
    assert_eq!((waits.waiting, waits.told_at), (1, None));
    assert_eq!(waits.failure, Some(("it answered 302".into(), true)));

    told.clock.advance(Duration::from_hours(25));
    let given_up =
        told.until(async || Some(told.standing().await.remove(0)).filter(|one| one.given_up_at.is_some())).await;
    assert_eq!((given_up.waiting, given_up.failure), (0, Some(("it answered 302".into(), false))));
    let doctor = told.doctor().await;
    assert!(doctor.contains("a letter was given up: it answered 302"), "{doctor}");
    assert!(elsewhere.hits().is_empty(), "no redirect is followed");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_is_written_to_as_a_program_writes_from_a_mailbox_that_is_nobodys() {
    let mut told = Told::start("ann@mailbell.test").await;
    // A letter that is read for seconds is not read to its end.
    told.second = Duration::from_millis(150);
    let (status, _) = told.api("POST", "/v1/mailboxes", json!({ "address": "ann@mailbell.test" })).await;
    assert_eq!(status, 201);
    told.happens(vec![bounce(1, "bob@example.com"), bounce(2, "ann@mailbell.test")]).await;
    let inbox = "/v1/mailboxes/ann@mailbell.test/emails";
    let email = told
        .until(async || {
            let page = told.api("GET", inbox, Value::Null).await.1;
            page["emails"].as_array().unwrap().first().cloned()
        })
        .await;
    assert_eq!(
        (&email["from"], &email["subject"]),
        (&json!("mailbell@mailbell.test"), &json!("[mailbell] hard bounce"))
    );
    let id = email["id"].as_str().unwrap();
    let read = told.api("GET", &format!("{inbox}/{id}"), Value::Null).await.1;
    assert!(read.to_string().contains("> recipient: bob@example.com"), "{read}");
    assert!(
        !read.to_string().contains("> recipient: ann@"),
        "no word of what came back from the operator's own address"
    );
    let raw = raw_with(told.dir.path(), "[mailbell] hard bounce").await;
    assert!(raw.contains("Auto-Submitted: auto-generated\r\n") && !raw.contains("text/html"), "{raw}");

    // No list shows the mailbox, no agent hears of its letters.
    let boxes = told.api("GET", "/v1/mailboxes", Value::Null).await.1.to_string();
    assert!(!boxes.contains("mailbell@mailbell.test"), "{boxes}");
    assert_eq!(told.api("GET", "/v1/mailboxes/mailbell@mailbell.test/emails", Value::Null).await.0, 404);
    let told_at = told.until(async || told.standing().await.remove(0).told_at).await;
    assert!(told_at <= told.clock.now());
    told.pass(30).await;
    let page = told.api("GET", inbox, Value::Null).await.1;
    assert_eq!(page["emails"].as_array().unwrap().len(), 1, "told once");
    let log = told.house.bell().store.page(&everything()).await.unwrap();
    assert!(log.iter().all(|event| event.fact.mailbox.as_deref() != Some("mailbell@mailbell.test")), "{log:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_told_by_mail_is_given_up_visibly_and_makes_no_loop() {
    // At our own domain, and nobody's: it comes back at once.
    let told = Told::start("nobody@mailbell.test").await;
    told.happens(vec![bounce(1, "bob@example.com")]).await;
    told.until(async || told.standing().await.first().and_then(|one| one.given_up_at)).await;
    told.pass(200).await;
    let standing = told.standing().await.remove(0);
    assert_eq!((standing.waiting, standing.told_at), (0, None), "{standing:?}");
    let log = told.house.bell().store.page(&everything()).await.unwrap();
    assert_eq!(log.len(), 1, "of the letter that came back nothing is told: {log:?}");

    let elsewhere = Told::start("ann@example.com").await;
    let doctor = elsewhere.doctor().await;
    assert!(
        doctor.contains("ann@example.com of operator.notify is at none of mail.domains, and no relay is set"),
        "{doctor}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn who_oversees_a_mailbox_is_told_of_its_actions_alone() {
    let overseer = Receiver::answering(TestClock::default(), []).await;
    let told = Told::start("").await;
    told.gated().await;
    told.asks("before").await;
    let set = json!({ "oversight_webhook_url": overseer.url() });
    let (status, answer) = told.api("PATCH", AGENT, set.clone()).await;
    assert_eq!(status, 202, "it takes an operator: {answer}");
    let (status, answer) = told.ask(OPERATOR_TOKEN, "PATCH", AGENT, &set).await;
    assert_eq!(status, 200, "{answer}");
    told.happens(vec![bounce(1, "bob@example.com")]).await;
    let hits = told.told_by(&overseer, 1).await;
    // The letter of before and the wish for an overseer wait too.
    assert!(kinds(&hits[0]).iter().all(|kind| kind == "approval_waits"), "{:?}", kinds(&hits[0]));
    let own = notices::secret(told.house.bell(), "agent@mailbell.test").await.unwrap();
    let operators = notices::secret(told.house.bell(), notices::OPERATOR).await.unwrap();
    assert!(is_signed(&hits[0], &own) && !hits[0].is_signed_with(&operators));
}

#[tokio::test(flavor = "multi_thread")]
async fn failing_sources_webhooks_and_dead_letters_are_told() {
    let receiver = Receiver::answering(TestClock::default(), []).await;
    let broken = Receiver::start(TestClock::default(), |_| Reply::Status(500)).await;
    let told = Told::start(&receiver.url()).await;
    let webhook = json!({ "url": broken.url(), "events": ["inbound"] });
    let (status, webhook) = told.api("POST", "/v1/webhooks", webhook).await;
    assert_eq!(status, 201, "{webhook}");
    let hooks = format!("{}/hooks/multimail", told.house.addresses().hooks.as_ref().unwrap());
    for _ in 0..25 {
        let forged = told.client.post(&hooks).header("x-multimail-signature", "00").body("{}").send().await.unwrap();
        assert_eq!(forged.status(), 401);
    }
    told.pass(3).await;
    // Counts are written a second later, with the next.
    told.client.post(&hooks).header("x-multimail-signature", "00").body("{}").send().await.unwrap();
    let letter = json!({ "to": ["agent@mailbell.test"], "subject": "x", "markdown": "y" });
    assert_eq!(told.api("POST", &format!("{AGENT}/send"), letter).await.0, 202);
    let seen = async |kind: &str| {
        told.until(async || receiver.hits().iter().any(|hit| kinds(hit).iter().any(|one| one == kind)).then_some(()))
            .await;
    };
    seen("source_failing").await;
    seen("webhook_failing").await;
    let deliveries = told.api("GET", "/v1/webhook-deliveries?status=pending", Value::Null).await.1;
    let id = deliveries["deliveries"][0]["delivery_id"].as_str().unwrap_or_else(|| panic!("{deliveries}"));
    let (status, answer) = told.api("POST", &format!("/v1/webhook-deliveries/{id}/dead-letter"), Value::Null).await;
    assert_eq!(status, 200, "{answer}");
    seen("deliveries_dead").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whose_term_is_over_tells_nobody_and_what_gathers_fast_is_limited() {
    let receiver = Receiver::answering(TestClock::default(), []).await;
    let told = Told::start(&receiver.url()).await;
    for n in 0..12 {
        told.happens(vec![bounce(n, "bob@example.com")]).await;
        told.told_by(&receiver, n + 1).await;
    }
    told.happens((12..20).map(|n| bounce(n, "bob@example.com")).collect()).await;
    told.pass(100).await;
    assert_eq!(receiver.hits().len(), 12, "in one hour");
    told.clock.advance(Duration::from_hours(1));
    told.told_by(&receiver, 13).await;
    let all: usize = receiver.hits().iter().map(|hit| kinds(hit).len()).sum();
    assert_eq!(all, 20, "none is lost");

    told.house.bell().store.begin_term("boot").await.unwrap();
    told.happens(vec![bounce(99, "eve@example.com")]).await;
    told.pass(300).await;
    assert_eq!(receiver.hits().len(), 13);
}

fn everything() -> mailbell::store::log::PageRequest {
    mailbell::store::log::PageRequest {
        filter: mailbell::domain::event::EventFilter::default(),
        after: mailbell::domain::cursor::Seq::ZERO,
        before: None,
        order: mailbell::store::log::Order::Ascending,
        limit: 100,
    }
}

/// The raw message that has these words in it.
async fn raw_with(dir: &Path, words: &str) -> String {
    let mut conn = SqliteConnection::connect(&format!("sqlite://{}", dir.join("mail.db").display())).await.unwrap();
    let all: Vec<Vec<u8>> = sqlx::query_scalar("SELECT bytes FROM raw").fetch_all(&mut conn).await.unwrap();
    let mut texts = all.into_iter().filter_map(|bytes| String::from_utf8(bytes).ok());
    texts.find(|text| text.contains(words)).expect("it is on disk")
}
