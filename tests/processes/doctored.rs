//! The checker of the audit record can fail: each way in which a record could lie to it is found.

use serde_json::{Value, json};

use crate::{
    check::check,
    support::{Agent, add_source, http, post, record, until},
};

/// A record in which three events were handed out and acked.
async fn honest() -> (String, String) {
    let home = tempfile::tempdir().expect("a directory");
    add_source(home.path()).await;
    let agent = Agent::start(home.path()).await;
    for id in ["one", "two", "three"] {
        until("the receiver", async || post(&http(), home.path(), id).await).await;
    }
    let wait = json!({ "kinds": ["delivery"], "consumer": "red", "limit": 1, "timeout_secs": 20 });
    for _ in 0..3 {
        let waited = agent.insist("wait_for_event", wait.clone()).await;
        agent.insist("ack_event", json!({ "lease_token": waited["lease_token"] })).await;
    }
    record(home.path()).await
}

/// Places, in lines, of entries that say `what`, and `act` where one is named.
fn places(lines: &[Value], what: &str, act: Option<&str>) -> Vec<usize> {
    let says = |line: &Value| line["entry"]["what"] == what && act.is_none_or(|act| line["entry"]["act"] == act);
    lines.iter().enumerate().filter(|(_, line)| says(line)).map(|(at, _)| at).collect()
}

/// The export with its lines numbered anew, so that only what they say is wrong.
fn numbered(lines: &[Value]) -> String {
    let numbered = lines.iter().enumerate().map(|(at, line)| {
        let mut line = line.clone();
        line["id"] = json!(at + 1);
        format!("{line}\n")
    });
    numbered.collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_lies_is_found_out() {
    let (export, key) = honest().await;
    let found = check(&export, Some(&key), &["red"]);
    assert_eq!((found.faults, found.events), (vec![], 3));
    let lines: Vec<Value> = export.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let (acks, leases) = (places(&lines, "settled", Some("ack")), places(&lines, "leased", None));
    assert_eq!((acks.len(), leases.len()), (3, 3));
    assert_eq!(check(&numbered(&lines), None, &["red"]).faults, Vec::<String>::new(), "numbering hides no fault");
    let faults = |doctor: &dyn Fn(&mut Vec<Value>)| {
        let mut doctored = lines.clone();
        doctor(&mut doctored);
        check(&numbered(&doctored), None, &["red"]).faults.join("; ")
    };

    let dropped = faults(&|lines| drop(lines.remove(acks[1])));
    assert!(dropped.contains("has never acked it") && dropped.contains("acked 2 of 3"), "{dropped}");
    let twice = faults(&|lines| lines.insert(acks[1] + 1, lines[acks[1]].clone()));
    assert!(twice.contains("it was acked twice"), "{twice}");
    let overlapping = faults(&|lines| {
        let mut second = lines[leases[1]].clone();
        second["entry"]["attempts"] = json!([2]);
        lines.insert(leases[1] + 1, second);
        // The second worker acks.
        lines[acks[1] + 1]["entry"]["attempts"] = json!([2]);
    });
    assert!(overlapping.contains("as attempt 2 while attempt 1 had"), "{overlapping}");
    let another_s = faults(&|lines| lines[acks[1]]["entry"]["attempts"] = json!([2]));
    assert!(another_s.contains("attempt 2 was settled, and nobody had it"), "{another_s}");
    let again = faults(&|lines| lines.push(lines[leases[1]].clone()));
    assert!(again.contains("handed out after it was acked"), "{again}");
    let lost = faults(&|lines| {
        for at in [acks[1], leases[1]] {
            lines.remove(at);
        }
    });
    assert!(lost.contains("red has acked 2 of 3"), "{lost}");

    // What is hidden from all of these, the chain shows.
    let changed = export.replacen("\"holder\":\"", "\"holder\":\"x", 1);
    let other_key = "k".repeat(43);
    for (what, export, key) in [("a changed byte", &changed, &key), ("another key", &export, &other_key)] {
        let faults = check(export, Some(key), &["red"]).faults;
        assert!(faults.first().is_some_and(|fault| fault.contains("the chain does not hold")), "{what}: {faults:?}");
        assert_eq!(check(export, None, &["red"]).faults, Vec::<String>::new(), "{what}");
    }
    let kept: Vec<&str> = export.lines().enumerate().filter(|(at, _)| *at != acks[1]).map(|(_, line)| line).collect();
    let faults = check(&kept.join("\n"), Some(&key), &[]).faults;
    assert!(faults[0].contains("it is missing") && faults[1].contains("the chain does not hold"), "{faults:?}");
}
