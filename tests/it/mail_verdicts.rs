//! Whether a message is from whom it says: asked of the DNS, or believed of the server in front.

use std::sync::Arc;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use mail_auth::{
    common::{crypto::Ed25519Key, headers::HeaderWriter as _},
    dkim::DkimSigner,
};
use mailbell::{
    domain::verdict::{Finding, Outcome, Verdict},
    mail::{
        reception::Peer,
        verdict::{Judge, Lookups, Trust},
    },
};
use serde_json::json;

use crate::support::{
    clock::TestClock,
    dns::Dns,
    mail::{Mail, limits},
    smtp_peer::SmtpPeer,
};

const AGENT: &str = "agent@mailbell.test";
const LETTER: &str = "From: Bob <bob@sender.test>\r\nTo: agent@mailbell.test\r\nSubject: Hi\r\n\r\nHello\r\n";

fn finding(result: Outcome, domain: &str) -> Finding {
    Finding { result, domain: Some(domain.into()) }
}

/// What a judge that asks `dns` says of `letter` from `peer`.
async fn judged(dns: &Dns, peer: &str, from: &str, letter: &str) -> Option<Verdict> {
    let lookups = Lookups::new(Some(dns.addr), "mx.mailbell.test").unwrap();
    let judge = Judge::new(Trust::default(), Some(Arc::new(lookups)), Arc::new(TestClock::default()));
    let raw = format!("Return-Path: <{from}>\r\nReceived: from x\r\n\tby us;\r\n\tnow\r\n{letter}");
    let peer = Peer { address: peer.parse().unwrap(), hello: "mx.sender.test".into() };
    judge.judge(&peer, from, Arc::new(raw.into_bytes())).await
}

/// The letter with a signature of `domain`, and the record that it is checked against.
fn signed(domain: &str, letter: &str) -> (String, String) {
    let pkcs8 = Ed25519Key::generate_pkcs8().unwrap();
    let key = Ed25519Key::from_pkcs8_der(&pkcs8).unwrap();
    let record = format!("v=DKIM1; k=ed25519; p={}", STANDARD.encode(key.public_key()));
    let signer = DkimSigner::from_key(key).domain(domain).selector("s1").headers(["From", "To", "Subject"]);
    let header = signer.sign(letter.as_bytes()).unwrap().to_header();
    (format!("{header}{letter}"), record)
}

#[tokio::test]
async fn spf_dkim_and_dmarc_are_asked_of_the_dns() {
    let (letter, record) = signed("sender.test", LETTER);
    let dns = Dns::start(&[
        ("sender.test", "v=spf1 ip4:192.0.2.0/24 -all"),
        ("s1._domainkey.sender.test", &record),
        ("_dmarc.sender.test", "v=DMARC1; p=reject"),
    ])
    .await;
    let good = judged(&dns, "192.0.2.7", "bob@sender.test", &letter).await.unwrap();
    assert_eq!(good.by, "mailbell");
    assert_eq!(good.spf, Some(finding(Outcome::Pass, "sender.test")));
    assert_eq!(good.dkim, [finding(Outcome::Pass, "sender.test")]);
    assert_eq!(good.dmarc, Some(finding(Outcome::Pass, "sender.test")));

    // From elsewhere, and changed on the way.
    let bad = judged(&dns, "198.51.100.7", "bob@sender.test", &letter.replace("Hello", "Hullo")).await.unwrap();
    assert_eq!(bad.spf, Some(finding(Outcome::Fail, "sender.test")));
    assert_eq!(bad.dkim[0].result, Outcome::Fail);
    assert_eq!(bad.dmarc, Some(finding(Outcome::Fail, "sender.test")));

    // Passing for another domain proves nothing about the one in From.
    let other =
        judged(&dns, "192.0.2.7", "eve@other.test", &LETTER.replace("sender.test", "other.test")).await.unwrap();
    assert_eq!(
        (other.spf.unwrap().result, other.dkim, other.dmarc.unwrap().result),
        (Outcome::None, vec![], Outcome::None)
    );
}

#[tokio::test]
async fn the_dns_is_not_asked_about_loopback_nor_about_a_flood_of_signatures() {
    let (letter, record) = signed("sender.test", LETTER);
    let dns = Dns::start(&[("s1._domainkey.sender.test", &record)]).await;
    for peer in ["127.0.0.1", "::1", "::ffff:127.0.0.1"] {
        assert_eq!(judged(&dns, peer, "bob@sender.test", &letter).await, None);
    }
    assert_eq!(dns.asked(), [""; 0]);
    let signature = letter.strip_suffix(LETTER).unwrap();
    let verdict = judged(&dns, "192.0.2.7", "bob@sender.test", &format!("{}{LETTER}", signature.repeat(11))).await;
    assert_eq!(verdict.unwrap().dkim, [Finding { result: Outcome::Policy, domain: None }]);
    assert!(!dns.asked().iter().any(|name| name.contains("_domainkey")), "{:?}", dns.asked());
}

#[tokio::test]
async fn the_server_in_front_is_believed_where_it_may_be_and_the_verdict_is_shown() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let results = "Authentication-Results: mx.example.test; spf=pass smtp.mailfrom=bob@sender.test;\r\n\
                   \tdkim=pass header.d=sender.test; dmarc=pass header.from=sender.test\r\n";
    let letter = format!("{results}Received: from world by mx.example.test\r\n{LETTER}");
    let trust = |peer: &str| Trust { authserv_id: Some("mx.example.test".into()), peers: vec![peer.parse().unwrap()] };
    let mail = Mail::trusting(limits(), trust("127.0.0.1")).await;
    let id = SmtpPeer::hello(mail.addr).await.deliver(&[AGENT], &letter).await;
    let found = mail.newest(AGENT).await.0.verdict.unwrap();
    assert!(found.dkim_passes("sender.test"));
    let (_, shown) = mail.api().await.get(&format!("/v1/mailboxes/{AGENT}/emails/{id}")).await;
    assert_eq!(
        shown["auth_results"],
        json!({
            "by": "mx.example.test",
            "spf": { "result": "pass", "domain": "sender.test" },
            "dkim": [{ "result": "pass", "domain": "sender.test" }],
            "dmarc": { "result": "pass", "domain": "sender.test" },
        })
    );

    // Anybody else may write the same.
    let mail = Mail::trusting(limits(), trust("192.0.2.1")).await;
    SmtpPeer::hello(mail.addr).await.deliver(&[AGENT], &letter).await;
    assert_eq!(mail.newest(AGENT).await.0.verdict, None);
}
