//! Sources, secrets, quarantine and the message map, as stored.

use mailbell::{
    domain::{
        clock::UnixMillis,
        id::{MailboxId, MessageId, SourceName, WebhookId},
        secret::Secret,
    },
    store::sources::{MessageMap as _, Quarantine as _, SECRETS_PER_SOURCE_MAX, SourceError, Sources as _},
};

use crate::support::bell::BellWing;

const NOW: UnixMillis = UnixMillis(7);

#[tokio::test]
async fn a_secret_belongs_to_one_source() {
    let wing = BellWing::start().await;
    let store = wing.store.clone();
    let (one, two, secret) = (SourceName::new("multimail"), SourceName::new("two"), Secret::new("whsec_test"));
    let refused = store.add_source(&two, "multimail", Some(&secret), NOW).await.unwrap_err();
    assert!(matches!(&refused, SourceError::SecretInUse(name) if *name == one), "{refused}");
    assert!(store.source(&two).await.unwrap().is_none(), "nothing of it is stored");
    store.add_source(&two, "multimail", None, NOW).await.unwrap();
    assert!(matches!(store.add_secret(&two, &secret, None, NOW).await, Err(SourceError::SecretInUse(_))));
    assert!(matches!(store.add_source(&two, "multimail", None, NOW).await, Err(SourceError::Exists(_))));
    assert!(matches!(
        store.add_secret(&SourceName::new("three"), &secret, None, NOW).await,
        Err(SourceError::Unknown(_))
    ));
}

#[tokio::test]
async fn sixteen_secrets_live_at_once_and_no_more() {
    let wing = BellWing::start().await;
    let store = wing.store.clone();
    let name = SourceName::new("multimail");
    for n in 1..SECRETS_PER_SOURCE_MAX {
        store
            .add_secret(&name, &Secret::new(format!("s{n}")), Some(&WebhookId::new(format!("wh_{n}"))), NOW)
            .await
            .unwrap();
    }
    let more = store.add_secret(&name, &Secret::new("more"), None, NOW).await;
    assert!(matches!(more, Err(SourceError::TooManySecrets(_))));
    // Another webhook with a secret that is live already costs nothing more.
    store.add_secret(&name, &Secret::new("s1"), Some(&WebhookId::new("wh_twin")), NOW).await.unwrap();
    assert!(store.remove_secret_of(&WebhookId::new("wh_1")).await.unwrap());
    assert!(!store.remove_secret_of(&WebhookId::new("wh_1")).await.unwrap());
    let live = store.source(&name).await.unwrap().unwrap().secrets;
    assert_eq!(live.len(), SECRETS_PER_SOURCE_MAX, "the twin still signs with it");
    assert_eq!(live[0], Secret::new("s1"), "the newest first");
    assert!(store.remove_secret_of(&WebhookId::new("wh_twin")).await.unwrap());
    store.add_secret(&name, &Secret::new("more"), None, NOW).await.unwrap();
}

#[tokio::test]
async fn every_change_raises_the_version() {
    let wing = BellWing::start().await;
    let store = wing.store.clone();
    let name = SourceName::new("two");
    let mut last = store.version().await.unwrap();
    let mut raised = async || {
        let version = store.version().await.unwrap();
        let raised = version > last;
        last = version;
        raised
    };
    store.add_source(&name, "multimail", None, NOW).await.unwrap();
    assert!(raised().await);
    store.add_secret(&name, &Secret::new("s"), Some(&WebhookId::new("wh_1")), NOW).await.unwrap();
    assert!(raised().await);
    store.remove_secret_of(&WebhookId::new("wh_1")).await.unwrap();
    assert!(raised().await);
    store.remove_source(&name).await.unwrap();
    assert!(raised().await);
    store.remove_source(&name).await.unwrap();
    assert!(!raised().await);
}

#[tokio::test]
async fn the_quarantine_counts_repetitions_and_drops_the_oldest() {
    let wing = BellWing::start().await;
    let store = wing.store.clone();
    let name = SourceName::new("multimail");
    let big = vec![b'x'; 1 << 20];
    for n in 0..70_u8 {
        store.quarantine(&name, "why", &big, [n; 32], UnixMillis(n.into())).await.unwrap();
    }
    store.quarantine(&name, "why not", &big, [40; 32], UnixMillis(100)).await.unwrap();
    let kept = store.quarantined(1000).await.unwrap();
    assert_eq!(kept.len(), 64, "64 MiB");
    assert_eq!((kept[0].times, kept[0].reason.as_str()), (2, "why not"));
    assert!(kept.iter().all(|kept| kept.last_at.0 >= 6));
    for n in 0..1001_u16 {
        let mut hash = [99; 32];
        hash[..2].copy_from_slice(&n.to_be_bytes());
        store.quarantine(&name, "small", b"{}", hash, UnixMillis(200)).await.unwrap();
    }
    assert_eq!(store.quarantined(2000).await.unwrap().len(), 1000);
}

#[tokio::test]
async fn a_message_s_mailbox_is_remembered_and_written_once() {
    let wing = BellWing::start().await;
    let (one, two) = (MailboxId::new("mbx_1"), MailboxId::new("mbx_2"));
    let messages = [MessageId::new("em_1"), MessageId::new("em_\"2")];
    wing.store.remember(&one, &messages).await.unwrap();
    let commits = wing.store.commits();
    wing.store.remember(&one, &messages).await.unwrap();
    assert_eq!(wing.store.commits(), commits);
    wing.store.remember(&two, &messages[..1]).await.unwrap();
    assert_eq!(wing.store.mailbox_of(&messages[0]).await.unwrap(), Some(two));
    assert_eq!(wing.store.mailbox_of(&messages[1]).await.unwrap(), Some(one));
    assert_eq!(wing.store.mailbox_of(&MessageId::new("em_3")).await.unwrap(), None);
}

#[tokio::test]
async fn where_messages_are_is_remembered_over_starts_of_the_machine() {
    let wing = BellWing::start().await;
    let (mailbox, messages) = (MailboxId::new("mbx_1"), [MessageId::new("em_1"), MessageId::new("em_2")]);
    for (boot, message) in ["boot-1", "boot-2"].into_iter().zip(messages.chunks(1)) {
        wing.store.begin_term(boot).await.unwrap();
        wing.store.remember(&mailbox, message).await.unwrap();
    }
    assert_eq!(wing.store.mailbox_of(&messages[0]).await.unwrap(), Some(mailbox));
}
