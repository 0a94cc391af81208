//! What is read and told by the indexes of our own is the same before them, in the middle of them and after them.

use std::time::Duration;

use sqlx::{ConnectOptions as _, SqliteConnection};

use super::{
    super::{
        append::Ending,
        recent::UNINDEXED_MAX,
        tests::{opened, store, upgraded},
    },
    *,
};
use crate::{
    domain::{
        clock::UnixMillis,
        cursor::Seq,
        event::{Auth, Detail, EventFilter, EventKind, NewEvent},
        id::{EventId, MessageId, SourceName, ThreadId},
    },
    store::{
        Refusal,
        log::{EventLog as _, Ingested, Order, PageRequest},
        retention::{BellPolicy, BellRetention as _},
        sqlite,
    },
};

const FOR_EVER: BellPolicy = BellPolicy {
    events_millis: 0,
    events_max: 0,
    unsettled_millis: 1,
    ids_millis: 0,
    ids_max: 0,
    quarantine_millis: 0,
    received_millis: 0,
    audit_millis: 0,
    audit_max: 0,
};

fn source() -> SourceName {
    SourceName::new("one")
}

/// The event of this number: of one of three kinds, two mailboxes, three threads, some messages; of each, some have none.
fn event(n: usize) -> NewEvent {
    let of = |name: &str, many: usize| (n % (many + 1) < many).then(|| format!("{name}{}", n % (many + 1)));
    let inbound = Detail::Inbound {
        from: "a@b.test".into(),
        from_name: None,
        to: Vec::new(),
        subject: String::new(),
        snippet: String::new(),
        auto: false,
    };
    NewEvent {
        // In another order than they come.
        event_id: EventId::new(format!("evt_{:03}", n * 37 % 1000)),
        mailbox: of("box", 2).map(|name| format!("{name}@b.test")),
        message_id: of("em_", 6).map(MessageId::new),
        thread_id: of("thr_", 3).map(ThreadId::new),
        timestamp: UnixMillis(1),
        provider_kind: None,
        detail: vec![inbound, Detail::Open { recipient: None, machine: None }, Detail::Other {}].swap_remove(n % 3),
    }
}

async fn tell(store: &BellStore, numbers: impl Iterator<Item = usize>) -> Vec<Ingested> {
    let events = numbers.map(event).collect();
    store.append(&source(), Auth::HmacSha256, UnixMillis(1), events).await.expect("appended")
}

async fn page(store: &BellStore, filter: &EventFilter, after: i64, before: Option<i64>, order: Order) -> Vec<i64> {
    let request = PageRequest { filter: filter.clone(), after: Seq(after), before: before.map(Seq), order, limit: 7 };
    store.page(&request).await.expect("a page").iter().map(|event| event.seq.0).collect()
}

/// Every page of every filter on message, thread or mailbox, among the first `count` events, which lie at their numbers and one.
async fn assert_pages(store: &BellStore, count: usize) {
    assert_pages_within(store, 0..count).await;
}

/// The same where those before `range` have been removed.
async fn assert_pages_within(store: &BellStore, range: std::ops::Range<usize>) {
    let count = range.end;
    let none = EventFilter::default;
    let filters = [
        EventFilter { message_id: Some(MessageId::new("em_1")), ..none() },
        EventFilter { thread_id: Some(ThreadId::new("thr_2")), ..none() },
        EventFilter { mailbox: Some("box1@b.test".into()), ..none() },
        EventFilter { mailbox: Some("box0@b.test".into()), thread_id: Some(ThreadId::new("thr_0")), ..none() },
        EventFilter { mailbox: Some("box0@b.test".into()), kinds: vec![EventKind::Open, EventKind::Other], ..none() },
        EventFilter { thread_id: Some(ThreadId::new("thr_1")), kinds: vec![EventKind::Inbound], ..none() },
        EventFilter { thread_id: Some(ThreadId::new("nowhere")), ..none() },
    ];
    let end = i64::try_from(count).expect("few") + 1;
    for filter in filters {
        let matching: Vec<i64> = range
            .clone()
            .filter(|n| {
                let event = event(*n);
                filter.message_id.is_none_or_event(event.message_id.as_ref())
                    && filter.thread_id.is_none_or_event(event.thread_id.as_ref())
                    && filter.mailbox.is_none_or_event(event.mailbox.as_ref())
                    && (filter.kinds.is_empty() || filter.kinds.contains(&event.detail.kind()))
            })
            .map(|n| i64::try_from(n).expect("few") + 1)
            .collect();
        for after in [0, 3, end / 2, end - 2] {
            for before in [None, Some(after + 9), Some(end)] {
                let mut within: Vec<i64> = matching.clone();
                within.retain(|seq| *seq > after && before.is_none_or(|before| *seq < before));
                let first: Vec<i64> = within.iter().copied().take(7).collect();
                let last: Vec<i64> = within.iter().copied().rev().take(7).collect();
                let what = format!("{filter:?} after {after} before {before:?} of {count}");
                assert_eq!(page(store, &filter, after, before, Order::Ascending).await, first, "{what}");
                assert_eq!(page(store, &filter, after, before, Order::Descending).await, last, "{what}");
            }
        }
    }
}

