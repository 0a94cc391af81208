//! Servers of mailboxes elsewhere that fail, refuse, lie or are somebody else: each is told in a sentence, and costs nothing.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use mailbell::{
    app::{house::House, system::SystemClock},
    bell::{
        imap::{
            Findings, Trouble, look,
            settings::{Security, Settings},
        },
        waiting::{ListRequest, Position},
    },
    domain::{
        clock::{Clock, UnixMillis},
        event::{Auth, Detail, Event, EventFilter},
        id::SourceName,
        secret::Secret,
    },
    store::{
        log::Order,
        sources::{Source, Sources as _},
    },
};

use crate::support::{certificate, clock::TestClock, house::house_in, imap::server};

const GREETING: &str = "* OK here\r\n";
const PASSWORD: &str = "app-password";
/// Far more than anything here takes, on a machine that is busy with other tests.
const PATIENCE: Duration = Duration::from_mins(1);

fn settings(port: u16) -> Settings {
    Settings {
        host: "localhost".into(),
        port,
        security: Security::None,
        ca: None,
        user: "ann".into(),
        mailbox: "ann@example.test".into(),
        token_command: Vec::new(),
        folders: vec!["INBOX".into()],
        mark_seen: false,
        connections: 1,
        message_bytes_max: 4096,
    }
}

async fn looked_with(settings: Settings, clock: Arc<dyn Clock>) -> Result<Findings, Trouble> {
    let source = Source {
        name: SourceName::new("work"),
        dialect: "imap".into(),
        secrets: vec![Secret::new(PASSWORD)],
        retiring: Vec::new(),
        api_key: None,
        settings: settings.stored(),
        created_at: UnixMillis(0),
    };
    tokio::time::timeout(PATIENCE, look(&source, clock)).await.expect("it ends")
}

async fn looked(settings: Settings) -> Result<Findings, Trouble> {
    looked_with(settings, Arc::new(SystemClock::new())).await
}

/// What a server says that keeps to the rules and has nothing.
fn plain(command: &str) -> Option<String> {
    if command == "DONE" {
        // The end of an IDLE, which is answered under that one's tag.
        return None;
    }
    let before = match command.split(' ').next().unwrap_or_default() {
        "CAPABILITY" => "* CAPABILITY IMAP4rev1\r\n",
        "LIST" => "* LIST () \"/\" INBOX\r\n",
        "EXAMINE" => "* 0 EXISTS\r\n* OK [UIDVALIDITY 7] x\r\n* OK [UIDNEXT 1] x\r\n",
        _ => "",
    };
    Some(format!("{before}{{tag}} OK done\r\n"))
}

#[tokio::test]
async fn a_server_that_keeps_to_the_rules_is_told_of_as_it_is() {
    let found = looked(settings(server(GREETING, None, plain).await)).await.unwrap();
    assert_eq!(found.folders, ["INBOX"]);
    assert_eq!(found.watched, [("INBOX".to_owned(), Ok(0))]);
    assert!(!found.idles);
}

