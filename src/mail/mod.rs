//! The mail wing's use cases: a mail service that speaks the MultiMail API, with webhooks of its own.
//!
//! A message's way in: [`smtp`] speaks SMTP or LMTP with the peer, [`reception`] keeps the raw bytes ([`blobs`]), reads
//! them ([`mime`], [`html`], [`threading`]), asks whether they are from whom they say ([`verdict`]), and stores rows and
//! events in one transaction; only then is the peer told `250`. In the same transaction the event is owed to every webhook
//! that wants it, and [`webhooks`] delivers it. [`api`] is what stands behind `/v1`, [`keys`] who may call it. [`quoted`]
//! tells a reply from what it quotes. [`tracking`] puts images into what goes out and takes note of who fetches them.
//!
//! A message's way out: [`submission`] checks, composes and queues it; the worker in [`outbox`] puts it into mailboxes
//! here, lets the [`simulator`] play, or hands it to the [`relay`], and tells what was said. What comes back later comes in
//! like any mail: [`reports`] reads it and [`returned`] ties it to what was sent. [`elsewhere`] reads mail of a mailbox that
//! is not ours, where nothing is known of what was sent.

pub mod api;
pub mod blobs;
pub mod closing;
pub mod compose;
pub mod domains;
pub mod elsewhere;
pub mod html;
pub mod keys;
pub mod mailroom;
pub mod markdown;
pub mod mime;
pub mod outbox;
pub mod quoted;
pub mod reception;
pub mod relay;
pub mod reports;
pub mod retention;
pub mod returned;
pub mod simulator;
pub mod smtp;
pub mod space;
pub mod submission;
pub mod threading;
pub mod tracking;
pub mod verdict;
pub mod webhooks;

use crate::{
    domain::{address::Address, id::MailboxId, message::Mailbox},
    store::{StoreError, mailroom::Mailroom},
};

/// The mailbox that `named` is the address or the id of.
async fn find_mailbox(mailroom: &dyn Mailroom, named: &str) -> Result<Option<Mailbox>, StoreError> {
    match named.parse::<Address>() {
        Ok(address) => mailroom.mailbox_at(&address).await,
        Err(_) => mailroom.mailbox(&MailboxId::new(named)).await,
    }
}
