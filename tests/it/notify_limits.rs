//! Who may be told of what, and of how much: limits, narrowed and revoked tokens, sessions that go; mailboxes that come and go.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use mailbell::{
    domain::{
        event::NewEvent,
        grant::{Grant, Mailboxes},
        secret::Secret,
    },
    http::mcp::{Gate, router},
    mcp::{Limits, Principal, over_http::Reach},
};
use serde_json::{Value, json};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::support::{
    agent::{Era, Wing, inbound},
    http,
    wire::Wire,
};

const EVENTS: &str = "mailbell://events";
const MINE: &str = "mine@mailbell.test";
const LIMITS: Limits = Limits { calls_per_minute_max: 1_000, waits_max: 2, sessions_max: 20, subscriptions_max: 5 };
/// A mailbox that came or went is noticed in less, also where the mail API is elsewhere.
const LOOKED: Duration = Duration::from_secs(61);

/// One sees all mailboxes, the other its own.
struct Two {
    all: Principal,
    narrowed: Principal,
}

#[async_trait]
impl Gate for Two {
    async fn admit(&self, token: &Secret) -> Option<Principal> {
        let principal = if token.expose() == "all" { &self.all } else { &self.narrowed };
        (!principal.has_ended()).then(|| principal.clone())
    }
}

struct Listening {
    base: String,
    gate: Arc<Two>,
    _shutdown: DropGuard,
}

async fn listen(wing: &Wing) -> Listening {
    let narrowed = Grant { mailboxes: Mailboxes::only(vec![MINE.into()]), ..Grant::default() };
    let gate = Arc::new(Two {
        all: Principal::granted("all", Grant::default(), LIMITS),
        narrowed: Principal::granted("narrowed", narrowed, LIMITS),
    });
    let shutdown = CancellationToken::new();
    let router = router(wing.server(), gate.clone(), Reach::default(), shutdown.clone());
    Listening { base: format!("http://{}", http::serve(router).await), gate, _shutdown: shutdown.drop_guard() }
}

/// Subscribes in either protocol; the sentence of a refusal.
async fn refusal(wire: &mut Wire, era: Era, uris: &[&str]) -> Option<String> {
    let answer = match era {
        Era::Legacy => wire.ask("resources/subscribe", json!({ "uri": uris[0] })).await,
        Era::Modern => {
            let filter = json!({ "resourceSubscriptions": uris });
            wire.begin("subscriptions/listen", json!({ "notifications": filter })).await;
            wire.told().await;
            // A stream that is taken tells nothing more until something happens, so something else is asked.
            wire.ask("tools/list", json!({})).await;
            wire.told_so_far().into_iter().next().unwrap_or_default()
        }
    };
    Some(answer["error"]["message"].as_str()?.to_owned())
}

#[tokio::test]
async fn a_token_has_so_many_subscriptions_and_what_goes_leaves_none() {
    let wing = Wing::start().await;
    let listening = listen(&wing).await;
    let threads: Vec<String> = (0..5).map(|number| format!("mailbell://threads/thr_{number}")).collect();
    let threads: Vec<&str> = threads.iter().map(String::as_str).collect();
    // Sessions that are deleted, and streams that are broken off when their client is dropped.
    for _ in 0..3 {
        let mut session = Wire::http(&listening.base, "all", Era::Legacy).await;
        session.subscribe(&threads).await;
        let mut other = Wire::http_without_stream(&listening.base, "all", Era::Legacy).await;
        let said = refusal(&mut other, Era::Legacy, &[EVENTS]).await.expect("one too many");
        assert!(said.contains("5 subscriptions") && said.contains("mcp.subscriptions_max"), "{said}");
        session.ask("resources/unsubscribe", json!({ "uri": threads[0] })).await;
        assert_eq!(refusal(&mut other, Era::Legacy, &[EVENTS]).await, None, "one was given up");
        session.delete().await;
        other.delete().await;
        let mut stream = Wire::http(&listening.base, "all", Era::Modern).await;
        until(async || refusal(&mut stream, Era::Modern, &threads[..4]).await.is_none()).await;
    }
    // Over stdio, where no token is, a session has a limit of its own.
    let mut wire = Wire::stdio(wing.server(), Era::Legacy).await;
    for number in 0..500 {
        assert_eq!(refusal(&mut wire, Era::Legacy, &[&format!("mailbell://threads/t_{number}")]).await, None);
    }
    let said = refusal(&mut wire, Era::Legacy, &[EVENTS]).await.expect("one too many");
    assert!(said.contains("500 subscriptions"), "{said}");
}

