//! Nobody makes this house post to an address inside: not by a spelling, not by a name, not by a redirect, not by a proxy.
//! Refused at registration, and again at the connection, with every host on the operator's list.

use std::{
    io,
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use mailbell::{
    mail::webhooks::{
        egress::{Egress, Fault, Posted},
        targets::{Asker, Targets},
    },
    reach::{Names, Reach},
};
use reqwest::{
    Method,
    header::{self, HeaderMap, HeaderValue},
};
use serde_json::json;
use tokio::net::TcpListener;
use url::Url;

use crate::support::{
    api::ApiServer,
    clock::TestClock,
    hooks::Hooks,
    mailroom::{MemoryMailroom, mailbox},
    provider::{Here, host},
    receiver::{Receiver, Reply},
};

/// Addresses inside, in every spelling that a URL parser, a translator or a tunnel turns into one.
const ADDRESSES: [&str; 52] = [
    // As they are.
    "10.0.0.5",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.1.1",
    "100.64.0.1",
    "100.127.255.254",
    "169.254.169.254",
    "169.254.170.2",
    "0.0.0.0",
    "0.1.2.3",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
    "192.0.0.170",
    "198.18.0.1",
    "192.0.2.1",
    // Decimal, octal, hexadecimal, short, mixed, and with a dot behind.
    "167772165",
    "2852039166",
    "0xa9fea9fe",
    "0xA9.0xFE.0xA9.0xFE",
    "0251.0376.0251.0376",
    "025177524776",
    "10.5",
    "192.168.257",
    "169.254.43518",
    "0",
    "169.254.169.254.",
    // Digits of other scripts, and a full stop of another.
    "１６９.２５４.１６９.２５４",
    "①⑥⑨.②⑤④.①⑥⑨.②⑤④",
    "169。254。169。254",
    "%31%30.0.0.5",
    // IPv6: unspecified, local, unique-local with the clouds' metadata, multicast, site-local, documentation, discard.
    "[::]",
    "[fe80::1]",
    "[fc00::1]",
    "[fd00:ec2::254]",
    "[ff02::1]",
    "[fec0::1]",
    "[2001:db8::1]",
    "[100::1]",
    // IPv4 inside: mapped, compatible, translated, NAT64 (RFC 6052 and RFC 8215), 6to4, Teredo, ISATAP.
    "[::ffff:127.0.0.1]",
    "[::ffff:a9fe:a9fe]",
    "[0:0:0:0:0:ffff:10.0.0.5]",
    "[::127.0.0.1]",
    "[::10.0.0.5]",
    "[::ffff:0:7f00:1]",
    "[64:ff9b::7f00:1]",
    "[64:ff9b::169.254.169.254]",
    "[64:ff9b:1::a00:5]",
    "[2002:a9fe:a9fe::1]",
    "[2001:0:4136:e378:8000:63bf:807f:fffe]",
    "[fe80::5efe:10.0.0.5]",
];

/// Names that lead inside, and what each stands for.
const NAMES: [(&str, &[&str]); 14] = [
    ("localhost", &["127.0.0.1", "::1"]),
    ("localhost.", &["127.0.0.1"]),
    ("LOCALHOST", &["127.0.0.1"]),
    ("ｌｏｃａｌｈｏｓｔ", &["127.0.0.1"]),
    ("app.localhost", &["127.0.0.1"]),
    ("app.localhost.", &["127.0.0.1"]),
    ("inside.example", &["10.0.0.5"]),
    ("inside.example.", &["10.0.0.5"]),
    ("both.example", &["192.168.1.1", "fd00::1"]),
    ("metadata.example", &["169.254.169.254"]),
    ("metadata6.example", &["fd00:ec2::254"]),
    ("mapped.example", &["::ffff:127.0.0.1"]),
    ("nat64.example", &["64:ff9b::7f00:1"]),
    ("sixtofour.example", &["2002:7f00:1::"]),
];

/// What the names of this file stand for.
#[derive(Debug)]
struct Table;

#[async_trait]
impl Names for Table {
    async fn addresses(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        let name = name.to_lowercase();
        let found = NAMES.iter().find(|(known, _)| *known == name).map_or(&[][..], |(_, addresses)| addresses);
        Ok(found.iter().map(|address| address.parse().unwrap()).collect())
    }
}

fn egress(names: Arc<dyn Names>) -> Egress {
    Egress::resolving(Arc::new(TestClock::default()), names)
}

/// A list that holds the host of `url`, whatever it is.
fn listing(url: &str) -> Targets {
    let host = url.parse::<Url>().ok().and_then(|url| url.host_str().map(str::to_owned)).unwrap_or_default();
    Targets::new(&[host], true).resolving(Arc::new(Table))
}

async fn refused_at_registration(url: &str) {
    let hooks =
        Hooks::with_targets(MemoryMailroom::default().with_mailbox(mailbox("a@mailbell.test")), listing(url)).await;
    let api = ApiServer::start(hooks.api.clone()).await;
    // Even of the operator, who may name any host outside.
    let (status, body) =
        api.order(Method::POST, "/v1/webhooks", json!({ "endpoint_url": url, "events": ["inbound"] })).await;
    assert!((400..500).contains(&status), "{url}: {status} {body}");
}

async fn refused_at_the_connection(egress: &Egress, url: &str) {
    let Ok(url) = url.parse::<Url>() else { return };
    let posted = egress.post(&url, Reach::Public, HeaderMap::default(), b"{}".to_vec()).await;
    assert_eq!(posted, Posted::Failed(Fault::Address), "{url}");
}

#[tokio::test]
async fn no_spelling_of_an_address_inside_is_taken_or_connected_to() {
    let egress = egress(Arc::new(Table));
    for address in ADDRESSES {
        let url = format!("https://{address}/hook");
        refused_at_registration(&url).await;
        refused_at_the_connection(&egress, &url).await;
    }
}

#[tokio::test]
async fn no_name_that_leads_inside_is_taken_or_connected_to() {
    let egress = egress(Arc::new(Table));
    for (name, _) in NAMES {
        let url = format!("https://{name}:8443/hook");
        refused_at_registration(&url).await;
        refused_at_the_connection(&egress, &url).await;
    }
}

#[tokio::test]
async fn other_hosts_are_posted_to_by_tls_if_their_certificate_is_for_their_name() {
    const TAKEN: &str = "HTTP/1.1 202 Accepted\r\nretry-after: 7\r\ncontent-length: 4\r\nconnection: close\r\n\r\ndone";
    let (told, mut heads) = tokio::sync::mpsc::unbounded_channel();
    let answer = move |request: &str| {
        let _ = told.send(request.to_lowercase());
        TAKEN.to_owned()
    };
    let (port, root) = host("hooks.example", answer).await;
    let (stranger, _) = host("hooks.example", |_| TAKEN.to_owned()).await;
    let (other, _) = host("other.example", |_| TAKEN.to_owned()).await;
    let egress =
        |reach| Egress::trusting(Arc::new(TestClock::default()), root.clone().into_bytes(), Arc::new(Here), reach);
    let send = async |egress: &Egress, url: &str| {
        let headers = HeaderMap::from_iter([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))]);
        egress.post(&url.parse().unwrap(), Reach::Public, headers, b"{}".to_vec()).await
    };
    let trusting = egress(Reach::Own);
    let taken = Posted::Responded { status: 202, retry_after: Some("7".to_owned()), bytes: 4 };
    for _ in 0..2 {
        assert_eq!(send(&trusting, &format!("https://hooks.example:{port}/a?b=c#d")).await, taken);
        let head = heads.recv().await.unwrap();
        assert!(head.starts_with("post /a?b=c http/1.1\r\n"), "{head}");
        for line in [
            "content-type: application/json",
            concat!("user-agent: mailbell/", env!("CARGO_PKG_VERSION")),
            "accept: */*",
            &format!("host: hooks.example:{port}"),
            "content-length: 2",
        ] {
            assert!(head.contains(&format!("\r\n{line}\r\n")), "{line}: {head}");
        }
    }
    for refused in [stranger, other] {
        let url = format!("https://hooks.example:{refused}/");
        assert_eq!(
            send(&trusting, &url).await,
            Posted::Failed(Fault::Connect),
            "a certificate of another root or name"
        );
    }
    let plain = format!("http://hooks.example:{port}/");
    assert_eq!(send(&trusting, &plain).await, Posted::Failed(Fault::Connect), "https alone");
    let url = format!("https://hooks.example:{port}/");
    assert_eq!(send(&egress(Reach::Public), &url).await, Posted::Failed(Fault::Address), "the name leads inside");
}

