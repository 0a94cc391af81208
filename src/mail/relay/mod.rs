//! Hands one message to one SMTP server, and keeps what the server said to each recipient.

mod configured;

use std::{error::Error as _, net::SocketAddr, time::Duration};

use lettre::transport::smtp::{
    Error,
    client::AsyncSmtpConnection,
    commands::{Data, Mail, Rcpt},
    extension::ClientId,
    response::Response,
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
    /// The rest, with the enhanced status code where there is one. Lines of a yes are joined by line ends; lines of a no by
    /// blanks, and a code that each of them repeats is kept once, which is how the client crate hands it on.
    pub text: String,
}

impl Answer {
    /// Whether it is a yes.
    pub fn is_yes(&self) -> bool {
        (200..400).contains(&self.code)
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
        source: Box<Error>,
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
    let broken = |doing| move |source: Error| NotHandedOver::Broken { addr, doing, source: Box::new(source) };
    let hello = ClientId::default();
    let connecting = AsyncSmtpConnection::connect_tokio1(addr, Some(CONNECT_TIME_MAX), &hello, None, None);
    let mut connection = match answered(connecting.await) {
        Ok(connection) => connection,
        Err(Said::No(answer)) => return Err(NotHandedOver::Refused { addr, doing: "greeting it", answer }),
        Err(Said::Nothing(error)) => return Err(broken("greeting it")(error)),
    };

    let sender = from.map(written).transpose()?;
    match answered(connection.command(Mail::new(sender, Vec::new())).await) {
        Ok(_) => {}
        Err(Said::No(answer)) => return Err(NotHandedOver::Refused { addr, doing: "naming the sender", answer }),
        Err(Said::Nothing(error)) => return Err(broken("naming the sender")(error)),
    }
    let mut recipients = Vec::with_capacity(to.len());
    for recipient in to {
        let said = connection.command(Rcpt::new(written(recipient)?, Vec::new())).await;
        let answer = answer(said).map_err(broken("naming a recipient"))?;
        recipients.push((recipient.clone(), answer));
    }
    let mut said = None;
    if recipients.iter().any(|(_, answer)| answer.is_yes()) {
        let started = answer(connection.command(Data).await).map_err(broken("starting the message"))?;
        said = Some(if started.is_yes() {
            answer(connection.message(message).await).map_err(broken("sending the message"))?
        } else {
            started
        });
    }
    // The answer is there; how the connection ends changes nothing.
    let _ = connection.quit().await;
    Ok(HandedOver { recipients, message: said })
}

fn written(address: &Address) -> Result<lettre::Address, NotHandedOver> {
    address.as_str().parse().map_err(|_| NotHandedOver::Address(address.to_string()))
}

enum Said {
    No(Answer),
    Nothing(Error),
}

/// Tells a server's no from a connection that broke.
fn answered<T>(result: Result<T, Error>) -> Result<T, Said> {
    result.map_err(|error| match error.status() {
        Some(code) => {
            Said::No(Answer { code: code.into(), text: error.source().map(ToString::to_string).unwrap_or_default() })
        }
        None => Said::Nothing(error),
    })
}

/// The server's answer, yes or no.
fn answer(result: Result<Response, Error>) -> Result<Answer, Error> {
    match answered(result) {
        Ok(response) => {
            Ok(Answer { code: response.code().into(), text: response.message().collect::<Vec<_>>().join("\n") })
        }
        Err(Said::No(answer)) => Ok(answer),
        Err(Said::Nothing(error)) => Err(error),
    }
}
