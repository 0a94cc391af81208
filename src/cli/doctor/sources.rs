//! How sources do: mailboxes that are watched, webhooks that are taken, and what is kept of their messages.

use serde_json::json;

use super::{Check, State, size};
use crate::{
    bell::{health::findings, imap::DIALECT, intake::STRAYS, webhooks::SOURCE},
    domain::{clock::Clock, id::SourceName},
    store::{
        bell::BellStore,
        received::{FolderState, ReceivedMail as _},
        sources::{Records as _, Sources as _},
    },
};

/// The watched mailboxes, a line each.
pub(super) async fn mailboxes(store: &BellStore) -> Vec<Check> {
    let read = async {
        let mut checks = Vec::new();
        let sources = store.sources().await.map_err(|error| error.to_string())?;
        for source in sources.into_iter().filter(|source| source.dialect == DIALECT) {
            for state in super::super::source::states(store, &source).await.map_err(|error| error.to_string())? {
                checks.push(mailbox(&source.name, state));
            }
        }
        Ok::<_, String>(checks)
    };
    read.await.unwrap_or_else(|error| vec![Check::bad("imap", State::Failed, error, "see the log")])
}

fn mailbox(source: &SourceName, FolderState { folder, looked_at, trouble, .. }: FolderState) -> Check {
    match (trouble, looked_at) {
        (Some((why, since)), _) => {
            let says = format!("{source}, {folder} is not read since {since}");
            Check::bad("imap", State::Warning, says, why)
        }
        (None, Some(at)) => Check::ok("imap", format!("{source}, {folder} is read, with its last news at {at}")),
        (None, None) => Check::bad(
            "imap",
            State::Warning,
            format!("{source}, {folder} was not read yet"),
            "start `mailbell serve`, and try `mailbell source test`",
        ),
    }
}

/// The sources of webhooks: a line for each that does well, and one for whatever is likely wrong with another.
pub(super) async fn webhooks(store: &BellStore, clock: &dyn Clock) -> Vec<Check> {
    let read = async {
        let failed = |error: crate::store::StoreError| error.to_string();
        let strays = store.history(&SourceName::new(STRAYS)).await.map_err(failed)?.refused.into_iter().next();
        let strays = strays.map(|(_, times, at)| (times, at));
        let mut checks = Vec::new();
        for source in store.sources().await.map_err(failed)?.into_iter().filter(|source| source.dialect != DIALECT) {
            let (name, history) = (&source.name, store.history(&source.name).await.map_err(failed)?);
            let found = findings(&source, &history, strays, clock.now());
            let last = history.told.iter().map(|(_, _, _, at)| *at).max();
            // Our own receiver's is named only where something is wrong.
            if found.is_empty() && name.as_str() != SOURCE {
                let last = last.map_or_else(|| "nothing yet".to_owned(), |at| format!("the last at {at}"));
                checks.push(Check::ok("source", format!("{name}: is verified, {last}")));
            }
            checks.extend(found.into_iter().map(|one| {
                let data = json!({ "source": name.as_str(), "cause": format!("{:?}", one.cause) });
                Check::bad("source", State::Warning, format!("{name}: {}", one.says), one.todo).with(data)
            }));
        }
        Ok::<_, String>(checks)
    };
    read.await.unwrap_or_else(|error| vec![Check::bad("source", State::Failed, error, "see the log")])
}

/// What is kept of messages that came without the mail API.
pub(super) async fn weight(store: &BellStore) -> Option<Check> {
    Some(match store.received_weight().await {
        Ok((0, ..)) => return None,
        Ok((messages, text, files)) => {
            let says = format!("{messages} messages, {} of text, {} of files", size(text), size(files));
            Check::ok("received", says).with(json!({ "messages": messages, "text_bytes": text, "file_bytes": files }))
        }
        Err(error) => Check::bad("received", State::Failed, error.to_string(), "see the log"),
    })
}
