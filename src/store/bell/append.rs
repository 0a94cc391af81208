//! Appends to the log: what many posters bring at once becomes one statement in one transaction (see [`joint`](crate::store::joint)).

use std::{
    collections::{BTreeSet, HashMap},
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use sqlx::SqliteConnection;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{
    audit::{Added, Auditor, End},
    events,
    prior::{self, Prior},
    received::bringing,
    recent::Recent,
    rows::{self, Again, Keys},
    sql,
};
use crate::{
    domain::{
        clock::UnixMillis,
        cursor::Seq,
        event::{Auth, Detail, NewEvent},
        id::SourceName,
    },
    store::{
        Refusal, StoreError,
        audit::Entry,
        failed,
        joint::Joint,
        log::Ingested,
        received::{NewMessage, Told},
        turn::Turn,
        writer::Writer,
    },
};

/// What the messages that wait bring may weigh together, in KiB: 64 MiB, five of the largest.
const MESSAGES_KIB_MAX: u32 = 64 << 10;
/// What one poster brings: taken whole or not at all.
#[derive(Clone)]
pub(super) struct Post {
    pub(super) source: SourceName,
    pub(super) auth: Auth,
    pub(super) received_at: UnixMillis,
    pub(super) rows: Vec<EventRow>,
    /// The version of the sources that it is taken by, where that has to be looked at: with another it is not taken.
    pub(super) roster: Option<i64>,
}

/// What became of a post.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Ending {
    /// It was taken; this became of each of its events.
    Taken(Vec<Ingested>),
    /// It was not: the sources have another version.
    OtherSources,
    /// It was not: so many events are in no index that it would be too many. Not a failure of the transaction, which would undo what
    /// others have in it, and have each tried again.
    NoRoom,
}

impl Ending {
    /// What became of each event, or none where the sources have another version.
    pub(super) fn ingested(self) -> Result<Option<Vec<Ingested>>, StoreError> {
        match self {
            Self::Taken(ingested) => Ok(Some(ingested)),
            Self::OtherSources => Ok(None),
            Self::NoRoom => Err(StoreError::Refused(Refusal::Overloaded)),
        }
    }
}

#[derive(Clone)]
pub(super) struct EventRow {
    pub(super) event: NewEvent,
    pub(super) detail: String,
    /// What is kept with the event where that is new.
    pub(super) message: Option<Arc<NewMessage>>,
}

impl Post {
    pub(super) fn new(source: &SourceName, auth: Auth, received_at: UnixMillis, events: Vec<NewEvent>) -> Self {
        let told = events.into_iter().map(|event| Told { event, message: None }).collect();
        Self::with_messages(source, auth, received_at, told)
    }

    pub(super) fn with_messages(source: &SourceName, auth: Auth, received_at: UnixMillis, told: Vec<Told>) -> Self {
        let row = |Told { event, message }: Told| {
            let detail =
                serde_json::to_string(&event.detail).expect("a detail has string keys and no number that JSON lacks");
            EventRow { event, detail, message: message.map(Arc::new) }
        };
        Self { source: source.clone(), auth, received_at, rows: told.into_iter().map(row).collect(), roster: None }
    }

    pub(super) fn brings_messages(&self) -> bool {
        self.rows.iter().any(|row| row.message.is_some())
    }

    /// What its messages weigh, in KiB, as far as that is counted.
    fn weight_kib(&self) -> u32 {
        let bytes: usize = self.rows.iter().filter_map(|row| row.message.as_ref()).map(|one| one.weight()).sum();
        u32::try_from(bytes.div_ceil(1 << 10)).unwrap_or(u32::MAX).min(MESSAGES_KIB_MAX)
    }

    /// Whether it may be taken by the sources of this version.
    fn is_by(&self, roster: i64) -> bool {
        self.roster.is_none_or(|version| version == roster)
    }

    pub(super) fn events(&self) -> impl Iterator<Item = &NewEvent> {
        self.rows.iter().map(|row| &row.event)
    }
}