#[tokio::test]
async fn a_revoked_token_ends_what_it_is_told_by() {
    let wing = Wing::start().await;
    let listening = listen(&wing).await;
    let mut session = Wire::http(&listening.base, "all", Era::Legacy).await;
    session.subscribe(&[EVENTS]).await;
    let mut stream = Wire::http(&listening.base, "all", Era::Modern).await;
    let id = stream.subscribe(&[EVENTS]).await;
    let mut other = Wire::http(&listening.base, "narrowed", Era::Modern).await;
    other.subscribe(&[EVENTS]).await;
    listening.gate.all.end();
    wing.happens(vec![NewEvent { mailbox: Some(MINE.into()), ..inbound(1, "Hi") }]).await;
    session.ended(0).await;
    stream.ended(id).await;
    assert_eq!(other.updated().await, EVENTS, "others go on");
    for message in session.told_so_far().into_iter().chain(stream.told_so_far()) {
        assert_ne!(message["method"], "notifications/resources/updated", "{message}");
    }
}

#[tokio::test]
async fn a_narrowed_token_is_told_of_its_mailboxes_alone() {
    for era in Era::BOTH {
        let wing = Wing::start().await;
        wing.api.add_mailbox("mbx_2", MINE);
        let listening = listen(&wing).await;
        let mut narrowed = Wire::http(&listening.base, "narrowed", era).await;
        let theirs = ["mailbell://mailboxes/agent@mailbell.test/events", "mailbell://mailboxes/nobody@x.test/events"];
        match era {
            Era::Legacy => {
                // What others have is answered as what is not there.
                let mut said = Vec::new();
                for uri in theirs.iter().chain(&["mailbell://threads/thr_1", "mailbell://threads/thr_none"]) {
                    let sentence = refusal(&mut narrowed, era, &[uri]).await.expect("a refusal");
                    let name = uri.split('/').nth(3).unwrap();
                    said.push(sentence.replace(name, "IT"));
                }
                assert_eq!((&said[0], &said[2]), (&said[1], &said[3]));
                narrowed.subscribe(&[EVENTS]).await;
            }
            Era::Modern => {
                narrowed.subscribe(&[EVENTS, theirs[0], theirs[1]]).await;
            }
        }
        let mut all = Wire::http(&listening.base, "all", era).await;
        all.subscribe(&[EVENTS]).await;
        wing.happens(vec![inbound(1, "Theirs")]).await;
        assert_eq!(all.updated().await, EVENTS);
        let own = format!("mailbell://mailboxes/{MINE}/events");
        // Nothing was told, and no round of notifications has begun: what comes now comes at once.
        wing.happens(vec![NewEvent { mailbox: Some(MINE.into()), ..inbound(2, "Mine") }]).await;
        assert_eq!(narrowed.updated().await, EVENTS);
        assert_eq!(narrowed.told_so_far(), [Value::Null; 0], "{own}");
    }
}

#[tokio::test]
async fn a_mailbox_that_comes_is_told_to_whom_it_concerns() {
    let wing = Wing::start().await;
    let listening = listen(&wing).await;
    let mut wires = Vec::new();
    for era in Era::BOTH {
        let mut all = Wire::http(&listening.base, "all", era).await;
        let mut narrowed = Wire::http(&listening.base, "narrowed", era).await;
        // Once a session of the older protocol is answered it is among those who are told; a stream, before it is acknowledged.
        all.subscribe(&[EVENTS]).await;
        narrowed.subscribe(&[EVENTS]).await;
        // The first look is over when it is slept until the next.
        until(async || wing.clock.sleepers() > 0).await;
        wires.push((all, narrowed));
    }
    for (id, address, concerns) in [("mbx_2", "theirs@mailbell.test", false), ("mbx_3", MINE, true)] {
        wing.api.add_mailbox(id, address);
        for (all, narrowed) in &mut wires {
            assert_eq!(told_in_time(&wing, all).await["method"], "notifications/resources/list_changed");
            if concerns {
                assert_eq!(told_in_time(&wing, narrowed).await["method"], "notifications/resources/list_changed");
            }
            assert_eq!((all.told_so_far(), narrowed.told_so_far()), (vec![], vec![]));
        }
    }
}

#[tokio::test]
async fn a_mailbox_that_comes_after_an_acknowledgement_is_told() {
    // The first stream of each wing, to which the mailbox comes while it is on its way to those who are told.
    for number in 0..20 {
        let wing = Wing::start().await;
        let listening = listen(&wing).await;
        let mut stream = Wire::http(&listening.base, "all", Era::Modern).await;
        stream.subscribe(&[EVENTS]).await;
        wing.api.add_mailbox("mbx_2", &format!("new{number}@mailbell.test"));
        assert_eq!(told_in_time(&wing, &mut stream).await["method"], "notifications/resources/list_changed");
    }
}

/// What is told when time goes on: the look that finds it may begin its pause at any moment.
async fn told_in_time(wing: &Wing, wire: &mut Wire) -> Value {
    for _ in 0..200 {
        wing.clock.advance(LOOKED);
        if let Ok(told) = tokio::time::timeout(Duration::from_millis(100), wire.told()).await {
            return told;
        }
    }
    panic!("nothing is told");
}

async fn until(mut holds: impl AsyncFnMut() -> bool) {
    let trying = async {
        while !holds().await {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), trying).await.expect("it comes true");
}