trait IsNoneOrEvent<T> {
    /// Whether a filter asks for nothing here, or for what the event has.
    fn is_none_or_event(&self, of_event: Option<&T>) -> bool;
}

impl<T: PartialEq> IsNoneOrEvent<T> for Option<T> {
    fn is_none_or_event(&self, of_event: Option<&T>) -> bool {
        self.as_ref().is_none_or(|asked| Some(asked) == of_event)
    }
}

async fn forget_all(store: &BellStore, policy: &BellPolicy, now: UnixMillis) {
    let mut walk = store.to_forget(policy, now).await.expect("looked");
    assert!(walk.is_some());
    while let Some(here) = walk {
        walk = store.forget_some(&here, now).await.expect("forgotten");
    }
}

async fn connection(directory: &tempfile::TempDir) -> SqliteConnection {
    sqlite::options(&directory.path().join("bell.db")).connect().await.expect("opened")
}

/// How many rows the indexes have: by id, message, thread, mailbox.
async fn rows(conn: &mut SqliteConnection) -> [i64; 4] {
    let text = "SELECT (SELECT count(*) FROM event_ids), (SELECT count(*) FROM event_messages), \
         (SELECT count(*) FROM event_threads), (SELECT count(*) FROM event_mailboxes)";
    let (ids, messages, threads, mailboxes) = sqlx::query_as(text).fetch_one(conn).await.expect("counted");
    [ids, messages, threads, mailboxes]
}

/// How many rows these events have in the indexes.
fn rows_of(numbers: std::ops::Range<usize>) -> [i64; 4] {
    let count =
        |has: fn(&NewEvent) -> bool| i64::try_from(numbers.clone().map(event).filter(has).count()).expect("few");
    [
        count(|_| true),
        count(|event| event.message_id.is_some()),
        count(|event| event.thread_id.is_some()),
        count(|event| event.mailbox.is_some()),
    ]
}

#[tokio::test]
async fn a_page_is_the_same_wherever_the_indexes_end() {
    let (directory, store) = store().await;
    let mut count = 0;
    for (more, index) in [(40, false), (1, true), (30, false), (200, true), (129, false)] {
        tell(&store, count..count + more).await;
        count += more;
        assert_pages(&store, count).await;
        if index {
            assert_eq!(store.index_newest().await.expect("indexed"), if count == 41 { 41 } else { 230 });
            assert_eq!(store.index_newest().await.expect("looked"), 0);
            assert_eq!(rows(&mut connection(&directory).await).await, rows_of(0..count));
            assert_pages(&store, count).await;
        }
    }
}

#[tokio::test]
async fn indexing_that_was_broken_off_is_seen_by_nobody_and_done_again() {
    let (directory, store) = store().await;
    tell(&store, 0..300).await;
    // As a process leaves it that was killed before the second step.
    let sorted = Sorted::of(store.unindexed().await.expect("read"));
    let mut conn = connection(&directory).await;
    sorted.put(&mut Turn::within(&mut conn), 0).await.expect("put in");
    assert_eq!(rows(&mut conn).await[0], 128);
    assert_pages(&store, 300).await;
    for told in tell(&store, 0..300).await {
        assert!(matches!(told, Ingested::Duplicate(_)), "{told:?}");
    }
    assert_eq!(store.index_newest().await.expect("indexed"), 300);
    assert_eq!(rows(&mut conn).await, rows_of(0..300));
    assert_pages(&store, 300).await;
}