/// A post that waits.
struct Waiting {
    post: Arc<Post>,
    /// Given back when the post is answered.
    #[expect(dead_code, reason = "it is held, and not looked at")]
    room: OwnedSemaphorePermit,
}

/// Where posts are appended; clones are the same place.
#[derive(Clone)]
pub(super) struct Appender {
    inserter: Inserter,
    posts: Joint<Waiting, Ending>,
    /// For the messages that wait, in KiB.
    room: Arc<Semaphore>,
}

impl Appender {
    pub(super) fn new(writer: Writer, auditor: Auditor) -> Self {
        let inserter = Inserter { auditor, recent: Arc::default() };
        let inserting = inserter.clone();
        let posts = Joint::new(writer, move |turn, all: &[Arc<Waiting>]| {
            let (posts, inserter): (Vec<_>, _) = (all.iter().map(|one| one.post.clone()).collect(), inserting.clone());
            Box::pin(async move { inserter.insert(turn, &posts).await })
        });
        Self { inserter, posts, room: Arc::new(Semaphore::new(MESSAGES_KIB_MAX as usize)) }
    }

    /// What appends in a transaction of somebody else.
    pub(super) fn inserter(&self) -> Inserter {
        self.inserter.clone()
    }

    /// Answers once `post` is on disk. Dropping the returned future does not take it back.
    pub(super) async fn append(&self, post: Post) -> Result<Ending, StoreError> {
        let room = self.room.clone().try_acquire_many_owned(post.weight_kib());
        let room = room.map_err(|_| StoreError::Refused(Refusal::Overloaded))?;
        self.posts.write(Waiting { post: Arc::new(post), room }).await
    }
}

/// What puts posts into the log; clones share what they know of it.
#[derive(Clone)]
pub(super) struct Inserter {
    auditor: Auditor,
    recent: Arc<Mutex<Recent>>,
}

impl Inserter {
    /// Appends `posts` in the transaction of `turn`, with the entry of the audit record that says so. The transaction may end along
    /// with that.
    pub(super) async fn insert(&self, turn: &mut Turn<'_>, posts: &[Arc<Post>]) -> Result<Vec<Ending>, StoreError> {
        // What an API's list tells of comes after what was posted, so that it is compared with that too. One that brings messages
        // goes alone: its threads and ids depend on what those before it brought.
        let (bring, plain): (Vec<usize>, Vec<usize>) = (0..posts.len()).partition(|at| posts[*at].brings_messages());
        let (listed, posted): (Vec<usize>, Vec<usize>) = plain.into_iter().partition(|at| posts[*at].auth == Auth::Api);
        let places = [posted, listed].into_iter().filter(|places| !places.is_empty());
        let mut steps: Vec<_> = places.map(Step::Plain).chain(bring.into_iter().map(Step::Bringing)).collect();
        let Some(last) = steps.pop() else { return Ok(Vec::new()) };
        // Whoever is in a transaction is alone with it; where this fails, it is read anew.
        let mut log = Log { news: News::of(posts), recent: mem::take(&mut *self.recent()) };
        let mut endings = vec![Ending::OtherSources; posts.len()];
        for step in steps {
            step.take(turn, posts, &mut log, None, &mut endings).await?;
        }
        last.take(turn, posts, &mut log, Some(&self.auditor), &mut endings).await?;
        *self.recent() = log.recent;
        Ok(endings)
    }

    /// What the oldest of the events that are in no index are found by, so many at most.
    pub(super) async fn oldest(&self, turn: &mut Turn<'_>, limit: usize) -> Result<Vec<Keys>, StoreError> {
        let mut recent = mem::take(&mut *self.recent());
        recent.follow_log(turn.conn().await?).await?;
        let oldest = recent.oldest(limit);
        *self.recent() = recent;
        Ok(oldest)
    }

