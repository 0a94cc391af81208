//! How a change that waits for an operator ends, at a mail API that is not ours: approved, failed, expired, cut off; and what
//! becomes of the lease that it was asked for under.

use std::time::Duration;

use mailbell::{
    bell::oversight::{Errands, WAITS},
    domain::{
        clock::Clock as _,
        id::ActionId,
        oversight::{ActionState, OversightMode},
    },
    store::{
        audit::{AuditFilter, AuditLog as _},
        oversight::{ANSWERED_MILLIS, Decided, Decider, Decision, Oversights as _},
    },
};
use serde_json::{Value, json};

use crate::support::agent::{Agent, Era, Wing, inbound};

const MINUTE: Duration = Duration::from_mins(1);

async fn gated() -> (Wing, Agent) {
    let wing = Wing::start().await;
    wing.oversight().set_mode(None, Some(OversightMode::GatedAll), &Decider::Terminal).await.unwrap();
    let agent = wing.agent(Era::Modern).await;
    (wing, agent)
}

fn letter(words: &str) -> Value {
    json!({ "mailbox": "agent@mailbell.test", "to": ["bob@example.com"], "cc": ["ann@example.com"], "subject": "Re",
        "markdown": words })
}

fn errands(wing: &Wing) -> Errands {
    Errands::new(wing.oversight(), wing.upstream_of_the_house())
}

async fn approve(wing: &Wing, id: &ActionId) -> Decided {
    let digest = wing.oversight().action(id).await.unwrap().unwrap().digest;
    wing.oversight().decide(id, &Decision::Approve { digest }, &Decider::Terminal, None).await.unwrap()
}

fn id_of(answer: &Value) -> ActionId {
    assert_eq!(answer["status"], "pending_approval", "{answer}");
    ActionId::new(answer["action_id"].as_str().unwrap())
}

/// What the agent hears of it, by the cursor that it was given.
async fn heard(agent: &Agent, answer: &Value) -> Value {
    let wait = json!({ "after": answer["cursor"], "action_id": answer["action_id"], "timeout_secs": 0 });
    let waited = agent.call("wait_for_event", wait).await;
    assert!(waited["events"].as_array().unwrap().len() <= 1, "told once: {waited}");
    waited["events"][0]["outcome"].clone()
}

/// The steps of an action, as they are on record.
async fn steps(wing: &Wing, id: &ActionId) -> Vec<Value> {
    let (rows, _) = wing.store.entries(&AuditFilter::default(), 0, 10_000).await.unwrap();
    let of_it = rows.into_iter().map(|row| row.entry).filter(|entry| entry["action_id"] == id.as_str());
    of_it.filter(|entry| entry["what"] == "action").collect()
}

fn words<'a>(steps: &'a [Value], name: &str) -> Vec<&'a str> {
    steps.iter().map(|step| step[name].as_str().unwrap_or_default()).collect()
}

/// Requests by which a letter was sent.
fn sent(wing: &Wing) -> Vec<Value> {
    wing.api.asked().into_iter().filter(|asked| asked.path.ends_with("/send")).map(|asked| asked.body).collect()
}

/// What another worker of the consumer gets.
async fn taken(agent: &Agent) -> Value {
    agent.call("wait_for_event", json!({ "event_types": ["inbound"], "timeout_secs": 0 })).await
}

#[tokio::test]
async fn a_change_that_nobody_decides_on_expires_and_keeps_its_lease_until_then() {
    let (wing, agent) = gated().await;
    let other = wing.agent(Era::Modern).await;
    wing.happens(vec![inbound(1, "Hi")]).await;
    let token = taken(&agent).await["lease_token"].clone();
    let mut asked = letter("an offer");
    asked["lease_token"] = token.clone();
    let held = agent.call("send_email", asked).await;
    // To have it longer by a minute makes it no shorter.
    agent.call("ack_event", json!({ "lease_token": token, "action": "extend", "lease_secs": 60 })).await;
    for _ in 0..2 {
        wing.clock.advance(Duration::from_hours(24));
        errands(&wing).round().await.unwrap();
        assert!(taken(&other).await["events"].as_array().unwrap().is_empty(), "it is with who asked");
        assert_eq!(heard(&agent, &held).await, Value::Null);
    }
    wing.clock.advance(WAITS.saturating_sub(Duration::from_hours(48)));
    errands(&wing).round().await.unwrap();
    assert_eq!(heard(&agent, &held).await, "expired");
    assert_eq!(approve(&wing, &id_of(&held)).await, Decided::Over(ActionState::Expired));
    errands(&wing).round().await.unwrap();
    assert_eq!((sent(&wing), heard(&agent, &held).await), (vec![], json!("expired")), "told once, and never done");
    assert_eq!(words(&steps(&wing, &id_of(&held)).await, "step"), ["kept", "expired"]);

    wing.clock.advance(Duration::from_millis(ANSWERED_MILLIS.unsigned_abs()).saturating_sub(MINUTE));
    assert!(taken(&other).await["events"].as_array().unwrap().is_empty(), "who asked has time to hear of it");
    wing.clock.advance(MINUTE);
    assert_eq!(taken(&other).await["events"][0]["attempt"], 2, "and then another has it");
}

