//! `mailbell try`: makes something happen in a running house, to see an agent hear of it.

use std::net::SocketAddr;

use clap::{Args, Subcommand};

use super::{Failure, Where, say, time_and_ids};
use crate::{
    domain::address::Address,
    mail::{
        compose::{Draft, compose},
        relay::hand_over,
    },
};

/// Who writes, unless somebody says otherwise; `.test` is nobody's (RFC 2606).
const SENDER: &str = "visitor@customer.test";

#[derive(Args)]
pub(super) struct Try {
    #[command(subcommand)]
    kind: Kind,
}

#[derive(Subcommand)]
enum Kind {
    /// Send one real mail through the SMTP listener
    Inbound(Inbound),
}

#[derive(Args)]
struct Inbound {
    /// To whom
    #[arg(long, default_value = "agent@mailbell.test")]
    to: Address,
    /// From whom
    #[arg(long, default_value = SENDER)]
    from: Address,
    /// Its subject
    #[arg(long, default_value = "Hello from mailbell try")]
    subject: String,
    /// Its text
    #[arg(long, default_value = "This is a test mail. Did your agent hear of it?\n")]
    text: String,
    #[command(flatten)]
    place: Where,
}

impl Try {
    pub(super) async fn run(self) -> Result<(), Failure> {
        match self.kind {
            Kind::Inbound(inbound) => inbound.run().await,
        }
    }
}

impl Inbound {
    async fn run(self) -> Result<(), Failure> {
        let smtp = self.place.open()?.published()?.and_then(|addresses| addresses.smtp);
        let smtp = smtp.ok_or(
            "no mailbell with an embedded mail service runs on this data directory; start `mailbell serve` first",
        )?;
        let (clock, ids) = time_and_ids();
        let message = compose(&Draft {
            from: &self.from,
            from_name: None,
            to: std::slice::from_ref(&self.to),
            subject: &self.subject,
            text: &self.text,
            date: clock.now(),
            internet_id: &format!("{}@{}", ids.next("try-"), self.from.domain()),
            in_reply_to: None,
            references: &[],
            files: &[],
        });
        say(deliver(smtp.parse()?, &self.from, &self.to, &message).await?)
    }
}

/// Hands one message to one mailbox over SMTP; answers with what the listener said.
pub(super) async fn deliver(smtp: SocketAddr, from: &Address, to: &Address, message: &[u8]) -> Result<String, Failure> {
    let handed = hand_over(smtp, Some(from), std::slice::from_ref(to), message).await?;
    let last = handed.message.or_else(|| handed.recipients.into_iter().next().map(|(_, answer)| answer));
    match last {
        Some(answer) if answer.is_yes() => Ok(format!("{} {}", answer.code, answer.text)),
        Some(answer) => Err(format!("the mail was refused: {} {}", answer.code, answer.text).into()),
        None => Err("the mail had no recipient".into()),
    }
}
