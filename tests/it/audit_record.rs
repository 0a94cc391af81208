//! The audit record: what it tells of an agent's day, and that no change of it goes unseen.

use mailbell::{
    domain::clock::Clock as _,
    store::audit::{AuditFilter, AuditLog as _, Entry, Fault, Head, ToolCall, Verdict},
};
use serde_json::{Value, json};
use sqlx::{ConnectOptions as _, Connection as _, sqlite::SqliteConnectOptions};

use crate::support::{
    agent::{Era, Wing, inbound},
    bell::{self, BellWing},
    mail_api::email,
};

async fn entries(wing: &Wing) -> Vec<Value> {
    let (rows, _) = wing.store.entries(&AuditFilter::default(), 0, 1_000).await.unwrap();
    rows.into_iter().map(|row| row.entry).collect()
}

/// Waits until the record tells of `what`: a wait's own row is written behind it.
async fn told(wing: &Wing, what: &str, tool: &str) -> Value {
    for _ in 0..10_000 {
        let found = entries(wing).await;
        if let Some(entry) = found.into_iter().find(|entry| entry["what"] == what && entry["tool"] == tool) {
            return entry;
        }
        tokio::task::yield_now().await;
    }
    panic!("no {what} of {tool}: {:#?}", entries(wing).await);
}

#[tokio::test]
async fn a_day_of_an_agent_is_told_without_its_words() {
    let wing = Wing::start().await;
    wing.api.add_email("mbx_1", email("em_1", "thr_1", 1, "Hi", "text"));
    wing.happens(vec![inbound(1, "Hi"), inbound(2, "Ho")]).await;
    let agent = wing.agent(Era::Modern).await;
    let waited = agent.call("wait_for_event", json!({ "limit": 1 })).await;
    let token = waited["lease_token"].as_str().unwrap().to_owned();
    let words = "the secret plan is in the garden";
    let sent = json!({ "mailbox": "agent@mailbell.test", "to": ["bob@example.com"], "subject": "Re", "markdown": words,
        "lease_token": token });
    agent.try_call("send_email", sent).await;
    agent.call("tag_email", json!({ "message_id": "em_1", "tags": ["handled"] })).await;
    agent.refused("tag_email", json!({ "message_id": "em_1" })).await;

    let events = entries(&wing).await;
    let commit = events.iter().find(|entry| entry["what"] == "events").unwrap();
    assert_eq!((&commit["first"], &commit["last"], &commit["count"]), (&json!(1), &json!(2), &json!(2)));
    let leased = events.iter().find(|entry| entry["what"] == "leased").unwrap();
    assert_eq!((&leased["seqs"], &leased["consumer"]), (&json!([1]), &json!("default")));
    let settled = events.iter().find(|entry| entry["what"] == "settled").unwrap();
    assert_eq!(
        (&settled["act"], &settled["seqs"], &settled["holder"]),
        (&json!("ack"), &json!([1]), &leased["holder"])
    );

    let intent = told(&wing, "intent", "send_email").await;
    assert_eq!(intent["arguments"]["to"], json!(["bob@example.com"]), "every recipient");
    assert_eq!(intent["arguments"]["markdown"]["bytes"], words.len());
    assert_eq!(intent["principal"], Value::Null, "a process of this user");
    let result = told(&wing, "result", "send_email").await;
    assert!(result["intent"].is_i64() && result["duration_millis"].is_i64(), "{result}");
    assert_eq!(told(&wing, "result", "wait_for_event").await["outcome"], "done");
    let refusals = events.iter().filter(|entry| entry["outcome"] == "refused");
    assert!(refusals.clone().any(|entry| entry["tool"] == "tag_email"), "{events:#?}");

    let all = json!(entries(&wing).await).to_string();
    assert!(!all.contains("secret plan") && !all.contains(&token), "no body and no lease token");
    assert!(matches!(wing.store.verify(None).await.unwrap(), Verdict::Whole { .. }));
}

#[tokio::test]
async fn a_commit_of_many_events_is_one_entry() {
    let wing = BellWing::start().await;
    let before = wing.store.head().await.unwrap().id;
    wing.tell((1..=200).map(bell::inbound).collect()).await;
    assert_eq!(wing.store.head().await.unwrap().id, before + 1);
    // Told again, there is nothing new to tell.
    wing.tell((1..=200).map(bell::inbound).collect()).await;
    assert_eq!(wing.store.head().await.unwrap().id, before + 1);
}