#[tokio::test]
async fn a_lease_is_kept_for_whoever_asks_for_the_same_after_a_reboot() {
    let (wing, agent) = gated().await;
    wing.happens(vec![inbound(1, "Hi")]).await;
    let mut asked = letter("an offer");
    asked["lease_token"] = taken(&agent).await["lease_token"].clone();
    let held = agent.call("send_email", asked.clone()).await;
    wing.clock.reboot("boot-2");
    let again = taken(&agent).await;
    assert_eq!(again["events"][0]["attempt"], 2, "a lease of an earlier boot is over");
    asked["lease_token"] = again["lease_token"].clone();
    assert_eq!(agent.call("send_email", asked).await["action_id"], held["action_id"], "it waits once");
    let other = wing.agent(Era::Modern).await;
    wing.clock.advance(Duration::from_hours(24));
    assert!(taken(&other).await["events"].as_array().unwrap().is_empty());
    let id = id_of(&held);
    assert_eq!(words(&steps(&wing, &id).await, "step"), ["kept", "collapsed"]);

    // A no ends it, and with it, soon, the lease.
    wing.oversight().decide(&id, &Decision::Deny, &Decider::Terminal, Some("not now")).await.unwrap();
    assert_eq!(heard(&agent, &held).await, "denied");
    wing.clock.advance(MINUTE * 11);
    assert_eq!(taken(&other).await["events"][0]["attempt"], 3);
}

#[tokio::test]
async fn what_is_approved_is_done_at_a_hosted_api_as_it_was_shown() {
    let (wing, agent) = gated().await;
    let held = agent.call("send_email", letter("**an offer**")).await;
    let id = id_of(&held);
    let shown = wing.oversight().action(&id).await.unwrap().unwrap().effect.unwrap().shown;
    assert_eq!((&shown["to"], &shown["markdown"]), (&json!(["bob@example.com"]), &json!("**an offer**")), "{shown}");
    let wrong = Decision::Approve { digest: "0".repeat(64) };
    let decided = wing.oversight().decide(&id, &wrong, &Decider::Terminal, None).await.unwrap();
    assert_eq!(decided, Decided::OtherDigest);
    assert_eq!(approve(&wing, &id).await, Decided::Done);
    for _ in 0..3 {
        errands(&wing).round().await.unwrap();
    }
    let sent = sent(&wing);
    assert_eq!(sent.len(), 1, "once: {sent:?}");
    assert_eq!((&sent[0]["markdown"], &sent[0]["idempotency_key"]), (&json!("**an offer**"), &json!(id.as_str())));
    assert_eq!(heard(&agent, &held).await, "approved");

    let steps = steps(&wing, &id).await;
    assert_eq!(words(&steps, "step"), ["kept", "approved", "running", "done"]);
    assert_eq!(words(&steps, "by"), ["an agent, by MCP", "cli", "", ""]);
    assert_eq!(steps[0]["recipients"], json!(["bob@example.com", "ann@example.com"]));
    assert_eq!(steps[0]["digest"], steps[1]["digest"]);
    let all = json!(steps).to_string();
    assert!(!all.contains("an offer"), "no body: {all}");
}

