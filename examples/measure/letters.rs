//! Mail as the world sends it.

use std::net::SocketAddr;

use lettre::{
    address::Envelope,
    transport::smtp::{client::AsyncSmtpConnection, extension::ClientId},
};
use mail_builder::MessageBuilder;
use tokio::{net::TcpStream, sync::Mutex};

use crate::Failure;

/// The mailbox that there is from the beginning.
pub(crate) const MAILBOX: &str = "agent@mailbell.test";
const SENDER: &str = "bob@example.com";
/// Letters of one connection; a server takes only so many.
const A_CONNECTION: u64 = 50;

/// A way to the listener `smtp`, one letter after another; a connection is kept for some.
pub(crate) struct Letters {
    smtp: SocketAddr,
    open: Mutex<Option<(AsyncSmtpConnection, u64)>>,
}

impl Letters {
    pub(crate) fn to(smtp: SocketAddr) -> Self {
        Self { smtp, open: Mutex::default() }
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
        let mut open = self.open.lock().await;
        let (mut connection, sent) = match open.take() {
            Some((connection, sent)) if sent < A_CONNECTION => (connection, sent),
            before => {
                if let Some((mut connection, _)) = before {
                    connection.quit().await?;
                }
                (self.connect().await?, 0)
            }
        };
        connection.send(&envelope, &message).await?;
        *open = Some((connection, sent + 1));
        Ok(())
    }

    /// Without Nagle's algorithm, or the end of each letter would wait 40 ms for the acknowledgement of what comes before it.
    async fn connect(&self) -> Result<AsyncSmtpConnection, Failure> {
        let stream = TcpStream::connect(self.smtp).await?;
        stream.set_nodelay(true)?;
        Ok(AsyncSmtpConnection::connect_with_transport(Box::new(stream), &ClientId::default()).await?)
    }
}
