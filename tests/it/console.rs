//! The console's door, and what is shown behind it: who gets in and who does not, what a stranger's page or program can do, and
//! how large a page is.

use std::time::Duration;

use mailbell::{
    app::house::House,
    bell::entrance::Entrance,
    domain::{
        clock::Clock as _,
        event::{Auth, Detail, NewEvent},
        grant::Grant,
        id::SourceName,
        secret::Secret,
    },
    signing::digest::sha256,
    store::{
        audit::{AuditFilter, AuditLog as _},
        log::EventLog as _,
        sources::Quarantine as _,
        tokens::{Principal, TokenScope, Tokens as _},
    },
};
use reqwest::{Client, Method, RequestBuilder, Response, redirect::Policy};
use serde_json::Value;

use crate::support::{bell::inbound, clock::TestClock, house::house_in};

const OPERATOR: &str = "mb_operator_of_the_console";
/// What every page keeps to, in bytes.
const PAGE_BYTES_MAX: usize = 100_000;
pub(crate) const PAGES: [&str; 8] =
    ["now", "approvals", "webhooks", "suppressions", "quarantine", "audit", "charts", "settings"];

pub(crate) struct Console {
    pub(crate) house: House,
    clock: TestClock,
    at: String,
    pub(crate) client: Client,
    pub(crate) dir: tempfile::TempDir,
}

/// Who is in: the door, and the cookie that goes behind it.
pub(crate) struct In {
    door: String,
    cookie: String,
}

impl Console {
    pub(crate) async fn start() -> Self {
        let (dir, clock) = (tempfile::tempdir().unwrap(), TestClock::default());
        let house = house_in(dir.path(), Vec::new(), clock.clone()).await;
        let at = house.addresses().console.clone().unwrap();
        let client = Client::builder().no_proxy().tls_certs_only([]).redirect(Policy::none()).build().unwrap();
        let console = Self { house, clock, at, client, dir };
        console.put_operator(OPERATOR).await;
        console
    }

    async fn put_operator(&self, token: &str) {
        let operator = Principal { name: "operator".into(), scope: TokenScope::Operator, grant: Grant::default() };
        self.house.bell().store.put_token(&operator, sha256(token.as_bytes()), self.clock.now()).await.unwrap();
    }

    async fn code(&self) -> String {
        let side = self.house.bell().clone();
        let entrance = Entrance::new(side.store.clone(), side.store, side.clock, side.ids);
        assert!(entrance.code(&Secret::new("mb_operator_of_nobody")).await.unwrap().is_none());
        entrance.code(&Secret::new(OPERATOR)).await.unwrap().unwrap().expose().to_owned()
    }

