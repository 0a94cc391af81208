//! Accepts connections and sees them to their end.

use std::{io::Write as _, sync::Arc, time::Duration};

use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;

use super::{
    connection::{Connection, Shared},
    content::Content,
    dialect::Dialect,
    limits::{END_TIME_MAX, IN_FLIGHT_BYTES_MAX, SmtpLimits},
    reply::Reply,
};
use crate::{domain::clock::Clock, mail::reception::Reception, measures};

/// How long to wait after a failed accept: most often the process has no file handles left, and some are given back
/// soon.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Takes mail by SMTP on `listener` for `room` until `shutdown`; then silent peers are sent away, and a message that is
/// coming in may still end. It returns within 3 seconds.
pub async fn serve(
    listener: TcpListener,
    room: Arc<Reception>,
    limits: SmtpLimits,
    clock: Arc<dyn Clock>,
    shutdown: CancellationToken,
) {
    serve_as(Dialect::Smtp, listener, room, limits, clock, shutdown).await;
}

/// The same by LMTP, for an MTA on the same machine or network; as RFC 2033 section 5 has it, never on port 25.
pub async fn serve_lmtp(
    listener: TcpListener,
    room: Arc<Reception>,
    limits: SmtpLimits,
    clock: Arc<dyn Clock>,
    shutdown: CancellationToken,
) {
    serve_as(Dialect::Lmtp, listener, room, limits, clock, shutdown).await;
}

async fn serve_as(
    dialect: Dialect,
    listener: TcpListener,
    room: Arc<Reception>,
    limits: SmtpLimits,
    clock: Arc<dyn Clock>,
    shutdown: CancellationToken,
) {
    let connections = Arc::new(Semaphore::new(limits.connections_max));
    let memory = Arc::new(Semaphore::new(Content::permits(IN_FLIGHT_BYTES_MAX)));
    let shared = Arc::new(Shared { dialect, room, limits: Arc::new(limits), clock, shutdown, memory });
    let mut running = JoinSet::new();
    loop {
        // Those that have ended are let go of, so that the set stays as small as the house is full.
        while running.try_join_next().is_some() {}
        let accepted = tokio::select! {
            biased;
            () = shared.shutdown.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "could not accept an SMTP connection");
                shared.clock.sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let Ok(place) = connections.clone().try_acquire_owned() else {
            send_away(stream, &shared.limits);
            continue;
        };
        // Replies are short and awaited; Nagle's algorithm would hold them back.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "could not set TCP_NODELAY");
        }
        let connection = Connection::new(stream, peer.ip(), shared.clone());
        running.spawn(async move {
            connection.run().await;
            drop(place);
        });
    }
    drop(listener);
    let all_ended = async { while running.join_next().await.is_some() {} };
    tokio::select! {
        () = all_ended => {}
        // Dropping the set aborts what is left: those messages were never acknowledged.
        () = shared.clock.sleep(END_TIME_MAX) => {}
    }
}

/// Says that there is no place; does not wait for a peer that cannot take even that.
fn send_away(stream: TcpStream, limits: &SmtpLimits) {
    let mut words = Vec::new();
    Reply::too_many_connections(limits).write(&mut words);
    // A std stream writes at once or not at all, while tokio's would first wait to hear that it can.
    let said = stream.into_std().and_then(|mut stream| stream.write_all(&words));
    measures::smtp_ended("sent_away");
    tracing::warn!(told = said.is_ok(), "sent an SMTP connection away: too many at once");
}