#[tokio::test]
async fn an_event_is_known_again_by_an_index_and_before_there_is_one() {
    let (directory, store) = store().await;
    let place = |n: usize| Seq(i64::try_from(n).expect("few") + 1);
    tell(&store, 0..50).await;
    store.index_newest().await.expect("indexed");
    tell(&store, 50..100).await;
    let again = [3, 70, 100, 99, 49, 50];
    let told = tell(&store, again.into_iter()).await;
    let expected = again.map(|n| if n == 100 { Ingested::Fresh(place(n)) } else { Ingested::Duplicate(place(n)) });
    assert_eq!(told, expected);
    // Somebody else appends, as far as this process knows, and so does a new one that knows nothing.
    let other = opened(&directory.path().join("bell.db")).await;
    assert_eq!(tell(&other, [60, 20, 101].into_iter()).await[2], Ingested::Fresh(place(101)));
    assert_eq!(
        tell(&store, [101, 102].into_iter()).await,
        [Ingested::Duplicate(place(101)), Ingested::Fresh(place(102))]
    );
    assert_eq!(other.index_newest().await.expect("indexed"), 53);
    assert_eq!(tell(&store, [101, 2].into_iter()).await, [101, 2].map(|n| Ingested::Duplicate(place(n))));
    let mut changed = event(101);
    changed.provider_kind = Some("other".into());
    let told = store.append(&source(), Auth::HmacSha256, UnixMillis(1), vec![changed]).await.expect("told");
    assert_eq!(told, [Ingested::Conflict(place(101))]);
}

#[tokio::test]
async fn what_was_undone_is_told_anew() {
    let (directory, store) = store().await;
    tell(&store, 0..3).await;
    let inserter = store.appender.inserter();
    let mut conn = connection(&directory).await;
    let post = |n| {
        let post = super::super::append::Post::new(&source(), Auth::HmacSha256, UnixMillis(1), vec![event(n)]);
        [Arc::new(post)]
    };
    let mut turn = Turn::within(&mut conn);
    sqlx::query("BEGIN IMMEDIATE").execute(turn.conn().await.expect("there")).await.expect("begun");
    let told = inserter.insert(&mut turn, &post(3)).await.expect("appended");
    assert_eq!(told, [Ending::Taken(vec![Ingested::Fresh(Seq(4))])]);
    sqlx::query("ROLLBACK").execute(turn.conn().await.expect("there")).await.expect("undone");
    assert_eq!(tell(&store, [4, 3].into_iter()).await, [Ingested::Fresh(Seq(4)), Ingested::Fresh(Seq(5))]);
}

#[tokio::test]
async fn what_retention_removes_is_read_by_no_index_and_leaves_each() {
    let (directory, store) = store().await;
    let mut conn = connection(&directory).await;
    tell(&store, 0..60).await;
    store.index_newest().await.expect("indexed");
    tell(&store, 60..100).await;
    let policy = BellPolicy { events_max: 20, ..FOR_EVER };
    // What is to be indexed has been read, when the sweep comes.
    let sorted = Sorted::of(store.unindexed().await.expect("read"));
    assert_eq!(store.sweep(&policy, UnixMillis(2)).await.expect("swept").events, 80);
    assert_pages_within(&store, 80..100).await;
    assert_eq!(rows(&mut conn).await[1..], rows_of(0..60)[1..], "they are taken out later");
    sorted.put(&mut Turn::within(&mut conn), 0).await.expect("put in");
    assert_pages_within(&store, 80..100).await;
    assert_eq!(store.take_removed().await.expect("taken"), 80);
    assert_eq!(rows(&mut conn).await[1..], rows_of(80..100)[1..]);
    assert_eq!(store.take_removed().await.expect("looked"), 0);
    store.index_newest().await.expect("indexed");
    assert_pages_within(&store, 80..100).await;
    assert_eq!(rows(&mut conn).await[1..], rows_of(80..100)[1..]);

    let told = tell(&store, [10, 70, 90].into_iter()).await;
    assert_eq!(told, [11, 71, 91].map(|seq| Ingested::Duplicate(Seq(seq))), "each is known again by its id");
    assert_eq!(rows(&mut conn).await[0], 100);
    let policy = BellPolicy { events_max: 1, ids_max: 29, ..FOR_EVER };
    let swept = store.sweep(&policy, UnixMillis(3)).await.expect("swept");
    assert_eq!(swept.events, 19);
    forget_all(&store, &policy, UnixMillis(3)).await;
    assert_eq!(rows(&mut conn).await[0], 30);
    let told = tell(&store, [10, 70].into_iter()).await;
    assert_eq!(told, [Ingested::Fresh(Seq(101)), Ingested::Duplicate(Seq(71))], "but who is forgotten");
}

