//! The secrets of webhooks to our own receiver: both sides know the same ones, for the same time.

use std::time::Duration;

use mailbell::{
    app::house::House,
    bell::webhooks::{WebhookError, rotate},
    domain::{
        id::{SourceName, WebhookId},
        secret::Secret,
    },
    store::sources::Sources as _,
};

use crate::support::{clock::TestClock, house::house_in};

const DAY: Duration = Duration::from_hours(24);

/// A house, and the webhook that it has from the start.
async fn start(dir: &std::path::Path, clock: &TestClock) -> (House, WebhookId) {
    let house = house_in(dir, Vec::new(), clock.clone()).await;
    let id = house.upstream().webhooks().await.unwrap().remove(0).id;
    (house, id)
}

async fn turn(house: &House, id: &WebhookId, overlap: Duration) -> Result<Secret, WebhookError> {
    let bell = house.bell();
    let rotated = rotate(&house.upstream(), &*bell.store, &bell.ids, bell.clock.now(), id, Some(overlap)).await;
    rotated.map(|rotation| rotation.secret)
}

/// What the receiver takes now, the newest first.
async fn known(house: &House) -> Vec<Secret> {
    let bell = house.bell();
    bell.store.source(&SourceName::new("multimail")).await.unwrap().unwrap().live(bell.clock.now()).into_owned()
}

/// What the service signs with for it now, the newest first.
async fn signing(house: &House, id: &WebhookId) -> Vec<Secret> {
    let secrets = house.upstream().webhook_secrets(id).await.unwrap();
    secrets.into_iter().map(|(secret, _)| secret).collect()
}

async fn assert_taken(house: &House, id: &WebhookId) {
    let probe = house.upstream().probe_webhook(id).await.unwrap();
    assert!(probe.delivered, "{probe:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn any_number_of_rotations_leaves_the_secrets_that_sign() {
    let dir = tempfile::tempdir().unwrap();
    let clock = TestClock::default();
    let (house, id) = start(dir.path(), &clock).await;
    for number in 1..=20 {
        let secret =
            turn(&house, &id, Duration::ZERO).await.unwrap_or_else(|error| panic!("rotation {number}: {error}"));
        assert_eq!(known(&house).await, [secret], "rotation {number}");
    }
    assert_taken(&house, &id).await;
    house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_old_secret_ends_with_its_overlap_on_both_sides() {
    let dir = tempfile::tempdir().unwrap();
    let clock = TestClock::default();
    let (house, id) = start(dir.path(), &clock).await;
    let first = known(&house).await.remove(0);
    let mut newest = first.clone();
    for _ in 0..3 {
        newest = turn(&house, &id, DAY).await.unwrap();
    }
    let signs = signing(&house, &id).await;
    assert_eq!((signs.len(), &signs[0], &signs[3]), (4, &newest, &first));
    assert_eq!(known(&house).await, signs);
    // A rotation that is refused leaves nothing behind, however often it is asked for.
    for _ in 0..20 {
        let refused = turn(&house, &id, DAY).await.unwrap_err();
        assert!(matches!(refused, WebhookError::Upstream(_)), "{refused}");
    }
    assert_eq!(known(&house).await, signs);

    clock.advance(DAY.saturating_sub(Duration::from_millis(1)));
    assert_eq!(signing(&house, &id).await, signs, "the day is not over");
    assert_eq!(known(&house).await, signs);
    clock.advance(Duration::from_millis(1));
    // At once, whoever looks when: nobody has to have looked.
    assert_eq!(known(&house).await, [newest]);
    assert_taken(&house, &id).await;
    house.close().await;

    // A log that lost its source learns what signs, at the next start.
    let (house, _) = start(dir.path(), &clock).await;
    assert!(house.bell().store.remove_source(&SourceName::new("multimail")).await.unwrap());
    house.close().await;
    let (house, id) = start(dir.path(), &clock).await;
    assert_taken(&house, &id).await;
    house.close().await;
}
