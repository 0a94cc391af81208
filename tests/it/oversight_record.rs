//! What the audit record tells of oversight and of the mail API, in a whole house, and of the key that it is chained by.

use std::{
    fs,
    process::{Command, Stdio},
};

use serde_json::{Value, json};

use crate::oversight_house::{AGENT, BINARY, House, letter, serve, until};

/// The entries of that kind, of that tool or command.
fn of<'a>(record: &'a [Value], what: &str, name: &str) -> Vec<&'a Value> {
    record.iter().filter(|entry| entry["what"] == what && (entry["tool"] == name || entry["command"] == name)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_asked_of_the_api_is_on_record_before_it_is_done_with_everybody_it_goes_to() {
    let house = House::start();
    let (email, operator) = (house.mail("first", "").await, house.operator());
    let webhook =
        json!({ "url": "self", "events": ["inbound"], "secret": "a-secret-of-forty-characters-or-even-more" });
    let key = json!({ "name": "robot", "scopes": ["read", "send"] });
    let (_, made) = house.ask(&operator, "POST", "/v1/api-keys", &key).await;
    assert_eq!(
        house.ask(&operator, "PATCH", AGENT, &json!({ "auto_bcc": "delivered@simulator.mailbell.test" })).await.0,
        200
    );
    let mut sent = letter("Offer");
    (sent["to"], sent["bcc"]) = (json!(["a@mailbell.test"]), json!(["b@mailbell.test"]));
    (sent["markdown"], sent["send_at"]) = (json!("the secret plan"), json!("2027-11-01T00:00:00Z"));
    let (status, scheduled) = house.api("POST", &format!("{AGENT}/send"), sent).await;
    assert_eq!(status, 202, "{scheduled}");
    let later = format!("{AGENT}/emails/{}", scheduled["id"].as_str().unwrap());
    for (method, path, body) in [
        ("POST", format!("{AGENT}/reply/{email}"), json!({ "markdown": "the secret plan" })),
        ("PATCH", format!("{later}/schedule"), json!({ "cc": ["c@mailbell.test"] })),
        ("POST", format!("{later}/cancel"), Value::Null),
        ("POST", "/v1/suppression".into(), json!({ "address": "bob@example.com" })),
        ("POST", "/v1/webhooks".into(), webhook),
    ] {
        let (status, answer) = house.api(method, &path, body).await;
        assert!((200..300).contains(&status), "{method} {path}: {status} {answer}");
    }
    let robot = made["api_key"].as_str().unwrap();
    assert_eq!(house.ask(robot, "DELETE", AGENT, &Value::Null).await.0, 403);

    let record = house.record();
    for (tool, by, recipients) in [
        ("POST /v1/api-keys", "operator", json!(null)),
        (
            "POST /v1/mailboxes/{mailbox}/send",
            "api",
            json!(["a@mailbell.test", "b@mailbell.test", "delivered@simulator.mailbell.test"]),
        ),
        (
            "POST /v1/mailboxes/{mailbox}/reply/{email}",
            "api",
            json!(["delivered@simulator.mailbell.test", "delivered@simulator.mailbell.test"]),
        ),
        (
            "PATCH /v1/mailboxes/{mailbox}/emails/{email}/schedule",
            "api",
            json!(["a@mailbell.test", "b@mailbell.test", "c@mailbell.test", "delivered@simulator.mailbell.test"]),
        ),
        ("POST /v1/mailboxes/{mailbox}/emails/{email}/cancel", "api", json!(null)),
        ("POST /v1/suppression", "api", json!(null)),
        ("POST /v1/webhooks", "api", json!(null)),
    ] {
        let (intents, results) = (of(&record, "intent", tool), of(&record, "result", tool));
        assert!(intents.len() == 1 && results.len() == 1, "{tool}: {intents:?} {results:?}");
        let told = results[0];
        assert_eq!((&told["principal"], &told["outcome"]), (&json!(by), &json!("done")), "{told}");
        let mut told: Vec<&str> =
            told["recipients"].as_array().into_iter().flatten().map(|it| it.as_str().unwrap()).collect();
        told.sort_unstable();
        let expected: Vec<&str> = recipients.as_array().into_iter().flatten().map(|it| it.as_str().unwrap()).collect();
        let (told, expected): (std::collections::BTreeSet<_>, std::collections::BTreeSet<_>) =
            (told.into_iter().collect(), expected.into_iter().collect());
        assert_eq!(told, expected, "{tool}");
    }
    let refused = of(&record, "result", "DELETE /v1/mailboxes/{mailbox}");
    assert_eq!((&refused[0]["outcome"], &refused[0]["principal"]), (&json!("refused"), &json!("robot")));
    let all = json!(record).to_string();
    for secret in ["secret plan", "a-secret-of-forty", robot, &operator] {
        assert!(!all.contains(secret), "{secret} is on record");
    }
    assert!(house.look(&["audit", "verify"]).starts_with("the audit record is whole"));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_set_what_and_who_decided_is_on_record() {
    let house = House::start();
    let operator = house.operator();
    house.order(&["pause"]);
    house.order(&["resume"]);
    house.order(&["mode", "gated_send"]);
    let own = json!({ "oversight_mode": "gated_all" });
    assert_eq!(house.ask(&operator, "PATCH", AGENT, &own).await.0, 200);
    let code = house.order(&["mode", "gated_send", "agent@mailbell.test", "--code"]);
    assert_eq!(house.api("POST", &format!("{AGENT}/upgrade"), json!({ "code": "up_guess" })).await.0, 403);
    assert_eq!(house.api("POST", &format!("{AGENT}/upgrade"), json!({ "code": code.trim() })).await.0, 200);
    let (_, first) = house.api("POST", &format!("{AGENT}/send"), letter("First")).await;
    let (_, second) = house.api("POST", &format!("{AGENT}/send"), letter("Second")).await;
    house.order(&["approvals", "deny", first["action_id"].as_str().unwrap(), "--note", "not this one"]);
    let yes = json!({ "email_id": second["action_id"], "action": "approve" });
    assert_eq!(house.ask(&operator, "POST", "/v1/oversight/decide", &yes).await.0, 200);
    until(async || (house.sent().await.len() == 1).then_some(())).await;

    let steps = until(async || {
        let steps: Vec<_> = house.record().into_iter().filter(|entry| entry["what"] == "action").collect();
        steps.iter().any(|step| step["step"] == "done").then_some(steps)
    });
    let steps = steps.await;
    let told = |action: &Value| -> Vec<String> {
        let of_it = steps.iter().filter(|step| step["action_id"] == action["action_id"]);
        of_it.map(|step| format!("{} {}", step["step"].as_str().unwrap(), step["by"].as_str().unwrap_or("-"))).collect()
    };
    assert_eq!(told(&first), ["kept the API key `api`", "denied cli"]);
    assert_eq!(told(&second), ["kept the API key `api`", "approved rest:operator", "running -", "done -"]);
    let record = house.record();
    for (command, about) in [
        ("pause", json!({ "by": "cli" })),
        ("resume", json!({ "by": "cli" })),
        ("mode", json!({ "mailbox": null, "mode": "gated_send", "by": "cli" })),
        ("mode", json!({ "mailbox": "agent@mailbell.test", "mode": "gated_all", "by": "rest:operator" })),
    ] {
        assert!(of(&record, "operator", command).iter().any(|entry| entry["about"] == about), "{command} {about}");
    }
    let made = of(&record, "operator", "mode --code")[0];
    assert_eq!((&made["about"]["mode"], &made["about"]["by"]), (&json!("gated_send"), &json!("cli")));
    let used: Vec<_> = record.iter().filter(|entry| entry["what"] == "code_used").collect();
    assert_eq!(used.len(), 1);
    assert_eq!((&used[0]["mailbox"], &used[0]["by"]), (&json!("agent@mailbell.test"), &json!("the API key `api`")));
    assert!(!json!(record).to_string().contains(code.trim()), "the code itself is not on record");
    // What was approved is on record as what was done, too: by the key of approvals.
    let done = of(&record, "result", "POST /v1/mailboxes/{mailbox}/send");
    assert!(done.iter().any(|entry| entry["principal"] == "approvals" && entry["outcome"] == "done"), "{done:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scheduled_message_is_edited_in_gated_all_with_an_operator_s_word() {
    let house = House::start();
    let mut scheduled = letter("Offer");
    scheduled["send_at"] = json!("2027-11-01T00:00:00Z");
    let (_, scheduled) = house.api("POST", &format!("{AGENT}/send"), scheduled).await;
    let path = format!("{AGENT}/emails/{}", scheduled["id"].as_str().unwrap());
    house.order(&["mode", "gated_all"]);
    let edit = json!({ "subject": "Another", "to": ["bounce@simulator.mailbell.test"], "markdown": "other words" });
    let (status, held) = house.api("PATCH", &format!("{path}/schedule"), edit).await;
    assert_eq!(status, 202, "{held}");
    let action = held["action_id"].as_str().unwrap();
    let shown = house.look(&["approvals", "show", action]);
    for part in ["Another", "bounce@simulator.mailbell.test", "other words"] {
        assert!(shown.contains(part), "{shown}");
    }
    assert_eq!(house.get(&path).await["subject"], "Offer", "nothing has changed yet");
    house.order(&["approvals", "approve", action]);
    let edited = until(async || {
        let email = house.get(&path).await;
        (email["subject"] == "Another").then_some(email)
    });
    let edited = edited.await;
    assert_eq!((&edited["to"], &edited["status"]), (&json!(["bounce@simulator.mailbell.test"]), &json!("scheduled")));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_is_asked_for_another_mode_three_times_an_hour() {
    let house = House::start();
    let path = format!("{AGENT}/request-upgrade");
    for mode in ["autonomous", "gated_all", "autonomous"] {
        let (status, answer) = house.api("POST", &path, json!({ "target_mode": mode })).await;
        assert_eq!((status, &answer["status"]), (202, &json!("upgrade_requested")), "{answer}");
    }
    let (status, answer) = house.api("POST", &path, json!({ "target_mode": "autonomous" })).await;
    assert!(status == 429 && answer["error"].as_str().unwrap().contains("3 times an hour"), "{status} {answer}");
    let waiting = house.get("/v1/oversight/pending").await;
    assert_eq!(waiting["pending"].as_array().unwrap().len(), 2, "the same asked twice waits once");
}

/// The key of the record lies where `audit.key_file` says, and is not followed into a file of another key.
#[tokio::test(flavor = "multi_thread")]
async fn the_key_of_the_record_lies_elsewhere_and_another_one_does_not_hold() {
    let home = tempfile::tempdir().unwrap();
    let (dir, key, config) = (home.path().join("data"), home.path().join("chain.key"), home.path().join("config.toml"));
    fs::write(&config, format!("[audit]\nkey_file = {key:?}\n")).unwrap();
    let audit = |arguments: &[&str]| {
        let mut command = Command::new(BINARY);
        command.args(["--log", "error", "audit"]).args(arguments).arg("--data-dir").arg(&dir);
        let output = command.stdin(Stdio::null()).output().unwrap();
        (output.status.success(), String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap())
    };
    // A house with a key of its own is told to move it there.
    let (mut process, _) = serve(&dir, &[]);
    process.kill().unwrap();
    process.wait().unwrap();
    fs::write(home.path().join("secret"), "a secret of forty characters, or some more").unwrap();
    let added = Command::new(BINARY)
        .args(["--log", "error", "source", "add", "test", "--dialect", "multimail", "--secret-stdin", "--data-dir"])
        .arg(&dir)
        .stdin(fs::File::open(home.path().join("secret")).unwrap())
        .output()
        .unwrap();
    assert!(added.status.success(), "{added:?}");
    let (whole, said, _) = audit(&["verify"]);
    assert!(whole && said.contains("1 entries"), "{said}");
    let refused = Command::new(BINARY)
        .args(["--log", "error", "serve", "--mcp-addr", ":0", "--hooks-addr", ":0", "--api-addr", ":0", "--data-dir"])
        .arg(&dir)
        .arg("--config")
        .arg(&config)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success() && said.contains("move that file to") && said.contains("chain.key"), "{said}");
    fs::rename(dir.join("audit.key"), &key).unwrap();
    let (mut process, _) = serve(&dir, &["--config".into(), config.clone()]);
    process.kill().unwrap();
    process.wait().unwrap();
    assert_eq!(fs::read_link(dir.join("audit.key")).unwrap(), key);
    let (whole, said, _) = audit(&["verify"]);
    assert!(whole && said.starts_with("the audit record is whole"), "{said}");

    let own = fs::read_to_string(&key).unwrap();
    fs::write(&key, "k".repeat(43)).unwrap();
    let (whole, _, said) = audit(&["verify"]);
    assert!(!whole && said.contains("the key is not the one it was written with"), "{said}");
    fs::write(&key, "short").unwrap();
    let (whole, _, said) = audit(&["verify"]);
    assert!(!whole && said.contains("holds no key"), "{said}");
    fs::write(&key, own).unwrap();
    assert!(audit(&["verify"]).0, "with its own it holds again");
}
