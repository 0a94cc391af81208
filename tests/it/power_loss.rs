//! What a power loss may take: a lease alone, which it ends anyway, and all that tells of it.

use mailbell::{
    domain::{clock::BootTime, consumer::Settlement, cursor::Seq, id::EventId},
    store::{
        audit::{AuditLog as _, Verdict},
        log::EventLog as _,
    },
};

use crate::support::bell::{BellWing, ids, inbound};

/// Commits, and those of them that waited for the disk.
fn commits(wing: &BellWing) -> (u64, u64) {
    (wing.store.commits(), wing.store.commits_on_disk())
}

/// How many came since: all, and those that waited for the disk.
fn since(wing: &BellWing, before: (u64, u64)) -> (u64, u64) {
    let now = commits(wing);
    (now.0 - before.0, now.1 - before.1)
}

#[tokio::test]
async fn a_lease_waits_for_no_disk_and_all_else_does() {
    let wing = BellWing::start().await;
    let before = commits(&wing);
    wing.tell(vec![inbound(1)]).await;
    assert_eq!(since(&wing, before), (1, 1), "an event");
    wing.look().await.lease_token.unwrap();
    assert_eq!(since(&wing, before), (3, 2), "a consumer's first use, and a lease");

    wing.clock.reboot("boot-2");
    let before = commits(&wing);
    let token = wing.work(|request| request.on_disk = true).await.unwrap().lease_token.unwrap();
    assert_eq!(since(&wing, before), (1, 1), "a lease that is to be on the disk");
    for settlement in [Settlement::Extend { lease_millis: 1 }, Settlement::Release { pause_millis: 0 }] {
        let before = commits(&wing);
        wing.settling.settle(&token, None, &settlement).await.unwrap();
        assert_eq!(since(&wing, before), (1, 1), "{settlement:?}");
    }
    for (settlement, event) in [(Settlement::Escalate { note: None }, 1), (Settlement::Ack, 2)] {
        let before = commits(&wing);
        if event > 1 {
            wing.tell(vec![inbound(event)]).await;
        }
        let told = since(&wing, before);
        let token = wing.look().await.lease_token.unwrap();
        assert_eq!(since(&wing, before), (told.0 + 1, told.1), "a lease");
        wing.settling.settle(&token, None, &settlement).await.unwrap();
        assert_eq!(since(&wing, before), (told.0 + 2, told.1 + 1), "{settlement:?}");
    }

    let before = commits(&wing);
    wing.store.head_to_keep().await.unwrap();
    assert_eq!(since(&wing, before), (1, 1), "the head that is kept");
}

#[tokio::test]
async fn a_power_loss_that_takes_a_lease_leaves_its_event_and_a_whole_record() {
    let wing = BellWing::start().await;
    wing.tell(vec![inbound(1)]).await;
    // The consumer's first use is a commit of its own.
    let first = wing.look().await.lease_token.unwrap();
    wing.settling.settle(&first, None, &Settlement::Ack).await.unwrap();
    wing.tell(vec![inbound(2)]).await;
    let kept = wing.store.head_to_keep().await.unwrap();
    let without = wing.wal_bytes();
    let token = wing.look().await.lease_token.unwrap();
    let whole = wing.wal_bytes();
    let told = wing.store.head().await.unwrap();
    assert!(whole > without && told.id > kept.id);

    // Frames are of a page and a header each; the cuts fall between them and into them.
    let cuts: Vec<usize> = (without..whole).step_by(1_500).chain([whole]).collect();
    assert!(cuts.len() > 5, "{cuts:?}");
    for cut in cuts {
        let after = wing.after_power_loss(cut).await;
        let Verdict::Whole { head, .. } = after.store.verify(Some(&kept)).await.unwrap() else {
            panic!("cut at {cut} of {whole}, the record is broken")
        };
        let lasted = cut == whole;
        assert_eq!(head, if lasted { told.clone() } else { kept.clone() }, "cut at {cut} of {whole}");
        let again = after.look().await;
        assert_eq!(ids(&again), ["evt_2"]);
        assert_eq!(again.events[0].attempt, if lasted { 2 } else { 1 });
        let stale = after.settling.settle(&token, Some(&[EventId::new("evt_2")]), &Settlement::Ack).await.unwrap();
        assert_eq!(stale.done, [], "another has it by now");
        after.settling.settle(&again.lease_token.unwrap(), None, &Settlement::Ack).await.unwrap();
        assert!(matches!(after.store.verify(Some(&kept)).await.unwrap(), Verdict::Whole { .. }));
    }
}

#[tokio::test]
async fn no_place_is_given_again_that_somebody_may_have_seen_before_a_power_loss() {
    let wing = BellWing::start().await;
    wing.store.begin_term("boot-1").await.unwrap();
    wing.tell(vec![inbound(1)]).await;
    let without = wing.wal_bytes();
    wing.tell(vec![inbound(2)]).await;
    let seen = wing.store.extent().await.unwrap().head;
    wing.store.begin_term("boot-1").await.unwrap();
    wing.tell(vec![inbound(3)]).await;
    assert_eq!(wing.store.extent().await.unwrap().head, Seq(seen.0 + 1), "a process that was killed lost nothing");

    let after = wing.after_power_loss(without).await;
    assert!(after.store.extent().await.unwrap().head < seen, "what was seen is gone");
    after.store.begin_term("boot-2").await.unwrap();
    after.tell(vec![inbound(4)]).await;
    let next = after.store.extent().await.unwrap().head;
    assert!(next > seen, "{next:?}: who has seen {seen:?} would pass by it");
    after.store.begin_term("boot-2").await.unwrap();
    after.tell(vec![inbound(5)]).await;
    assert_eq!(after.store.extent().await.unwrap().head, Seq(next.0 + 1));

    // Where boots have no name, each term may be the first of one.
    for n in [6, 7] {
        let before = after.store.extent().await.unwrap().head;
        after.store.begin_term(BootTime::UNKNOWN).await.unwrap();
        after.tell(vec![inbound(n)]).await;
        assert!(after.store.extent().await.unwrap().head.0 > before.0 + 1);
    }
}

#[tokio::test]
async fn the_first_place_of_all_is_not_given_again_either() {
    let wing = BellWing::start().await;
    wing.store.begin_term("boot-1").await.unwrap();
    let without = wing.wal_bytes();
    wing.tell(vec![inbound(1)]).await;
    let seen = wing.store.extent().await.unwrap().head;
    assert_eq!(seen, Seq(1), "a new log skips nothing");

    let after = wing.after_power_loss(without).await;
    after.store.begin_term("boot-2").await.unwrap();
    after.tell(vec![inbound(2)]).await;
    assert!(after.store.extent().await.unwrap().head > seen);
}
