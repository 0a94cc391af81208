//! Who keeps the data directory, whether its listeners take connections, and whether its clock was set meanwhile.

use std::{net::SocketAddr, time::Duration};

use serde_json::json;
use tokio::net::TcpStream;
use url::Url;

use super::{Check, State};
use crate::{
    app::{
        data_dir::DataDir,
        keeper::Published,
        local_socket::{Pulse, pulse},
    },
    cli::Failure,
    domain::clock::Clock,
};

/// How long a listener has to take a connection.
const CONNECT: Duration = Duration::from_secs(2);
/// A time service moves a clock by less while a keeper runs, but for years of it.
const SET_BY_MILLIS_MAX: i64 = 10_000;

/// Who keeps the directory, if somebody does, and whether it answers.
pub(super) async fn lives(dir: &DataDir) -> Result<Option<(Pulse, Published)>, Failure> {
    let pulse = pulse(dir).await;
    Ok(dir.published()?.filter(|_| pulse != Pulse::Absent).map(|published| (pulse, published)))
}

/// What it is, and whether its listeners take connections.
pub(super) async fn checks(published: Option<&(Pulse, Published)>) -> Vec<Check> {
    let Some((pulse, published)) = published else {
        let todo = "start `mailbell serve`, or let an agent start `mailbell mcp`; until then nothing is received";
        return vec![Check::bad("keeper", State::Warning, "nobody keeps this data directory now", todo)];
    };
    let addresses = &published.addresses;
    let pid = addresses.pid;
    let mut checks = vec![match pulse {
        Pulse::Silent => Check::bad(
            "keeper",
            State::Failed,
            format!("the process {pid} does not answer: it is stopped or stuck"),
            format!("let it go on (kill -CONT {pid}) or end it (kill -KILL {pid})"),
        ),
        _ => Check::ok("keeper", format!("the process {pid}")),
    }];
    let listeners = [
        ("mcp", &addresses.mcp),
        ("hooks", &addresses.hooks),
        ("api", &addresses.api),
        ("smtp", &addresses.smtp),
        ("lmtp", &addresses.lmtp),
        ("console", &addresses.console),
    ];
    for (name, address) in listeners {
        let Some(address) = address else { continue };
        let connected = match socket(address) {
            Some(at) => {
                tokio::time::timeout(CONNECT, TcpStream::connect(at)).await.is_ok_and(|connected| connected.is_ok())
            }
            None => false,
        };
        checks.push(if connected {
            Check::ok(name, format!("listens at {address}"))
        } else {
            let todo = "look at the keeper's log; a restart of it binds its listeners anew";
            Check::bad(name, State::Failed, format!("nothing answers at {address}"), todo)
        });
    }
    checks
}

/// Where to connect to reach `address`, a URL or a socket's.
fn socket(address: &str) -> Option<SocketAddr> {
    address.parse().ok().or_else(|| {
        let url: Url = address.parse().ok()?;
        url.socket_addrs(|| None).ok()?.into_iter().next()
    })
}

/// Whether somebody set the clock while this keeper ran.
pub(super) fn clock_was_set(published: &Published, clock: &dyn Clock) -> Option<Check> {
    let began = published.began.as_ref()?;
    let by = began.set_by(&clock.moment())?;
    if by.abs() <= SET_BY_MILLIS_MAX {
        return None;
    }
    let way = if by > 0 { "forward" } else { "back" };
    let says = format!("was set {way} by {} s since the keeper began at {}", by.abs() / 1000, began.at());
    let todo = "see that it is right now and that a time service keeps it so (timedatectl); times on record from before are off by \
                that, and leases and retries went on as they should";
    Some(Check::bad("clock", State::Warning, says, todo).with(json!({ "set_by_millis": by })))
}
