//! A conversation with an SMTP server by the client crate, in which every word of the server is kept.

use std::{error::Error as StdError, fmt::Display, io};

use lettre::transport::smtp::{
    Error,
    authentication::{Credentials, DEFAULT_MECHANISMS},
    client::AsyncSmtpConnection,
    commands::Starttls,
    extension::ClientId,
    response::Response,
};
use tokio::{
    net::{TcpStream, ToSocketAddrs},
    time::timeout,
};
use tokio_rustls::{TlsConnector, rustls::pki_types::ServerName};

use super::{Answer, CONNECT_TIME_MAX, wire::Wire};

/// Why there is no answer.
pub(super) type Cause = Box<dyn StdError + Send + Sync>;

/// How a step failed.
pub(super) enum Said {
    /// The server said no.
    No(Answer),
    /// It said nothing.
    Nothing(Cause),
}

/// How a connection is secured: by what, and for which name.
pub(super) struct Tls {
    pub(super) connector: TlsConnector,
    pub(super) name: ServerName<'static>,
}

/// A connection, greeted.
pub(super) struct Conversation {
    connection: AsyncSmtpConnection,
    wire: Wire,
    pub(super) is_encrypted: bool,
}

/// A TCP connection, made within [`CONNECT_TIME_MAX`].
async fn dial(server: impl ToSocketAddrs) -> io::Result<TcpStream> {
    let dialled = timeout(CONNECT_TIME_MAX, TcpStream::connect(server)).await;
    let stream = dialled.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))?;
    // The end of a message is written apart from the rest; by Nagle's algorithm it would wait 40 ms for an acknowledgement.
    stream.set_nodelay(true)?;
    Ok(stream)
}

impl Conversation {
    /// Connects without TLS.
    pub(super) async fn plain(server: impl ToSocketAddrs, hello: &ClientId) -> Result<Self, Said> {
        let stream = dial(server).await.map_err(Said::broke)?;
        let peer = stream.peer_addr().map_err(Said::broke)?;
        Self::greet(Wire::new(Box::new(stream), peer, false), hello, false).await
    }

    /// Connects with TLS from the first byte.
    pub(super) async fn tls(server: impl ToSocketAddrs, hello: &ClientId, tls: Tls) -> Result<Self, Said> {
        let stream = dial(server).await.map_err(Said::broke)?;
        let peer = stream.peer_addr().map_err(Said::broke)?;
        let stream = tls.connector.connect(tls.name, stream).await.map_err(Said::broke)?;
        Self::greet(Wire::new(Box::new(stream), peer, false), hello, true).await
    }

    async fn greet(wire: Wire, hello: &ClientId, is_encrypted: bool) -> Result<Self, Said> {
        match AsyncSmtpConnection::connect_with_transport(Box::new(wire.clone()), hello).await {
            Ok(connection) => Ok(Self { connection, wire, is_encrypted }),
            Err(error) => Err(failed(error, wire.replies().pop())),
        }
    }

    /// Whether the server offers STARTTLS.
    pub(super) fn can_starttls(&self) -> bool {
        self.connection.can_starttls()
    }

    /// Goes on under TLS. What the server said before is forgotten, whatever it was (RFC 3207 section 4.2).
    pub(super) async fn starttls(mut self, hello: &ClientId, tls: Tls) -> Result<Self, Said> {
        let answer = self.command(Starttls).await.map_err(Said::broke)?;
        if !answer.is_yes() {
            return Err(Said::No(answer));
        }
        // With the client crate's half goes its buffer: words that somebody slipped in behind the yes are not read.
        let Self { connection, wire, .. } = self;
        drop(connection);
        let (stream, peer) =
            wire.into_stream().ok_or_else(|| Said::Nothing("the connection is still in use".into()))?;
        let stream = tls.connector.connect(tls.name, stream).await.map_err(Said::broke)?;
        Self::greet(Wire::new(Box::new(stream), peer, true), hello, true).await
    }

    /// Proves who we are.
    pub(super) async fn auth(&mut self, credentials: &Credentials) -> Result<(), Said> {
        self.wire.forget();
        match self.connection.auth(DEFAULT_MECHANISMS, credentials).await {
            Ok(_) => Ok(()),
            Err(error) => Err(failed(error, self.wire.replies().pop())),
        }
    }

    /// The answer to a command, yes or no.
    pub(super) async fn command(&mut self, command: impl Display) -> Result<Answer, Error> {
        self.wire.forget();
        let result = self.connection.command(command).await;
        self.answer(result)
    }

    /// The answer to a message.
    pub(super) async fn message(&mut self, message: &[u8]) -> Result<Answer, Error> {
        self.wire.forget();
        let result = self.connection.message(message).await;
        self.answer(result)
    }

    fn answer(&self, result: Result<Response, Error>) -> Result<Answer, Error> {
        let (code, joined) = match result {
            Ok(response) => (response.code().into(), response.message().collect::<Vec<_>>().join("\n")),
            Err(error) => match error.status() {
                Some(code) => (code.into(), error.source().map(ToString::to_string).unwrap_or_default()),
                None => return Err(error),
            },
        };
        // A server that speaks out of turn has its words read by the client crate before the command: those are lost here.
        let heard = self.wire.replies().into_iter().next().filter(|heard| heard.code == code);
        Ok(heard.unwrap_or(Answer { code, text: joined }))
    }

    /// Ends it. The answers are there; how the connection ends changes nothing.
    pub(super) async fn quit(mut self) {
        let _ = self.connection.quit().await;
    }
}

impl Said {
    fn broke(error: impl Into<Cause>) -> Self {
        Self::Nothing(error.into())
    }
}

/// Tells a server's no, in its last words, from a connection that broke.
fn failed(error: Error, last: Option<Answer>) -> Said {
    let Some(code) = error.status().map(u16::from) else { return Said::broke(error) };
    let joined = || Answer { code, text: error.source().map(ToString::to_string).unwrap_or_default() };
    Said::No(last.filter(|last| last.code == code).unwrap_or_else(joined))
}
