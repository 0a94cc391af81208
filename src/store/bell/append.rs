//! Appends to the log: what many posters bring at once becomes one statement in one transaction (see [`joint`](crate::store::joint)).

use std::{collections::HashSet, sync::Arc};

use sqlx::SqliteConnection;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{
    audit::{Auditor, End},
    events,
    prior::Prior,
    received::bringing,
    rows, sql,
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

/// What became of a post: of each of its events; or none where the sources have another version.
pub(super) type Ending = Option<Vec<Ingested>>;

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
    posts: Joint<Waiting, Ending>,
    /// For the messages that wait, in KiB.
    room: Arc<Semaphore>,
}

impl Appender {
    pub(super) fn new(writer: Writer, auditor: Auditor) -> Self {
        let posts = Joint::new(writer, move |conn, all: &[Arc<Waiting>]| {
            let (posts, auditor): (Vec<_>, _) = (all.iter().map(|one| one.post.clone()).collect(), auditor.clone());
            Box::pin(async move { insert_on_record(conn, &auditor, &posts).await })
        });
        Self { posts, room: Arc::new(Semaphore::new(MESSAGES_KIB_MAX as usize)) }
    }

    /// Answers once `post` is on disk. Dropping the returned future does not take it back.
    pub(super) async fn append(&self, post: Post) -> Result<Ending, StoreError> {
        let room = self.room.clone().try_acquire_many_owned(post.weight_kib());
        let room = room.map_err(|_| StoreError::Refused(Refusal::Overloaded))?;
        self.posts.write(Waiting { post: Arc::new(post), room }).await
    }
}

/// Appends `posts` in the transaction of `conn`, with the entry of the audit record that says so.
pub(super) async fn insert_on_record(
    conn: &mut SqliteConnection,
    auditor: &Auditor,
    posts: &[Arc<Post>],
) -> Result<Vec<Ending>, StoreError> {
    // What an API's list tells of comes after what was posted, so that it is compared with that too. One that brings messages
    // goes alone: its threads and ids depend on what those before it brought.
    let (bring, plain): (Vec<usize>, Vec<usize>) = (0..posts.len()).partition(|at| posts[*at].brings_messages());
    let (listed, posted): (Vec<usize>, Vec<usize>) = plain.into_iter().partition(|at| posts[*at].auth == Auth::Api);
    let (mut endings, mut end) = (vec![None; posts.len()], None);
    for places in [posted, listed] {
        let some: Vec<&Post> = places.iter().map(|at| &*posts[*at]).collect();
        for (at, ending) in places.into_iter().zip(insert(conn, &some, &mut end).await?) {
            endings[at] = ending;
        }
    }
    for at in bring {
        let post = bringing::prepared(conn, &posts[at]).await?;
        let ending = insert(conn, &[&post], &mut end).await?.pop().flatten();
        bringing::keep(conn, &post, ending.as_deref().unwrap_or_default()).await?;
        endings[at] = ending;
    }
    if let Some((at, entry)) = told(posts, &endings)
        && let Some(end) = end
    {
        auditor.record_after(conn, end, at, &entry).await?;
    }
    Ok(endings)
}

/// What the audit record says of a batch: one entry, however many events; none where nothing is new.
fn told(posts: &[Arc<Post>], endings: &[Ending]) -> Option<(UnixMillis, Entry)> {
    let (mut seqs, mut sources, mut recipients) = (Vec::new(), Vec::new(), Vec::new());
    for (post, ending) in posts.iter().zip(endings) {
        for (row, ingested) in post.rows.iter().zip(ending.iter().flatten()) {
            let Ingested::Fresh(seq) = ingested else { continue };
            seqs.push(*seq);
            if !sources.contains(&post.source) {
                sources.push(post.source.clone());
            }
            match &row.event.detail {
                Detail::Delivery { recipient, .. } | Detail::Bounce { recipient: Some(recipient), .. } => {
                    recipients.push(recipient.clone());
                }
                _ => {}
            }
        }
    }
    recipients.sort_unstable();
    recipients.dedup();
    let (first, last) = (*seqs.iter().min()?, *seqs.iter().max()?);
    let at = posts.iter().map(|post| post.received_at).max()?;
    Some((at, Entry::Events { first, last, count: seqs.len(), sources, recipients }))
}

/// Inserts the events of `posts` that are new; `end` is then where the audit record ends.
async fn insert(
    conn: &mut SqliteConnection,
    posts: &[&Post],
    end: &mut Option<End>,
) -> Result<Vec<Ending>, StoreError> {
    let mut priors: Vec<(&SourceName, Prior)> = Vec::new();
    for post in posts {
        if !priors.iter().any(|(source, _)| **source == post.source) {
            let of_source = posts.iter().filter(|one| one.source == post.source);
            let prior = Prior::at(conn, &post.source, of_source.flat_map(|post| post.events())).await?;
            *end = Some(prior.end);
            priors.push((&post.source, prior));
        }
    }
    let mut fresh = Vec::new();
    let mut seen = HashSet::new();
    let mut fates = Vec::new();
    for post in posts {
        let prior = priors.iter().find(|(source, _)| **source == post.source).map(|(_, prior)| prior);
        let prior = prior.expect("each source was looked up");
        if post.roster.is_some_and(|version| version != prior.roster) {
            continue;
        }
        for row in &post.rows {
            fates.push(match prior.place(post.auth, &row.event) {
                Some(seq) => Fate::Before(seq),
                // The same again in this batch is a duplicate of what is not inserted yet.
                None if prior.holds(&row.event) || !seen.insert((prior.origin, row.event.event_id.as_str())) => {
                    Fate::Held(prior.origin)
                }
                None => {
                    fresh.push((prior.origin, *post, row));
                    Fate::Fresh
                }
            });
        }
    }
    let roster = priors.first().map(|(_, prior)| prior.roster);
    let mut fates = fates.into_iter();
    let mut seqs = rows::insert(conn, &fresh).await?.into_iter();
    let mut endings = Vec::with_capacity(posts.len());
    for post in posts {
        if post.roster.is_some_and(|version| Some(version) != roster) {
            endings.push(None);
            continue;
        }
        let mut ingested = Vec::with_capacity(post.rows.len());
        for (EventRow { event, .. }, fate) in post.rows.iter().zip(&mut fates) {
            ingested.push(match fate {
                Fate::Before(seq) => Ingested::Duplicate(seq),
                Fate::Held(origin) => compared(conn, origin, event).await?,
                Fate::Fresh => Ingested::Fresh(seqs.next().expect("a place for each row")),
            });
        }
        endings.push(Some(ingested));
    }
    Ok(endings)
}

/// What is to become of an event.
enum Fate {
    /// It was told before, and was here, or is here as told in another way.
    Before(Seq),
    /// One of its id and of the source of this number is in the log.
    Held(i64),
    /// It is inserted.
    Fresh,
}

/// Whether the stored event with the id of `event` says the same.
///
/// The whole event is compared rather than a digest of it: nothing more is stored, and only duplicates pay.
async fn compared(conn: &mut SqliteConnection, origin: i64, event: &NewEvent) -> Result<Ingested, StoreError> {
    let query = sqlx::query(sql::log::EVENT_BY_ID).bind(origin).bind(event.event_id.as_str());
    let row = query.fetch_one(conn).await.map_err(failed("look a duplicate up"))?;
    let stored = events::event(&row)?;
    Ok(if stored.fact == *event { Ingested::Duplicate(stored.seq) } else { Ingested::Conflict(stored.seq) })
}