#[tokio::test]
async fn a_change_that_cannot_be_done_fails_and_says_why() {
    let (wing, agent) = gated().await;
    let held = agent.call("send_email", letter("an offer")).await;
    let id = id_of(&held);
    approve(&wing, &id).await;
    wing.api.answer_next(422, None, json!({ "error": "bob@example.com has asked not to be written to" }));
    for _ in 0..2 {
        errands(&wing).round().await.unwrap();
    }
    assert_eq!(heard(&agent, &held).await, "failed");
    let action = wing.oversight().action(&id).await.unwrap().unwrap();
    assert_eq!((action.state, action.effect), (ActionState::Failed, None));
    assert!(action.note.unwrap().contains("has asked not to be written to"), "the operator sees why");
    let steps = steps(&wing, &id).await;
    assert_eq!(words(&steps, "step"), ["kept", "approved", "running", "failed"]);
    assert!(words(&steps, "note")[3].contains("has asked not to be written to"), "{steps:?}");
    assert_eq!(sent(&wing).len(), 1, "and it is not tried again");
}

/// As a process leaves it that is killed between the mark and the end.
async fn cut_off(wing: &Wing, id: &ActionId) {
    approve(wing, id).await;
    let (from, to) = (ActionState::Approved, ActionState::Running);
    assert!(wing.store.move_action(id, from, to, None, wing.clock.moment()).await.unwrap());
}

#[tokio::test]
async fn what_was_cut_off_is_done_or_told_as_failed_once() {
    let (wing, agent) = gated().await;
    let letter = agent.call("send_email", letter("an offer")).await;
    let webhook = agent.call("register_webhook", json!({ "endpoint_url": "https://hooks.example.com/" })).await;
    for answer in [&letter, &webhook] {
        cut_off(&wing, &id_of(answer)).await;
    }
    let before = wing.api.asked().len();
    for _ in 0..2 {
        // Each keeper begins with what its predecessor was at.
        let errands = errands(&wing);
        errands.take_up().await.unwrap();
        errands.round().await.unwrap();
    }
    assert_eq!((sent(&wing).len(), wing.api.asked().len()), (1, before + 1), "a letter is known by its name, once");
    assert_eq!(heard(&agent, &letter).await, "approved");
    assert_eq!(heard(&agent, &webhook).await, "failed", "what cannot be known again is not done again");
    let steps_of = async |answer| words(&steps(&wing, &id_of(answer)).await, "step").join(" ");
    assert_eq!(steps_of(&letter).await, "kept approved running put_back running done");
    assert_eq!(steps_of(&webhook).await, "kept approved running failed");
}

/// An operator approves what was shown while agents ask for other words under the same name, and others decide too.
#[tokio::test(flavor = "multi_thread")]
async fn approving_while_others_ask_and_decide_runs_only_what_was_shown() {
    let (wing, agent) = gated().await;
    let other = wing.agent(Era::Modern).await;
    let named = |round: usize, words: &str| {
        let mut letter = letter(words);
        letter["idempotency_key"] = json!(format!("round-{round}"));
        letter
    };
    let mut expected = Vec::new();
    for round in 0..40 {
        let (first, second) = (format!("shown {round}"), format!("unshown {round}"));
        let held = agent.call("send_email", named(round, &first)).await;
        let id = id_of(&held);
        let shown = wing.oversight().action(&id).await.unwrap().unwrap();
        let yes = Decision::Approve { digest: shown.digest.clone() };
        let (stranger, terminal) = (Decision::Approve { digest: "f".repeat(64) }, Decider::Terminal);
        let oversight = wing.oversight();
        let (one, two) = (errands(&wing), errands(&wing));
        // Every other time the no is asked for first.
        let no = async |turn| {
            if round % 2 != turn {
                return None;
            }
            Some(oversight.decide(&id, &Decision::Deny, &terminal, None).await.unwrap())
        };
        let (replaced, early, approved, wrong, late, (), ()) = tokio::join!(
            other.call("send_email", named(round, &second)),
            no(0),
            oversight.decide(&id, &yes, &terminal, None),
            oversight.decide(&id, &stranger, &terminal, None),
            no(1),
            async { one.round().await.unwrap() },
            async { two.round().await.unwrap() },
        );
        assert_eq!(replaced["action_id"], held["action_id"], "one name, one action");
        assert_ne!(wrong.unwrap(), Decided::Done);
        let (approved, denied) = (approved.unwrap() == Decided::Done, early.or(late) == Some(Decided::Done));
        assert!(approved != denied, "one of them was first");
        errands(&wing).round().await.unwrap();
        if approved {
            expected.push(json!(first));
        }
    }
    let sent: Vec<Value> = sent(&wing).into_iter().map(|body| body["markdown"].clone()).collect();
    assert!(!expected.is_empty(), "none was approved");
    assert_eq!(sent, expected, "each that was approved, once, in the words that were shown");
}
