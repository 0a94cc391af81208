//! From a name to a session: TCP, TLS that is verified, the server's greeting, the login.

use std::{io, sync::Arc, time::Duration};

use async_imap::{
    Client,
    imap_proto::{Response, Status},
};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, rustls::pki_types::ServerName};

use super::{
    credentials::{Credentials, XOAuth2},
    session::{SAID_BYTES_MAX, broken},
    settings::{Security, Settings},
    trouble::{Trouble, said},
    wire::{Allowance, Duplex, Wire},
};
use crate::{domain::clock::Clock, tls};

/// From the first packet to the login's answer. Some servers let a wrong password wait for half a minute.
const LOGIN_TIME_MAX: Duration = Duration::from_mins(2);

/// A session that is logged in.
pub(super) async fn connect(
    settings: &Settings,
    credentials: &Credentials,
    allowance: &Arc<Allowance>,
    clock: &dyn Clock,
) -> Result<async_imap::Session<Wire>, Trouble> {
    let connecting = async {
        let client = greeted(settings, allowance).await?;
        log_in(client, settings, credentials).await
    };
    tokio::select! {
        connected = connecting => connected,
        () = clock.sleep(LOGIN_TIME_MAX) => Err(Trouble::TooSlow { doing: "connecting and logging in" }),
    }
}

async fn greeted(settings: &Settings, allowance: &Arc<Allowance>) -> Result<Client<Wire>, Trouble> {
    let Settings { host, port, security, .. } = settings;
    let unreachable = |error: io::Error| Trouble::Unreachable { host: host.clone(), port: *port, kind: error.kind() };
    let socket = TcpStream::connect((host.as_str(), *port)).await.map_err(unreachable)?;
    let on_loopback = socket.peer_addr().map_err(unreachable)?.ip().to_canonical().is_loopback();
    if *security == Security::None && !on_loopback {
        return Err(Trouble::Plain(host.clone()));
    }
    allowance.set(SAID_BYTES_MAX, 0);
    let stream: Box<dyn Duplex> = match security {
        Security::Tls => secured(settings, Box::new(socket)).await?,
        Security::None => Box::new(socket),
        Security::Starttls => {
            let mut client = Client::new(Wire::new(Box::new(socket), allowance.clone()));
            greeting(&mut client).await?;
            let doing = "asking for TLS";
            let asked = client.run_command_and_check_ok("STARTTLS", None).await;
            asked.map_err(|error| match error {
                async_imap::error::Error::No(said) | async_imap::error::Error::Bad(said) => {
                    Trouble::Said { doing, said: super::trouble::said(&said, "") }
                }
                error => broken(doing, &error),
            })?;
            // Whatever was sent in the clear beyond the answer goes with the client's buffer.
            return Ok(Client::new(Wire::new(
                secured(settings, client.into_inner().into_inner()).await?,
                allowance.clone(),
            )));
        }
    };
    let mut client = Client::new(Wire::new(stream, allowance.clone()));
    greeting(&mut client).await?;
    Ok(client)
}

async fn secured(settings: &Settings, stream: Box<dyn Duplex>) -> Result<Box<dyn Duplex>, Trouble> {
    let no = |why: &dyn std::fmt::Display| Trouble::Tls { host: settings.host.clone(), why: why.to_string() };
    let config = tls::verified(settings.ca.as_deref().map(str::as_bytes)).map_err(|cause| no(&cause))?;
    let name = ServerName::try_from(settings.host.clone()).map_err(|error| no(&error))?;
    let connected = TlsConnector::from(config).connect(name, stream).await;
    Ok(Box::new(connected.map_err(|error| no(&error))?))
}

async fn greeting(client: &mut Client<Wire>) -> Result<(), Trouble> {
    let doing = "waiting for the server's greeting";
    let heard = client.read_response().await.map_err(|error| broken(doing, &error.into()))?;
    match heard.as_ref().map(|heard| heard.parsed()) {
        Some(Response::Data { status: Status::Ok, .. }) => Ok(()),
        Some(Response::Data { outcome, .. }) => {
            let said = said(outcome.information.as_deref().unwrap_or_default(), "");
            Err(Trouble::Said { doing, said })
        }
        Some(_) => Err(Trouble::Broken { doing, why: "it does not speak IMAP" }),
        None => Err(Trouble::Broken { doing, why: "it hung up" }),
    }
}

async fn log_in(
    client: Client<Wire>,
    settings: &Settings,
    credentials: &Credentials,
) -> Result<async_imap::Session<Wire>, Trouble> {
    let logged_in = match credentials {
        Credentials::Password(password) => client.login(&settings.user, password.expose()).await,
        Credentials::Token(token) => client.authenticate("XOAUTH2", XOAuth2::new(&settings.user, token)).await,
    };
    logged_in.map_err(|(error, _)| match error {
        async_imap::error::Error::No(text) | async_imap::error::Error::Bad(text) => {
            Trouble::Refused { said: said(&text, credentials.secret().expose()) }
        }
        error => broken("logging in", &error),
    })
}