    fn recent(&self) -> MutexGuard<'_, Recent> {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is known of the log while something is appended.
struct Log {
    /// What the audit record is to say.
    news: News,
    recent: Recent,
}

/// Posts that are appended at once, by their places.
enum Step {
    Plain(Vec<usize>),
    Bringing(usize),
}

impl Step {
    /// Appends them, and says so in `log`; with an `auditor` the audit record says all of that. Puts what became of each at its
    /// place in `endings`.
    async fn take(
        self,
        turn: &mut Turn<'_>,
        posts: &[Arc<Post>],
        log: &mut Log,
        auditor: Option<&Auditor>,
        endings: &mut [Ending],
    ) -> Result<(), StoreError> {
        match self {
            Self::Plain(places) => {
                let some: Vec<&Post> = places.iter().map(|at| &*posts[*at]).collect();
                for (at, ending) in places.into_iter().zip(insert(turn, &some, log, auditor).await?) {
                    endings[at] = ending;
                }
            }
            Self::Bringing(at) => {
                let mut part = Turn::within(turn.conn().await?);
                let post = bringing::prepared(part.conn().await?, &mut log.recent, &posts[at]).await?;
                let ending = insert(&mut part, &[&post], log, auditor).await?.pop().unwrap_or(Ending::OtherSources);
                if let Ending::Taken(ingested) = &ending {
                    bringing::keep(part.conn().await?, &post, ingested).await?;
                }
                endings[at] = ending;
            }
        }
        Ok(())
    }
}

/// What the audit record says of a batch: one entry, however many events; none where nothing is new.
struct News {
    at: UnixMillis,
    seqs: Option<(Seq, Seq)>,
    count: usize,
    sources: Vec<SourceName>,
    recipients: BTreeSet<String>,
}

impl News {
    /// Of `posts`, of which nothing is told yet.
    fn of(posts: &[Arc<Post>]) -> Self {
        let at = posts.iter().map(|post| post.received_at).max().unwrap_or(UnixMillis(0));
        Self { at, seqs: None, count: 0, sources: Vec::new(), recipients: BTreeSet::new() }
    }

    fn tell(&mut self, Fresh { post, row, keys }: &Fresh<'_>) {
        let (first, _) = self.seqs.unwrap_or((keys.seq, keys.seq));
        self.seqs = Some((first, keys.seq));
        self.count += 1;
        if !self.sources.contains(&post.source) {
            self.sources.push(post.source.clone());
        }
        match &row.event.detail {
            Detail::Delivery { recipient, .. } | Detail::Bounce { recipient: Some(recipient), .. } => {
                self.recipients.insert(recipient.clone());
            }
            _ => {}
        }
    }

    /// The entry, as it is added after the `end` of the record.
    fn entry(&self, auditor: &Auditor, end: &End) -> Option<Added> {
        let (first, last) = self.seqs?;
        let (sources, recipients) = (self.sources.clone(), self.recipients.iter().cloned().collect());
        Some(auditor.row(end, self.at, &Entry::Events { first, last, count: self.count, sources, recipients }))
    }
}

/// An event that is new, where it is to be.
pub(super) struct Fresh<'p> {
    pub(super) post: &'p Post,
    pub(super) row: &'p EventRow,
    pub(super) keys: Keys,
}

