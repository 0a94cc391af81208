//! Mail that came in is told by a webhook, or after an absence by the API's list, which knows no event ids; so between those
//! two the message says whether it is the same event.
//!
//! This is looked up in the transaction that appends. Nothing else writes meanwhile, so there is no constraint to break and
//! no row to store; two webhooks about one message are told apart by their event ids, as ever.

use std::{collections::HashMap, sync::Arc};

use sqlx::{Row as _, SqliteConnection};

use super::{append::Post, sql};
use crate::{
    domain::{
        cursor::Seq,
        event::{Auth, Detail, NewEvent},
        id::{MessageId, SourceName},
    },
    store::{StoreError, failed},
};

/// Where arrivals of the posts' messages stand already.
#[derive(Default)]
pub(super) struct Told(HashMap<(i64, String), Standing>);

#[derive(Default)]
struct Standing {
    listed: Option<Seq>,
    first: Option<Seq>,
}

impl Told {
    /// Where the other way of telling has told of this arrival, if it has.
    pub(super) fn standing(&self, origin: i64, auth: Auth, event: &NewEvent) -> Option<Seq> {
        let standing = self.0.get(&(origin, message(event)?.as_str().to_owned()))?;
        if auth == Auth::Api { standing.first } else { standing.listed }
    }
}

/// Looks the arrivals of `posts` up.
pub(super) async fn told(
    conn: &mut SqliteConnection,
    posts: &[Arc<Post>],
    origins: &HashMap<SourceName, i64>,
) -> Result<Told, StoreError> {
    let messages: Vec<&MessageId> = posts.iter().flat_map(|post| post.events()).filter_map(message).collect();
    let mut told = Told::default();
    if messages.is_empty() {
        return Ok(told);
    }
    let messages = serde_json::to_string(&messages).expect("a list of texts is JSON");
    let rows = sqlx::query(sql::log::ARRIVED).bind(messages).fetch_all(conn).await;
    let doing = "look up who told of a message before";
    for row in rows.map_err(failed(doing))? {
        let read = || Ok((row.try_get(0)?, row.try_get(1)?, row.try_get(2)?, row.try_get(3)?));
        let (origin, message, seq, listed): (i64, String, i64, bool) = read().map_err(failed(doing))?;
        if !origins.values().any(|one| *one == origin) {
            continue;
        }
        let standing = told.0.entry((origin, message)).or_default();
        standing.first.get_or_insert(Seq(seq));
        if listed {
            standing.listed.get_or_insert(Seq(seq));
        }
    }
    Ok(told)
}

/// The message that `event` says came in.
fn message(event: &NewEvent) -> Option<&MessageId> {
    matches!(event.detail, Detail::Inbound { .. }).then_some(event.message_id.as_ref()).flatten()
}
