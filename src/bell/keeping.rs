//! What is kept of the messages that webhooks bring: read from what they carry, one for each mailbox that they came to.

use std::{sync::Arc, time::Duration};

use super::{
    letter::{self, Letter, LetterFile, ReadLetter, Room},
    sources::Carried,
};
use crate::{
    domain::{
        clock::{Clock, UnixMillis},
        event::{Detail, NewEvent},
        id::{MessageId, SourceName, ThreadId},
    },
    signing::digest::sha256,
    store::received::{File, NewMessage, Told},
};

/// For reading one message, while its provider waits for our answer: most wait for ten seconds or more.
const READING_TIME_MAX: Duration = Duration::from_secs(8);

/// `events` of a webhook with the messages that they bring. A message that came to nobody's mailbox is not kept: nobody could
/// be said to own it.
pub(super) async fn told(
    (read, clock): (ReadLetter, &Arc<dyn Clock>),
    source: &SourceName,
    carried: Option<Carried>,
    events: Vec<NewEvent>,
    now: UnixMillis,
) -> Vec<Told> {
    let letter = match carried {
        Some(carried) => Some(opened((read, clock), carried).await),
        None => None,
    };
    let told = events.into_iter().map(|event| {
        let message = letter.as_ref().and_then(|letter| message(source, letter, &event, now));
        Told { event, message }
    });
    told.collect()
}

/// What was carried, read; with the provider's id where it has more, and whether the text is here.
pub(super) struct Opened {
    pub(super) letter: Letter,
    with_id: Option<String>,
    whole: bool,
}

/// Reads what was carried.
pub(super) async fn opened((read, clock): (ReadLetter, &Arc<dyn Clock>), carried: Carried) -> Opened {
    let Carried { raw, reply, files, notes, with_id, textless } = carried;
    let mut letter = letter::read(read, raw, clock, READING_TIME_MAX, "the provider has it still").await;
    letter.reply = reply.or(letter.reply);
    letter.notes.extend(notes);
    let mut room = Room::default();
    for one in &letter.files {
        room.take(one.bytes.as_ref().map_or(0, Vec::len));
    }
    letter.files.extend(files.into_iter().map(|one| LetterFile {
        file: File { name: one.name, content_type: one.content_type, size_bytes: one.size_bytes },
        bytes: one.bytes.filter(|bytes| room.take(bytes.len())),
    }));
    Opened { letter, with_id, whole: !textless }
}

fn message(source: &SourceName, opened: &Opened, event: &NewEvent, now: UnixMillis) -> Option<NewMessage> {
    let Detail::Inbound { from, from_name, to, subject, snippet, auto } = &event.detail else { return None };
    let mailbox = event.mailbox.clone()?;
    let letter = opened.letter.clone();
    let (internet_id, ancestors) = (letter.internet_id.clone(), letter.ancestors.clone());
    let (mut fields, content) = letter.kept();
    (fields.from, fields.from_name) = (from.clone(), from_name.clone());
    (fields.to, fields.subject) = (to.clone(), subject.clone());
    if !snippet.is_empty() {
        fields.snippet.clone_from(snippet);
    }
    fields.auto |= auto;
    // The same for the same event, so that a repetition is known as one.
    let name = sha256(format!("{source}\n{}", event.event_id).as_bytes());
    let name = hex::encode(&name[..16]);
    Some(NewMessage {
        id: MessageId::new(format!("em_{name}")),
        mailbox,
        thread_id: ThreadId::new(format!("thr_{name}")),
        internet_id,
        ancestors,
        received_at: now,
        report: false,
        fields,
        content,
        with_id: opened.with_id.clone(),
        whole: opened.whole,
    })
}
