//! Takes a message in: to disk, read, into rows with its events, and only then acknowledged.
//!
//! When [`Reception::receive`] answers with a receipt, the raw bytes and the rows are on disk, and the process may be
//! killed at any instruction after it. When it answers with a refusal, no row tells of the message; the file of a large one may
//! have stayed, which nobody sees and a second try uses.

use std::{collections::BTreeMap, io, iter::repeat_n, net::IpAddr, panic::catch_unwind, sync::Arc, time::Duration};

use tokio::sync::{Notify, Semaphore};

use super::{
    blobs::{self, Blobs},
    domains::Domains,
    mime::{self, Reading},
    reports::{self, Report},
    returned::Returned,
    space::FreeSpace,
    threading,
    verdict::Judge,
};
use crate::{
    domain::{
        address::{Address, ascii_domain},
        clock::{Clock, UnixMillis},
        event::{Detail, NewEvent},
        id::{EventId, MessageId, ThreadId},
        message::{Direction, Mailbox, Message, MessageSummary, Status},
        return_path,
        verdict::Verdict,
    },
    ids::Ids,
    measures,
    store::{
        self, StoreError,
        mailroom::{Mailroom, NewMessage, Raw},
        outbox::{Outbox, Tell},
    },
};

/// Messages that are read at once: reading is work for a processor, and these machines have few.
const READING_AT_ONCE_MAX: usize = 4;
/// Messages of at most so many bytes are read where they came in: that takes less time than to hand them to another thread
/// and back, whatever is in them.
const READ_HERE_BYTES_MAX: usize = 16 * 1024;
/// How long reading a larger message may take. It takes a fraction of a second for any message there is; this guards the
/// conversation against one that there is not yet. The message is then stored unread.
const READING_TIME_MAX: Duration = Duration::from_secs(20);
/// What is noted of a message whose reading failed.
const UNREADABLE: &str = "the message could not be read; its raw bytes are kept";
/// The local part that every domain must take mail for (RFC 5321 section 4.5.1).
const POSTMASTER: &str = "postmaster";

/// What a reception works with.
pub struct Furnishing {
    /// Where the rows go.
    pub store: Arc<dyn Mailroom>,
    /// What we sent, for reports that come back.
    pub outbox: Arc<dyn Outbox>,
    /// Where the raw bytes go.
    pub blobs: Blobs,
    /// Makes ids.
    pub ids: Arc<Ids>,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// The domains whose mail is taken.
    pub domains: Arc<Domains>,
    /// Tells the free space.
    pub space: Arc<dyn FreeSpace>,
    /// Mail is refused for now while fewer bytes than this are free.
    pub free_bytes_min: u64,
    /// Told after each commit that events are owed to webhooks: a hint, without data.
    pub stored: Arc<Notify>,
}

/// Takes mail in; every way in (SMTP, LMTP) comes here.
pub struct Reception {
    with: Furnishing,
    judge: Option<Judge>,
    reporters: Vec<String>,
    reading: Arc<Semaphore>,
}

/// What is known of a message once it was looked at.
#[derive(Clone)]
struct Read {
    reading: Reading,
    verdict: Option<Verdict>,
}

/// Who a message is from and for, as the conversation said, whatever its header says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    /// The sender's path; empty for the null sender.
    pub from: String,
    /// The mailboxes, each once.
    pub recipients: Vec<Mailbox>,
    /// The secrets of the return paths among the addresses that were named.
    pub returned_to: Vec<String>,
}

/// Who handed a message over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// Where it connected from.
    pub address: IpAddr,
    /// The name it gave itself; empty if none.
    pub hello: String,
}

/// Whom a message is meant for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Recipient {
    /// This address.
    Address(Address),
    /// `<Postmaster>` without a domain.
    Postmaster,
}

