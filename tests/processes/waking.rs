//! An event wakes a waiter in another process, with the local socket and without.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::{Agent, add_source, http, post, serve, until};

#[tokio::test(flavor = "multi_thread")]
async fn an_event_wakes_waiters_of_every_process_also_when_the_socket_is_gone() {
    let home = tempfile::tempdir().expect("a directory");
    let dir = home.path();
    let (_keeper, _) = serve(dir, &[]).await;
    add_source(dir).await;
    let client = http();
    let connected = Agent::start(dir).await;
    until("the socket", async || dir.join("wake.sock").exists()).await;
    // What is no file cannot be put out of the way, so the keeper does not make its socket again.
    std::fs::remove_file(dir.join("wake.sock")).expect("removed");
    std::fs::create_dir(dir.join("wake.sock")).expect("made");
    let unconnected = Agent::start(dir).await;
    let mut slowest = Duration::ZERO;
    for n in 0..10 {
        let wait = |consumer| json!({ "consumer": consumer, "kinds": ["delivery"], "timeout_secs": 40 });
        let id = format!("evt_{n}");
        let posting = async {
            // The waits are most likely asleep by then; where one is not, it finds the event when it looks.
            tokio::time::sleep(Duration::from_millis(50)).await;
            assert!(post(&client, dir, &id).await);
            Instant::now()
        };
        let (one, other, posted) = tokio::join!(
            connected.call("wait_for_event", wait("a")),
            unconnected.call("wait_for_event", wait("b")),
            posting
        );
        slowest = slowest.max(posted.elapsed());
        for woken in [one, other] {
            let woken = woken.expect("woken");
            assert_eq!(woken["events"][0]["event_id"], id.as_str(), "{woken}");
        }
        for (agent, consumer) in [(&connected, "a"), (&unconnected, "b")] {
            let token = agent.call("wait_for_event", json!({ "consumer": consumer, "timeout_secs": 0 })).await;
            assert!(token.expect("looked")["events"].as_array().expect("a list").is_empty(), "leased once");
        }
    }
    assert!(slowest < Duration::from_secs(5), "a wait slept {slowest:?} past the commit");
}
