//! Binds the listeners, all before anything is served, so that a busy address is an error and not half a house.

use std::{collections::BTreeMap, io, net::SocketAddr, time::Duration};

use tokio::{net::TcpListener, time::Instant};

use crate::{
    config::{ListenAddr, load::Loaded},
    domain::allow_hosts::connectable,
};

/// What to do when a default address is taken. One that somebody chose is an error in either case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BusyDefault {
    /// Fail: somebody started a server and should know.
    Fail,
    /// Take any free port: IDE clients start `mailbell mcp` themselves, several at a time.
    GiveWay,
    /// Wait a moment for a keeper that was killed to let go of what it was bound to, then take any free port, also where
    /// somebody had chosen another: agents in a house on other ports are better off than in none.
    Inherit,
}

/// How long the kernel may take to close the sockets of a process that was killed, once its lock is free.
const LETTING_GO: Duration = Duration::from_secs(1);
/// How often to try meanwhile.
const TRY_EVERY: Duration = Duration::from_millis(10);

/// An address that cannot be listened at.
#[derive(Debug, thiserror::Error)]
#[error("could not listen at {addr} for {name}; free it, or choose another with --{name}-addr (:0 picks a free port)")]
pub struct ListenError {
    name: &'static str,
    addr: SocketAddr,
    #[source]
    source: io::Error,
}

/// The sockets of a house, bound and not yet served.
pub struct Listeners {
    /// Agents by HTTP.
    pub mcp: TcpListener,
    /// Webhooks in.
    pub hooks: TcpListener,
    /// Health.
    pub console: TcpListener,
    /// The embedded mail service's, unless a hosted one is used.
    pub mail: Option<MailListeners>,
}

/// The sockets of the embedded mail service.
pub struct MailListeners {
    /// The API.
    pub api: TcpListener,
    /// Mail in by SMTP.
    pub smtp: TcpListener,
    /// Mail in by LMTP.
    pub lmtp: TcpListener,
}

impl Listeners {
    /// Binds every address of the settings.
    pub async fn bind(loaded: &Loaded, busy: BusyDefault) -> Result<Self, ListenError> {
        let Loaded { config, explicit, .. } = loaded;
        let deadline = Instant::now() + LETTING_GO;
        let bind = async |name: &'static str, ListenAddr(addr): ListenAddr| {
            loop {
                let bound = TcpListener::bind(addr).await;
                let taken = bound.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::AddrInUse);
                let bound = match busy {
                    BusyDefault::Inherit if taken && Instant::now() < deadline => {
                        tokio::time::sleep(TRY_EVERY).await;
                        continue;
                    }
                    BusyDefault::Inherit if taken => TcpListener::bind(SocketAddr::new(addr.ip(), 0)).await,
                    BusyDefault::GiveWay if taken && !explicit.contains(name) => {
                        TcpListener::bind(SocketAddr::new(addr.ip(), 0)).await
                    }
                    _ => bound,
                };
                return bound.map_err(|source| ListenError { name, addr, source });
            }
        };
        let mail = if config.mail.base_url.is_none() {
            Some(MailListeners {
                api: bind("api", config.api.addr).await?,
                smtp: bind("smtp", config.smtp.addr).await?,
                lmtp: bind("lmtp", config.lmtp.addr).await?,
            })
        } else {
            None
        };
        Ok(Self {
            mcp: bind("mcp", config.mcp.addr).await?,
            hooks: bind("hooks", config.hooks.addr).await?,
            console: bind("console", config.console.addr).await?,
            mail,
        })
    }

    /// What each is bound to, by its section of the settings.
    pub(super) fn bound(&self) -> io::Result<BTreeMap<String, SocketAddr>> {
        let mail = self.mail.iter().flat_map(|mail| [("api", &mail.api), ("smtp", &mail.smtp), ("lmtp", &mail.lmtp)]);
        let all = [("mcp", &self.mcp), ("hooks", &self.hooks), ("console", &self.console)].into_iter().chain(mail);
        all.map(|(section, listener)| Ok((section.to_owned(), listener.local_addr()?))).collect()
    }
}

/// Where a socket is reached from this machine.
pub fn reachable(listener: &TcpListener) -> io::Result<SocketAddr> {
    listener.local_addr().map(connectable)
}
