//! Mail as the world sends it.

use std::net::SocketAddr;

use lettre::{AsyncSmtpTransport, AsyncTransport as _, Tokio1Executor, address::Envelope};
use mail_builder::MessageBuilder;

use crate::Failure;

/// The mailbox that there is from the beginning.
pub(crate) const MAILBOX: &str = "agent@mailbell.test";
const SENDER: &str = "bob@example.com";

/// A way to the listener `smtp`; connections are kept.
pub(crate) struct Letters(AsyncSmtpTransport<Tokio1Executor>);

impl Letters {
    pub(crate) fn to(smtp: SocketAddr) -> Self {
        let host = smtp.ip().to_string();
        Self(AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(host).port(smtp.port()).build())
    }

    /// Sends the letter of that number, of about 2 KB, to [`MAILBOX`].
    pub(crate) async fn send(&self, number: u64) -> Result<(), Failure> {
        let envelope = Envelope::new(Some(SENDER.parse()?), vec![MAILBOX.parse()?])?;
        let message = MessageBuilder::new()
            .from(("Bob", SENDER))
            .to(MAILBOX)
            .subject(format!("Letter {number}"))
            .text_body("A line of a letter, as long as lines are.\r\n".repeat(40))
            .write_to_vec()?;
        self.0.send_raw(&envelope, &message).await?;
        Ok(())
    }
}