/// Why a recipient is not taken.
#[derive(Debug, thiserror::Error)]
pub enum Unreachable {
    /// Its domain is not ours, and we hand nothing on.
    #[error("relaying denied: {0} is not a domain of this server")]
    Foreign(String),
    /// There is no such mailbox.
    #[error("no mailbox {0} here")]
    NoMailbox(String),
    /// The store could not tell.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What became of a message that was taken in: one stored message a mailbox, in the envelope's order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// Their ids.
    pub messages: Vec<MessageId>,
}

/// Why a message was not taken in.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// The disk has too little room left, or none.
    #[error("insufficient system storage; try again later")]
    NoSpace,
    /// The file of a large message could not be written.
    #[error("could not write the message to disk")]
    NotWritten(#[source] io::Error),
    /// The rows could not be written.
    #[error("could not store the message")]
    NotStored(#[source] StoreError),
}

impl Reception {
    /// A reception that works with `with`.
    pub fn new(with: Furnishing) -> Self {
        Self { with, judge: None, reporters: Vec::new(), reading: Arc::new(Semaphore::new(READING_AT_ONCE_MAX)) }
    }

    /// The same, where `judge` says of each message that a peer hands over whether it is from whom it says.
    #[must_use]
    pub fn with_judge(self, judge: Judge) -> Self {
        Self { judge: Some(judge), ..self }
    }

    /// The same, where a complaint suppresses also if a signature of one of these domains on the report holds.
    #[must_use]
    pub fn with_reporters(self, domains: &[String]) -> Self {
        let reporters = domains.iter().map(|domain| ascii_domain(domain).into_owned()).collect();
        Self { reporters, ..self }
    }

    /// The mailbox that takes mail for `recipient`.
    ///
    /// Mail for the postmaster of a domain of ours goes to the mailbox of that address, or else to the oldest mailbox
    /// of that domain, or else to the oldest of all.
    pub async fn find(&self, recipient: &Recipient) -> Result<Mailbox, Unreachable> {
        let found = self.look_for(recipient).await;
        match &found {
            Ok(_) => {}
            Err(Unreachable::Foreign(_)) => measures::mail_in("relay_denied"),
            Err(Unreachable::NoMailbox(_)) => measures::mail_in("no_mailbox"),
            Err(Unreachable::Store(_)) => measures::mail_in("recipient_failed"),
        }
        found
    }

    async fn look_for(&self, recipient: &Recipient) -> Result<Mailbox, Unreachable> {
        let postmaster;
        let address = match recipient {
            Recipient::Address(address) => address,
            Recipient::Postmaster => {
                let ours = self.with.domains.first().unwrap_or_else(|| "localhost".to_owned());
                postmaster =
                    format!("{POSTMASTER}@{ours}").parse().map_err(|_| Unreachable::NoMailbox(POSTMASTER.into()))?;
                &postmaster
            }
        };
        if !self.with.domains.holds(address.domain()) {
            return Err(Unreachable::Foreign(address.domain().to_owned()));
        }
        if let Some(token) = return_path::token(address)
            && let Some(sent) = self.with.outbox.sent_by_token(token).await?
            && let Some(mailbox) = self.with.store.mailbox(&sent.mailbox_id).await?
        {
            return Ok(mailbox);
        }
        let mut found = self.with.store.mailbox_at(address).await?;
        if found.is_none() && address.local() == POSTMASTER {
            let mailboxes = self.with.store.mailboxes().await?;
            found = mailboxes
                .into_iter()
                .min_by_key(|mailbox| (mailbox.address.domain() != address.domain(), mailbox.created_at));
        }
        found.ok_or_else(|| Unreachable::NoMailbox(address.to_string()))
    }

    /// Whether a message of `bytes` would leave enough room on the disk.
    pub fn has_room_for(&self, bytes: u64) -> Result<(), Refusal> {
        match self.with.space.free_bytes() {
            Ok(free) if free < self.with.free_bytes_min.saturating_add(bytes) => Err(Refusal::NoSpace),
            Ok(_) => Ok(()),
            // Where the file system does not tell, the write itself will.
            Err(error) => {
                tracing::warn!(%error, "could not ask how much space is free");
                Ok(())
            }
        }
    }

    /// Takes in the message `raw` that `peer` handed over, once for each mailbox of `envelope`.
    pub async fn receive_from(&self, peer: &Peer, envelope: &Envelope, raw: Vec<u8>) -> Result<Receipt, Refusal> {
        self.take_in(Some(peer), envelope, raw).await
    }

    /// Takes in the message `raw`, which nobody handed over but this house, once for each mailbox of `envelope`.
    pub async fn receive(&self, envelope: &Envelope, raw: Vec<u8>) -> Result<Receipt, Refusal> {
        self.take_in(None, envelope, raw).await
    }

    async fn take_in(&self, peer: Option<&Peer>, envelope: &Envelope, raw: Vec<u8>) -> Result<Receipt, Refusal> {
        let taken = self.store(peer, envelope, raw).await;
        measures::mail_in(match &taken {
            Ok(_) => "stored",
            Err(Refusal::NoSpace) => "no_space",
            Err(Refusal::NotWritten(_) | Refusal::NotStored(_)) => "failed",
        });
        taken
    }

    async fn store(&self, peer: Option<&Peer>, envelope: &Envelope, raw: Vec<u8>) -> Result<Receipt, Refusal> {
        let new = self.make(peer, envelope, raw, None).await?;
        let messages = new.iter().map(|one| one.message.summary.id.clone()).collect();
        self.with.store.store_messages(new).await.map_err(not_stored)?;
        self.with.stored.notify_one();
        Ok(Receipt { messages })
    }

    /// Does all of [`Reception::receive`] but the last step: a file is on disk where it takes one, the rows are made and not stored.
    /// For whoever stores them together with rows of their own.
    /// `name` is that of the bytes, where some message of the house has them.
    pub async fn prepare(
        &self,
        envelope: &Envelope,
        raw: Vec<u8>,
        name: Option<&str>,
    ) -> Result<Vec<NewMessage>, Refusal> {
        self.make(None, envelope, raw, name).await
    }

    async fn make(
        &self,
        peer: Option<&Peer>,
        envelope: &Envelope,
        raw: Vec<u8>,
        name: Option<&str>,
    ) -> Result<Vec<NewMessage>, Refusal> {
        self.has_room_for(raw.len() as u64)?;
        let raw = Arc::new(raw);
        let judging = async {
            match (&self.judge, peer) {
                (Some(judge), Some(peer)) => judge.judge(peer, &envelope.from, raw.clone()).await,
                _ => None,
            }
        };
        let name = name.map_or_else(|| blobs::new_name(&self.with.ids, self.with.clock.now()), str::to_owned);
        let keeping = self.with.blobs.put(raw.clone(), name);
        let (kept, (reading, report), verdict) = tokio::join!(keeping, self.read(raw.clone()), judging);
        let raw = kept.map_err(|error| match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Refusal::NoSpace,
            _ => Refusal::NotWritten(error),
        })?;
        let now = self.with.clock.now();
        let returned = Returned {
            outbox: &*self.with.outbox,
            ids: &self.with.ids,
            now,
            vouchers: self.vouchers(verdict.as_ref()),
        };
        let mut new = Vec::with_capacity(envelope.recipients.len());
        // What was read is copied for all but the last: most mail has one recipient.
        let reads = repeat_n(Read { reading, verdict }, envelope.recipients.len());
        for (mailbox, read) in envelope.recipients.iter().zip(reads) {
            let mut message = self.message(mailbox, envelope, read, &raw, now);
            if let Some(report) = &report {
                let tells = returned.tells(report, mailbox, &envelope.returned_to).await.map_err(not_stored)?;
                // A report that says nothing worth an event, such as of a delay, is mail like any other.
                if !tells.is_empty() {
                    message.tells = tells;
                    message.message.summary.report = true;
                }
            }
            new.push(message);
        }
        Ok(new)
    }

    /// The reporters who signed a message, by what was found of it.
    fn vouchers(&self, verdict: Option<&Verdict>) -> Vec<&str> {
        let Some(verdict) = verdict else { return Vec::new() };
        self.reporters.iter().map(String::as_str).filter(|domain| verdict.dkim_passes(domain)).collect()
    }

    /// Reads a message; a large one on a thread where that may take its time.
    async fn read(&self, raw: Arc<Vec<u8>>) -> (Reading, Option<Report>) {
        let unread = |note: &str| (Reading { notes: vec![note.to_owned()], ..Reading::default() }, None);
        if raw.len() <= READ_HERE_BYTES_MAX {
            return catch_unwind(|| (mime::read(&raw), reports::read(&raw))).unwrap_or_else(|_| {
                tracing::error!("reading a message failed; it is stored unread");
                unread(UNREADABLE)
            });
        }
        let working = async {
            let slot = self.reading.clone().acquire_owned().await;
            tokio::task::spawn_blocking(move || {
                let read = (mime::read(&raw), reports::read(&raw));
                // Held to the end, also of a reading that nobody waits for any more.
                drop(slot);
                read
            })
            .await
        };
        tokio::select! {
            read = working => read.unwrap_or_else(|error| {
                tracing::error!(%error, "reading a message failed; it is stored unread");
                unread(UNREADABLE)
            }),
            () = self.with.clock.sleep(READING_TIME_MAX) => {
                tracing::error!("reading a message took too long; it is stored unread");
                unread("reading the message took too long and was given up; its raw bytes are kept")
            }
        }
    }

    fn message(
        &self,
        mailbox: &Mailbox,
        envelope: &Envelope,
        Read { reading, verdict }: Read,
        raw: &Raw,
        now: UnixMillis,
    ) -> NewMessage {
        let id = MessageId::new(self.with.ids.next("em_"));
        let mut notes = reading.notes;
        let from = reading.from.unwrap_or_else(|| {
            notes.push("the message names no sender; the one shown is the envelope's".into());
            envelope.from.clone()
        });
        let event = NewEvent {
            event_id: EventId::new(self.with.ids.next("evt_")),
            mailbox: Some(mailbox.address.to_string()),
            message_id: Some(id.clone()),
            thread_id: None,
            timestamp: now,
            provider_kind: None,
            detail: Detail::Inbound {
                from: from.clone(),
                from_name: reading.from_name.clone(),
                to: reading.to.clone(),
                subject: reading.subject.clone(),
                snippet: reading.snippet.clone(),
                auto: reading.auto,
            },
        };
        let summary = MessageSummary {
            id,
            mailbox_id: mailbox.id.clone(),
            thread_id: ThreadId::new(self.with.ids.next("thr_")),
            direction: Direction::Inbound,
            status: Status::Unread,
            from,
            from_name: reading.from_name,
            to: reading.to,
            cc: reading.cc,
            subject: reading.subject,
            snippet: reading.snippet,
            received_at: now,
            auto: reading.auto,
            attachments: reading.attachments,
            tags: BTreeMap::new(),
            delivered_at: None,
            bounced: None,
            report: false,
        };
        NewMessage {
            message: Message { summary, text: reading.text, notes, verdict },
            raw: raw.clone(),
            internet_id: reading.internet_id,
            references: threading::ancestors(&reading.in_reply_to, &reading.references),
            envelope_from: envelope.from.clone(),
            tells: vec![Tell { event, part: None, proves: None, suppress: None }],
        }
    }
}

fn not_stored(error: StoreError) -> Refusal {
    match error {
        StoreError::Refused(store::Refusal::Full) => Refusal::NoSpace,
        error => Refusal::NotStored(error),
    }
}
