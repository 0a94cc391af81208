//! Two houses: one stands for a hosted mail service, the other has it as its upstream and is away for a while.

use std::{net::SocketAddr, path::Path, sync::Arc, time::Duration};

use mailbell::{
    app::{
        data_dir::DataDir,
        house::House,
        system::{SystemClock, SystemEntropy},
    },
    bell::waiting::{ListRequest, Position},
    domain::event::{Auth, Event, EventFilter},
    store::{
        hosted::{HostedApi, HostedApis as _},
        log::Order,
    },
};
use serde_json::{Value, json};

use crate::support::{
    house::house_in,
    http::{self, Answer},
    receiver::{Hit, Receiver, Reply},
    smtp_peer::SmtpPeer,
};

const AGENT: &str = "agent@mailbell.test";
/// Far more than anything here takes, on a machine that is busy with other tests.
const PATIENCE: Duration = Duration::from_mins(1);

/// The service and its key.
struct Service {
    house: House,
    key: String,
}

impl Service {
    async fn start(dir: &Path) -> Self {
        let house = house_in(dir, Vec::new(), SystemClock::new()).await;
        let key = DataDir::open(Some(dir.to_owned())).unwrap().token("api").unwrap().unwrap();
        Self { house, key }
    }

    fn url(&self) -> String {
        self.house.addresses().api.clone().unwrap()
    }

    async fn api(&self, method: &str, path: &str) -> Value {
        let at: SocketAddr = self.url().strip_prefix("http://").unwrap().parse().unwrap();
        let key = format!("Bearer {}", self.key);
        let Answer { status, json, .. } = http::send(at, method, path, &[("authorization", &key)], b"").await;
        assert_eq!(status, 200, "{json}");
        json
    }

    /// The webhooks at the service that lead to somebody else's house.
    async fn webhooks(&self) -> Vec<Value> {
        let all = self.api("GET", "/v1/webhooks").await;
        all["webhooks"].as_array().unwrap().iter().filter(|one| one["url"] != "self").cloned().collect()
    }

    /// A mail comes in by SMTP; answers with its id.
    async fn mail(&self, subject: &str) -> String {
        let smtp = self.house.addresses().smtp.as_deref().unwrap().parse().unwrap();
        let mut peer = SmtpPeer::hello(smtp).await;
        peer.deliver(&[AGENT], &format!("From: Ann <ann@a.test>\r\nTo: {AGENT}\r\nSubject: {subject}\r\n\r\nHello\r\n"))
            .await
    }

    /// A house that has this service as its upstream, which reaches it under `public_url`; it has looked at the service.
    async fn client(&self, dir: &Path, public_url: Option<&Receiver>) -> (House, HostedApi) {
        let mut settings = vec![("mail.base_url", self.url()), ("mail.api_key", self.key.clone())];
        settings.extend(public_url.map(|it| ("hooks.public_url", format!("http://{}", it.address()))));
        let before = looked(dir, &self.url()).await;
        let client = house_in(dir, settings, SystemClock::new()).await;
        let store = client.bell().store.clone();
        let looking = async {
            loop {
                match store.hosted_in_use().await.unwrap() {
                    Some(known) if known.tried_at != before => break known,
                    _ => tokio::task::yield_now().await,
                }
            }
        };
        let known = tokio::time::timeout(PATIENCE, looking).await.expect("it looks at the service");
        (client, known)
    }
}

/// When the house of that directory last looked, if there is one.
async fn looked(dir: &Path, api: &str) -> Option<mailbell::domain::clock::UnixMillis> {
    let dir = DataDir::open(Some(dir.to_owned())).unwrap();
    let ids = mailbell::ids::Ids::new(Arc::new(SystemClock::new()), Arc::new(SystemEntropy));
    let store = mailbell::app::bell_side::open_bell_store(&dir, &ids).await.unwrap();
    store.hosted(api).await.unwrap().and_then(|known| known.tried_at)
}

async fn events(client: &House) -> Vec<Event> {
    let request = ListRequest {
        filter: EventFilter::default(),
        after: Position::Earliest,
        before: None,
        order: Order::Ascending,
        limit: 100,
    };
    client.bell().waiting().list(request).await.unwrap().events
}

/// Hands a webhook that was caught on its way to the house it was meant for; answers with what that said.
async fn hand_over(hit: &Hit, client: &House) -> Value {
    let hooks = client.addresses().hooks.as_deref().unwrap().strip_prefix("http://").unwrap().parse().unwrap();
    let headers: Vec<(&str, &str)> = hit
        .headers
        .iter()
        .filter(|(name, _)| name.contains("webhook-") || name.contains("multimail"))
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    let Answer { status, json, .. } = http::send(hooks, "POST", &hit.path, &headers, &hit.body).await;
    assert_eq!(status, 200, "{json}");
    json
}

