//! A tracking image is fetched, by people and by machines, and told at most once a recipient and day.

use std::{sync::Arc, time::Duration};

use mailbell::{
    domain::{
        clock::UnixMillis,
        webhook::{Scope, SignatureFormat, Vocabulary, Webhook},
    },
    domain::{event::EventKind, id::MessageId, id::WebhookId, secret::Secret},
    http,
    mail::{tracking::Tracking, webhooks::targets::Targets, webhooks::worker::LEASE, webhooks::worker::Worker},
    store::{
        opens::{FETCHES_COUNTED_MAX, Opens as _},
        webhooks::Webhooks as _,
    },
};
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::watch};

use crate::support::{hooks, mail::Mail, receiver::Receiver, smtp_peer::SmtpPeer};

const PERSON: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";
const GMAIL: &str = "Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com GoogleImageProxy)";

struct Images {
    client: reqwest::Client,
    base: String,
}

impl Images {
    async fn serve(tracking: Arc<Tracking>) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, http::opens::router(tracking)).await });
        Self { client: reqwest::Client::builder().no_proxy().tls_certs_only([]).build().unwrap(), base }
    }

    /// Fetches the image at `url`, wherever the world would find it.
    async fn fetch(&self, url: &str, agent: Option<&str>) {
        let path = &url[url.find("/o/").unwrap()..];
        let mut request = self.client.get(format!("{}{path}", self.base));
        if let Some(agent) = agent {
            request = request.header("user-agent", agent);
        }
        let got = request.send().await.unwrap();
        assert_eq!(got.status(), 200);
        assert!(!got.headers().contains_key("set-cookie"));
        assert!(got.headers()["cache-control"].to_str().unwrap().contains("no-store"));
        assert_eq!(got.headers()["content-type"], "image/gif");
        assert!(got.bytes().await.unwrap().starts_with(b"GIF89a"));
    }
}

/// All `open` events that were told so far.
async fn told(mail: &Mail, receiver: &Receiver) -> Vec<Value> {
    let (_own, none) = watch::channel(None);
    let parts = hooks::parts(&mail.store, &mail.clock, Targets::new(&[], true), none, mail.stored.clone());
    Worker::new(parts, LEASE).unwrap().run_until_idle().await;
    let fields = ["event_type", "recipient", "machine", "message_id", "thread_id", "mailbox"];
    let shown = |hit: &crate::support::receiver::Hit| fields.iter().map(|name| hit.field(name)).collect();
    receiver.hits().iter().map(shown).collect()
}

async fn listening(mail: &Mail) -> Receiver {
    let receiver = Receiver::answering(mail.clock.clone(), []).await;
    let webhook = Webhook {
        id: WebhookId::new("wh_1"),
        endpoint: receiver.url().parse().unwrap(),
        scope: Scope::Account,
        kinds: vec![EventKind::Open],
        vocabulary: Vocabulary::Plain,
        description: None,
        signature_format: SignatureFormat::Hex,
        created_at: UnixMillis(0),
        disabled: None,
    };
    mail.store.add_webhook(&webhook, &Secret::new("whsec_test"), 1).await.unwrap();
    receiver
}

