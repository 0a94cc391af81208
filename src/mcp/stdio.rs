//! MCP over a pair of byte streams: this process's stdin and stdout, or a test's.
//!
//! stdout belongs to the wire alone; logs go to stderr.

use rmcp::{ServiceExt as _, service::ServerInitializeError};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::sync::CancellationToken;

use super::{Server, notify::Door, presence::UntilEnd};

/// Why serving ended otherwise than by the client's leave.
#[derive(Debug, thiserror::Error)]
pub enum StdioError {
    /// The client spoke, but not MCP.
    #[error("the client did not open the protocol")]
    Initialize(#[source] Box<ServerInitializeError>),
    /// The task that served failed.
    #[error("serving the client failed")]
    Serve(#[from] tokio::task::JoinError),
}

/// Serves the client at the other end of stdin and stdout until it closes them or `shutdown` is cancelled.
pub async fn serve(server: Server, shutdown: CancellationToken) -> Result<(), StdioError> {
    let (input, output) = rmcp::transport::stdio();
    serve_over(server, input, output, shutdown).await
}

/// Serves the client that writes to `input` and reads from `output`.
pub async fn serve_over(
    server: Server,
    input: impl AsyncRead + Send + Unpin + 'static,
    output: impl AsyncWrite + Send + Unpin + 'static,
    shutdown: CancellationToken,
) -> Result<(), StdioError> {
    let (server, left) = server.of_one_client();
    match Door(server).serve_with_ct((UntilEnd::new(input, left), output), shutdown).await {
        Ok(running) => {
            running.waiting().await?;
            Ok(())
        }
        // A client that leaves before it has said anything has nothing to be told, nor has an operator.
        Err(ServerInitializeError::ConnectionClosed(_) | ServerInitializeError::Cancelled) => Ok(()),
        Err(error) => Err(StdioError::Initialize(Box::new(error))),
    }
}