/// A record of nine entries, what is done to it, and what the check then says.
#[tokio::test]
async fn no_change_of_the_record_goes_unseen() {
    let swap = "UPDATE audit SET id = -1 WHERE id = 4; UPDATE audit SET id = 4 WHERE id = 5; UPDATE audit SET id = 5 WHERE id = -1";
    for (what, done, expected) in [
        ("nothing", "SELECT 1", None),
        (
            "an entry is changed",
            "UPDATE audit SET entry = replace(entry, 'a test', 'no test') WHERE id = 4",
            Some((4, Fault::Changed)),
        ),
        ("its time is changed", "UPDATE audit SET at = at + 1 WHERE id = 6", Some((6, Fault::Changed))),
        ("its kind is changed", "UPDATE audit SET what = 'leased' WHERE id = 6", Some((6, Fault::Changed))),
        ("its link is changed", "UPDATE audit SET mac = zeroblob(32) WHERE id = 3", Some((3, Fault::Changed))),
        ("an entry is taken out", "DELETE FROM audit WHERE id = 5", Some((5, Fault::Missing))),
        ("the first is taken out", "DELETE FROM audit WHERE id = 1", Some((1, Fault::Missing))),
        (
            "the gap is closed",
            "DELETE FROM audit WHERE id = 5; UPDATE audit SET id = id - 1 WHERE id > 5",
            Some((5, Fault::Changed)),
        ),
        ("two are swapped", swap, Some((4, Fault::Changed))),
        (
            "one is put in",
            "INSERT INTO audit SELECT 10, at, what, entry, mac FROM audit WHERE id = 9",
            Some((10, Fault::Changed)),
        ),
        ("the end is cut off", "DELETE FROM audit WHERE id >= 8", Some((8, Fault::Missing))),
        ("all of it is gone", "DELETE FROM audit", Some((1, Fault::Missing))),
        (
            "a segment is made up",
            "INSERT INTO audit_segments SELECT 3, 1, mac, 0, zeroblob(32) FROM audit WHERE id = 3; DELETE FROM audit WHERE id <= 3",
            Some((3, Fault::Seal)),
        ),
    ] {
        let wing = BellWing::start().await;
        let start = wing.store.head().await.unwrap().id;
        for n in start..9 {
            let entry = Entry::Operator { command: "a test", about: json!({ "n": n }) };
            wing.store.record(entry, wing.clock.now()).await.unwrap();
        }
        let head = wing.store.head().await.unwrap();
        assert_eq!(head.id, 9);
        let mut conn = SqliteConnectOptions::new().filename(wing.path()).connect().await.unwrap();
        sqlx::raw_sql(done).execute(&mut conn).await.unwrap();
        conn.close().await.unwrap();
        let found = match wing.store.verify(Some(&head)).await.unwrap() {
            Verdict::Whole { .. } => None,
            Verdict::Broken { id, why } => Some((id, why)),
        };
        assert_eq!(found, expected, "{what}");
    }
}

#[tokio::test]
async fn a_head_kept_elsewhere_shows_a_record_that_was_written_anew() {
    let wing = BellWing::start().await;
    wing.tell(vec![bell::inbound(1)]).await;
    let kept = wing.store.head().await.unwrap();
    let other = Head { mac: [7; 32], ..kept.clone() };
    let verdict = wing.store.verify(Some(&other)).await.unwrap();
    assert_eq!(verdict, Verdict::Broken { id: kept.id, why: Fault::OtherHead });
    wing.tell(vec![bell::inbound(2)]).await;
    let Verdict::Whole { head_is_sealed, .. } = wing.store.verify(Some(&kept)).await.unwrap() else { panic!() };
    assert!(!head_is_sealed);
}

/// Calls at once, and how many of them are to share a commit at least.
const CALLS: usize = 64;
const CALLS_PER_COMMIT: u64 = 4;

#[tokio::test]
async fn calls_that_end_together_share_a_commit_and_each_is_on_record_before_its_answer() {
    let wing = Wing::start().await;
    let agent = wing.agent(Era::Modern).await;
    let before = wing.store.commits();
    let calls = (0..CALLS).map(async |call| {
        agent.call("list_events", json!({ "limit": call + 1 })).await;
        let on_record = entries(&wing).await;
        let limit = json!(call + 1);
        assert!(on_record.iter().any(|entry| entry["what"] == "result" && entry["arguments"]["limit"] == limit));
    });
    futures::future::join_all(calls).await;
    let commits = wing.store.commits() - before;
    assert!(commits * CALLS_PER_COMMIT <= CALLS as u64, "{commits} commits for {CALLS} calls");
    assert!(matches!(wing.store.verify(None).await.unwrap(), Verdict::Whole { .. }));
}

#[tokio::test]
async fn of_entries_that_are_written_together_each_is_answered_with_its_own_id() {
    let wing = BellWing::start().await;
    // As many as take every length of a statement.
    for count in [1, 2, 15, 16, 17, 47, 300] {
        let told = (0..count).map(|call| {
            let call = ToolCall {
                tool: format!("tool {call} of {count}"),
                principal: None,
                holder: "one".into(),
                client: None,
                client_version: None,
                arguments: Value::Null,
            };
            let (store, now) = (wing.store.clone(), wing.clock.now());
            async move { (call.tool.clone(), store.record(Entry::Intent(call), now).await.unwrap()) }
        });
        for (tool, id) in futures::future::join_all(told).await {
            let (rows, _) = wing.store.entries(&AuditFilter::default(), id - 1, 1).await.unwrap();
            assert_eq!((rows[0].id, rows[0].entry["tool"].as_str()), (id, Some(&*tool)));
        }
    }
    assert!(matches!(wing.store.verify(None).await.unwrap(), Verdict::Whole { .. }));
}
