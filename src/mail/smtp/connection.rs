//! One conversation on its socket: reads, asks the session, writes; within time.

use std::{io, net::IpAddr, pin::pin, sync::Arc};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    sync::Semaphore,
};
use tokio_util::sync::CancellationToken;

use super::{
    content::{Content, Overflow},
    dialect::Dialect,
    limits::{CONTENT_TIME_MAX, GRACE, RECEIVED_MAX, SmtpLimits},
    lines::{Incoming, Line},
    reply::Reply,
    session::{Session, Step},
    trace::{received_count, trace},
};
use crate::{
    domain::clock::Clock,
    mail::reception::{Envelope, Peer, Receipt, Reception, Unreachable},
    measures,
};

/// What is read at once, in bytes.
const READ_BYTES: usize = 64 * 1024;
/// Replies that may wait to be sent together, in bytes, before they are sent anyway.
const REPLIES_BYTES_MAX: usize = 16 * 1024;

/// What all conversations share.
pub(super) struct Shared {
    pub(super) dialect: Dialect,
    pub(super) room: Arc<Reception>,
    pub(super) limits: Arc<SmtpLimits>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) shutdown: CancellationToken,
    /// Stands for the memory that messages in flight may take.
    pub(super) memory: Arc<Semaphore>,
}

/// Why a conversation ended.
#[derive(Debug, thiserror::Error)]
pub(super) enum Ending {
    #[error("the peer went away")]
    Gone,
    #[error("the connection failed")]
    Failed(#[from] io::Error),
    #[error("the peer was silent, or its message took too long")]
    TooSlow,
    #[error("the service is ending")]
    Shutdown,
}

pub(super) struct Connection {
    stream: TcpStream,
    peer: IpAddr,
    incoming: Incoming,
    replies: Vec<u8>,
    session: Session,
    shared: Arc<Shared>,
}

impl Connection {
    pub(super) fn new(stream: TcpStream, peer: IpAddr, shared: Arc<Shared>) -> Self {
        let session = Session::new(shared.dialect, shared.limits.clone());
        Self { stream, peer, incoming: Incoming::default(), replies: Vec::new(), session, shared }
    }

