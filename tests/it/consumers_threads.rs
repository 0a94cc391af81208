//! Threads within a consumer: what comes later is not handed out while what came earlier is with another worker or waits
//! for a retry. Neither a wall clock that jumps nor a machine that starts anew hands anything out twice.

use std::time::Duration;

use mailbell::{
    bell::waiting::{WaitRequest, Waited},
    domain::{
        consumer::{Holder, Settlement},
        id::EventId,
    },
};
use tokio_util::sync::CancellationToken;

use crate::support::bell::{BellWing, ids, inbound, other, worker};

const DAY_MILLIS: i64 = 86_400_000;
const PAUSE: Duration = Duration::from_secs(10);

/// Looks as a worker of another name.
async fn look_as(wing: &BellWing, name: &str) -> Waited {
    let name = Holder::worker(name);
    wing.work(|request| (request.holder, request.timeout) = (name, Duration::ZERO)).await.unwrap()
}

async fn first_alone(wing: &BellWing) -> Waited {
    let first = wing.work(|request| request.limit = 1).await.unwrap();
    assert_eq!(ids(&first), ["evt_0"]);
    first
}

#[tokio::test]
async fn the_next_of_a_thread_comes_when_the_one_before_is_acked() {
    let wing = BellWing::start().await;
    let second = wing.second().await;
    // 0 and 1 are of one thread, 2 is of another.
    wing.tell(vec![inbound(0), inbound(1), inbound(2)]).await;
    let first = first_alone(&wing).await;
    assert_eq!(ids(&look_as(&second, "another").await), ["evt_2"], "another thread goes on");
    let third = WaitRequest { holder: Holder::worker("third"), ..worker() };
    let wait = wing.asleep(third, CancellationToken::new()).await;
    wing.settling.settle(&first.lease_token.unwrap(), None, &Settlement::Ack).await.unwrap();
    let next = wait.await.unwrap().unwrap();
    assert_eq!((ids(&next), next.events[0].attempt), (vec!["evt_1"], 1));
}

#[tokio::test]
async fn one_worker_may_have_several_of_a_thread_but_not_all_who_share_a_token() {
    let wing = BellWing::start().await;
    wing.tell(vec![inbound(0), inbound(1)]).await;
    let shared = Holder { one_worker: false, ..Holder::worker("principal:mcp") };
    let first = wing.work(|request| (request.limit, request.holder) = (1, shared.clone())).await.unwrap();
    assert_eq!(ids(&first), ["evt_0"]);
    let again = wing.work(|request| (request.timeout, request.holder) = (Duration::ZERO, shared)).await.unwrap();
    assert!(again.timed_out);
    wing.settling.settle(&first.lease_token.unwrap(), None, &Settlement::Release { pause_millis: 0 }).await.unwrap();
    first_alone(&wing).await;
    assert_eq!(ids(&wing.look().await), ["evt_1"]);
}

#[tokio::test]
async fn a_pause_holds_the_thread_up_and_its_end_wakes_a_waiter() {
    let wing = BellWing::start().await;
    wing.tell(vec![inbound(0), inbound(1)]).await;
    let token = first_alone(&wing).await.lease_token.unwrap();
    let pause = Settlement::Release { pause_millis: i64::try_from(PAUSE.as_millis()).unwrap() };
    wing.settling.settle(&token, None, &pause).await.unwrap();
    assert!(wing.look().await.timed_out);
    let wait = wing.asleep(worker(), CancellationToken::new()).await;
    while wing.clock.sleepers() < 2 {
        tokio::task::yield_now().await;
    }
    wing.clock.advance(PAUSE);
    let both = wait.await.unwrap().unwrap();
    assert_eq!(ids(&both), ["evt_0", "evt_1"]);
    assert_eq!(both.events.iter().map(|leased| leased.attempt).collect::<Vec<_>>(), [2, 1]);
}

#[tokio::test]
async fn a_filter_that_leaves_the_earlier_one_out_gets_no_later_one() {
    let wing = BellWing::start().await;
    wing.tell(vec![inbound(0), other(1)]).await;
    let token = first_alone(&wing).await.lease_token.unwrap();
    wing.settling.settle(&token, None, &Settlement::Release { pause_millis: 0 }).await.unwrap();
    let others = async || {
        let kinds = vec![mailbell::domain::event::EventKind::Other];
        wing.work(|request| (request.filter.kinds, request.timeout) = (kinds, Duration::ZERO)).await.unwrap()
    };
    assert!(others().await.timed_out, "the one before waits for its retry");
    let token = first_alone(&wing).await.lease_token.unwrap();
    wing.settling.settle(&token, None, &Settlement::Escalate { note: None }).await.unwrap();
    assert_eq!(ids(&others().await), ["evt_1"], "what is set aside holds nothing up");
}

#[tokio::test]
async fn no_step_of_a_clock_and_no_reboot_hands_an_event_to_two() {
    let wing = BellWing::start().await;
    let second = wing.second().await;
    wing.tell(vec![inbound(0)]).await;
    let first = first_alone(&wing).await;
    for step in [DAY_MILLIS, -2 * DAY_MILLIS] {
        wing.clock.set_wall_by(step);
        assert!(look_as(&second, "another").await.timed_out, "after a step of {step} ms");
    }
    wing.clock.reboot("boot-2");
    let taken = look_as(&second, "another").await;
    assert_eq!((ids(&taken), taken.events[0].attempt), (vec!["evt_0"], 2));
    assert!(look_as(&wing, "third").await.timed_out, "it is with the one who came first after the boot");
    let stale = wing.settling.settle(&first.lease_token.unwrap(), None, &Settlement::Ack).await.unwrap();
    assert_eq!(stale.done, []);
    // The machine sleeps for a day: the lease is over for everybody, and one gets the event.
    wing.clock.advance(Duration::from_hours(24));
    assert_eq!(look_as(&wing, "third").await.events[0].attempt, 3);
    assert!(look_as(&second, "another").await.timed_out);
    let late =
        wing.settling.settle(&taken.lease_token.unwrap(), Some(&[EventId::new("evt_0")]), &Settlement::Ack).await;
    assert_eq!(late.unwrap().stale, [EventId::new("evt_0")]);
}
