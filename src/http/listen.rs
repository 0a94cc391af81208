//! Serves a router on a socket, with the limits that every listener of the house has.
//!
//! Small writes go out at once (`TCP_NODELAY`): an MCP reply is two of them, and without it the second waits 40 ms for the
//! first one's acknowledgement.

use std::{sync::Arc, time::Duration};

use axum::{Router, middleware};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{conn::auto, graceful::GracefulShutdown},
    service::TowerToHyperService,
};
use tokio::{net::TcpListener, sync::Semaphore};
use tokio_util::sync::CancellationToken;

use super::drain;

/// Connections at once on a listener; more wait in the kernel's queue. Each costs a file descriptor and some 10 KiB.
pub const CONNECTIONS_MAX: usize = 4_096;
/// A client that has not sent its request's head by then is closed on; it holds a connection and says nothing.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// A request's head is no longer than this: our longest URLs and tokens are a hundredth of it.
const HEAD_BYTES_MAX: usize = 64 * 1024;
/// How long requests in progress may go on once the house closes.
const GRACE: Duration = Duration::from_secs(3);
/// How long to wait after `accept` failed, as it does when file descriptors run out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves `router` on `listener` until `shutdown`; then lets the requests in progress end, for a few seconds.
pub async fn serve(name: &'static str, listener: TcpListener, router: Router, shutdown: CancellationToken) {
    let router = router.layer(middleware::from_fn(drain::pass));
    let slots = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut builder = auto::Builder::new(TokioExecutor::new()).http1_only();
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT).max_buf_size(HEAD_BYTES_MAX);
    let graceful = GracefulShutdown::new();
    loop {
        let accepted = tokio::select! {
            accepted = accept(&listener, &slots) => accepted,
            () = shutdown.cancelled() => break,
        };
        let (stream, slot) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(listener = name, %error, "could not accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(listener = name, %error, "could not turn Nagle's algorithm off");
        }
        let service = TowerToHyperService::new(router.clone());
        let connection = builder.serve_connection(TokioIo::new(stream), service).into_owned();
        let connection = graceful.watch(connection);
        tokio::spawn(async move {
            let _slot = slot;
            if let Err(error) = connection.await {
                tracing::debug!(listener = name, %error, "a connection ended early");
            }
        });
    }
    drop(listener);
    if tokio::time::timeout(GRACE, graceful.shutdown()).await.is_err() {
        tracing::info!(listener = name, "closing on requests that are still in progress");
    }
}

async fn accept(
    listener: &TcpListener,
    slots: &Arc<Semaphore>,
) -> std::io::Result<(tokio::net::TcpStream, tokio::sync::OwnedSemaphorePermit)> {
    let slot = slots.clone().acquire_owned().await.expect("the semaphore is never closed");
    let (stream, _) = listener.accept().await?;
    Ok((stream, slot))
}