    /// Leads the conversation to its end.
    pub(super) async fn run(mut self) {
        let _open = measures::smtp_session();
        let ending = self.converse().await;
        let last_word = match &ending {
            Err(Ending::TooSlow) => Some(Reply::idle(&self.shared.limits)),
            Err(Ending::Shutdown) => Some(Reply::ending(&self.shared.limits)),
            Ok(()) | Err(Ending::Gone | Ending::Failed(_)) => None,
        };
        if let Some(reply) = last_word {
            self.say(&reply);
            // The peer may be gone; then nobody misses it.
            let _ = self.flush().await;
        }
        let _ = self.stream.shutdown().await;
        measures::smtp_ended(match &ending {
            Ok(()) => "closed",
            Err(Ending::Gone) => "gone",
            Err(Ending::Failed(_)) => "failed",
            Err(Ending::TooSlow) => "too_slow",
            Err(Ending::Shutdown) => "shutdown",
        });
        match ending {
            Ok(()) => tracing::debug!("an SMTP conversation ended"),
            Err(error) => {
                tracing::debug!(error = &error as &(dyn std::error::Error + 'static), "an SMTP conversation broke off");
            }
        }
    }

    async fn converse(&mut self) -> Result<(), Ending> {
        let shutdown = self.shared.shutdown.clone();
        let mut ending = pin!(async move {
            shutdown.cancelled().await;
            Ending::Shutdown
        });
        self.say(&Reply::greeting(self.shared.dialect, &self.shared.limits));
        loop {
            while let Some(line) = self.incoming.line() {
                let mut step = match line {
                    Line::Whole(line) => self.session.command(&line),
                    Line::TooLong => self.session.line_too_long(),
                };
                if let Step::Sender { bytes } = step {
                    let room = self.shared.room.has_room_for(bytes as u64);
                    step = self.session.sender_answered(room.map_err(|refusal| Reply::refused(&refusal)));
                } else if let Step::Recipient(recipient) = &step {
                    let found = self.shared.room.find(recipient).await;
                    step = self.session.recipient_answered(found.map_err(|why| unreachable(&why)));
                }
                match step {
                    Step::Say(reply) => self.say(&reply),
                    Step::End(reply) => {
                        self.say(&reply);
                        return self.flush().await;
                    }
                    Step::Drop => return Ok(()),
                    Step::Message => self.message().await?,
                    // Both were answered above.
                    Step::Sender { .. } | Step::Recipient(_) => {}
                }
                if self.replies.len() > REPLIES_BYTES_MAX {
                    self.flush().await?;
                }
            }
            // Replies to commands that came together go together (RFC 2920 section 3.2).
            self.flush().await?;
            self.fill(ending.as_mut()).await?;
        }
    }

    /// Reads a message and takes it in.
    async fn message(&mut self) -> Result<(), Ending> {
        self.say(&Reply::new(354, "", "send the message; end it with a dot on a line of its own"));
        self.flush().await?;
        let Shared { limits, clock, memory, .. } = &*self.shared.clone();
        let before = trace(&self.session.handed_over(), self.peer, &limits.hostname, clock.now());
        let mut content = Content::new(before, limits.message_bytes_max, memory.clone());
        let mut out_of_time = pin!(out_of_time(self.shared.clone()));
        loop {
            let used = content.feed(self.incoming.rest());
            self.incoming.take(used.unwrap_or(usize::MAX));
            if used.is_some() {
                break;
            }
            self.fill(out_of_time.as_mut()).await?;
        }
        for reply in self.take_in(content).await {
            self.say(&reply);
        }
        Ok(())
    }

    /// What to say to a message that has come in: by SMTP one reply, by LMTP one for each recipient taken.
    async fn take_in(&mut self, content: Content) -> Vec<Reply> {
        let taken = self.session.taken().to_vec();
        let (envelope, hello) = (self.session.end_message(), self.session.hello());
        let peer = Peer { address: self.peer, hello: hello.map_or_else(String::new, |hello| hello.name.clone()) };
        match (self.shared.dialect, self.store(&peer, &envelope, content).await) {
            (Dialect::Smtp, Ok(receipt)) => vec![Reply::stored(&receipt)],
            (Dialect::Smtp, Err(reply)) => vec![reply],
            (Dialect::Lmtp, Ok(receipt)) => taken.iter().map(|mailbox| Reply::stored_one(&receipt, *mailbox)).collect(),
            (Dialect::Lmtp, Err(reply)) => vec![reply; taken.len()],
        }
    }

    async fn store(&self, peer: &Peer, envelope: &Envelope, content: Content) -> Result<Receipt, Reply> {
        if received_count(content.as_sent()) > RECEIVED_MAX {
            return Err(Reply::new(554, "5.4.6", "the message has passed too many servers; it goes round in circles"));
        }
        let (raw, memory) = match content.finish() {
            Ok(whole) => whole,
            Err(Overflow::TooBig) => return Err(Reply::too_big(&self.shared.limits)),
            Err(Overflow::NoMemory) => {
                tracing::warn!("a message was refused for now: those that are coming in take too much memory");
                return Err(Reply::new(452, "4.3.1", "too much mail is coming in at once; try again later"));
            }
        };
        let size_bytes = raw.len();
        let received = self.shared.room.receive_from(peer, envelope, raw).await;
        drop(memory);
        match received {
            Ok(receipt) => {
                let mailboxes = receipt.messages.len();
                tracing::info!(size_bytes, mailboxes, "took in a message");
                Ok(receipt)
            }
            Err(refusal) => {
                let error = &refusal as &(dyn std::error::Error + 'static);
                tracing::warn!(error, size_bytes, "refused a message for now");
                Err(Reply::refused(&refusal))
            }
        }
    }

    fn say(&mut self, reply: &Reply) {
        if let Some(status) = reply.refusal() {
            measures::smtp_refusal(status);
        }
        reply.write(&mut self.replies);
    }

    async fn flush(&mut self) -> Result<(), Ending> {
        let Self { stream, replies, shared, .. } = self;
        if replies.is_empty() {
            return Ok(());
        }
        tokio::select! {
            biased;
            written = stream.write_all(replies) => written?,
            () = silence(shared) => return Err(Ending::TooSlow),
        }
        replies.clear();
        Ok(())
    }

    /// Reads more, unless `ending` comes first or the peer is silent for too long.
    async fn fill(&mut self, ending: impl Future<Output = Ending>) -> Result<(), Ending> {
        let Self { stream, incoming, shared, .. } = self;
        tokio::select! {
            biased;
            ending = ending => Err(ending),
            read = stream.read_buf(incoming.buffer(READ_BYTES)) => match read? {
                0 => Err(Ending::Gone),
                _ => Ok(()),
            },
            () = silence(shared) => Err(Ending::TooSlow),
        }
    }
}

/// Resolves when a peer has been silent for too long. The timer begins when it is first waited for: what is ready at once needs none.
async fn silence(shared: &Shared) {
    shared.clock.sleep(shared.limits.idle).await;
}

/// Resolves when a message that is coming in must not take longer.
async fn out_of_time(shared: Arc<Shared>) -> Ending {
    let ending = async {
        shared.shutdown.cancelled().await;
        shared.clock.sleep(GRACE).await;
    };
    tokio::select! {
        () = ending => Ending::Shutdown,
        () = shared.clock.sleep(CONTENT_TIME_MAX) => Ending::TooSlow,
    }
}

/// The reply to a recipient that is not taken; the operator learns of a store that fails.
fn unreachable(why: &Unreachable) -> Reply {
    if let Unreachable::Store(error) = why {
        tracing::warn!(error = error as &(dyn std::error::Error + 'static), "could not look up a mailbox");
    }
    Reply::unreachable(why)
}
