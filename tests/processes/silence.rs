//! A keeper that is stopped (SIGSTOP) holds its lock: that is told everywhere, and nobody keeps house beside it.

use rustix::process::Signal;
use serde_json::json;

use crate::support::{Agent, Running, keeps, published, serve_in_vain, until};

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_keeper_is_reported_and_never_doubled() {
    let home = tempfile::tempdir().expect("a directory");
    let dir = home.path();
    let keeper = Agent::start(dir).await;
    keeps(dir, keeper.process.pid()).await;
    let pid = keeper.process.pid();
    let neighbour = Agent::start(dir).await;
    neighbour.call("check_inbox", json!({})).await.expect("the keeper's API");

    keeper.process.signal(Signal::STOP);
    neighbour.process.says(&format!("the keeper with pid {pid} has not answered for")).await;
    // What needs it says so; what needs only the log goes on.
    let refused = neighbour.call("check_inbox", json!({})).await.expect_err("nobody answers");
    assert!(refused.contains(&format!("kill -CONT {pid}")), "{refused}");
    neighbour.call("list_events", json!({})).await.expect("listed");
    let mut serve = serve_in_vain(dir);
    assert!(!serve.ended().await);
    serve.says("it is stopped or stuck").await;
    let mut events = Running::start(&["events", "--data-dir", dir.to_str().expect("UTF-8")], &[]);
    assert!(events.ended().await);
    events.says("it is stopped or stuck").await;
    assert_eq!(published(dir)["pid"], pid, "nobody took its place");

    keeper.process.signal(Signal::CONT);
    until("an answer", async || neighbour.call("check_inbox", json!({})).await.is_ok()).await;
    assert_eq!(published(dir)["pid"], pid);
    keeper.call("check_inbox", json!({})).await.expect("it goes on");
}
