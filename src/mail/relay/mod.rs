//! Hands one message to one SMTP server, and keeps what the server said to each recipient.

mod configured;
mod conversation;
mod wire;

use std::{net::SocketAddr, time::Duration};

use conversation::{Cause, Conversation, Said};
use lettre::transport::smtp::{
    Error,
    commands::{Data, Mail, Rcpt},
    extension::ClientId,
};

pub use configured::{Broken, Handed, Handing, Relay, Said as RelaySaid, Security};

use crate::domain::address::Address;

/// How long a connection may take to come about; RFC 5321 section 4.5.3.2.1 gives the greeting five minutes, which is
/// for mail over far networks, and this hands over to a neighbour.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(30);

/// What a server said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The reply code, such as 250.
    pub code: u16,
    /// The rest, with the enhanced status code where there is one, to the letter: lines are joined by line feeds, and bytes
    /// that are not UTF-8 are replaced.
    pub text: String,
}

impl Answer {
    /// Whether it is a yes.
    pub fn is_yes(&self) -> bool {
        (200..400).contains(&self.code)
    }

    /// Its words on one line, where a code that each line repeats stands once: to be understood, not to be kept.
    pub fn in_one_line(&self) -> String {
        let first = self.text.split_ascii_whitespace().next().filter(|word| word.contains('.')).unwrap_or("");
        let mut lines = self.text.lines();
        let mut one = lines.next().unwrap_or("").to_owned();
        for line in lines {
            one.push(' ');
            one.push_str(line.strip_prefix(first).unwrap_or(line).trim_start());
        }
        one
    }
}

/// What became of a message that was handed over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HandedOver {
    /// What was said to each recipient, in order.
    pub recipients: Vec<(Address, Answer)>,
    /// What was said to the message itself; none if no recipient was taken, so that it was never sent.
    pub message: Option<Answer>,
}

/// Why there is no answer to keep.
#[derive(Debug, thiserror::Error)]
pub enum NotHandedOver {
    /// The server could not be reached, or the connection broke.
    #[error("the conversation with the mail server at {addr} broke off while {doing}")]
    Broken {
        /// The server.
        addr: SocketAddr,
        /// What was being done.
        doing: &'static str,
        /// What went wrong.
        #[source]
        source: Cause,
    },
    /// The server refused before any recipient was named.
    #[error("the mail server at {addr} refused while {doing}: {} {}", answer.code, answer.text)]
    Refused {
        /// The server.
        addr: SocketAddr,
        /// What was being done.
        doing: &'static str,
        /// What it said.
        answer: Answer,
    },
    /// An address that the SMTP client cannot write.
    #[error("the address {0} cannot be written in SMTP")]
    Address(String),
}

/// Hands `message` to the server at `addr`, from `from` (none: the null sender) and for each of `to`. Once connected it
/// waits for as long as the server keeps it waiting; whoever calls sets the limit.
pub async fn hand_over(
    addr: SocketAddr,
    from: Option<&Address>,
    to: &[Address],
    message: &[u8],
) -> Result<HandedOver, NotHandedOver> {
    let broken = |doing, source: Cause| NotHandedOver::Broken { addr, doing, source };
    let because = |doing| move |error: Error| broken(doing, error.into());
    let greeting = "greeting it";
    let mut conversation = match Conversation::plain(addr, &ClientId::default()).await {
        Ok(conversation) => conversation,
        Err(Said::No(answer)) => return Err(NotHandedOver::Refused { addr, doing: greeting, answer }),
        Err(Said::Nothing(cause)) => return Err(broken(greeting, cause)),
    };

    let sender = from.map(written).transpose()?;
    let doing = "naming the sender";
    let answer = conversation.command(Mail::new(sender, Vec::new())).await.map_err(because(doing))?;
    if !answer.is_yes() {
        return Err(NotHandedOver::Refused { addr, doing, answer });
    }
    let mut recipients = Vec::with_capacity(to.len());
    for recipient in to {
        let naming = conversation.command(Rcpt::new(written(recipient)?, Vec::new()));
        let answer = naming.await.map_err(because("naming a recipient"))?;
        recipients.push((recipient.clone(), answer));
    }
    let mut said = None;
    if recipients.iter().any(|(_, answer)| answer.is_yes()) {
        let started = conversation.command(Data).await.map_err(because("starting the message"))?;
        said = Some(if started.is_yes() {
            conversation.message(message).await.map_err(because("sending the message"))?
        } else {
            started
        });
    }
    conversation.quit().await;
    Ok(HandedOver { recipients, message: said })
}

fn written(address: &Address) -> Result<lettre::Address, NotHandedOver> {
    address.as_str().parse().map_err(|_| NotHandedOver::Address(address.to_string()))
}
