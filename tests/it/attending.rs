//! Attending to a consumer on a clock in the hand: leases that are made longer, failures that are tried again, and a handler
//! that is stopped when its event went to another.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use mailbell::{
    bell::{
        attending::{AttendError, Attending, CannotBegin, Handled, Handler, Orders},
        consumers::Settling,
    },
    domain::{
        clock::Clock as _,
        consumer::{LeaseToken, LeasedEvent, ParkedBy, Start},
        cursor::Seq,
        event::EventKind,
        id::ConsumerName,
    },
    store::standing::{OpenClaim, OperatorAct, Standings as _},
};
use tokio::{
    sync::{Mutex, mpsc},
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;

use crate::support::bell::{BellWing, ids, inbound, of_kinds};

const LEASE: Duration = Duration::from_mins(1);
/// Seconds after which a story that nothing ends fails.
const HUNG_SECS: u64 = 20;

/// Tells of each event that it is handed, and ends as it is told.
struct Scripted {
    began: mpsc::UnboundedSender<(Seq, u32)>,
    endings: Mutex<mpsc::UnboundedReceiver<Result<Handled, CannotBegin>>>,
    stopped: mpsc::UnboundedSender<()>,
}

#[async_trait]
impl Handler for Scripted {
    async fn handle(
        &self,
        leased: &LeasedEvent,
        _: &LeaseToken,
        stop: CancellationToken,
    ) -> Result<Handled, CannotBegin> {
        self.began.send((leased.event.seq, leased.attempt)).unwrap();
        let mut endings = self.endings.lock().await;
        tokio::select! {
            ending = endings.recv() => ending.unwrap(),
            () = stop.cancelled() => {
                self.stopped.send(()).unwrap();
                Ok(Handled::Failed("stopped".into()))
            }
        }
    }
}

struct Story {
    wing: BellWing,
    began: mpsc::UnboundedReceiver<(Seq, u32)>,
    end: mpsc::UnboundedSender<Result<Handled, CannotBegin>>,
    stopped: mpsc::UnboundedReceiver<()>,
    shutdown: CancellationToken,
    attending: JoinHandle<Result<(), AttendError>>,
}

impl Story {
    async fn start() -> Self {
        let wing = BellWing::start().await;
        let ((tell, began), (end, endings), (stop, stopped)) =
            (mpsc::unbounded_channel(), mpsc::unbounded_channel(), mpsc::unbounded_channel());
        let orders = Orders {
            consumer: ConsumerName::new("default"),
            start: Start::Earliest,
            filter: of_kinds(&[EventKind::Inbound]),
            holder: "on:1".into(),
            client: "script".into(),
            parallel: 1,
            lease: LEASE,
            pause: Duration::from_secs(10),
            timeout: Duration::from_mins(30),
        };
        let clock = Arc::new(wing.clock.clone());
        let settling = Settling::new(Arc::new(wing.store.clone()), wing.bell.clone(), clock.clone());
        let handler = Scripted { began: tell, endings: Mutex::new(endings), stopped: stop };
        let attending = Attending::new(wing.waiting.clone(), settling, clock, orders, Arc::new(handler));
        let shutdown = CancellationToken::new();
        let attending = tokio::spawn(attending.run(shutdown.clone()));
        Self { wing, began, end, stopped, shutdown, attending }
    }

    fn ends(&self, how: Handled) {
        self.end.send(Ok(how)).unwrap();
    }

    async fn open(&self) -> Vec<OpenClaim> {
        let name = ConsumerName::new("default");
        self.wing.store.open_claims(&name, 10, self.wing.clock.moment()).await.unwrap()
    }

    /// Looks until what is open is as it should be.
    async fn until(&self, what: &str, fits: impl Fn(&[OpenClaim]) -> bool) {
        let looking = async {
            while !fits(&self.open().await) {
                tokio::task::yield_now().await;
            }
        };
        let looked = tokio::time::timeout(Duration::from_secs(HUNG_SECS), looking).await;
        assert!(looked.is_ok(), "{what}: {:?}", self.open().await);
    }

    /// Lets time pass until the next event is begun.
    async fn begins_in_time(&mut self) -> (Seq, u32) {
        let passing = async {
            loop {
                if let Ok(began) = self.began.try_recv() {
                    return began;
                }
                self.wing.clock.advance(Duration::from_secs(1));
                // The look for it goes through the store.
                self.open().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(HUNG_SECS), passing).await.expect("it should begin")
    }
}

fn left(open: &[OpenClaim]) -> Option<u64> {
    open.first().and_then(|claim| claim.left_millis)
}

#[tokio::test]
async fn the_lease_runs_on_while_somebody_is_at_it_and_ends_with_an_ack() {
    let mut story = Story::start().await;
    story.wing.tell(vec![inbound(0)]).await;
    assert_eq!(story.began.recv().await, Some((Seq(1), 1)));
    for _ in 0..6 {
        story.wing.clock.advance(LEASE / 3);
        story.until("it is made longer", |open| left(open) == Some(60_000)).await;
        // One for the time that the event may take, one for the next time the lease is made longer.
        while story.wing.clock.sleepers() < 2 {
            tokio::task::yield_now().await;
        }
    }
    assert!(story.wing.look().await.timed_out);
    story.ends(Handled::Done);
    story.until("it is acked", <[_]>::is_empty).await;
    story.shutdown.cancel();
    story.attending.await.unwrap().unwrap();
}

#[tokio::test]
async fn failures_are_tried_again_after_pauses_that_grow_and_then_parked() {
    let mut story = Story::start().await;
    story.wing.tell(vec![inbound(0)]).await;
    for (attempt, pause_secs) in (1..).zip([10, 40, 160, 640]) {
        assert_eq!(story.begins_in_time().await, (Seq(1), attempt));
        story.ends(Handled::Failed("exit code 1".into()));
        story.until("it waits", |open| !open[0].leased && left(open) == Some(pause_secs * 1000)).await;
    }
    assert_eq!(story.begins_in_time().await, (Seq(1), 5));
    story.ends(Handled::Failed("exit code 1".into()));
    story.until("it is parked", <[_]>::is_empty).await;
    let parked = story.wing.store.parked_claims(&ConsumerName::new("default"), 1).await.unwrap();
    assert_eq!((parked[0].parked_by, parked[0].client.as_deref()), (ParkedBy::Attempts, Some("script")));
}

#[tokio::test]
async fn what_hangs_is_stopped_when_its_time_is_over() {
    let mut story = Story::start().await;
    story.wing.tell(vec![inbound(0)]).await;
    story.began.recv().await.unwrap();
    let hanging = async {
        while story.stopped.try_recv().is_err() {
            story.wing.clock.advance(LEASE / 3);
            story.open().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(HUNG_SECS), hanging).await.expect("it should be stopped");
    story.until("it waits for a retry", |open| open.len() == 1 && !open[0].leased).await;
}

#[tokio::test]
async fn whoever_lost_the_lease_is_stopped() {
    let mut story = Story::start().await;
    story.wing.tell(vec![inbound(0)]).await;
    story.began.recv().await.unwrap();
    // As a machine that slept through its lease finds it: another worker has the event.
    let name = ConsumerName::new("default");
    for act in [OperatorAct::Park { note: None }, OperatorAct::Requeue] {
        story.wing.store.act(&name, &[Seq(1)], &act, story.wing.clock.moment()).await.unwrap();
    }
    let other = story.wing.look().await;
    assert_eq!(ids(&other), ["evt_0"]);
    story.wing.clock.advance(LEASE / 3);
    story.stopped.recv().await.unwrap();
    let token = other.lease_token.unwrap();
    let held = story.wing.settling.hold(&token, None).await.unwrap();
    assert_eq!(held.unwrap().events.len(), 1, "the other goes on undisturbed");
}

#[tokio::test]
async fn a_handler_that_cannot_begin_ends_it_and_counts_as_no_attempt() {
    let mut story = Story::start().await;
    story.wing.tell(vec![inbound(0)]).await;
    story.began.recv().await.unwrap();
    story.end.send(Err(CannotBegin("no such program".into()))).unwrap();
    let ended = story.attending.await.unwrap();
    assert_eq!(ended.unwrap_err().to_string(), "no such program");
    assert_eq!(story.wing.look().await.events[0].attempt, 1);
}

#[tokio::test]
async fn a_shutdown_gives_back_what_is_at_work() {
    let mut story = Story::start().await;
    story.wing.tell(vec![inbound(0)]).await;
    story.began.recv().await.unwrap();
    story.shutdown.cancel();
    story.attending.await.unwrap().unwrap();
    assert_eq!(story.wing.look().await.events[0].attempt, 2);
}