#[tokio::test]
async fn who_takes_the_connection_and_says_nothing_is_not_waited_for_longer_than_a_connection_may_take() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://hooks.example:{}/", listener.local_addr().unwrap().port()).parse().unwrap();
    let clock = TestClock::default();
    let egress = Egress::trusting(Arc::new(clock.clone()), Vec::new(), Arc::new(Here), Reach::Own);
    let post = egress.post(&url, Reach::Public, HeaderMap::new(), b"{}".to_vec());
    let silence = async {
        let silent = listener.accept().await.unwrap();
        clock.advance(Duration::from_secs(5));
        silent
    };
    let (posted, _silent) = tokio::join!(post, silence);
    assert_eq!(posted, Posted::Failed(Fault::Timeout));
}

#[tokio::test]
async fn a_url_means_the_host_that_is_posted_to_and_no_other() {
    for url in [
        "https://hooks.example.com@10.0.0.5/",
        "https://hooks.example.com:x@10.0.0.5/",
        "https://user@hooks.example.com/",
        "https://10.0.0.5#@hooks.example.com/",
        r"https://10.0.0.5\@hooks.example.com/",
        "https://10.0.0.5?@hooks.example.com/",
        "https:10.0.0.5/",
        "http://hooks.example.com/",
        "http://10.0.0.5/",
        "http://[::ffff:127.0.0.1]:9000/",
        "http://localhost.:9000/",
        "ftp://hooks.example.com/",
        "file:///etc/passwd",
    ] {
        let hosts = ["hooks.example.com".to_owned(), "10.0.0.5".to_owned()];
        let targets = Targets::new(&hosts, true).resolving(Arc::new(Table));
        let hooks = Hooks::with_targets(MemoryMailroom::default(), targets).await;
        let api = ApiServer::start(hooks.api.clone()).await;
        let (status, body) =
            api.order(Method::POST, "/v1/webhooks", json!({ "endpoint_url": url, "events": ["inbound"] })).await;
        assert!((400..500).contains(&status), "{url}: {status} {body}");
    }
}

