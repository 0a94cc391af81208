//! What commands answer: JSON for programs, of failures too; colours on a terminal alone; and nothing of a stranger's that a
//! terminal would obey.

use std::{
    collections::BTreeSet,
    fs::File,
    io::Read as _,
    process::{Command, Stdio},
};

use mailbell::domain::clock::UnixMillis;
use rustix::{
    fs::{Mode, OFlags, open},
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
};
use serde_json::{Value, json};

use crate::oversight_house::{BINARY, House};

/// Clears the screen, sets the title, begins an 8-bit sequence, turns the line.
const HOSTILE: &str = "gone \u{1b}[2J\u{1b}]0;owned\u{7} \u{9b}31m \u{202e}\u{2066}end";
/// What a subject may hold by the API, which refuses the rest.
const TURNING: &str = "turned \u{202e}\u{2066}end";
/// Characters of it that no terminal may get.
const OBEYED: [char; 5] = ['\u{7}', '\u{9b}', '\u{202e}', '\u{2066}', '\u{7f}'];

/// What a command says on a terminal, with these variables in its environment.
fn on_a_terminal(house: &House, arguments: &[&str], environment: &[(&str, &str)]) -> String {
    let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&ours).unwrap();
    unlockpt(&ours).unwrap();
    let theirs = open(ptsname(&ours, Vec::new()).unwrap(), OFlags::RDWR | OFlags::NOCTTY, Mode::empty()).unwrap();
    let mut command = Command::new(BINARY);
    command.args(["--log", "error"]).args(arguments).arg("--data-dir").arg(house.dir.path());
    for variable in ["NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE", "CI"] {
        command.env_remove(variable);
    }
    command.env("TERM", "xterm-256color").envs(environment.iter().copied());
    let mut running = command
        .stdin(Stdio::null())
        .stdout(Stdio::from(theirs.try_clone().unwrap()))
        .stderr(Stdio::from(theirs))
        .spawn()
        .unwrap();
    // The command holds its ends, of which this process has none left once they are dropped.
    drop(command);
    let mut said = Vec::new();
    match File::from(ours).read_to_end(&mut said) {
        Ok(_) => {}
        // That is how Linux says that nobody has the other end any more.
        Err(error) => assert_eq!(error.raw_os_error(), Some(5), "{error}"),
    }
    running.wait().unwrap();
    String::from_utf8(said).unwrap()
}