#[tokio::test]
async fn an_open_is_told_once_a_recipient_and_day_and_every_fetch_is_counted() {
    let mail = Mail::start().await;
    let receiver = listening(&mail).await;
    let tracking = mail.tracking();
    let images = Images::serve(tracking.clone()).await;
    let id = SmtpPeer::hello(mail.addr).await.deliver(&["agent@mailbell.test"], "Subject: x\r\n\r\nx").await;
    let (message, mailbox) = (MessageId::new(&id), mail.mailbox("agent@mailbell.test").await.id);
    let thread = mail.newest("agent@mailbell.test").await.0.summary.thread_id.to_string();
    let bob = tracking.image_for(&mailbox, &message, Some("Bob@x.test")).await.unwrap();
    let eve = tracking.image_for(&mailbox, &message, Some("eve@x.test")).await.unwrap();
    assert!(bob.starts_with("https://img.test/base/o/") && bob != eve, "{bob}");

    images.fetch(&bob, Some(GMAIL)).await;
    images.fetch(&bob, Some(PERSON)).await;
    images.fetch(&eve, Some(PERSON)).await;
    images.fetch(&eve, None).await;
    let open =
        |recipient: &str, machine: Option<bool>| json!(["open", recipient, machine, id, thread, "agent@mailbell.test"]);
    let mut expected = vec![open("bob@x.test", Some(true)), open("eve@x.test", Some(false))];
    assert_eq!(told(&mail, &receiver).await, expected);

    mail.clock.advance(Duration::from_hours(24));
    images.fetch(&eve, None).await;
    expected.push(open("eve@x.test", None));
    assert_eq!(told(&mail, &receiver).await, expected, "another day");
    let counted: Vec<_> = mail.store.opens_of(&message).await.unwrap();
    let counted: Vec<_> = counted.iter().map(|day| (day.recipient.as_deref(), day.fetches, day.by_machines)).collect();
    assert_eq!(counted, [(Some("bob@x.test"), 2, 1), (Some("eve@x.test"), 2, 0), (Some("eve@x.test"), 1, 0)]);
}

#[tokio::test]
async fn names_that_mean_nothing_get_the_same_picture_and_leave_nothing() {
    let mail = Mail::start().await;
    let images = Images::serve(mail.tracking()).await;
    let before = mail.store.commits();
    for name in
        ["/o/x.gif", &format!("/o/{}.gif", "0".repeat(64)), &format!("/o/{}", "0".repeat(64)), "/o/%00", "/o/%ff.gif"]
    {
        images.fetch(name, Some(PERSON)).await;
    }
    assert_eq!(mail.store.commits(), before);
}

#[tokio::test]
async fn an_image_that_is_fetched_without_end_stops_costing_writes() {
    let mail = Mail::start().await;
    let tracking = mail.tracking();
    let mailbox = mail.mailbox("agent@mailbell.test").await.id;
    let message = MessageId::new("em_1");
    let url = tracking.image_for(&mailbox, &message, None).await.unwrap();
    let name = url.rsplit('/').next().unwrap();
    for _ in 0..FETCHES_COUNTED_MAX {
        tracking.fetched(name, &mailbell::mail::tracking::Asking::default()).await.unwrap();
    }
    let before = mail.store.commits();
    tracking.fetched(name, &mailbell::mail::tracking::Asking::default()).await.unwrap();
    assert_eq!(mail.store.commits(), before);
    let days = mail.store.opens_of(&message).await.unwrap();
    assert_eq!((days.len(), days[0].fetches, days[0].recipient.as_deref()), (1, FETCHES_COUNTED_MAX, None));
}

#[tokio::test]
async fn images_are_off_until_the_mailbox_or_the_message_wants_them() {
    let mail = Mail::start().await;
    let (tracking, api) = (mail.tracking(), mail.api().await);
    let mailbox = mail.mailbox("agent@mailbell.test").await.id;
    let wanted = async |asked| tracking.is_wanted(&mailbox, asked).await.unwrap();
    assert_eq!((wanted(None).await, wanted(Some(true)).await), (false, true));
    let path = "/v1/mailboxes/agent@mailbell.test";
    let (status, answer) =
        api.send(reqwest::Method::PATCH, path, json!({ "track_opens": true, "favourite_colour": 1 })).await;
    assert_eq!((status, &answer["ignored"]), (200, &json!(["favourite_colour"])));
    assert_eq!((wanted(None).await, wanted(Some(false)).await), (true, false));
    assert_eq!(api.get(path).await.1["track_opens"], true);
    assert_eq!(api.send(reqwest::Method::PATCH, path, json!({ "favourite_colour": 1 })).await.0, 400);
}