/// Stands for a public address the first time it is asked, and for this machine from then on.
#[derive(Debug, Default)]
struct Fickle(AtomicUsize);

#[async_trait]
impl Names for Fickle {
    async fn addresses(&self, _: &str) -> io::Result<Vec<IpAddr>> {
        let asked = self.0.fetch_add(1, Ordering::SeqCst);
        Ok(vec![if asked == 0 { "93.184.215.14" } else { "127.0.0.1" }.parse().unwrap()])
    }
}

#[tokio::test]
async fn a_name_that_changes_between_check_and_connection_is_refused_where_it_leads_then() {
    let inside = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let names = Arc::new(Fickle::default());
    let url: Url = format!("https://fickle.example:{}/", inside.local_addr().unwrap().port()).parse().unwrap();
    let targets = Targets::new(&["fickle.example".into()], true).resolving(names.clone());
    let reach = targets.admit_resolved(&url, Asker::Other).await.expect("it is public still");
    let posted = egress(names.clone()).post(&url, reach, HeaderMap::default(), b"{}".to_vec()).await;
    assert_eq!(posted, Posted::Failed(Fault::Address));
    assert_eq!(names.0.load(Ordering::SeqCst), 2, "the connection asks for itself");
    let connected = futures::poll!(std::pin::pin!(inside.accept()));
    assert!(connected.is_pending(), "nobody came");
}

#[tokio::test]
async fn a_redirect_is_an_answer_and_not_a_way() {
    let egress = egress(Arc::new(Table));
    let clock = TestClock::default();
    let inside = Receiver::answering(clock.clone(), [Reply::Status(204)]).await;
    for status in [301, 302, 303, 307, 308] {
        let there = inside.url();
        let outside = Receiver::start(clock.clone(), move |_| Reply::With(status, "location", there.clone())).await;
        let url: Url = outside.url().parse().unwrap();
        let posted = egress.post(&url, Reach::Loopback, HeaderMap::default(), b"{}".to_vec()).await;
        assert!(matches!(posted, Posted::Responded { status: got, .. } if got == status), "{posted:?}");
        assert_eq!(outside.hits().len(), 1);
    }
    assert!(inside.hits().is_empty());
}