#[tokio::test]
async fn taking_out_that_was_broken_off_is_seen_by_nobody_and_done_again() {
    let (directory, store) = store().await;
    tell(&store, 0..300).await;
    store.index_newest().await.expect("indexed");
    let swept = store.sweep(&BellPolicy { events_max: 50, ..FOR_EVER }, UnixMillis(2)).await.expect("swept");
    assert_eq!(swept.events, 250);
    // As a process leaves it that was killed after its first step.
    let keys = sqlx::query_as(sql::indexes::REMOVED_KEYS).bind(200).fetch_all(&store.database.readers).await;
    let removed = Removed::of(keys.expect("read")).expect("some");
    let (text, list, through) = removed.steps().swap_remove(0);
    store.take(text, Some(list), through).await.expect("taken");
    assert_pages_within(&store, 250..300).await;
    assert_eq!(store.take_removed().await.expect("taken"), 250);
    assert_eq!(rows(&mut connection(&directory).await).await[1..], rows_of(250..300)[1..]);
    assert_pages_within(&store, 250..300).await;
}

#[test]
fn what_is_taken_at_once_is_bounded_however_it_is_spread() {
    let of = |name: &str, n: i64, many: i64| Some(format!("{name}{}", n % many));
    let all: Vec<RemovedKeys> =
        (1..=5_000).map(|n| (n, of("em_", n, 10_000), of("thr_", n, 100), of("box", n, 1), "open".into())).collect();
    let removed = Removed::of(all).expect("some");
    let steps = removed.steps();
    let of_index = |text| steps.iter().filter(move |(of, ..)| *of == text).collect::<Vec<_>>();
    for list in of_index(sql::indexes::TAKE_MESSAGES) {
        let texts: Vec<String> = serde_json::from_str(&list.1).expect("a list");
        assert!(texts.len() <= TAKEN_MAX && list.2 == 5_000);
    }
    // Fifty rows each.
    assert_eq!(of_index(sql::indexes::TAKE_THREADS).len(), 17);
    let places: Vec<i64> = of_index(sql::indexes::TAKE_MAILBOXES).iter().map(|(.., through)| *through).collect();
    assert_eq!(places.len(), 20);
    assert!(
        places.is_sorted_by(|one, next| next > one && next - one <= 256) && places.ends_with(&[5_000]),
        "{places:?}"
    );
}

#[test]
fn keys_are_forgotten_by_rows_however_many_places_were_skipped() {
    let keys = |seq| (seq, None, None, None, "open".into());
    let all: Vec<RemovedKeys> = (1..=3_000).chain(2_000_001..=2_003_000).map(keys).collect();
    assert_eq!(Removed::of(all).expect("some").ends, [2_048, 2_001_096, 2_003_000]);
}

