//! What is handed out too often, escalated, or named by the operator is set aside, shown, and can be put back.

use std::{collections::BTreeMap, time::Duration};

use mailbell::{
    domain::{
        clock::Clock as _,
        consumer::{Holder, ParkedBy, Settlement},
        cursor::Seq,
        event::EventKind,
        id::{ConsumerName, EventId, MessageId},
    },
    store::standing::{Acted, OperatorAct, ParkedClaim, Standing, Standings as _},
};

use crate::support::bell::{BellWing, LEASE, ids, inbound, open};

const RELEASE: Settlement = Settlement::Release { pause_millis: 0 };

fn name() -> ConsumerName {
    ConsumerName::new("default")
}

async fn standing(wing: &BellWing) -> Standing {
    wing.store.standings(wing.clock.moment()).await.unwrap().remove(0)
}

async fn parked(wing: &BellWing) -> Vec<ParkedClaim> {
    wing.store.parked_claims(&name(), 10).await.unwrap()
}

async fn act(wing: &BellWing, seqs: &[i64], act: OperatorAct) -> Vec<Acted> {
    let seqs: Vec<Seq> = seqs.iter().copied().map(Seq).collect();
    let acted = wing.store.act(&name(), &seqs, &act, wing.clock.moment()).await.unwrap().unwrap();
    acted.into_iter().map(|(_, acted)| acted).collect()
}

#[tokio::test]
async fn after_five_leases_that_ran_out_it_is_parked_until_somebody_puts_it_back() {
    let wing = BellWing::start().await;
    wing.tell(vec![inbound(0)]).await;
    for attempt in 1..=5 {
        assert_eq!(wing.look().await.events[0].attempt, attempt);
        assert!(wing.look().await.timed_out);
        wing.clock.advance(LEASE);
    }
    assert!(wing.look().await.timed_out);
    let found = standing(&wing).await;
    assert_eq!((found.lag, found.leased, found.waiting, found.parked, found.escalated), (BTreeMap::new(), 0, 0, 1, 0));
    let aside = parked(&wing).await.remove(0);
    assert_eq!((aside.attempt, aside.parked_by, aside.holder.as_deref()), (5, ParkedBy::Attempts, Some("session")));
    assert_eq!(aside.since, Some(wing.clock.now()));

    // By now it lies below the low-water mark.
    assert_eq!(found.low_water, Seq(1));
    assert_eq!(act(&wing, &[1], OperatorAct::Requeue).await, [Acted::Done]);
    let again = wing.look().await;
    assert_eq!((ids(&again), again.events[0].attempt), (vec!["evt_0"], 1));
    assert_eq!(again.backlog.unwrap().into_iter().collect::<Vec<_>>(), [(EventKind::Inbound, 1)]);
    wing.settling.settle(&again.lease_token.unwrap(), None, &Settlement::Ack).await.unwrap();
    let found = standing(&wing).await;
    assert_eq!((found.lag, found.parked, found.oldest_received_at), (BTreeMap::new(), 0, None));
    assert!(wing.look().await.timed_out);
    assert_eq!(act(&wing, &[1], OperatorAct::Requeue).await, [Acted::NotParked]);
}

#[tokio::test]
async fn a_fifth_release_parks_and_says_so() {
    let wing = BellWing::start().await;
    wing.tell(vec![inbound(0), inbound(2)]).await;
    for attempt in 1..=5 {
        let token = wing.look().await.lease_token.unwrap();
        let settled = wing.settling.settle(&token, Some(&[EventId::new("evt_0")]), &RELEASE).await.unwrap();
        assert_eq!((settled.done.len(), settled.parked.len()), (1, usize::from(attempt == 5)), "at {attempt}");
    }
    assert!(wing.look().await.timed_out);
    assert_eq!(standing(&wing).await.leased, 1, "the other is still at work");
}

#[tokio::test]
async fn what_an_agent_escalates_the_operator_settles() {
    let wing = BellWing::start().await;
    wing.tell(vec![inbound(0)]).await;
    let token = wing.look().await.lease_token.unwrap();
    let escalate = Settlement::Escalate { note: Some("needs a person".into()) };
    wing.settling.settle(&token, None, &escalate).await.unwrap();
    let aside = parked(&wing).await.remove(0);
    assert_eq!((aside.parked_by, aside.note.as_deref()), (ParkedBy::Agent, Some("needs a person")));
    assert_eq!(standing(&wing).await.escalated, 1);
    assert_eq!(act(&wing, &[1], OperatorAct::Ack).await, [Acted::Done]);
    assert_eq!(parked(&wing).await, []);
    assert_eq!(act(&wing, &[1], OperatorAct::Ack).await, [Acted::NotParked]);
}

#[tokio::test]
async fn the_operator_parks_what_is_leased_and_what_never_was() {
    let wing = BellWing::start().await;
    wing.tell(vec![inbound(0), inbound(2), open(4)]).await;
    let token = wing.work(|request| request.limit = 1).await.unwrap().lease_token.unwrap();
    let park = OperatorAct::Park { note: Some("not for agents".into()) };
    let acted = act(&wing, &[1, 2, 3, 9], park.clone()).await;
    assert_eq!(acted, [Acted::Done, Acted::Done, Acted::Unknown, Acted::Unknown]);
    assert_eq!(act(&wing, &[1], park.clone()).await, [Acted::Parked]);
    assert_eq!(wing.settling.settle(&token, None, &Settlement::Ack).await.unwrap().done, [], "its token is stale");
    assert_eq!(wing.settling.hold(&token, None).await.unwrap(), None);
    assert!(wing.look().await.timed_out);

    assert_eq!(act(&wing, &[2, 1], OperatorAct::Requeue).await, [Acted::Done, Acted::Done]);
    let back = wing.look().await;
    assert_eq!(ids(&back), ["evt_0", "evt_2"]);
    wing.settling.settle(&back.lease_token.unwrap(), None, &Settlement::Ack).await.unwrap();
    assert_eq!(act(&wing, &[1], park).await, [Acted::Settled]);
}

#[tokio::test]
async fn what_is_done_under_a_lease_has_a_minute_for_it() {
    let wing = BellWing::start().await;
    let about = |n: usize, message: &str| mailbell::domain::event::NewEvent {
        message_id: Some(MessageId::new(message)),
        ..inbound(n)
    };
    wing.tell(vec![about(0, "em_a"), about(2, "em_b")]).await;
    let first = wing.look().await.lease_token.unwrap();
    wing.clock.advance(LEASE.saturating_sub(Duration::from_secs(5)));
    let held = wing.settling.hold(&first, Some(&MessageId::new("em_a"))).await.unwrap().unwrap();
    assert_eq!((held.consumer, held.events.len()), (name(), 2));
    wing.clock.advance(Duration::from_secs(59));
    assert!(wing.look().await.timed_out, "nobody else began meanwhile");
    wing.clock.advance(Duration::from_secs(1));

    let another = Holder::worker("another");
    let taken = wing.work(|request| (request.limit, request.holder) = (1, another)).await.unwrap();
    assert_eq!(ids(&taken), ["evt_0"]);
    assert_eq!(wing.settling.hold(&first, Some(&MessageId::new("em_a"))).await.unwrap(), None, "this one is lost");
    assert_eq!(wing.settling.hold(&first, Some(&MessageId::new("em_b"))).await.unwrap().unwrap().events.len(), 1);
}
