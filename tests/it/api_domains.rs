//! `/v1/domains`: a domain that is added is one of this service's at once, and one that is deleted no more.

use mailbell::{
    domain::key::KeyScope,
    mail::{
        domains::DOMAINS_MAX,
        reception::{Recipient, Unreachable},
    },
};
use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{
    api::{ApiServer, answer},
    clock::TestClock,
    dns::Dns,
    house::house_in,
    post::{Post, letter},
};

const DOMAINS: &str = "/v1/domains";

async fn story() -> (Post, ApiServer, TempDir) {
    let (dir, clock) = (TempDir::new().unwrap(), TestClock::default());
    let post = Post::open(dir.path(), &clock, None).await;
    let server = ApiServer::start(post.api.clone()).await;
    (post, server, dir)
}

/// What a peer that names this recipient is told.
async fn found(post: &Post, address: &str) -> Result<String, Unreachable> {
    let mailbox = post.reception.find(&Recipient::Address(address.parse().unwrap())).await;
    mailbox.map(|mailbox| mailbox.address.to_string())
}

#[tokio::test]
async fn one_that_is_added_takes_mail_has_mailboxes_and_sends_until_it_is_deleted() {
    let (post, server, _dir) = story().await;
    let mailbox = json!({ "address": "ann@neu.bücher.example" });
    assert_eq!(server.send(Method::POST, "/v1/mailboxes", mailbox.clone()).await.0, 400, "not yet");
    let (status, made) = server.send(Method::POST, DOMAINS, json!({ "domain": " Neu.Bücher.Example. " })).await;
    assert_eq!((status, &made["id"], &made["status"]), (201, &json!("neu.xn--bcher-kva.example"), &json!("added")));
    assert_eq!((&made["mx_verified"], &made["spf_verified"]), (&Value::Null, &Value::Null), "nobody has looked");
    let mx = json!({ "type": "MX", "name": made["id"], "value": "mx.mailbell.test", "priority": 10,
        "purpose": made["dns_records"][0]["purpose"] });
    assert_eq!(made["dns_records"][0], mx);
    assert!(made["dns_records"][1]["value"].as_str().unwrap().starts_with("v=spf1 "), "{made}");
    let (status, said) = server.send(Method::POST, DOMAINS, json!({ "domain": "neu.bücher.example" })).await;
    assert!(status == 409 && said["error"].as_str().unwrap().contains("already"), "{said}");

    let there = "ann@neu.xn--bcher-kva.example";
    assert!(matches!(found(&post, there).await, Err(Unreachable::NoMailbox(_))), "ours, and nobody there yet");
    assert_eq!(server.send(Method::POST, "/v1/mailboxes", mailbox).await.0, 201);
    assert_eq!(found(&post, there).await.unwrap(), there);
    post.send(letter(&[there])).await;
    while post.go_on().await {}
    assert_eq!(post.inbox(there).await.len(), 1, "mail to it stays here");
    let back = json!({ "to": ["agent@mailbell.test"], "subject": "Back", "markdown": "x" });
    assert_eq!(server.send(Method::POST, &format!("/v1/mailboxes/{there}/send"), back).await.0, 202);
    while post.go_on().await {}
    assert_eq!(post.inbox("agent@mailbell.test").await[0].from.as_str(), there);

    let path = format!("{DOMAINS}/neu.xn--bcher-kva.example");
    let (status, said) = server.send(Method::DELETE, &path, Value::Null).await;
    assert!(status == 409 && said["error"].as_str().unwrap().contains("(1)"), "{said}");
    assert_eq!(server.get(&path).await.1["mailboxes"], 1);
    assert_eq!(server.send(Method::DELETE, &format!("/v1/mailboxes/{there}"), Value::Null).await.0, 200);
    assert_eq!(server.send(Method::DELETE, &path, Value::Null).await.0, 200);
    assert!(matches!(found(&post, there).await, Err(Unreachable::Foreign(_))), "no longer ours");
    assert_eq!(server.send(Method::DELETE, &path, Value::Null).await.0, 404);
    assert_eq!(server.get(&path).await.0, 404);
}

#[tokio::test]
async fn it_outlives_the_process_and_those_of_the_settings_are_the_operators() {
    let (post, server, _dir) = story().await;
    let names = async |server: &ApiServer| -> Vec<String> {
        let (_, listed) = server.get(DOMAINS).await;
        let named = listed["domains"].as_array().unwrap().iter();
        named.map(|one| format!("{} {}", one["domain"].as_str().unwrap(), one["status"].as_str().unwrap())).collect()
    };
    for name in ["second.test", "first.test"] {
        assert_eq!(server.send(Method::POST, DOMAINS, json!({ "domain": name })).await.0, 201);
    }
    for name in ["mailbell.test", "b%C3%BCcher.test"] {
        let (status, said) = server.send(Method::DELETE, &format!("{DOMAINS}/{name}"), Value::Null).await;
        assert!(status == 422 && said["error"].as_str().unwrap().contains("mail.domains"), "{said}");
    }
    let all = names(&server).await;
    let post = post.reopened().await;
    let server = ApiServer::start(post.api.clone()).await;
    let settings = ["mailbell.test configured".to_owned(), "xn--bcher-kva.test configured".to_owned()];
    assert_eq!(all, [&settings[..], &["first.test added".into(), "second.test added".into()]].concat());
    assert_eq!(names(&server).await, all);
    assert!(matches!(found(&post, "x@first.test").await, Err(Unreachable::NoMailbox(_))));
    let (_, made) = server.send(Method::POST, "/v1/mailboxes", json!({ "address_local": "bare" })).await;
    assert_eq!(made["address"], "bare@mailbell.test", "the first of the settings");
}

