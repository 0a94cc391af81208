//! Logs of any size to measure on, made by the real store's append: a busy mailbox, forty smaller ones, one that has been
//! idle since the beginning, threads of about eight events, and kinds as a sender sees them.

use std::{path::Path, sync::Arc};

use futures::{StreamExt as _, TryStreamExt as _, stream};
use mailbell::{
    app::system::{SystemClock, SystemEntropy},
    domain::{
        clock::{Clock as _, UnixMillis},
        event::{AcceptedBy, Auth, BounceType, Detail, NewEvent, Tied},
        id::{ActionId, EventId, MessageId, SourceName, ThreadId},
    },
    ids::Ids,
    store::{
        bell::BellStore,
        log::{EventLog as _, Indexing as _},
        sqlite::Schema,
    },
};
use tokio_util::sync::CancellationToken;

use crate::Failure;

/// Has half of the events; complaints only among the first [`LONG_AGO`].
pub(crate) const BUSY: &str = "agent@busy.test";
/// Has a few of the very first events and none since.
pub(crate) const IDLE: &str = "once@idle.test";
/// The smallest log there is; what happened "long ago" happened within it.
pub(crate) const LONG_AGO: u64 = 10_000;
/// Events that are appended as one post, and posts on their way at once, when a log is filled.
const POST_LEN: u64 = 512;
const POSTS: usize = 8;

/// How event ids follow each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Keys {
    /// Each is greater than the one before, as ours are.
    Time,
    /// By chance, as a provider's may be.
    Random,
}

/// A number that looks like chance and is the same every time.
pub(crate) fn mix(number: u64) -> u64 {
    let mut z = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// The source that all of it comes from.
pub(crate) fn source() -> SourceName {
    SourceName::new("measured")
}

/// The event number `n` of every log.
pub(crate) fn fact(n: u64, keys: Keys) -> NewEvent {
    let chance = mix(n);
    let thread = n / 64 * 8 + chance % 8;
    let message = thread * 4 + chance / 8 % 4;
    let mailbox = mailbox(n, thread);
    let recipient = format!("r{}@elsewhere.test", chance % 5_000);
    let detail = match chance / 64 % 1000 {
        550..750 => Detail::Inbound {
            from: recipient,
            from_name: Some("Somebody Else".into()),
            to: vec![mailbox.clone()],
            subject: format!("About matter {thread}, which is not yet settled"),
            snippet: "Thank you for your letter. We have looked into it and come back to you with what we found; \
                      please see below, and let us know by Friday whether this suits you and your colleagues."
                .into(),
            auto: false,
        },
        750..900 => Detail::Open { recipient: Some(recipient), machine: Some(false) },
        900..980 => Detail::Bounce {
            recipient: Some(recipient),
            bounce_code: "5.1.1".into(),
            code_inferred: false,
            bounce_type: BounceType::Hard,
            reason: Some("user_unknown".into()),
            r#final: true,
            suppress_advised: true,
            suppressed: false,
            diagnostic: Some("550 5.1.1 no such user here".into()),
            tied: Tied::Session,
        },
        980..990 if mailbox != BUSY || n < LONG_AGO => {
            Detail::Complaint { recipient: Some(recipient), feedback_type: Some("abuse".into()), tied: Tied::Headers }
        }
        990..995 => Detail::Approval { action_id: ActionId::new(format!("act_{n:020}")), outcome: "approved".into() },
        995..1000 => Detail::Other {},
        _ => delivery(recipient),
    };
    NewEvent {
        event_id: EventId::new(match keys {
            Keys::Time => format!("evt_{n:026}"),
            Keys::Random => format!("evt_{chance:016x}{:010x}", mix(chance) >> 24),
        }),
        mailbox: Some(mailbox),
        message_id: Some(MessageId::new(format!("em_{message:026}"))),
        thread_id: Some(ThreadId::new(format!("thr_{thread:026}"))),
        timestamp: UnixMillis(1_764_000_000_000 + i64::try_from(n).unwrap_or(0)),
        provider_kind: None,
        detail,
    }
}

fn delivery(recipient: String) -> Detail {
    let smtp_response = Some("250 2.0.0 Ok: queued as 4XyZ1".into());
    Detail::Delivery { recipient, smtp_response, accepted_by: Some(AcceptedBy::Recipient) }
}

fn mailbox(n: u64, thread: u64) -> String {
    let chance = mix(thread);
    if n < LONG_AGO / 10 && n.is_multiple_of(200) {
        IDLE.into()
    } else if chance.is_multiple_of(2) {
        BUSY.into()
    } else {
        let small = chance / 2 % 40;
        format!("m{small}@d{}.test", small % 8)
    }
}

/// Opens the log at `path`, made where it is missing.
pub(crate) async fn open(path: &Path) -> Result<BellStore, Failure> {
    let ids = Ids::new(Arc::new(SystemClock::new()), Arc::new(SystemEntropy));
    Ok(BellStore::open(path, Schema::Migrate, &ids, CancellationToken::new()).await?)
}

/// Appends until the log has `rows` events; one that has more already is left as it is.
pub(crate) async fn fill(store: &BellStore, rows: u64, keys: Keys) -> Result<(), Failure> {
    let head = u64::try_from(store.extent().await?.head.0)?;
    append(store, head, rows.saturating_sub(head), POST_LEN, POSTS, keys).await
}

/// Events after which the newest are indexed: as many as come in a second to a house, which does that every second.
const INDEXED_LEN: u64 = 16_384;

/// Appends `count` events from number `first` on, in posts of `post_len`, so many `posts` at once, and has them indexed.
pub(crate) async fn append(
    store: &BellStore,
    first: u64,
    count: u64,
    post_len: u64,
    posts: usize,
    keys: Keys,
) -> Result<(), Failure> {
    let now = SystemClock::new().now();
    let source = source();
    let end = first + count;
    for piece in (first..end).step_by(usize::try_from(INDEXED_LEN)?) {
        let piece_end = end.min(piece + INDEXED_LEN);
        let starts = (piece..piece_end).step_by(usize::try_from(post_len)?);
        stream::iter(starts.map(|start| {
            let events = (start..piece_end.min(start + post_len)).map(|n| fact(n, keys)).collect();
            let source = &source;
            async move { store.append(source, Auth::HmacSha256, now, events).await.map(drop) }
        }))
        .buffered(posts)
        .try_collect::<()>()
        .await?;
        store.index_newest().await?;
    }
    Ok(())
}
