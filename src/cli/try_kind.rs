//! `mailbell try`: makes something happen in a running house, to see an agent hear of it.

use std::net::SocketAddr;

use clap::{Args, Subcommand};
use serde_json::json;

use super::{Failure, Settings, Where, answer::Answer, time_and_ids};
use crate::{
    bell::upstream::Outgoing,
    domain::address::Address,
    mail::{
        compose::{Automatic, Draft, compose},
        relay::hand_over,
        simulator,
    },
};

/// Who writes, unless somebody says otherwise; `.test` is nobody's (RFC 2606).
const SENDER: &str = "visitor@customer.test";

/// What is said where nothing can happen.
const NOT_RUNNING: &str =
    "no mailbell with an embedded mail service runs on this data directory; start `mailbell serve` first";

#[derive(Args)]
pub(super) struct Try {
    #[command(subcommand)]
    kind: Kind,
}

#[derive(Subcommand)]
enum Kind {
    /// Send one real mail through the SMTP listener
    Inbound(Inbound),
    /// Have the agent's mailbox send a mail that bounces at the simulator
    Bounce(Bounce),
    /// Have it send one that is called spam
    Complaint(Outbound),
    /// Have it send one that is opened
    Open(Outbound),
    /// Have it send one that is delivered
    Delivery(Outbound),
}

#[derive(Args)]
struct Bounce {
    /// For now only, as a full mailbox does
    #[arg(long)]
    soft: bool,
    #[command(flatten)]
    outbound: Outbound,
}

#[derive(Args)]
struct Outbound {
    /// From which mailbox
    #[arg(long, default_value = "agent@mailbell.test")]
    mailbox: Address,
    #[command(flatten)]
    place: Where,
    #[command(flatten)]
    settings: Settings,
    #[command(flatten)]
    answer: Answer,
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
    #[command(flatten)]
    answer: Answer,
}

impl Try {
    pub(super) async fn run(self) -> Result<(), Failure> {
        match self.kind {
            Kind::Inbound(inbound) => inbound.run().await,
            Kind::Bounce(Bounce { soft: false, outbound }) => outbound.send("hard-bounce").await,
            Kind::Bounce(Bounce { soft: true, outbound }) => outbound.send("soft-bounce").await,
            Kind::Complaint(outbound) => outbound.send("complaint").await,
            Kind::Open(outbound) => outbound.send("opened").await,
            Kind::Delivery(outbound) => outbound.send("delivered").await,
        }
    }
}

impl Outbound {
    /// Sends to the simulator's address of that local part, by the API like any agent.
    async fn send(self, part: &str) -> Result<(), Failure> {
        let dir = self.place.open()?;
        if dir.published()?.and_then(|published| published.addresses.api).is_none() {
            return Err(NOT_RUNNING.into());
        }
        let loaded = self.settings.load(&[])?;
        let api = crate::app::resident::upstream(&dir, &loaded).await?;
        let to = format!("{part}@{}", simulator::DOMAIN);
        let outgoing = Outgoing {
            to: vec![to.clone()],
            subject: Some("Hello from mailbell try".to_owned()),
            markdown: "This is a test mail. Did your agent hear what became of it?\n".to_owned(),
            ..Outgoing::default()
        };
        let sent = match api.send(Some(self.mailbox.as_str()), &outgoing).await {
            Ok(sent) => sent,
            Err(error) => {
                return Err(error.said().map_or_else(|| error.to_string(), |said| format!("{error}: {said}")).into());
            }
        };
        let told = json!({ "message_id": sent.id, "to": to, "status": sent.status });
        self.answer.give(told, format_args!("{} to {to}: {}", sent.id, sent.status))
    }
}

impl Inbound {
    async fn run(self) -> Result<(), Failure> {
        let smtp = self.place.open()?.published()?.and_then(|published| published.addresses.smtp);
        let smtp = smtp.ok_or(NOT_RUNNING)?;
        let (clock, ids) = time_and_ids();
        let message = compose(&Draft {
            from: &self.from,
            from_name: None,
            to: std::slice::from_ref(&self.to),
            cc: &[],
            html: None,
            auto: Automatic::No,
            ai_disclosure: false,
            subject: &self.subject,
            text: &self.text,
            date: clock.now(),
            internet_id: &format!("{}@{}", ids.next("try-"), self.from.domain()),
            in_reply_to: None,
            references: &[],
            files: &[],
        });
        let said = deliver(smtp.parse()?, &self.from, &self.to, &message).await?;
        self.answer.give(json!({ "from": self.from.to_string(), "to": self.to.to_string(), "smtp": said }), &said)
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
