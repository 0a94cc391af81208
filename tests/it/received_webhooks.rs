//! Messages that came by providers' webhooks, read by an agent like any other.

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use mailbell::{
    bell::oversight::Errands,
    domain::{
        clock::Clock as _,
        id::{ActionId, MessageId, SourceName},
        oversight::OversightMode,
        secret::Secret,
    },
    http::hooks,
    signing::{standard_webhooks, token},
    store::{
        oversight::{Decider, Decision},
        received::ReceivedMail as _,
        retention::{BellPolicy, BellRetention as _},
        sources::Sources as _,
    },
};
use rmcp::model::{ReadResourceRequestParams, ResourceContents};
use serde_json::{Value, json};

use crate::support::{
    agent::{Agent, Era, Wing, unfenced},
    http::{Answer, send, serve},
};

pub const KEY: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const MAILBOX: &str = "support@acme.test";

/// A request as a provider makes it: path after the source, headers, body.
pub struct Posted {
    path: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

/// A multipart form; a name with a slash is that of a file.
fn form(fields: &[(&str, &str)]) -> (Vec<(String, String)>, Vec<u8>) {
    let part = |(name, value): &(&str, &str)| {
        let head = match name.split_once('/') {
            Some((name, file)) => format!("name=\"{name}\"; filename=\"{file}\"\r\nContent-Type: text/csv"),
            None => format!("name=\"{name}\""),
        };
        format!("--xYz\r\nContent-Disposition: form-data; {head}\r\n\r\n{value}\r\n")
    };
    let body = format!("{}--xYz--\r\n", fields.iter().map(part).collect::<String>());
    (vec![("content-type".into(), "multipart/form-data; boundary=xYz".into())], body.into_bytes())
}

const TEXT: &str = "Yes, do it.\n\nOn Monday, Ann <ann@acme.test> wrote:\n> Shall I?\n";
const RAW: &str = "From: Bob <bob@example.com>\r\nTo: support@acme.test\r\nSubject: Order 7\r\nMessage-ID: <m1+x=7@example.com>\r\n\
    MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nYes, do it.\r\n\r\n\
    On Monday, Ann <ann@acme.test> wrote:\r\n> Shall I?\r\n--b\r\nContent-Type: text/csv; name=a.csv\r\n\
    Content-Disposition: attachment; filename=a.csv\r\n\r\n1,2\r\n--b--\r\n";

/// The same message as each provider posts it.
fn posted(speaks: &str, secs: i64) -> Posted {
    let headers =
        "Message-ID: <m1+x=7@example.com>\nFrom: Bob <bob@example.com>\nDate: Tue, 24 Nov 2026 10:00:00 +0000";
    let envelope = r#"{"to":["support@acme.test"],"from":"bob@example.com"}"#;
    let (mut path, mut sent, body) = match speaks {
        "sendgrid-inbound" => {
            let fields = [
                ("headers", headers),
                ("from", "Bob <bob@example.com>"),
                ("to", MAILBOX),
                ("subject", "Order 7"),
                ("text", TEXT),
                ("envelope", envelope),
                ("attachments", "1"),
                ("attachment1/a.csv", "1,2"),
            ];
            let (sent, body) = form(&fields);
            (format!("/{KEY}"), sent, body)
        }
        "sendgrid-inbound raw" => {
            let received = format!("Received: by x; Tue, 24 Nov 2026 10:00:00 +0000\r\n{RAW}");
            let (sent, body) = form(&[("email", &received), ("envelope", envelope)]);
            (format!("/{KEY}"), sent, body)
        }
        "mailgun" => {
            let (secs, token_text) = (secs.to_string(), "t".repeat(50));
            let signature = token::sign(&Secret::new(KEY), &secs, &token_text);
            let placed = r#"[["Message-Id","<m1+x=7@example.com>"],["From","Bob <bob@example.com>"]]"#;
            let (sent, body) = form(&[
                ("timestamp", &secs),
                ("token", &token_text),
                ("signature", &signature),
                ("recipient", MAILBOX),
                ("sender", "bob@example.com"),
                ("from", "Bob <bob@example.com>"),
                ("To", MAILBOX),
                ("subject", "Order 7"),
                ("body-plain", TEXT),
                ("stripped-text", "Yes, do it."),
                ("Message-Id", "<m1+x=7@example.com>"),
                ("message-headers", placed),
                ("attachment-count", "1"),
                ("attachment-1/a.csv", "1,2"),
            ]);
            (String::new(), sent, body)
        }
        "postmark" => {
            let body = json!({
                "FromName": "Bob", "From": "bob@example.com", "FromFull": {"Email": "bob@example.com", "Name": "Bob"},
                "ToFull": [{"Email": MAILBOX, "Name": ""}], "OriginalRecipient": MAILBOX, "Subject": "Order 7",
                "MessageID": "22c74902-a0c1-4511-804f-341342852c90", "Date": "Tue, 24 Nov 2026 10:00:00 +0000",
                "TextBody": TEXT, "HtmlBody": "<p>Yes", "StrippedTextReply": "Yes, do it.", "RecordType": "Inbound",
                "Headers": [{"Name": "Message-ID", "Value": "<m1+x=7@example.com>"}],
                "Attachments": [{"Name": "a.csv", "ContentType": "text/csv", "ContentLength": 3, "Content": STANDARD.encode("1,2")}],
            });
            (format!("/{KEY}"), Vec::new(), body.to_string().into_bytes())
        }
        "agentmail" => {
            let body = json!({
                "type": "event", "event_type": "message.received", "event_id": "evt_am_1",
                "message": {
                    "inbox_id": MAILBOX, "thread_id": "thd_am_1", "message_id": "<am1@agentmail.to>", "timestamp": "2026-11-24T10:00:00Z",
                    "from": "Bob <bob@example.com>", "to": [MAILBOX], "subject": "Order 7", "text": TEXT, "extracted_text": "Yes, do it.",
                    "attachments": [{"attachment_id": "att_1", "filename": "a.csv", "content_type": "text/csv", "size": 3}],
                },
            });
            (String::new(), Vec::new(), body.to_string().into_bytes())
        }
        other => panic!("{other}"),
    };
    if speaks == "agentmail" {
        sent.extend(signed(secs, &body));
    }
    path.insert_str(0, "/hooks/acme");
    Posted { path, headers: sent, body }
}

/// The headers by which Svix signs.
pub fn signed(secs: i64, body: &[u8]) -> Vec<(String, String)> {
    let signature = standard_webhooks::sign(&Secret::new(KEY), "msg_1", secs, body);
    let headers =
        [("svix-id", "msg_1".to_owned()), ("svix-timestamp", secs.to_string()), ("svix-signature", signature)];
    headers.map(|(name, value)| (name.to_owned(), value)).to_vec()
}

/// A wing with the source `acme`, and where it takes webhooks.
pub async fn house(speaks: &str) -> (Wing, std::net::SocketAddr) {
    house_of(Wing::start().await, speaks).await
}

pub async fn house_of(wing: Wing, speaks: &str) -> (Wing, std::net::SocketAddr) {
    let (name, secret) = (SourceName::new("acme"), Secret::new(KEY));
    let speaks = speaks.split(' ').next().unwrap();
    wing.store.add_source(&name, speaks, Some(&secret), wing.clock.now()).await.unwrap();
    let addr = serve(hooks::router(wing.intake())).await;
    (wing, addr)
}

pub async fn post(addr: std::net::SocketAddr, posted: &Posted) -> Answer {
    let headers: Vec<_> = posted.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    send(addr, "POST", &posted.path, &headers, &posted.body).await
}

fn secs(wing: &Wing) -> i64 {
    wing.clock.now().0 / 1000
}

pub async fn file(agent: &Agent, uri: &str) -> Vec<u8> {
    let read = agent.client.read_resource(ReadResourceRequestParams::new(uri)).await.unwrap();
    match &read.contents[1] {
        ResourceContents::BlobResourceContents { blob, .. } => STANDARD.decode(blob).unwrap(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn what_a_webhook_brought_is_read_like_any_other_message() {
    for speaks in ["sendgrid-inbound", "sendgrid-inbound raw", "mailgun", "postmark", "agentmail"] {
        let (wing, addr) = house(speaks).await;
        let request = posted(speaks, secs(&wing));
        let answer = post(addr, &request).await;
        assert_eq!((answer.status, &answer.json["received"]), (200, &1.into()), "{speaks}: {:?}", answer.json);
        let again = post(addr, &request).await;
        assert_eq!((again.status, &again.json["duplicates"]), (200, &1.into()), "{speaks}: {:?}", again.json);
        let agent = wing.agent(Era::Modern).await;
        let waited = agent.call("wait_for_event", json!({ "timeout_secs": 0 })).await;
        let event = &waited["events"][0];
        let id = event["message_id"].as_str().unwrap_or_else(|| panic!("{speaks}: {event}"));

        let email = agent.call("read_email", json!({ "message_id": id })).await;
        assert!(unfenced(&email, &email["body_text"]).contains("Shall I?"), "{speaks}: {email}");
        assert_eq!(unfenced(&email, &email["extracted_text"]), "Yes, do it.", "{speaks}");
        assert_eq!(unfenced(&email, &email["subject"]), "Order 7", "{speaks}");
        assert_eq!((&email["from"], &email["mailbox"]), (&"bob@example.com".into(), &MAILBOX.into()), "{speaks}");
        let attachment = &email["attachments"][0];
        assert_eq!(
            (unfenced(&email, &attachment["filename"]), &attachment["size_bytes"]),
            ("a.csv", &3.into()),
            "{speaks}"
        );
        let uri = attachment["uri"].as_str().unwrap();
        if speaks == "agentmail" {
            let refused =
                agent.client.read_resource(ReadResourceRequestParams::new(uri)).await.unwrap_err().to_string();
            assert!(refused.contains("brought none of them"), "{refused}");
        } else {
            assert_eq!(file(&agent, uri).await, b"1,2", "{speaks}");
        }

        let list = agent.call("check_inbox", json!({ "mailbox": MAILBOX })).await;
        assert_eq!(
            (&list["messages"][0]["message_id"], &list["messages"][0]["status"]),
            (&id.into(), &"read".into()),
            "{speaks}"
        );
        let thread = agent.call("get_thread", json!({ "thread_id": event["thread_id"] })).await;
        assert_eq!(thread["messages"][0]["message_id"], id, "{speaks}");
        let tagged = agent.call("tag_email", json!({ "message_id": id, "tags": ["handled"] })).await;
        assert_eq!((&tagged["handled"], tagged["acked"].as_array().unwrap().len()), (&true.into(), 1), "{speaks}");
        let open = agent.call("check_inbox", json!({ "mailbox": MAILBOX, "unhandled_only": true })).await;
        assert_eq!(open["messages"], json!([]), "{speaks}");
        let refused = agent.refused("reply_email", json!({ "message_id": id, "markdown": "Done" })).await;
        assert!(refused.contains("cannot be replied to") && refused.contains("send_email"), "{refused}");
    }
}

fn arrival(headers: &str, to: &[&str], text: &str) -> Posted {
    let envelope = json!({ "to": to, "from": "bob@example.com" }).to_string();
    let headers = format!("{headers}\nDate: Tue, 24 Nov 2026 10:00:00 +0000");
    let fields =
        [("headers", &*headers), ("from", "bob@example.com"), ("to", to[0]), ("text", text), ("envelope", &envelope)];
    let (sent, body) = form(&fields);
    Posted { path: format!("/hooks/acme/{KEY}"), headers: sent, body }
}

async fn ids(agent: &Agent, mailbox: &str) -> Vec<String> {
    let list = agent.call("check_inbox", json!({ "mailbox": mailbox })).await;
    list["messages"].as_array().unwrap().iter().map(|one| one["message_id"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn no_sender_chooses_an_id_that_another_message_has() {
    let (wing, addr) = house("sendgrid-inbound").await;
    let first = arrival("Message-ID: <a@example.com>", &[MAILBOX, "sales@acme.test"], "the first");
    assert_eq!(post(addr, &first).await.json["received"], 2, "one in each mailbox");
    let second = arrival("Message-ID: <a@example.com>", &[MAILBOX], "another of that name");
    assert_eq!(post(addr, &second).await.json["received"], 1);
    assert_eq!(post(addr, &second).await.json["duplicates"], 1);
    assert_eq!(post(addr, &first).await.json["duplicates"], 2);
    // An id as our own are, which might stand for a message of the mail API.
    assert_eq!(post(addr, &arrival("Message-ID: <em_1>", &[MAILBOX], "squats")).await.json["received"], 1);
    let answers = "Message-ID: <b@example.com>\nIn-Reply-To: <a@example.com>";
    assert_eq!(post(addr, &arrival(answers, &[MAILBOX], "an answer")).await.json["received"], 1);
    let agent = wing.agent(Era::Modern).await;
    let (support, sales) = (ids(&agent, MAILBOX).await, ids(&agent, "sales@acme.test").await);
    assert_eq!((support.len(), sales.len()), (4, 1));
    let mut texts = Vec::new();
    let mut threads = std::collections::BTreeSet::new();
    for id in support.iter().chain(&sales) {
        assert_ne!(id, "em_1");
        let email = agent.call("read_email", json!({ "message_id": id })).await;
        texts.push(unfenced(&email, &email["body_text"]).to_owned());
        threads.insert(email["thread_id"].as_str().unwrap().to_owned());
    }
    texts.sort();
    assert_eq!(texts, ["an answer", "another of that name", "squats", "the first", "the first"]);
    assert_eq!(threads.len(), 4, "an answer is in the thread of what it answers");
}

#[tokio::test]
async fn tags_of_what_was_received_pass_the_gate() {
    let (wing, addr) = house("sendgrid-inbound").await;
    post(addr, &arrival("Message-ID: <a@example.com>", &[MAILBOX], "Hi")).await;
    let agent = wing.agent(Era::Modern).await;
    let mode = async |mode| wing.oversight().set_mode(Some(MAILBOX), Some(mode), &Decider::Terminal).await.unwrap();
    mode(OversightMode::ReadOnly).await;
    let tag = |names: &[&str]| json!({ "message_id": "a@example.com", "tags": names });
    let refused = agent.refused("tag_email", tag(&["urgent"])).await;
    assert!(refused.contains("read_only"), "{refused}");
    mode(OversightMode::GatedAll).await;
    let held = agent.call("tag_email", tag(&["urgent"])).await;
    assert_eq!(held["status"], "pending_approval", "{held}");
    let tags = async || wing.store.received(&MessageId::new("a@example.com")).await.unwrap().unwrap().tags;
    assert!(tags().await.is_empty());
    let id = ActionId::new(held["action_id"].as_str().unwrap());
    let digest = wing.oversight().action(&id).await.unwrap().unwrap().digest;
    wing.oversight().decide(&id, &Decision::Approve { digest }, &Decider::Terminal, None).await.unwrap();
    Errands::new(wing.oversight(), wing.upstream_of_the_house()).round().await.unwrap();
    assert_eq!(tags().await.into_keys().collect::<Vec<_>>(), ["urgent"]);
    let handled = agent.call("tag_email", tag(&["handled"])).await;
    assert_eq!(handled["handled"], true, "that work is done needs nobody: {handled}");
    let asked: Vec<Value> =
        wing.api.asked().into_iter().map(|asked| asked.body).filter(|body| !body.is_null()).collect();
    assert!(asked.is_empty(), "the mail API knows nothing of it: {asked:?}");
}

#[tokio::test]
async fn retention_takes_messages_with_their_files() {
    let (wing, addr) = house("sendgrid-inbound").await;
    post(addr, &posted("sendgrid-inbound", secs(&wing))).await;
    let (messages, text, files) = wing.store.received_weight().await.unwrap();
    assert!((messages, files) == (1, 3) && text > 0);
    wing.clock.advance(Duration::from_hours(31 * 24));
    let policy = BellPolicy { received_millis: 30 * 86_400_000, ..policy() };
    assert_eq!(wing.store.sweep(&policy, wing.clock.now()).await.unwrap().received, 1);
    assert_eq!(wing.store.received_weight().await.unwrap(), (0, 0, 0));
}

/// Keeps all.
fn policy() -> BellPolicy {
    BellPolicy {
        events_millis: 0,
        events_max: 0,
        unsettled_millis: 0,
        ids_millis: 0,
        ids_max: 0,
        quarantine_millis: 0,
        received_millis: 0,
        audit_millis: 0,
        audit_max: 0,
    }
}
