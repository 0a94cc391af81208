//! A client of one process is told of what another has committed.

use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines},
    process::{ChildStdin, ChildStdout},
};

use crate::support::{COME_MAX, Running, add_source, http, post, run, serve};

struct Wire(Lines<BufReader<ChildStdout>>, ChildStdin);

impl Wire {
    async fn send(&mut self, message: Value) {
        self.1.write_all(format!("{message}\n").as_bytes()).await.expect("written");
    }

    async fn next(&mut self) -> Value {
        let line = tokio::time::timeout(COME_MAX, self.0.next_line()).await.expect("nothing comes");
        serde_json::from_str(&line.expect("readable").expect("it goes on")).expect("JSON")
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_beside_the_keeper_tells_what_that_commits() {
    let home = tempfile::tempdir().expect("a directory");
    let dir = home.path();
    let (_keeper, _) = serve(dir, &[]).await;
    add_source(dir).await;
    let mut process = Running::start(&["mcp", "--claude-channel", "--data-dir", dir.to_str().expect("UTF-8")], &[]);
    let (from, to) = process.pipes();
    let mut wire = Wire(BufReader::new(from).lines(), to);
    let params =
        json!({ "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": { "name": "t", "version": "1" } });
    wire.send(json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params })).await;
    let opened = wire.next().await;
    assert!(opened["result"]["capabilities"]["experimental"]["claude/channel"].is_object(), "{opened}");
    wire.send(json!({ "jsonrpc": "2.0", "method": "notifications/initialized" })).await;
    for (id, uri) in [(2, "mailbell://events"), (3, "mailbell://messages/em_evt_1")] {
        wire.send(json!({ "jsonrpc": "2.0", "id": id, "method": "resources/subscribe", "params": { "uri": uri } }))
            .await;
        assert_eq!(wire.next().await["id"], id);
    }
    assert!(post(&http(), dir, "evt_1").await);
    for uri in ["mailbell://events", "mailbell://messages/em_evt_1"] {
        let told = wire.next().await;
        assert_eq!((&told["method"], &told["params"]["uri"]), (&json!("notifications/resources/updated"), &json!(uri)));
    }
    // The operator adds a mailbox, which is no event; mail comes to it, which is one, and which a channel tells.
    run(dir, &["mailbox", "add", "sales@mailbell.test"], "").await;
    assert_eq!(wire.next().await["method"], "notifications/resources/list_changed");
    run(dir, &["try", "inbound"], "").await;
    let mut told = vec![wire.next().await, wire.next().await];
    told.sort_by_key(|message| message["method"].to_string());
    assert_eq!(told[0]["method"], "notifications/claude/channel", "{told:?}");
    assert_eq!(told[0]["params"]["meta"]["inbound"], "1", "{told:?}");
    assert_eq!(told[1]["params"]["uri"], "mailbell://events", "{told:?}");
}