    fn ask(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.at))
    }

    /// A form as a page of the console sends it.
    fn post(&self, path: &str, fields: &[(&str, &str)]) -> RequestBuilder {
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        self.ask(Method::POST, path).header("origin", &self.at).body(body)
    }

    async fn enter(&self, code: &str) -> Response {
        self.post("/login", &[("code", code)]).send().await.unwrap()
    }

    pub(crate) async fn log_in(&self) -> In {
        let answer = self.enter(&self.code().await).await;
        assert_eq!(answer.status(), 303);
        let header = |name: &str| answer.headers()[name].to_str().unwrap().to_owned();
        let (set, to) = (header("set-cookie"), header("location"));
        let door = to.strip_suffix("/now").unwrap().to_owned();
        let (cookie, rest) = set.split_once(';').unwrap();
        assert_eq!(rest, format!(" Path={door}/; HttpOnly; SameSite=Strict"));
        assert!(door.len() > 60, "nobody can guess {door}");
        In { door, cookie: cookie.to_owned() }
    }

    pub(crate) async fn see(&self, who: &In, page: &str) -> (u16, String) {
        let path = format!("{}/{page}", who.door);
        let answer = self.ask(Method::GET, &path).header("cookie", &who.cookie).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }

    async fn csrf(&self, who: &In) -> String {
        let (_, page) = self.see(who, "settings").await;
        page.split_once(r#"name="csrf" value=""#).unwrap().1.split('"').next().unwrap().to_owned()
    }

    async fn record(&self) -> Vec<Value> {
        let store = &self.house.bell().store;
        let (rows, _) = store.entries(&AuditFilter::default(), 0, 1_000).await.unwrap();
        rows.into_iter().map(|row| row.entry).collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_opens_the_console_once_and_within_a_minute() {
    let console = Console::start().await;
    let code = console.code().await;
    let newer = console.code().await;
    assert_eq!(console.enter(&code).await.status(), 403, "a newer one has taken its place");
    let spaced = newer.to_uppercase().replace('-', " ");
    assert_eq!(console.enter(&spaced).await.status(), 303);
    assert_eq!(console.enter(&newer).await.status(), 403, "it was used");
    let late = console.code().await;
    console.clock.advance(Duration::from_mins(1));
    assert_eq!(console.enter(&late).await.status(), 403, "it was too late");

    let who = console.log_in().await;
    let other = console.log_in().await;
    assert_eq!(console.see(&who, "now").await.0, 200);
    let crossed = In { door: other.door.clone(), cookie: who.cookie.clone() };
    assert_eq!(console.see(&crossed, "now").await.0, 303, "a cookie opens its own door alone");
    let without = console.ask(Method::GET, &format!("{}/now", who.door)).send().await.unwrap();
    assert_eq!((without.status().as_u16(), without.headers()["location"].to_str().unwrap()), (303, "/login"));

    // Logging out ends it, and so does another operator token.
    let csrf = console.csrf(&who).await;
    let out = console.post(&format!("{}/logout", who.door), &[("csrf", &csrf)]).header("cookie", &who.cookie);
    assert_eq!(out.send().await.unwrap().status(), 303);
    assert_eq!(console.see(&who, "now").await.0, 303);
    assert_eq!(console.see(&other, "now").await.0, 200);
    console.put_operator("mb_operator_of_somebody_else").await;
    assert_eq!(console.see(&other, "now").await.0, 303);
    let commands: Vec<_> =
        console.record().await.iter().filter_map(|entry| entry["command"].as_str().map(str::to_owned)).collect();
    assert!(
        ["console", "console login", "console logout"].iter().all(|one| commands.iter().any(|word| word == one)),
        "{commands:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_ends_when_nobody_uses_it_and_at_the_end_of_a_day() {
    let console = Console::start().await;
    let who = console.log_in().await;
    for _ in 0..11 {
        console.clock.advance(Duration::from_hours(1));
        assert_eq!(console.see(&who, "now").await.0, 200);
    }
    console.clock.advance(Duration::from_hours(1));
    assert_eq!(console.see(&who, "now").await.0, 303, "twelve hours are over");
    let who = console.log_in().await;
    console.clock.advance(Duration::from_hours(2));
    assert_eq!(console.see(&who, "now").await.0, 303, "two hours without a request");
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_codes_lock_the_door_for_a_minute() {
    let console = Console::start().await;
    for _ in 0..4 {
        assert_eq!(console.enter("0000-0000-0000-0000").await.status(), 403);
    }
    assert_eq!(console.enter("").await.status(), 429);
    let code = console.code().await;
    let locked = console.enter(&code).await;
    assert_eq!((locked.status().as_u16(), locked.headers()["retry-after"].to_str().unwrap()), (429, "60"));
    console.clock.advance(Duration::from_secs(59));
    assert_eq!(console.enter(&code).await.status(), 429, "the right one too");
    console.clock.advance(Duration::from_secs(1));
    console.log_in().await;
    let lockouts = console.record().await.iter().filter(|entry| entry["command"] == "console lockout").count();
    assert_eq!(lockouts, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_s_name_page_or_cookie_opens_nothing() {
    let console = Console::start().await;
    let who = console.log_in().await;
    let host = console.at.strip_prefix("http://").unwrap();
    let port = host.rsplit_once(':').unwrap().1;
    let now = format!("{}/now", who.door);
    // A name that is pointed at this machine (DNS rebinding), and names that look like ours.
    for named in [
        "evil.test",
        &format!("evil.test:{port}"),
        "127.0.0.1",
        "localhost",
        "127.0.0.1:1",
        &format!("127.0.0.1.evil.test:{port}"),
    ] {
        for path in ["/login", "/console.js", &now] {
            let asked = console.ask(Method::GET, path).header("host", named).header("cookie", &who.cookie);
            assert_eq!(asked.send().await.unwrap().status(), 403, "{named} {path}");
        }
    }
    let local = console.ask(Method::GET, "/login").header("host", format!("localhost:{port}"));
    assert_eq!(local.send().await.unwrap().status(), 200);
    let health = console.ask(Method::GET, "/livez").header("host", "mailbell.internal");
    assert_eq!(health.send().await.unwrap().status(), 403, "nor health, whose listener has the numbers too");

    // A page of somebody else's, or of another port of this very host.
    let csrf = console.csrf(&who).await;
    let pause = format!("{}/settings/pause", who.door);
    let fields = [("csrf", csrf.as_str()), ("paused", "yes")];
    let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
    let form = || console.ask(Method::POST, &pause).header("cookie", &who.cookie).body(body.clone());
    for origin in [
        "http://evil.test",
        "null",
        "http://127.0.0.1:1",
        &format!("https://{host}"),
        &format!("http://localhost:{port}"),
    ] {
        assert_eq!(form().header("origin", origin).send().await.unwrap().status(), 403, "{origin}");
    }
    assert_eq!(form().send().await.unwrap().status(), 403, "no origin");
    let twice = form().header("origin", &console.at).header("origin", "http://evil.test");
    assert_eq!(twice.send().await.unwrap().status(), 403, "two origins");

    // A form without the session's token, or with another's.
    let other = console.log_in().await;
    let foreign = console.csrf(&other).await;
    for fields in
        [&[("paused", "yes")][..], &[("paused", "yes"), ("csrf", "")], &[("paused", "yes"), ("csrf", &foreign)]]
    {
        let asked = console.post(&pause, fields).header("cookie", &who.cookie);
        assert_eq!(asked.send().await.unwrap().status(), 403, "{fields:?}");
    }

    // What listens at another port of this host may set cookies for all of it.
    let tossed = format!("mailbell_console=aaaa; x=y; {}", who.cookie);
    let asked = console.ask(Method::GET, &now).header("cookie", tossed);
    assert_eq!(asked.send().await.unwrap().status(), 200, "what is beside our cookie does not matter");
    let asked = console.ask(Method::GET, &now).header("cookie", "mailbell_console=aaaa");
    assert_eq!(asked.send().await.unwrap().status(), 303);

    assert!(
        !console
            .house
            .bell()
            .oversight(mailbell::domain::allow_hosts::AllowHosts::default())
            .rules()
            .await
            .unwrap()
            .paused
    );
    let asked = form().header("origin", &console.at);
    assert_eq!(asked.send().await.unwrap().status(), 303);
    assert!(console.see(&who, "settings").await.1.contains("Paused: mail is taken in"));
    let record = console.record().await;
    let paused = record.iter().find(|entry| entry["command"] == "pause").unwrap();
    assert!(paused["about"]["by"].as_str().unwrap().starts_with("console:con_"), "{paused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_forbids_the_browser_everything_but_our_own() {
    let console = Console::start().await;
    let who = console.log_in().await;
    for path in ["/login".to_owned(), "/nowhere".to_owned(), "/console.css".to_owned(), format!("{}/now", who.door)] {
        let answer = console.ask(Method::GET, &path).header("cookie", &who.cookie).send().await.unwrap();
        let policy = answer.headers()["content-security-policy"].to_str().unwrap();
        assert!(policy.starts_with("default-src 'none'; script-src 'self'; style-src 'self';"), "{path}: {policy}");
        assert!(!policy.contains("unsafe"), "{policy}");
        assert_eq!(answer.headers()["x-content-type-options"], "nosniff");
        let page = answer.text().await.unwrap();
        assert!(!page.contains("<style") && !page.contains(" style=") && !page.contains("onclick"), "{path}");
    }
}

/// The longest that a page can be: every line full, of what grows most when it is escaped.
#[tokio::test(flavor = "multi_thread")]
async fn every_page_is_small_and_shows_a_stranger_s_words_as_words() {
    let console = Console::start().await;
    let who = console.log_in().await;
    let hostile = "\"<script>alert(1)</script>'&\u{202E}".repeat(60);
    let store = &console.house.bell().store;
    let source = SourceName::new("multimail");
    for chunk in 0..6 {
        let events: Vec<NewEvent> = (0..500).map(|n| told(chunk * 500 + n, &hostile)).collect();
        store.append(&source, Auth::HmacSha256, console.clock.now(), events).await.unwrap();
    }
    for n in 0..30u8 {
        let body = hostile.repeat(20);
        store.quarantine(&source, &hostile, body.as_bytes(), [n; 32], console.clock.now()).await.unwrap();
    }
    for page in
        PAGES.into_iter().chain(["messages/em_1", "audit?q=multimail", "webhooks?state=dead", "approvals/act_none"])
    {
        let (status, text) = console.see(&who, page).await;
        assert!(status == 200 || page == "approvals/act_none", "{page}: {status}");
        assert!(text.len() < PAGE_BYTES_MAX, "{page} has {} bytes", text.len());
        assert!(!text.contains("<script>") && !text.contains('\u{202E}'), "{page} shows what it should not");
    }
    let (_, now) = console.see(&who, "now").await;
    assert!(now.contains("&lt;script&gt;alert(1)"), "it is there to be read");
    assert!(console.see(&who, "messages/%3Cscript%3E").await.1.contains("Nothing is known of such a message"));
}

fn told(n: usize, hostile: &str) -> NewEvent {
    let detail = Detail::Inbound {
        from: format!("{hostile}@x.test"),
        from_name: Some(hostile.to_owned()),
        to: vec![hostile.to_owned()],
        subject: hostile.to_owned(),
        snippet: hostile.to_owned(),
        auto: false,
    };
    NewEvent { detail, ..inbound(n) }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_feed_tells_what_fires_and_ends_with_its_session() {
    let console = Console::start().await;
    let who = console.log_in().await;
    let (_, now) = console.see(&who, "now").await;
    let place = |name: &str| now.split_once(&format!("{name}=\"")).unwrap().1.split('"').next().unwrap().to_owned();
    let path = format!("{}?after={}&entry={}", place("data-feed"), place("data-after"), place("data-entry"));
    let mut feed = console.ask(Method::GET, &path).header("cookie", &who.cookie).send().await.unwrap();
    assert_eq!(feed.headers()["content-type"], "text/event-stream");
    let bell = console.house.bell();
    bell.store
        .append(&SourceName::new("multimail"), Auth::HmacSha256, console.clock.now(), vec![inbound(7)])
        .await
        .unwrap();
    bell.bell.ring_event(Some("agent@mailbell.test"));
    let mut heard = String::new();
    while !heard.contains("event: beat") {
        let chunk =
            tokio::time::timeout(Duration::from_secs(20), feed.chunk()).await.expect("it tells").unwrap().unwrap();
        heard.push_str(&String::from_utf8_lossy(&chunk));
    }
    assert!(heard.contains("event: fired\ndata: {\"seq\":1,\"kind\":\"inbound\""), "{heard}");
    let csrf = console.csrf(&who).await;
    let out = console.post(&format!("{}/logout", who.door), &[("csrf", &csrf)]).header("cookie", &who.cookie);
    out.send().await.unwrap();
    console.clock.advance(Duration::from_secs(2));
    let rest = tokio::time::timeout(Duration::from_secs(20), feed.text()).await.expect("it ends").unwrap();
    assert!(!rest.contains("fired"), "{rest}");
}