#[tokio::test]
async fn a_certificate_for_another_name_or_by_a_stranger_is_refused_before_anything_is_said() {
    let heard = Arc::new(Mutex::new(Vec::new()));
    let listen = |heard: Arc<Mutex<Vec<String>>>| {
        move |command: &str| {
            heard.lock().unwrap().push(command.to_owned());
            plain(command)
        }
    };
    let (right, ca) = certificate::acceptor("localhost");
    let port = server(GREETING, Some(right), plain).await;
    looked(Settings { security: Security::Tls, ca: Some(ca.clone()), ..settings(port) }).await.unwrap();
    let stranger = looked(Settings { security: Security::Tls, ..settings(port) }).await.unwrap_err();
    assert!(matches!(stranger, Trouble::Tls { .. }), "{stranger}");

    let (wrong, ca) = certificate::acceptor("other.test");
    let port = server(GREETING, Some(wrong), listen(heard.clone())).await;
    let error = looked(Settings { security: Security::Tls, ca: Some(ca), ..settings(port) }).await.unwrap_err();
    assert!(error.to_string().contains("no verified TLS with localhost"), "{error}");
    assert!(heard.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_server_without_starttls_gets_no_password() {
    let heard = Arc::new(Mutex::new(Vec::new()));
    let noted = heard.clone();
    let port = server(GREETING, None, move |command| {
        noted.lock().unwrap().push(command.to_owned());
        Some("{tag} BAD what is that\r\n".into())
    });
    let error = looked(Settings { security: Security::Starttls, ..settings(port.await) }).await.unwrap_err();
    assert!(matches!(error, Trouble::Said { doing: "asking for TLS", .. }), "{error}");
    assert_eq!(*heard.lock().unwrap(), ["STARTTLS"]);
}

#[tokio::test]
async fn a_refused_login_says_what_to_do_and_not_the_password() {
    let no = |_: &str| Some(format!("{{tag}} NO [AUTHENTICATIONFAILED] not {PASSWORD}\r\n"));
    let error = looked(settings(server(GREETING, None, no).await)).await.unwrap_err();
    let told = error.to_string();
    assert!(told.contains("source rotate") && !told.contains(PASSWORD), "{told}");
}

#[tokio::test]
async fn an_oauth_token_comes_from_a_command_without_a_shell() {
    let heard = Arc::new(Mutex::new(Vec::new()));
    let noted = heard.clone();
    let port = server(GREETING, None, move |command| {
        noted.lock().unwrap().push(command.to_owned());
        if command == "AUTHENTICATE XOAUTH2" { Some("+ \r\n".into()) } else { plain(command) }
    })
    .await;
    let by = |command: &[&str]| Settings {
        token_command: command.iter().map(ToString::to_string).collect(),
        ..settings(port)
    };
    looked(by(&["/bin/echo", "$(id)"])).await.unwrap();
    let expected = STANDARD.encode("user=ann\x01auth=Bearer $(id)\x01\x01");
    assert_eq!(heard.lock().unwrap()[..2], ["AUTHENTICATE XOAUTH2".to_owned(), expected]);

    for (command, why) in [
        (&["/bin/false"][..], "failed"),
        (&["/nowhere/at/all"], "could not be started"),
        (&["/bin/echo", "two words"], "other than one access token"),
        (&["/usr/bin/head", "-c", "20000", "/dev/zero"], "16 KiB"),
    ] {
        let told = looked(by(command)).await.unwrap_err().to_string();
        assert!(told.contains(why), "{told}");
    }
}

#[tokio::test]
async fn a_server_or_a_command_that_hangs_is_given_up() {
    let silent = server(GREETING, None, |_| None).await;
    let mute = server("", None, plain).await;
    let slow = Settings { token_command: vec!["/bin/sleep".into(), "1000".into()], ..settings(1) };
    for settings in [settings(silent), settings(mute), slow] {
        let clock = TestClock::default();
        let time_passes = async {
            loop {
                if clock.sleepers() > 0 {
                    clock.advance(Duration::from_secs(30));
                }
                tokio::task::yield_now().await;
            }
        };
        let ended = tokio::select! {
            ended = looked_with(settings, Arc::new(clock.clone())) => ended,
            () = time_passes => unreachable!("time passes for ever"),
        };
        let told = ended.unwrap_err();
        assert!(matches!(told, Trouble::TooSlow { .. } | Trouble::TokenCommand(_)), "{told}");
    }
}

#[tokio::test]
async fn garbage_and_floods_end_the_connection() {
    let deep = "(".repeat(100_000);
    let long = "x".repeat(2 << 20);
    for (answer, why) in [
        ("this is no IMAP at all\r\n".to_owned(), "no IMAP"),
        ("\u{0}\u{1}\u{2}\r\n".to_owned(), "no IMAP"),
        ("* LIST () \"/\" {400000000}\r\n".to_owned(), "more than was asked for"),
        (format!("* 1 FETCH {deep}\r\n"), "more than was asked for"),
        (format!("* OK {long}\r\n"), "more than was asked for"),
        ("* BYE enough\r\n".to_owned(), "goodbye"),
    ] {
        let port =
            server(
                GREETING,
                None,
                move |command| {
                    if command.starts_with("LIST") { Some(answer.clone()) } else { plain(command) }
                },
            );
        let told = looked(settings(port.await)).await.unwrap_err().to_string();
        assert!(told.contains(why), "{told}");
    }
    let web = server("HTTP/1.1 400 Bad Request\r\n\r\n", None, plain).await;
    assert!(looked(settings(web)).await.is_err());
}

/// A house that watches a mailbox.
async fn watching(dir: &std::path::Path, settings: &Settings) -> House {
    let house = house_in(dir, Vec::new(), SystemClock::new()).await;
    let (name, store) = (SourceName::new("work"), house.bell().store.clone());
    store.add_source(&name, "imap", Some(&Secret::new(PASSWORD)), house.bell().clock.now()).await.unwrap();
    store.set_up(&name, &settings.stored()).await.unwrap();
    house
}

/// The events, once there are any.
async fn told(house: &House) -> Vec<Event> {
    let told = async {
        loop {
            let request = ListRequest {
                filter: EventFilter::default(),
                after: Position::Earliest,
                before: None,
                order: Order::Ascending,
                limit: 100,
            };
            let events: Vec<Event> = house.bell().waiting().list(request).await.unwrap().events;
            if !events.is_empty() {
                break events;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, told).await.expect("it is told")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_takes_one_connection_is_read_over_one() {
    let heard = Arc::new(Mutex::new(Vec::new()));
    let noted = heard.clone();
    let port = server(GREETING, None, move |command| {
        let mut heard = noted.lock().unwrap();
        heard.push(command.to_owned());
        let logins = heard.iter().filter(|command| command.starts_with("LOGIN")).count();
        if command.starts_with("LOGIN") && logins == 2 {
            return Some("{tag} NO [LIMIT] too many connections\r\n".into());
        }
        plain(command)
    })
    .await;
    let dir = tempfile::tempdir().unwrap();
    let folders = vec!["INBOX".to_owned(), "Other".to_owned()];
    let house = watching(dir.path(), &Settings { folders, connections: 2, ..settings(port) }).await;
    let both = async {
        loop {
            let heard = heard.lock().unwrap().clone();
            let third = heard.iter().enumerate().filter(|(_, command)| command.starts_with("LOGIN")).nth(2);
            if let Some((third, _)) = third {
                let after = &heard[third..];
                if ["INBOX", "Other"].iter().all(|name| after.contains(&format!("EXAMINE \"{name}\""))) {
                    break;
                }
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, both).await.expect("one connection reads both");
    house.close().await;
}

#[tokio::test]
async fn a_folder_of_sent_mail_is_not_watched() {
    let list = "* LIST (\\HasNoChildren) \"/\" INBOX\r\n* LIST (\\Sent) \"/\" \"Gesendet\"\r\n{tag} OK done\r\n";
    let port = server(
        GREETING,
        None,
        |command| {
            if command.starts_with("LIST") { Some(list.to_owned()) } else { plain(command) }
        },
    );
    let folders = vec!["INBOX".to_owned(), "Gesendet".to_owned()];
    let found = looked(Settings { folders, ..settings(port.await) }).await.unwrap();
    assert_eq!(found.watched[0], ("INBOX".to_owned(), Ok(0)));
    let why = found.watched[1].1.as_ref().unwrap_err();
    assert!(why.contains("`Gesendet`") && why.contains("one's own"), "{why}");
}

/// A mail that is there from the first look on, and a server that refuses to give it, cuts it short and lies about its size
/// before it gives it at last: it is told once, and not passed over.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_server_fails_to_give_is_not_passed_over() {
    let header = "From: ann@a.test\r\nSubject: at last\r\nMessage-ID: <1@a.test>\r\n\r\n";
    let whole = format!("{header}Hello\r\n");
    let mut asked_for_heads = 0;
    let mut asked_for_bodies = 0;
    let port = server(GREETING, None, move |command| {
        let open = "* 1 EXISTS\r\n* OK [UIDVALIDITY 7] x\r\n* OK [UIDNEXT 5] x\r\n{tag} OK done\r\n";
        let head = format!(
            "* 1 FETCH (UID 4 RFC822.SIZE {} INTERNALDATE \" 1-Jan-2100 00:00:00 +0000\" BODY[HEADER]<0> {{{}}}\r\n{header} BODY[TEXT]<0> {{7}}\r\nHello\r\n)\r\n",
            whole.len(),
            header.len()
        );
        let words: Vec<&str> = command.split(' ').collect();
        Some(match (words[0], words.get(1).copied().unwrap_or_default()) {
            ("EXAMINE", _) => open.into(),
            ("UID", "SEARCH") => "* SEARCH 4\r\n{tag} OK done\r\n".into(),
            ("FETCH", _) => format!("{head}{{tag}} OK done\r\n"),
            ("UID", "FETCH") if command.contains("HEADER") => {
                asked_for_heads += 1;
                if asked_for_heads == 1 { "{tag} NO busy\r\n".into() } else { format!("{head}{{tag}} OK done\r\n") }
            }
            ("UID", "FETCH") => {
                asked_for_bodies += 1;
                match asked_for_bodies {
                    1 => "{tag} NO busy\r\n".into(),
                    2 => "* 1 FETCH (UID 4 BODY[] {900000000}\r\nHa".into(),
                    _ => format!("* 1 FETCH (UID 4 BODY[] {{{}}}\r\n{whole})\r\n{{tag}} OK done\r\n", whole.len()),
                }
            }
            _ => return plain(command),
        })
    })
    .await;

    let dir = tempfile::tempdir().unwrap();
    let house = watching(dir.path(), &settings(port)).await;
    let events = told(&house).await;
    assert_eq!(events.len(), 1);
    assert_eq!((events[0].source.as_str(), events[0].auth), ("imap:work", Auth::Api));
    assert!(
        matches!(&events[0].fact.detail, Detail::Inbound { subject, snippet, .. } if subject == "at last" && snippet == "Hello")
    );
    let hooks = house.addresses().hooks.clone().unwrap();
    let at = hooks.strip_prefix("http://").unwrap().parse().unwrap();
    let answer = crate::support::http::send(at, "POST", "/hooks/work", &[], b"{}").await;
    assert_eq!(answer.status, 404, "nobody posts for a mailbox");
    house.close().await;
}

/// More new messages than the longest line has room for: they are looked for in parts.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_new_messages_than_a_line_can_name_are_all_looked_at() {
    const MANY: u32 = 160_000;
    let header = "From: ann@a.test\r\nSubject: the first\r\nMessage-ID: <1@a.test>\r\n\r\n";
    let (mut looks, mut searches) = (0, 0);
    let port = server(GREETING, None, move |command| {
        let words: Vec<&str> = command.split(' ').collect();
        Some(match (words[0], words.get(1).copied().unwrap_or_default()) {
            ("EXAMINE", _) => {
                looks += 1;
                let (exists, next) = if looks == 1 { (0, 1) } else { (MANY, MANY + 1) };
                format!("* {exists} EXISTS\r\n* OK [UIDVALIDITY 7] x\r\n* OK [UIDNEXT {next}] x\r\n{{tag}} OK done\r\n")
            }
            // The folder is empty at the first look, and full when the connection is there again.
            ("UID", "SEARCH") if looks == 1 => {
                searches += 1;
                // It is looked for once more, and by then the connection is over.
                if searches == 1 { "* SEARCH\r\n* 0 EXISTS\r\n{tag} OK done\r\n" } else { "* BYE later\r\n" }.into()
            }
            ("UID", "SEARCH") => {
                let (low, high) = words[2].split_once(':').unwrap();
                let low: u32 = low.parse().unwrap();
                let high: u32 = high.parse().unwrap_or(MANY);
                let after: u32 = words[4].split_once(':').unwrap().0.parse().unwrap();
                let found: Vec<String> = (low.max(after)..=high).map(|uid| uid.to_string()).collect();
                format!("* SEARCH {}\r\n{{tag}} OK done\r\n", found.join(" "))
            }
            // All but the first are gone when they are asked for.
            ("UID", "FETCH") if command.contains("HEADER") && words[2].starts_with("1:") => format!(
                "* 1 FETCH (UID 1 RFC822.SIZE {} INTERNALDATE \" 1-Jan-2100 00:00:00 +0000\" BODY[HEADER]<0> {{{}}}\r\n{header} BODY[TEXT]<0> {{7}}\r\nHello\r\n)\r\n{{tag}} OK done\r\n",
                header.len() + 7,
                header.len()
            ),
            ("UID", "FETCH") if words[2] == "1" => {
                format!("* 1 FETCH (UID 1 BODY[] {{{}}}\r\n{header}Hello\r\n)\r\n{{tag}} OK done\r\n", header.len() + 7)
            }
            _ => return plain(command),
        })
    })
    .await;
    let dir = tempfile::tempdir().unwrap();
    let house = watching(dir.path(), &settings(port)).await;
    let events = told(&house).await;
    assert!(matches!(&events[0].fact.detail, Detail::Inbound { subject, .. } if subject == "the first"));
    house.close().await;
}
