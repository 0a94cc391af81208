//! Posters that come at once share commits, and a poisonous batch fails alone.

use mailbell::{
    domain::{
        event::{Auth, NewEvent},
        id::{EventId, SourceName},
    },
    http::hooks,
    store::{
        StoreError,
        log::{EventLog as _, Ingested},
    },
};

use crate::support::{
    bell::{BellWing, body, inbound, signature},
    http::{send_all, serve},
};

/// How many post at once, how many each, and how many events a commit is to hold at least.
const GATES: [(usize, usize, u64); 3] = [(16, 60, 5), (64, 40, 20), (256, 20, 60)];

#[tokio::test]
async fn the_more_post_at_once_the_more_share_a_commit() {
    for (posters, each, least) in GATES {
        let (events, commits) = commits_of(posters, each).await;
        assert!(commits * least <= events, "{posters} posters: {commits} commits for {events} events");
    }
}

/// How many events `posters` brought, `each` as many, and in how many commits.
async fn commits_of(posters: usize, each: usize) -> (u64, u64) {
    let wing = BellWing::start().await;
    let addr = serve(hooks::router(wing.intake.clone())).await;
    let before = wing.store.commits();
    let posters = (0..posters).map(|poster| {
        let bodies: Vec<_> = (0..each)
            .map(|n| {
                let body = body(&inbound(poster * each + n));
                let signature = signature(&body);
                (body, signature)
            })
            .collect();
        tokio::spawn(async move { send_all(addr, "/hooks/multimail", &bodies).await })
    });
    let answered = futures::future::join_all(posters).await;
    assert!(answered.iter().flat_map(|statuses| statuses.as_ref().unwrap()).all(|status| *status == 200));
    let commits = wing.store.commits() - before;
    let events = u64::try_from(wing.store.extent().await.unwrap().head.0).unwrap();
    assert_eq!(events, u64::try_from(answered.len() * each).unwrap());
    (events, commits)
}

#[tokio::test]
async fn of_posts_that_share_a_commit_a_poisonous_one_fails_alone() {
    let wing = BellWing::start().await;
    // The store takes any text but this one: a trigger stands in for whatever makes one row impossible.
    poison(&wing, "evt_13").await;
    let source = SourceName::new("multimail");
    let posts = (10..20).map(|n| {
        let (source, store, now) = (source.clone(), wing.store.clone(), inbound(n).timestamp);
        async move { store.append(&source, Auth::HmacSha256, now, vec![inbound(n), inbound(n + 100)]).await }
    });
    for (n, ending) in (10..20).zip(futures::future::join_all(posts).await) {
        if n == 13 {
            assert!(matches!(ending, Err(StoreError::Database { .. })), "{ending:?}");
        } else {
            assert!(matches!(ending.unwrap()[..], [Ingested::Fresh(_), Ingested::Fresh(_)]), "{n}");
        }
    }
    assert!(matches!(wing.tell(vec![inbound(113)]).await[..], [Ingested::Fresh(_)]), "nothing of it was stored");
}

async fn poison(wing: &BellWing, id: &str) {
    use sqlx::{AssertSqlSafe, ConnectOptions as _};
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(wing.path());
    let mut conn = options.connect().await.unwrap();
    let trigger = format!(
        "CREATE TRIGGER poison BEFORE INSERT ON events WHEN NEW.event_id = '{id}' BEGIN SELECT raise(ABORT, 'no'); END"
    );
    sqlx::query(AssertSqlSafe(trigger)).execute(&mut conn).await.unwrap();
}

#[tokio::test]
async fn a_batch_of_any_size_is_answered_in_its_order() {
    let wing = BellWing::start().await;
    wing.tell(vec![inbound(5)]).await;
    let changed = NewEvent { event_id: EventId::new("evt_5"), ..inbound(6) };
    let mut batch: Vec<NewEvent> = (0..150).map(inbound).collect();
    batch.extend([inbound(7), changed]);
    let told = wing.tell(batch).await;
    for (n, told) in told.iter().enumerate() {
        match n {
            5 => assert!(matches!(told, Ingested::Duplicate(_))),
            150 => assert_eq!(*told, Ingested::Duplicate(seq(told_at(&wing, "evt_7").await))),
            151 => assert_eq!(*told, Ingested::Conflict(seq(1))),
            n => {
                let Ingested::Fresh(seq) = told else { panic!("{n}: {told:?}") };
                let stored = wing.store.event(*seq).await.unwrap().unwrap();
                assert_eq!(stored.fact, inbound(n));
            }
        }
    }
}

fn seq(seq: i64) -> mailbell::domain::cursor::Seq {
    mailbell::domain::cursor::Seq(seq)
}

async fn told_at(wing: &BellWing, id: &str) -> i64 {
    for place in 1.. {
        if let Some(event) = wing.store.event(seq(place)).await.unwrap()
            && event.fact.event_id.as_str() == id
        {
            return place;
        }
    }
    unreachable!()
}
