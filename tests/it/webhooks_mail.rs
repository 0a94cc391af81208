//! A mail that comes in by SMTP is owed to its webhooks in the same commit, and told.

use mailbell::{
    domain::{
        clock::UnixMillis,
        event::EventKind,
        id::WebhookId,
        secret::Secret,
        webhook::{Scope, SignatureFormat, Vocabulary, Webhook},
    },
    mail::webhooks::{
        targets::Targets,
        worker::{LEASE, Worker},
    },
    store::webhooks::Webhooks as _,
};
use tokio::sync::watch;

use crate::support::{hooks, mail::Mail, receiver::Receiver, smtp_peer::SmtpPeer};

#[tokio::test]
async fn a_mail_to_two_mailboxes_is_told_once_for_each() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mail = Mail::start().await;
    let receiver = Receiver::answering(mail.clock.clone(), []).await;
    let secret = Secret::new("whsec_test");
    let webhook = Webhook {
        id: WebhookId::new("wh_1"),
        endpoint: receiver.url().parse().unwrap(),
        scope: Scope::Account,
        kinds: vec![EventKind::Inbound],
        vocabulary: Vocabulary::Plain,
        description: None,
        signature_format: SignatureFormat::Hex,
        created_at: UnixMillis(0),
        disabled: None,
    };
    mail.store.add_webhook(&webhook, &secret, 1).await.unwrap();
    let letter = "From: Bob <bob@example.com>\r\nSubject: Hi\r\n\r\nThe text";
    let mut peer = SmtpPeer::hello(mail.addr).await;
    peer.deliver(&["agent@mailbell.test", "other@mailbell.test"], letter).await;

    let (_own, none) = watch::channel(None);
    let parts = hooks::parts(&mail.store, &mail.clock, Targets::new(&[], true), none, mail.stored.clone());
    assert_eq!(Worker::new(parts, LEASE).unwrap().run_until_idle().await, None);
    let mut told = Vec::new();
    for hit in receiver.hits() {
        assert!(hit.is_signed_with(&secret));
        assert_eq!((hit.field("subject"), hit.field("snippet")), ("Hi".into(), "The text".into()));
        let address = hit.field("mailbox").as_str().unwrap().to_owned();
        let stored = mail.inbox(&address).await.remove(0);
        assert_eq!(hit.field("email_id"), stored.id.as_str());
        assert_eq!(hit.field("thread_id"), stored.thread_id.as_str(), "the thread that the store found");
        told.push(address);
    }
    told.sort();
    assert_eq!(told, ["agent@mailbell.test", "other@mailbell.test"]);
}