#[tokio::test]
async fn those_who_append_meanwhile_are_indexed_too() {
    let (directory, store) = store().await;
    let indexing = {
        let store = store.clone();
        tokio::spawn(async move {
            let mut indexed = 0;
            while indexed < 400 {
                indexed += store.index_newest().await.expect("indexed");
                tokio::task::yield_now().await;
            }
        })
    };
    for n in 0..400 {
        tell(&store, n..=n).await;
    }
    tokio::time::timeout(Duration::from_mins(1), indexing).await.expect("in time").expect("ended");
    assert_eq!(rows(&mut connection(&directory).await).await, rows_of(0..400));
    assert_pages(&store, 400).await;
}

#[tokio::test]
async fn what_comes_during_a_round_of_indexing_gathers_for_the_next() {
    let (directory, store) = store().await;
    tell(&store, 0..300).await;
    // It comes after the look, and long before the round is over.
    let (indexed, told) = tokio::join!(store.index_newest(), tell(&store, 300..=300));
    assert_eq!((indexed.expect("indexed"), told), (300, vec![Ingested::Fresh(Seq(301))]));
    assert_eq!(rows(&mut connection(&directory).await).await[0], 300);
    assert_eq!(store.index_newest().await.expect("indexed"), 1);
}

#[tokio::test]
async fn a_log_whose_indexes_are_not_filled_takes_no_more_until_they_are() {
    let (directory, store) = store().await;
    tell(&store, 0..1).await;
    // Told by another process, all but one of those that may lie there.
    let copies = "WITH RECURSIVE copies(n) AS (SELECT 2 UNION ALL SELECT n + 1 FROM copies WHERE n < ?) \
                  INSERT INTO events (seq, origin, event_id, kind, timestamp, received_at, auth, detail) \
                  SELECT n, origin, 'copy_' || n, kind, timestamp, received_at, auth, detail FROM copies, events WHERE seq = 1";
    let many = i64::try_from(UNINDEXED_MAX).expect("fits") - 1;
    sqlx::query(copies).bind(many).execute(&mut connection(&directory).await).await.expect("copied");
    tell(&store, 1..2).await;
    let told_by = source();
    let append = || store.append(&told_by, Auth::HmacSha256, UnixMillis(1), vec![event(2)]);
    let refused = append().await.expect_err("there is no room");
    assert!(matches!(refused, StoreError::Refused(Refusal::Overloaded)), "{refused:?}");
    assert_eq!(tell(&store, 1..2).await, [Ingested::Duplicate(Seq(many + 1))], "nothing new is in it");
    // Among others it is refused alone, and what is known of those in no index is not read anew for that.
    let post = |n| {
        let post = super::super::append::Post::new(&source(), Auth::HmacSha256, UnixMillis(1), vec![event(n)]);
        Arc::new(post)
    };
    let mut conn = connection(&directory).await;
    let mut turn = Turn::within(&mut conn);
    let told = store.appender.inserter().insert(&mut turn, &[post(1), post(2), post(1)]).await.expect("answered");
    let again = Ending::Taken(vec![Ingested::Duplicate(Seq(many + 1))]);
    assert_eq!(told, [again.clone(), Ending::NoRoom, again]);

    store.index_newest().await.expect("indexed");
    assert_eq!(append().await.expect("there is room again"), [Ingested::Fresh(Seq(many + 2))]);
}

#[tokio::test]
async fn the_ids_of_events_that_an_older_version_removed_are_known_still() {
    let rows = [
        "INSERT INTO log (only, log_id, tail) VALUES (1, '01', 3)",
        "INSERT INTO origins (id, name) VALUES (1, 'one')",
        "INSERT INTO removed_ids VALUES (1, 'evt_000', 1, 5), (1, 'evt_037', 2, 5)",
        "INSERT INTO sqlite_sequence VALUES ('events', 2)",
    ];
    let (_directory, store) = upgraded(23, &rows).await;
    let told = tell(&store, 0..3).await;
    assert_eq!(told[..2], [1, 2].map(|seq| Ingested::Duplicate(Seq(seq))));
    assert!(matches!(told[2], Ingested::Fresh(seq) if seq > Seq(2)), "{told:?}");
    let later = UnixMillis(100_000_000);
    forget_all(&store, &BellPolicy { ids_millis: 1, ..FOR_EVER }, later).await;
    assert!(matches!(tell(&store, 0..1).await[..], [Ingested::Fresh(_)]));
}
