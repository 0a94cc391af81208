//! MCP clients, over stdio with a `mailbell mcp` of their own or by HTTP.

use std::{net::SocketAddr, path::Path};

use rmcp::{
    ClientHandler, RoleClient,
    model::{CallToolRequestParams, ProtocolVersion},
    service::{ClientLifecycleMode, ClientServiceExt as _, RunningService},
    transport::{
        TokioChildProcess,
        streamable_http_client::{StreamableHttpClientTransport, StreamableHttpClientTransportConfig},
    },
};
use serde_json::Value;
use tokio::process::Command;

use crate::Failure;

/// A client that listens to nothing.
#[derive(Clone)]
struct Quiet;

impl ClientHandler for Quiet {}

/// An agent; any number of its calls may run at once.
pub(crate) struct Agent {
    client: RunningService<RoleClient, Quiet>,
}

fn lifecycle() -> ClientLifecycleMode {
    ClientLifecycleMode::Discover { preferred_versions: vec![ProtocolVersion::V_2026_07_28] }
}

impl Agent {
    /// One that speaks with the `serve` whose MCP listener is at `addr`.
    pub(crate) async fn over_http(addr: SocketAddr, token: &str) -> Result<Self, Failure> {
        let config = StreamableHttpClientTransportConfig::with_uri(format!("http://{addr}/mcp")).auth_header(token);
        let transport = StreamableHttpClientTransport::from_config(config);
        Ok(Self { client: Quiet.serve_with_lifecycle(transport, lifecycle()).await? })
    }

    /// One that starts a `mailbell mcp` of its own on the data directory `dir`, with more `flags`; also its process.
    pub(crate) async fn over_stdio(binary: &Path, dir: &Path, flags: &[String]) -> Result<(Self, u32), Failure> {
        let mut command = Command::new(binary);
        command.arg("mcp").arg("--data-dir").arg(dir).args(flags);
        let (transport, _) = TokioChildProcess::builder(command).stderr(std::process::Stdio::null()).spawn()?;
        let pid = transport.id().unwrap_or_default();
        Ok((Self { client: Quiet.serve_with_lifecycle(transport, lifecycle()).await? }, pid))
    }

    /// What a tool answers; a failure of its own is one here.
    pub(crate) async fn call(&self, tool: &'static str, arguments: Value) -> Result<Value, Failure> {
        let Value::Object(arguments) = arguments else { return Err("arguments are an object".into()) };
        let result = self.client.call_tool(CallToolRequestParams::new(tool).with_arguments(arguments)).await?;
        if result.is_error == Some(true) {
            return Err(format!("{tool}: {:?}", result.content).into());
        }
        result.structured_content.ok_or_else(|| format!("{tool} answered nothing").into())
    }

    /// Ends it, and what it started.
    pub(crate) async fn end(self) -> Result<(), Failure> {
        self.client.cancel().await?;
        Ok(())
    }
}