/// The house with mail of a stranger's, and an action of an agent's that waits.
async fn house() -> House {
    let house = House::start();
    let inbound = house.run(&["try", "inbound", "--subject", HOSTILE, "--text", HOSTILE]);
    assert!(inbound.status.success(), "{}", String::from_utf8_lossy(&inbound.stderr));
    let agent = house.agent().await;
    let event = agent.call("wait_for_event", json!({ "timeout_secs": 50 })).await["events"][0].clone();
    assert_eq!(event["event_type"], "inbound", "{event}");
    house.order(&["mode", "gated_send"]);
    let letter = json!({ "to": ["delivered@simulator.mailbell.test"], "subject": TURNING, "markdown": HOSTILE });
    let (status, kept) = house.api("POST", &format!("{}/send", crate::oversight_house::AGENT), letter).await;
    assert_eq!(status, 202, "{kept}");
    house
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_stranger_wrote_commands_no_terminal() {
    let house = house().await;
    let action = house.look(&["approvals", "--json"]);
    let action: Value = serde_json::from_str(action.lines().next().unwrap()).unwrap();
    let id = action["action_id"].as_str().unwrap();
    for arguments in [
        &["events"][..],
        &["events", "--json"],
        &["export"],
        &["consumers", "show", "default"],
        &["consumers", "show", "default", "--json"],
        &["approvals"],
        &["approvals", "--json"],
        &["approvals", "show", id],
        &["approvals", "show", id, "--json"],
        &["audit"],
        &["audit", "--json"],
        &["audit", "export"],
        &["source", "show", HOSTILE],
        &["source", "show", HOSTILE, "--json"],
        &["doctor"],
        &[HOSTILE],
    ] {
        for switch in ["never", "always"] {
            let said = on_a_terminal(&house, &[arguments, &["--color", switch]].concat(), &[]);
            assert!(!said.is_empty(), "{arguments:?} says nothing");
            assert!(!said.contains(OBEYED), "{arguments:?}: {said:?}");
            // Our own colours end in m and hold digits alone.
            let colours = said.split('\u{1b}').skip(1).all(|rest| {
                rest.strip_prefix('[')
                    .and_then(|rest| rest.split_once('m'))
                    .is_some_and(|(colour, _)| colour.bytes().all(|byte| byte.is_ascii_digit() || byte == b';'))
            });
            assert!(colours && !said.contains("[2J\u{1b}"), "{arguments:?}: {said:?}");
            // A command line that is not understood says nothing of colours.
            assert!(
                switch == "always" || arguments[0] == HOSTILE || !said.contains('\u{1b}'),
                "{arguments:?}: {said:?}"
            );
        }
    }
    let event: Value = serde_json::from_str(house.look(&["events", "--json"]).lines().next().unwrap()).unwrap();
    let subject = event["subject"].as_str().unwrap();
    assert!(subject.starts_with("gone ") && subject.ends_with("end"), "{event}");
}

#[tokio::test(flavor = "multi_thread")]
async fn colours_are_for_terminals_and_for_whoever_asks() {
    let house = house().await;
    let colour = |said: &str| said.contains("\u{1b}[");
    for arguments in [&["events"][..], &["doctor"], &["approvals"], &["source", "show", "nobody"]] {
        assert!(colour(&on_a_terminal(&house, arguments, &[])), "{arguments:?} on a terminal");
        for (variable, value) in [("NO_COLOR", "1"), ("TERM", "dumb")] {
            let said = on_a_terminal(&house, arguments, &[(variable, value)]);
            assert!(!colour(&said), "{arguments:?} with {variable}: {said:?}");
        }
        let piped = |more: &[&str], environment: &[(&str, &str)]| {
            let mut command = Command::new(BINARY);
            command.args(["--log", "error"]).args(arguments).args(more).arg("--data-dir").arg(house.dir.path());
            let output = command.env_remove("NO_COLOR").envs(environment.iter().copied()).output().unwrap();
            String::from_utf8([output.stdout, output.stderr].concat()).unwrap()
        };
        assert!(!colour(&piped(&[], &[])), "{arguments:?} in a pipe");
        assert!(colour(&piped(&[], &[("CLICOLOR_FORCE", "1")])), "{arguments:?} with CLICOLOR_FORCE");
        assert!(colour(&piped(&["--color", "always"], &[("NO_COLOR", "1")])), "{arguments:?} with --color always");
    }
    // Programs get no colours, whoever asks.
    let json = on_a_terminal(&house, &["events", "--json", "--color", "always"], &[]);
    assert!(!colour(&json), "{json:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn programs_get_json_of_answers_and_of_failures() {
    let house = house().await;
    let action: Value = serde_json::from_str(house.look(&["approvals", "--json"]).trim()).unwrap();
    assert_eq!(action["state"], "pending", "{action}");
    let id = action["action_id"].as_str().unwrap();
    let lines = |said: &str| -> Vec<Value> { said.lines().map(|line| serde_json::from_str(line).unwrap()).collect() };
    let mut seen = BTreeSet::new();
    for (arguments, field) in [
        (&["approvals", "deny", id, "--note", "no"][..], "decided"),
        (&["mode", "autonomous"], "mode"),
        (&["pause"], "paused"),
        (&["resume"], "paused"),
        (&["console"], "code"),
    ] {
        let said = lines(&house.order(&[arguments, &["--json"]].concat()));
        assert!(said.len() == 1 && !said[0][field].is_null(), "{arguments:?}: {said:?}");
        seen.insert(arguments[0]);
    }
    let backup = house.dir.path().join("copy");
    let backup = backup.to_str().unwrap();
    for (arguments, field) in [
        (&["mode"][..], "mode"),
        (&["token", "list"], "name"),
        (&["token", "create", "other"], "token"),
        (&["token", "show", "mcp"], "token"),
        (&["token", "revoke", "other"], "revoked"),
        (&["mailbox", "add", "two@mailbell.test"], "id"),
        (&["mailbox", "list"], "address"),
        (&["mailbox", "track-opens", "two@mailbell.test", "on"], "track_opens"),
        (&["mailbox", "remove", "two@mailbell.test"], "removed"),
        (&["source", "list"], "name"),
        (&["source", "show", "multimail"], "told"),
        (&["source", "test", "multimail"], "taken"),
        (&["webhook", "list"], "webhook_id"),
        (&["webhook", "deliveries"], "delivery_id"),
        (&["consumers"], "name"),
        (&["consumers", "show", "default"], "consumer"),
        (&["audit", "head"], "head"),
        (&["audit", "verify"], "whole"),
        (&["try", "delivery"], "message_id"),
        (&["try", "inbound"], "smtp"),
        (&["backup", backup], "events"),
        (&["doctor"], "checks"),
    ] {
        let ran = house.run(&[arguments, &["--json"]].concat());
        let said = lines(std::str::from_utf8(&ran.stdout).unwrap());
        assert!(said.iter().all(|line| !line[field].is_null()) && !said.is_empty(), "{arguments:?}: {ran:?}");
        seen.insert(arguments[0]);
    }
    assert!(seen.len() >= 14, "{seen:?}");

    for (arguments, code) in [
        (&["source", "show", "nobody"][..], 1),
        (&["consumers", "show", "nobody"], 1),
        (&["approvals", "show", "act_none"], 1),
        (&["webhook", "secret", "wh_none"], 1),
        (&["restore", "/nowhere"], 1),
        (&["notify", "test", "--config", "/nowhere"], 2),
        (&["events", "--kinds", "nonsense"], 2),
        (&["mode", "autonomous", "--nonsense"], 2),
    ] {
        let ran = house.run(&[arguments, &["--json"]].concat());
        assert_eq!(ran.status.code(), Some(code), "{arguments:?}: {ran:?}");
        let told = lines(std::str::from_utf8(&ran.stderr).unwrap());
        assert!(
            told.len() == 1 && told[0]["exit_code"] == code && told[0]["error"].is_string(),
            "{arguments:?}: {told:?}"
        );
        assert!(ran.stdout.is_empty(), "{arguments:?}: {ran:?}");
    }
}

/// The line of `doctor` on that.
fn checked(house: &House, name: &str, arguments: &[&str]) -> Option<Value> {
    let ran = house.run(&[&["doctor", "--json"][..], arguments].concat());
    let told: Value = serde_json::from_slice(&ran.stdout).unwrap();
    let checks = told["checks"].as_array().unwrap();
    checks.iter().rev().find(|check| check["check"] == name).cloned()
}

#[tokio::test(flavor = "multi_thread")]
async fn doctor_asks_itself_at_the_public_url_and_knows_a_clock_that_was_set() {
    let house = House::start();
    let keeper = house.dir.path().join("keeper.json");
    let published: Value = serde_json::from_str(&std::fs::read_to_string(&keeper).unwrap()).unwrap();
    let with = |change: &dyn Fn(&mut Value)| {
        let mut published = published.clone();
        change(&mut published);
        std::fs::write(&keeper, published.to_string()).unwrap();
    };
    assert_eq!(checked(&house, "public_url", &[]), None);
    let hooks = published["hooks"].as_str().unwrap();
    for (url, answers, state) in [
        (hooks, "ours", "ok"),
        (published["api"].as_str().unwrap(), "another", "failed"),
        ("http://127.0.0.1:9", "nobody", "warning"),
    ] {
        with(&|published| published["heritage"]["public_url"] = json!(url));
        let check = checked(&house, "public_url", &[]).unwrap();
        assert_eq!((&check["data"]["answers"], &check["state"]), (&json!(answers), &json!(state)), "{url}: {check}");
        assert!(state == "ok" || check["todo"].as_str().unwrap().contains(hooks), "{check}");
    }
    with(&|_| ());
    assert_eq!(checked(&house, "clock", &[]).unwrap()["state"], "ok");
    for (hours, way) in [(2, "back"), (-2, "forward")] {
        with(&|published| {
            let at: UnixMillis = serde_json::from_value(published["began"]["at"].clone()).unwrap();
            published["began"]["at"] = json!(UnixMillis(at.0 + hours * 3_600_000));
        });
        let check = checked(&house, "clock", &[]).unwrap();
        let says = check["says"].as_str().unwrap();
        assert!(check["state"] == "warning" && says.starts_with(&format!("was set {way} by 7")), "{check}");
    }
    with(&|published| published["began"]["boot_id"] = json!("another"));
    assert_eq!(checked(&house, "clock", &[]).unwrap()["state"], "ok", "the clock of another boot tells nothing");
}