/// Inserts the events of `posts` that are new, and says so in `log`; with an `auditor`, all of that is put on the record.
async fn insert(
    turn: &mut Turn<'_>,
    posts: &[&Post],
    Log { news, recent }: &mut Log,
    auditor: Option<&Auditor>,
) -> Result<Vec<Ending>, StoreError> {
    let mut priors: Vec<(&SourceName, Prior)> = Vec::new();
    for post in posts {
        if !priors.iter().any(|(source, _)| **source == post.source) {
            let of_source = || posts.iter().filter(|one| one.source == post.source);
            let listed = of_source().any(|post| post.auth == Auth::Api);
            let events = of_source().flat_map(|post| post.events());
            let prior = Prior::at(turn, recent, &post.source, listed, events).await?;
            priors.push((&post.source, prior));
        }
    }
    let Some((_, Prior { roster, last, end, .. })) = priors.first() else { return Ok(Vec::new()) };
    let mut fresh: Vec<Fresh<'_>> = Vec::new();
    let (mut seen, mut seq) = (HashMap::new(), *last);
    let (mut endings, mut kinds) = (Vec::with_capacity(posts.len()), Again::default());
    for post in posts {
        let prior = priors.iter().find(|(source, _)| **source == post.source).map(|(_, prior)| prior);
        let prior = prior.expect("each source was looked up");
        if !post.is_by(*roster) {
            endings.push(Err(Ending::OtherSources));
            continue;
        }
        let (before, mut fates) = (fresh.len(), Vec::with_capacity(post.rows.len()));
        for row in &post.rows {
            let id = (prior.origin, row.event.event_id.as_str());
            // The same again in this batch is a duplicate of what is not inserted yet.
            let held = || prior.holds(&row.event).or_else(|| seen.get(&id).copied());
            fates.push(match prior.place(post.auth, &row.event) {
                Some(seq) => Fate::Before(seq),
                None if let Some(seq) = held() => Fate::Held(seq),
                None => {
                    seq = Seq(seq.0 + 1);
                    seen.insert(id, seq);
                    fresh.push(Fresh { post, row, keys: Keys::of(&row.event, prior.origin, seq, &mut kinds) });
                    Fate::Fresh(seq)
                }
            });
        }
        if recent.has_room_for(fresh.len()) {
            fresh[before..].iter().for_each(|one| news.tell(one));
            endings.push(Ok(fates));
        } else {
            // It alone: those before it had room, and one that brings less may have it yet.
            for one in fresh.drain(before..) {
                seq = Seq(seq.0 - 1);
                seen.remove(&(prior.origin, one.row.event.event_id.as_str()));
            }
            endings.push(Err(Ending::NoRoom));
        }
    }
    // What is told again is compared in the same transaction; and only with an auditor this is the last step. What a step that brings
    // messages keeps is out of reach of this: its part of the transaction ends nothing.
    let is_held = |fate: &Fate| matches!(fate, Fate::Held(_));
    let whole = auditor.is_some() && !endings.iter().flatten().flatten().any(is_held);
    let entry = auditor.and_then(|auditor| news.entry(auditor, end));
    rows::insert(turn, &fresh, entry, whole).await?;
    for Fresh { post, row, keys } in fresh {
        let arrived = prior::message(&row.event).is_some().then_some(post.auth == Auth::Api);
        recent.add(post.source.as_str(), keys, arrived);
    }
    let mut told = Vec::with_capacity(posts.len());
    for (post, fates) in posts.iter().zip(endings) {
        let fates = match fates {
            Ok(fates) => fates,
            Err(ending) => {
                told.push(ending);
                continue;
            }
        };
        let mut ingested = Vec::with_capacity(fates.len());
        for (EventRow { event, .. }, fate) in post.rows.iter().zip(fates) {
            ingested.push(match fate {
                Fate::Before(seq) => Ingested::Duplicate(seq),
                Fate::Held(seq) => compared(turn.conn().await?, seq, event).await?,
                Fate::Fresh(seq) => Ingested::Fresh(seq),
            });
        }
        told.push(Ending::Taken(ingested));
    }
    Ok(told)
}

/// What is to become of an event.
enum Fate {
    /// It was told before, and was here, or is here as told in another way.
    Before(Seq),
    /// One of its id and of its source is in the log, at this place.
    Held(Seq),
    /// It is inserted, at this place.
    Fresh(Seq),
}

/// Whether the stored event at `seq` says the same as `event`, whose id it has.
///
/// The whole event is compared rather than a digest of it: nothing more is stored, and only duplicates pay.
async fn compared(conn: &mut SqliteConnection, seq: Seq, event: &NewEvent) -> Result<Ingested, StoreError> {
    let row =
        sqlx::query(sql::log::EVENT_BY_SEQ).bind(seq.0).fetch_one(conn).await.map_err(failed("look a duplicate up"))?;
    let stored = events::event(&row)?;
    Ok(if stored.fact == *event { Ingested::Duplicate(stored.seq) } else { Ingested::Conflict(stored.seq) })
}