#[tokio::test]
async fn what_is_no_domain_or_one_too_many_is_refused_in_a_sentence() {
    let (_post, server, _dir) = story().await;
    for wrong in
        ["", "com", "co.uk", "127.0.0.1", "[::1]", "a@b.test", "a_b.test", "x.simulator.mailbell.test", "a\0.test"]
    {
        let (status, said) = server.send(Method::POST, DOMAINS, json!({ "domain": wrong })).await;
        assert!(status == 400 && said["error"].as_str().unwrap().contains(' '), "{wrong}: {said}");
    }
    assert_eq!(server.send(Method::POST, DOMAINS, json!({})).await.0, 400);
    let sender = server.key("sender", &[KeyScope::Read, KeyScope::Send]).await;
    for (method, path) in [(Method::POST, DOMAINS), (Method::DELETE, "/v1/domains/x.test")] {
        let asked = server.bare(method, path).bearer_auth(&sender).json(&json!({ "domain": "x.test" }));
        assert_eq!(answer(asked).await.0, 403);
    }
    for n in 0..DOMAINS_MAX {
        assert_eq!(server.send(Method::POST, DOMAINS, json!({ "domain": format!("d{n}.test") })).await.0, 201);
    }
    let (status, said) = server.send(Method::POST, DOMAINS, json!({ "domain": "more.test" })).await;
    assert!(status == 409 && said["error"].as_str().unwrap().contains("100"), "{said}");
}

/// What the API of a house with these settings says when it is asked to verify, by name.
struct Verifying {
    house: mailbell::app::house::House,
    clock: TestClock,
    dir: TempDir,
}

impl Verifying {
    async fn start(settings: Vec<(&'static str, String)>) -> Self {
        let (dir, clock) = (TempDir::new().unwrap(), TestClock::default());
        let house = house_in(dir.path(), settings, clock.clone()).await;
        Self { house, clock, dir }
    }

    async fn ask(&self, method: Method, path: &str, body: Value) -> Value {
        let token = std::fs::read_to_string(self.dir.path().join("tokens/api")).unwrap();
        let url = format!("{}{path}", self.house.addresses().api.as_ref().unwrap());
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let sent = client.request(method, url).bearer_auth(token.trim()).json(&body).send().await.unwrap();
        assert!(sent.status().is_success(), "{}", sent.status());
        sent.json().await.unwrap()
    }

    async fn verify(&self, domain: &str) -> Value {
        self.ask(Method::POST, &format!("{DOMAINS}/{domain}/verify"), Value::Null).await
    }

    fn found(domain: &Value) -> [Option<bool>; 4] {
        ["mx_verified", "spf_verified", "return_path_verified", "dkim_verified"].map(|name| domain[name].as_bool())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_verified_is_what_the_dns_says() {
    let spf = "v=spf1 mx ~all";
    let dns = Dns::with_mx(
        &[
            ("good.example", spf),
            ("elsewhere.example", spf),
            ("include.example", "v=spf1 include:relay.test -all"),
            ("text.example", "anything"),
            ("other.example", "v=spf1 mx:other.test -mx -all"),
        ],
        &[
            ("good.example", "MX.mailbell.test"),
            ("elsewhere.example", "mx.other.test"),
            ("include.example", "mx.mailbell.test"),
        ],
    )
    .await;
    let settings = vec![("mail.auth.resolver", dns.addr.to_string()), ("smtp.hostname", "mx.mailbell.test".to_owned())];
    let house = Verifying::start(settings).await;
    let (yes, no) = (Some(true), Some(false));
    for (name, found) in [
        ("good.example", [yes, yes, yes, None]),
        ("elsewhere.example", [no, no, no, None]),
        ("include.example", [yes, None, yes, None]),
        ("text.example", [no, no, no, None]),
        ("other.example", [no, None, no, None]),
        ("none.example", [no, no, no, None]),
    ] {
        let added = house.ask(Method::POST, DOMAINS, json!({ "domain": name })).await;
        assert_eq!((Verifying::found(&added), &added["verified_at"]), ([None; 4], &Value::Null), "{name}");
        let asked = house.verify(name).await;
        assert_eq!(Verifying::found(&asked), found, "{asked}");
        assert!(asked["verified_at"].is_string(), "{asked}");
        assert_eq!(house.ask(Method::GET, &format!("{DOMAINS}/{name}"), Value::Null).await, asked);
    }
    // The same answer for a while, and nobody is asked.
    let questions = dns.asked().len();
    house.verify("none.example").await;
    assert_eq!(dns.asked().len(), questions);
    house.clock.advance(std::time::Duration::from_secs(10));
    house.verify("none.example").await;
    assert!(dns.asked().len() > questions);
    house.house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_no_dns_answers_nothing_is_known_and_the_answer_says_why() {
    let house = Verifying::start(Vec::new()).await;
    let asked = house.verify("mailbell.test").await;
    assert_eq!(Verifying::found(&asked), [None; 4]);
    assert!(asked["note"].as_str().unwrap().contains("mail.auth.resolver"), "{asked}");
    house.house.close().await;

    // A name server that is silent.
    let silent = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let at = silent.local_addr().unwrap().to_string();
    let house = Verifying::start(vec![("mail.auth.resolver", at)]).await;
    let mut tick = tokio::time::interval(std::time::Duration::from_millis(20));
    let mut asking = Box::pin(house.verify("mailbell.test"));
    let asked = loop {
        tokio::select! {
            asked = &mut asking => break asked,
            _ = tick.tick() => house.clock.advance(std::time::Duration::from_secs(1)),
        }
    };
    assert_eq!(Verifying::found(&asked), [None; 4]);
    assert!(asked["note"].as_str().unwrap().contains("no name server answered"), "{asked}");
    drop(asking);
    house.house.close().await;
}