fn messages(events: &[Event]) -> Vec<&str> {
    events.iter().map(|event| event.fact.message_id.as_ref().unwrap().as_str()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mail_that_came_while_a_house_was_away_is_one_event_each_whatever_the_webhook_brings_later() {
    let (at_service, at_client) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let service = Service::start(at_service.path()).await;
    // Stands where the client's receiver should: what the service posts is caught, and nothing of it arrives.
    let caught = Receiver::start(SystemClock::new(), |_| Reply::Status(200)).await;
    let before_us = service.mail("before us").await;

    let (client, known) = service.client(at_client.path(), Some(&caught)).await;
    assert_eq!(known.trouble, None);
    let webhooks = service.webhooks().await;
    assert_eq!(webhooks.len(), 1, "{webhooks:?}");
    assert_eq!(webhooks[0]["url"], format!("http://{}/hooks/multimail", caught.address()));
    assert_eq!(webhooks[0]["events"], json!(["inbound", "delivery", "bounce", "complaint", "open"]));
    assert_eq!(events(&client).await, [], "{before_us} is no news");

    // While it is there, the webhook tells it, and it knows the webhook's secret.
    let mut expected = vec![service.mail("one").await];
    caught.wait_for(1).await;
    assert_eq!(hand_over(&caught.hits()[0], &client).await, json!({ "received": 1, "duplicates": 0 }));
    client.close().await;

    for subject in ["two", "three", "four"] {
        expected.push(service.mail(subject).await);
    }
    caught.wait_for(4).await;
    let (client, known) = service.client(at_client.path(), Some(&caught)).await;
    assert_eq!(known.trouble, None);
    let told = events(&client).await;
    assert_eq!(messages(&told), expected);
    assert_eq!(told[0].auth, Auth::HmacSha256);
    for (event, hit) in told.iter().zip(caught.hits()).skip(1) {
        assert_eq!((event.auth, event.source.as_str()), (Auth::Api, "multimail"));
        // Word for word what the webhook would have said, but for its event id.
        let mut fact = serde_json::to_value(&event.fact).unwrap();
        fact["event_id"] = hit.field("event_id");
        assert_eq!(fact, serde_json::from_slice::<Value>(&hit.body).map(|body| only(&body, &fact)).unwrap());
    }

    // The webhook's own tries come through after all, twice.
    for hit in caught.hits().iter().chain(&caught.hits()) {
        assert_eq!(hand_over(hit, &client).await, json!({ "received": 0, "duplicates": 1 }));
    }
    client.close().await;
    let (client, _) = service.client(at_client.path(), Some(&caught)).await;
    assert_eq!(events(&client).await, told);
    assert_eq!(service.webhooks().await, webhooks);
    client.close().await;
    service.house.close().await;
}

/// Those fields of `body` that `like` has.
fn only(body: &Value, like: &Value) -> Value {
    like.as_object()
        .unwrap()
        .keys()
        .map(|key| (key.clone(), body[key].clone()))
        .collect::<serde_json::Map<_, _>>()
        .into()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_default_webhook_follows_the_public_url_and_outlives_a_lost_log() {
    let (at_service, at_client) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let service = Service::start(at_service.path()).await;
    let [old, new] = [0, 1].map(|_| Receiver::start(SystemClock::new(), |_| Reply::Status(200)));
    let (old, new) = tokio::join!(old, new);

    let (client, known) = service.client(at_client.path(), None).await;
    let trouble = known.trouble.unwrap();
    assert!(trouble.contains("set hooks.public_url (--public-url)"), "{trouble}");
    assert!(service.webhooks().await.is_empty());
    client.close().await;
    let missed = service.mail("nobody posts this").await;
    let (client, _) = service.client(at_client.path(), None).await;
    assert_eq!(messages(&events(&client).await), [missed]);
    client.close().await;

    let (client, _) = service.client(at_client.path(), Some(&old)).await;
    client.close().await;
    let (client, known) = service.client(at_client.path(), Some(&new)).await;
    assert_eq!(known.trouble, None);
    client.close().await;
    let webhooks = service.webhooks().await;
    assert_eq!(webhooks.len(), 1, "{webhooks:?}");
    assert_eq!(webhooks[0]["url"], format!("http://{}/hooks/multimail", new.address()));

    let fresh = tempfile::tempdir().unwrap();
    let (client, known) = service.client(fresh.path(), Some(&new)).await;
    assert_eq!((known.trouble, service.webhooks().await), (None, webhooks));
    service.mail("told to a new log").await;
    new.wait_for(1).await;
    assert_eq!(hand_over(&new.hits()[0], &client).await, json!({ "received": 1, "duplicates": 0 }));
    client.close().await;
    service.house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_report_that_came_in_while_a_house_was_away_is_not_told_as_mail() {
    let (at_service, at_client) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let service = Service::start(at_service.path()).await;
    let (client, _) = service.client(at_client.path(), None).await;
    client.close().await;
    let smtp = service.house.addresses().smtp.as_deref().unwrap().parse().unwrap();
    let report = format!(
        "From: MAILER-DAEMON@mx.example.com\r\nTo: {AGENT}\r\nSubject: Undelivered\r\nMIME-Version: 1.0\r\n\
         Content-Type: multipart/report; report-type=delivery-status; boundary=b\r\n\r\n\
         --b\r\n\r\nIt did not arrive.\r\n\
         --b\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; mx.example.com\r\n\r\n\
         Final-Recipient: rfc822; bob@example.com\r\nAction: failed\r\nStatus: 5.1.1\r\n\
         Diagnostic-Code: smtp; 550 5.1.1 no such user\r\n\r\n--b--\r\n"
    );
    let report = SmtpPeer::hello(smtp).await.deliver(&[AGENT], &report).await;
    let listed = service.api("GET", &format!("/v1/mailboxes/{AGENT}/emails")).await;
    assert_eq!((&listed["emails"][0]["id"], &listed["emails"][0]["report"]), (&json!(report), &json!(true)));
    let mail = service.mail("a mail like any other").await;
    let (client, _) = service.client(at_client.path(), None).await;
    assert_eq!(messages(&events(&client).await), [mail]);
    client.close().await;
    service.house.close().await;
}
